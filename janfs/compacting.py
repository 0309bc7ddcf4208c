"""Retention: the oldest events of a log go into an archive, and the log goes on from there, verifiably.

The archive is written and read back first. Then a new database is made beside the log: a seam with the last
archived position and its hash, what the archived events had come to, and every event since. It is verified,
its catalogue compared with the old one, and takes the log's place in one step. A crash before that leaves the
log as it was, and perhaps an archive that the next try finds there.
"""

import hashlib
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import msgspec
from msgspec import Struct, structs

from janfs.catalogue import rows
from janfs.catalogue.catalogue import Catalogue
from janfs.clock import Clock
from janfs.errors import InvalidInput, LogCorrupt
from janfs.events import types as e
from janfs.events.codec import canonical
from janfs.folder.whole import sync
from janfs.log import lines
from janfs.log import seam as seams
from janfs.log.archives import Archive, read_archive
from janfs.log.connection import reader_engine, writer_engine
from janfs.log.migrate import migrate
from janfs.log.reader import LogReader
from janfs.log.seam import Seam, streams_digest
from janfs.log.store import EventLog
from janfs.log.swap import building, put_in_place
from janfs.log.verify import verify
from janfs.pipeline.recorder import Draft, Recorder, new_record, rebuild
from janfs.root import OpenRoot, RootPaths
from janfs.safekeeping import write_new


class Compaction(Struct, frozen=True):
    """What was archived, or would be: events up to a position, into a file."""

    position: int
    events: int
    archive: str


def compact(
    root: Path, position_of: Callable[[LogReader], int], clock: Clock, *, dry_run: bool = False
) -> Compaction:
    """Archive the events of a root that nobody serves, up to the position that `position_of` finds.

    Raises `RootLocked`, `InvalidInput` where there is nothing to archive, `LogCorrupt` for a log that does
    not stand.
    """
    with OpenRoot(root, clock) as opened:
        log, where = opened.log, opened.paths
        position = position_of(log)
        _check(log, position)
        end = log.head_at(position)
        name = f"log-{log.start.position + 1}-{position}-{end.hash.hex()[:12]}.jsonl"
        planned = Compaction(position, position - log.start.position, name)
        if dry_run:
            return planned
        live = Recorder(log).catalogue
        archived = _write_archive(log, position, where.archives / name)
        before = rebuild(log, position)
        if before.parked:
            raise InvalidInput(
                "Events that this janfs cannot apply would be archived; use one that can. `janfs verify` has "
                "their positions."
            )
        state = canonical([(*key, value) for key, value in sorted(rows.to_rows(before))])
        with building(where.database) as new:
            catalogue = _build(log, where, new, archived, state=state, clock=clock)
            if dict(rows.to_rows(catalogue)) != dict(rows.to_rows(live)):
                raise LogCorrupt(
                    "The shorter log would not say what the whole one says; nothing was changed."
                )
            log.close()
            put_in_place(new, where.database)
            # Catalogues of what is archived count no more, and may hold what was to leave the log.
            shutil.rmtree(where.past, ignore_errors=True)
    return planned


def _check(log: LogReader, position: int) -> None:
    verdict = verify(log)
    if not verdict.ok:
        raise LogCorrupt(verdict.complaint)
    # What an earlier one said of itself is no reason for another.
    since = log.read(log.start.position, until=position)
    if all(record.type == seams.EVENT for record in since):
        raise InvalidInput("There is nothing before that which is not archived already.", param="before")


def _write_archive(log: LogReader, position: int, path: Path) -> Archive:
    """Write the events up to a position with the documents they name, and read them back."""
    try:
        path.parent.mkdir(exist_ok=True)
        sync(path.parent.parent)
    except OSError as error:
        raise InvalidInput(f"{path.parent} cannot be made: {error.strerror}.") from error
    if not path.exists():
        named = set(_named(log, log.start.position, position))
        write_new(path, lines.write(log, position, named.__contains__))
    archive = read_archive(path)
    expected = (log.start.position, log.start.hash.hex(), position, log.head_at(position).hash.hex())
    if (archive.after, archive.previous, archive.until, archive.head) != expected:
        raise LogCorrupt(f"{path} is there already, and holds something else.")
    return archive


def _named(log: LogReader, after: int, until: int | None = None) -> Iterator[str]:
    for page in log.pages(after, until):
        for row in page:
            yield from lines.digests_in(row[-1])


def _build(
    log: LogReader, where: RootPaths, new: Path, archived: Archive, *, state: bytes, clock: Clock
) -> Catalogue:
    """Make the shorter log; the catalogue that it gives. Raises `LogCorrupt` where it does not stand."""
    kept = {*_named(log, archived.until), *lines.digests_in(state.decode())}
    dropped = set(_named(log, archived.after, archived.until)) - kept
    writer = writer_engine(new)
    try:
        migrate(writer, new)
        last = next(log.read(archived.until - 1, limit=1))
        seam = Seam(
            position=archived.until,
            hash=archived.head,
            archive=archived.name,
            sha256=archived.sha256,
            events=archived.until - archived.after,
            recorded_at=last.recorded_at,
            state=hashlib.sha256(state).hexdigest(),
            streams="",
        )
        with closing(sqlite3.connect(new, isolation_level=None)) as connection:
            seam = _fill(connection, where.database, seam, dropped)
        with closing(EventLog(writer, reader_engine(new), clock)) as shorter:
            event = msgspec.convert(structs.asdict(seam), e.LogCompacted)
            shorter.append([new_record(Draft(seams.STREAM, event, "cli"))], {seam.state: state})
            catalogue = Recorder(shorter).catalogue
            verdict = verify(shorter)
        if not verdict.ok:
            raise LogCorrupt(verdict.complaint)
        return catalogue
    finally:
        writer.dispose()


def _fill(connection: sqlite3.Connection, database: Path, seam: Seam, dropped: set[str]) -> Seam:
    """Copy what stays from the old database, behind the seam; the seam with its streams."""
    connection.execute("ATTACH ? AS old", (str(database),))
    connection.execute("CREATE TEMP TABLE dropped (sha256 TEXT PRIMARY KEY) WITHOUT ROWID")
    connection.executemany("INSERT INTO dropped VALUES (?)", ((digest,) for digest in dropped))
    connection.execute("BEGIN")
    connection.execute(
        "INSERT INTO archived_streams SELECT stream, max(version) FROM "
        "(SELECT stream, version FROM old.archived_streams UNION ALL "
        "SELECT stream, version FROM old.events WHERE position <= ?) GROUP BY stream",
        (seam.position,),
    )
    streams = connection.execute("SELECT stream, version FROM archived_streams ORDER BY stream")
    seam = structs.replace(seam, streams=streams_digest(streams))
    connection.execute(
        "INSERT INTO seam VALUES (?, ?, ?)", (seam.position, bytes.fromhex(seam.hash), seam.text)
    )
    connection.execute(
        "INSERT INTO events SELECT * FROM old.events WHERE position > ? ORDER BY position", (seam.position,)
    )
    connection.execute(
        "INSERT INTO documents SELECT * FROM old.documents WHERE sha256 NOT IN (SELECT sha256 FROM dropped)"
    )
    connection.execute("COMMIT")
    connection.execute("DETACH old")
    return seam
