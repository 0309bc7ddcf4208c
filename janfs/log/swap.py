"""Putting another database in the place of the log, so that at any moment one of them is there, whole.

The log must be closed and the root ours. A write-ahead log must not be left beside a file that it does not
belong to, because SQLite would play it into that; so both files are taken out of WAL mode first, which SQLite
refuses while anyone else has one open (sqlite.org/wal.html).
"""

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

from janfs.errors import LogError

_SUFFIX = ".building"
_UNFINISHED = ".new"  # of a copy
_BESIDE = ("", "-wal", "-shm", "-journal")


@contextmanager
def building(database: Path) -> Iterator[Path]:
    """Where to make a new database beside the one in use; what is left there in the end is removed.

    Raises `LogError` where what a killed process left there cannot be.
    """
    discard_leftovers(database)
    path = database.with_name(database.name + _SUFFIX)
    try:
        yield path
    finally:
        with suppress(OSError):  # the next start removes it
            discard(path)


def discard(database: Path) -> None:
    """Remove a database with what SQLite keeps beside it, if it is there."""
    for end in _BESIDE:
        database.with_name(database.name + end).unlink(missing_ok=True)


def discard_leftovers(database: Path) -> None:
    """Remove what a process that was killed had begun to build, or to keep; for whoever owns the root.

    Raises `LogError` where it cannot be removed.
    """
    try:
        building = database.with_name(database.name + _SUFFIX)
        copies = database.parent.glob(f"{database.name}.before-*{_UNFINISHED}")
        for left in (building, building.with_name(building.name + _UNFINISHED), *copies):
            discard(left)
        for kept in database.parent.glob(f"{database.name}.before-*"):
            if database.exists() and kept.samefile(database):
                kept.unlink()  # it did not come to be replaced
    except OSError as error:
        raise LogError(
            f"{error.filename} was left behind, and cannot be removed: {error.strerror}."
        ) from error


def put_in_place(new: Path, database: Path, keep: Path | None = None) -> None:
    """Make `new` the database; the old one stays as `keep`, if that is given, else it is gone.

    Raises `LogError` when someone has one of them open, or the disk refuses; the old one is then in place.
    """
    with ExitStack() as undo:
        try:
            settle(new)
            sync(new)
            if database.exists():
                _let_go(database, keep, undo)
            new.replace(database)
        except (sqlite3.Error, OSError) as error:
            raise LogError(
                f"{database} could not be replaced, and is as it was: {error}. "
                "If another program has it open, close that first."
            ) from error
        undo.pop_all()
    try:
        sync(database.parent)
    except OSError as error:
        raise LogError(
            f"{database} was replaced, but the disk does not say that it stays so: {error.strerror}."
        ) from error


def settle(database: Path) -> None:
    """Have all of a database in its one file. Raises `sqlite3.Error`, also when someone else has it open."""
    with closing(sqlite3.connect(database, timeout=5)) as connection:
        mode = connection.execute("PRAGMA journal_mode=DELETE").fetchone()
    if mode != ("delete",):
        raise sqlite3.OperationalError("it is in use")


def _let_go(database: Path, keep: Path | None, undo: ExitStack) -> None:
    """Take the old database out of use, and put it by if it is to be kept; `undo` takes that back."""
    beside = [(database.with_name(database.name + end), end) for end in _BESIDE[1:]]
    try:
        settle(database)
    except sqlite3.OperationalError:  # in use
        raise
    except sqlite3.DatabaseError:  # damaged: what lies beside it goes along as it is
        for path, end in beside:
            if path.exists() and keep is not None:
                kept = keep.with_name(keep.name + end)
                path.replace(kept)
                undo.callback(_quietly, kept.replace, path)
            path.unlink(missing_ok=True)
    if keep is not None:
        _keep(database, keep, undo)


def _keep(database: Path, keep: Path, undo: ExitStack) -> None:
    try:
        os.link(database, keep)
        undo.callback(_quietly, keep.unlink)
    except FileExistsError:
        raise
    except OSError:  # no hard links there
        undo.callback(_quietly, keep.unlink)
        copy_whole(keep, lambda copy: shutil.copy2(database, copy))


def _quietly(act: Callable[..., object], *args: object) -> None:
    with suppress(OSError):  # the first error is the one to tell
        act(*args)


def copy_whole(target: Path, copy: Callable[[Path], object]) -> None:
    """Let `copy` make a file, and give it its name once it is flushed. Raises what `copy` does, `OSError`."""
    making = target.with_name(target.name + _UNFINISHED)
    try:
        making.unlink(missing_ok=True)  # of a process that was killed
        copy(making)
        sync(making)
        making.replace(target)
    except (sqlite3.Error, OSError):
        with suppress(OSError):  # the first error is the one to tell
            making.unlink(missing_ok=True)
        raise
    sync(target.parent)


def sync(path: Path) -> None:
    """Make a file's content, or the names in a folder, survive a power cut. Raises `OSError`."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
