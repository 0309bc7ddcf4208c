"""The log of a root and files elsewhere: writing out, reading in, backing up, putting a backup back."""

import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing, suppress
from itertools import count
from pathlib import Path

from janfs.clock import Clock
from janfs.errors import InvalidInput, LogCorrupt, LogError
from janfs.folder import paths, whole
from janfs.log import lines
from janfs.log.connection import reader_engine, writer_engine
from janfs.log.load import load
from janfs.log.migrate import copy_database, migrate
from janfs.log.reader import LogReader
from janfs.log.records import Head
from janfs.log.store import EventLog
from janfs.log.swap import building, discard, put_in_place, settle
from janfs.log.verify import Verdict, verify
from janfs.pipeline.recorder import Recorder
from janfs.root import RootPaths, owned, read_log


def write_out(root: Path, target: Path) -> int:
    """Write the whole log into a new file as JSON lines; how many bytes. A service may be running.

    Raises `LogCorrupt` where the log does not stand, `InvalidInput` for a file that is there already or
    cannot be made.
    """
    log = read_log(root)
    try:
        return write_new(target, lines.write(log))
    finally:
        log.close()


def read_in(root: Path, sources: Sequence[Path], clock: Clock) -> Head:
    """Make the log of a new root out of files that one was written out to; its end.

    Raises `LogError` for a root with a log that is not empty, and as `load` does.
    """
    with owned(root, clock) as where:
        if where.database.exists() and not _is_empty(where.database):
            raise LogError(
                f"{root} has a log already, and no other can be put in its place. Use an empty --root, or "
                "`janfs restore` for a backup."
            )
        with building(where.database) as new:
            load(new, sources)
            head = make_sound(new, clock)
            put_in_place(new, where.database)
        return head


def back_up(root: Path, target: Path | None) -> tuple[Path, Verdict]:
    """Copy the log with its catalogue into one file, in use or not, and verify the copy.

    Without a target it goes to `.janfs/backups/`. Raises `InvalidInput` for a file that is there or cannot be
    made, `LogCorrupt` for a log that does not stand; no file is left then.
    """
    read_log(root).close()  # a clear answer where there is no log
    _refuse(target)
    where = RootPaths(root)
    wanted = where.backups / "log.db" if target is None else target
    part = wanted.with_name(f"{paths.TEMP_PREFIX}{wanted.name}.part")  # what is there under that name is ours
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        discard(part)
        copy_database(where.database, part)
        settle(part)
        verdict = _verified(part)
        name = f"log-{verdict.after + verdict.events}-{verdict.head[:12]}.db"
        final = where.backups / name if target is None else target
        whole.publish(part, final)
    except FileExistsError as error:
        raise InvalidInput(
            f"{error.filename2} is there already, and is not overwritten.", param="file"
        ) from error
    except (OSError, sqlite3.Error) as error:
        raise InvalidInput(f"The backup cannot be made: {error}.", param="file") from error
    finally:
        with suppress(OSError):  # the next one removes it
            discard(part)
    return final, verdict


def restore(root: Path, source: Path, clock: Clock) -> tuple[Head, Path | None]:
    """Put a backup in the place of the log, once it was verified; its end, and where the old log is kept.

    Raises `RootLocked` while a service runs, `LogCorrupt` for a backup that does not stand, `LogTooNew` for
    one of a newer janfs, `LogError`.
    """
    if not source.is_file():
        raise InvalidInput(f"There is no backup {source}.", param="file")
    with owned(root, clock) as where:
        with building(where.database) as new:
            try:
                copy_database(source, new)
            except sqlite3.Error as error:
                raise LogCorrupt(f"{source} is no sound database: {error}.") from error
            except OSError as error:
                raise LogError(f"{source} cannot be copied: {error.strerror}.") from error
            head = make_sound(new, clock)
            keep = None
            if where.database.exists():
                keep = _free_name(where.database, f"before-restore-{clock.now():%Y%m%dT%H%M%S}")
            put_in_place(new, where.database, keep)
        return head, keep


def make_sound(database: Path, clock: Clock) -> Head:
    """Bring what is to become the log to today's tables, verify it and make its catalogue; its end.

    Raises `LogCorrupt` where it does not stand, `LogTooNew`.
    """
    writer = writer_engine(database)
    try:
        migrate(writer, database, keep_copy=False)
        _verified(database)
        with closing(EventLog(writer, reader_engine(database), clock)) as log:
            Recorder(log)
            return log.head
    finally:
        writer.dispose()


def write_new(target: Path, pieces: Iterable[bytes]) -> int:
    """Write a file that was not there, whole and durable or not at all; how many bytes.

    Raises `InvalidInput` when it is there or cannot be written.
    """
    _refuse(target)
    try:
        return whole.write_new(target, pieces)
    except FileExistsError:
        _refuse(target)
        raise
    except OSError as error:
        raise InvalidInput(f"{target} cannot be written: {error.strerror}.", param="file") from error


def _free_name(database: Path, ending: str) -> Path:
    names = (f"{database.name}.{ending}{'' if number == 1 else f'-{number}'}" for number in count(1))
    return next(path for path in map(database.with_name, names) if not path.exists())


def _refuse(target: Path | None) -> None:
    if target is not None and target.exists():
        raise InvalidInput(f"{target} is there already, and is not overwritten.", param="file")


def _verified(database: Path) -> Verdict:
    log = LogReader(reader_engine(database))
    try:
        verdict = verify(log)
    finally:
        log.close()
    if not verdict.ok:
        raise LogCorrupt(verdict.complaint)
    return verdict


def _is_empty(database: Path) -> bool:
    """Whether nothing was ever recorded. Raises `LogCorrupt` for what is no log."""
    try:
        with closing(sqlite3.connect(database)) as connection:
            tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
            wanted = [table for table in ("events", "documents", "seam") if table in tables]
            return not any(connection.execute(f"SELECT 1 FROM {table}").fetchone() for table in wanted)  # noqa: S608 - the names are ours
    except sqlite3.Error as error:
        raise LogCorrupt(f"{database} is not a sound database: {error}.") from error
