"""The root: which folders it has, and opening it for one owner."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import DatabaseError

from janfs.clock import Clock
from janfs.errors import LogError, RootUnusable
from janfs.folder import paths
from janfs.folder.whole import replace_content, sweep, sync
from janfs.log.connection import checkpoint, reader_engine, writer_engine
from janfs.log.lock import Owner, RootLock, read_owner
from janfs.log.migrate import migrate
from janfs.log.reader import LogReader
from janfs.log.records import NewRecord
from janfs.log.seam import STREAM
from janfs.log.store import EventLog
from janfs.log.swap import discard_leftovers
from janfs.log.wal import Kept, keep_damaged
from janfs.manifest.generate import encode
from janfs.manifest.json_schema import FOLDER, schemas

_log = structlog.get_logger()


class RootPaths:
    """Where things are below a root."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.models = root / paths.MODELS
        self.engines = root / paths.ENGINES
        self.logs = root / "logs"
        self.private = root / paths.PRIVATE
        self.trash = root / paths.TRASH
        self.database = self.private / "log.db"
        self.archives = self.private / "archive"
        self.backups = self.private / "backups"
        self.past = self.private / "past"
        self.lock = self.private / "lock"


class OpenRoot:
    """A root that is ours: locked, migrated, its log open for appending."""

    def __init__(self, root: Path, clock: Clock, *, checkpoints: bool = True) -> None:
        """With `checkpoints` off they are left to another program.

        `warning` says what is not well though it can be served, if anything.
        Raises `RootLocked`, `RootUnusable`, `LogTooNew`, `LogCorrupt` or `LogError`.
        """
        self.paths = RootPaths(root)
        _make_folders(self.paths)
        with ExitStack() as stack:
            self.lock = RootLock(self.paths.lock)
            stack.callback(self.lock.release)
            _put_schemas(self.paths)
            discard_leftovers(self.paths.database)
            sweep(self.paths.archives)
            damaged = _keep_damaged(self.paths.database, clock)
            writer = writer_engine(self.paths.database, checkpoints=checkpoints)
            readers = reader_engine(self.paths.database)
            stack.callback(writer.dispose)
            if damaged is not None:
                _leave_out(writer, self.paths.database)
            migrate(writer, self.paths.database)
            self.log = EventLog(writer, readers, clock, checkpoints=checkpoints)
            stack.callback(self.log.close)
            self.warning = None if damaged is None else _record(self.log, damaged)
            self._stack = stack.pop_all()

    def close(self) -> None:
        """Close the log and let the lock go."""
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@contextmanager
def owned(root: Path, clock: Clock) -> Iterator[RootPaths]:
    """A root that is ours with its log closed, so that another can be put in its place.

    Raises `RootLocked`, `RootUnusable` or `LogError`.
    """
    where = RootPaths(root)
    _make_folders(where)
    lock = RootLock(where.lock)
    try:
        discard_leftovers(where.database)
        _keep_damaged(where.database, clock)
        yield where
    finally:
        lock.release()


def owner_of(root: Path) -> Owner | None:
    """Which process has the root open now."""
    return read_owner(RootPaths(root).lock)


def read_log(root: Path) -> LogReader:
    """The log of a root for reading, whoever has it open.

    Raises `RootUnusable` where there is none, or none that we may read.
    """
    database = RootPaths(root).database
    if not database.exists():
        raise RootUnusable(
            f"{root} has no event log yet: `janfs serve --root {root}` makes one. "
            "If your models are elsewhere, say where with --root or JANFS_ROOT."
        )
    if not os.access(database, os.R_OK):
        raise RootUnusable(f"{database} cannot be read: Permission denied.")
    return LogReader(reader_engine(database))


def _keep_damaged(database: Path, clock: Clock) -> Kept | None:
    """Keep what SQLite would clear away of a damaged write-ahead log, and say so. Raises `LogError`."""
    kept = keep_damaged(database, clock.now())
    if kept is not None:
        _log.error(
            "log-damaged",
            what=f"{database}-wal is damaged at byte {kept.damage.offset}; {kept.damage.commits} commits "
            "from there on are lost to SQLite",
            kept=[str(kept.database), str(kept.wal)],
            next="the log goes on from what stands; `janfs restore` a backup if that has more",
        )
    return kept


def _leave_out(writer: Engine, database: Path) -> None:
    """Begin the write-ahead log anew; what was behind the damage would look like another one."""
    try:
        with writer.connect() as connection:
            checkpoint(connection)
    except (sqlite3.Error, DatabaseError) as error:
        raise LogError(f"{database} cannot be opened: {error}. `janfs restore` a backup.") from error


def _record(log: EventLog, kept: Kept) -> str:
    """Put it into the log that it was damaged; what there is to say of it."""
    from janfs.events import codec  # a fiftieth of a second, which commands that only read do without
    from janfs.events.types import LogDamaged

    offset, commits = kept.damage
    event = codec.encode(LogDamaged(offset, commits, (kept.database.name, kept.wal.name)))
    new = NewRecord(stream=STREAM, type=event.type, schema=event.schema, data=event.data, actor="janfs")
    [record] = log.append([new])
    return (
        f"The write-ahead log was damaged when janfs started. {commits} commits before position "
        f"{record.position} are lost; what was found is kept as {kept.database} and {kept.wal.name}. "
        "`janfs restore` a backup if that has more."
    )


def _make_folders(where: RootPaths) -> None:
    """Make what is missing; `models/` only in a new root, since later its absence means something."""
    wanted = [where.root, where.engines, where.logs, where.private, where.trash]
    if not where.database.exists():
        wanted.append(where.models)
    missing = [folder for folder in wanted if not folder.is_dir()]
    try:
        for folder in missing:
            folder.mkdir(parents=True, exist_ok=True)
        for folder in {folder.parent for folder in missing}:
            sync(folder)  # a log that outlives its models folder would be that of an unmounted disk
    except OSError as error:
        raise RootUnusable(
            f"{error.filename} cannot be made: {error.strerror}. "
            "Make it writable, or use another --root (or JANFS_ROOT)."
        ) from error


def _put_schemas(where: RootPaths) -> None:
    """What may stand in a model.json, for editors; a disk that does not take it serves all the same."""
    folder = where.root / FOLDER
    try:
        folder.mkdir(exist_ok=True)
        for name, schema in schemas().items():
            target, text = folder / name, encode(schema)
            if not target.exists() or target.read_bytes() != text:
                replace_content(target, text)
                sync(folder.parent)
    except OSError as error:
        _log.warning("schemas-not-written", reason=str(error))
