"""Putting another database in the place of the log, so that at any moment one of them is there, whole.

The log must be closed and the root ours. A write-ahead log must not be left beside a file that it does not
belong to, because SQLite would play it into that; so both files are taken out of WAL mode first, which SQLite
refuses while anyone else has one open (sqlite.org/wal.html).
"""

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from janfs.errors import LogError

_SUFFIX = ".building"
_BESIDE = ("", "-wal", "-shm", "-journal")


@contextmanager
def building(database: Path) -> Iterator[Path]:
    """Where to make a new database beside the one in use; what is left there in the end is removed."""
    path = database.with_name(database.name + _SUFFIX)
    discard(path)
    try:
        yield path
    finally:
        discard(path)


def discard(database: Path) -> None:
    """Remove a database with what SQLite keeps beside it, if it is there."""
    for end in _BESIDE:
        database.with_name(database.name + end).unlink(missing_ok=True)


def discard_leftovers(database: Path) -> None:
    """Remove what a process that was killed had begun to build; for whoever owns the root.

    Raises `LogError` where it cannot be removed.
    """
    left = database.with_name(database.name + _SUFFIX)
    try:
        discard(left)
    except OSError as error:
        raise LogError(f"{left} was left behind, and cannot be removed: {error.strerror}.") from error


def put_in_place(new: Path, database: Path, keep: Path | None = None) -> None:
    """Make `new` the database; the old one stays as `keep`, if that is given, else it is gone.

    Raises `LogError` when someone has one of them open, or the disk refuses; the old one is then in place.
    """
    try:
        settle(new)
        sync(new)
        if database.exists():
            _let_go(database, keep)
        new.replace(database)
        sync(database.parent)
    except (sqlite3.Error, OSError) as error:
        raise LogError(
            f"{database} could not be replaced, and is as it was: {error}. "
            "If another program has it open, close that first."
        ) from error


def settle(database: Path) -> None:
    """Have all of a database in its one file. Raises `sqlite3.Error`, also when someone else has it open."""
    with closing(sqlite3.connect(database, timeout=5)) as connection:
        mode = connection.execute("PRAGMA journal_mode=DELETE").fetchone()
    if mode != ("delete",):
        raise sqlite3.OperationalError("it is in use")


def _let_go(database: Path, keep: Path | None) -> None:
    """Take the old database out of use, and put it by if it is to be kept."""
    beside = [(database.with_name(database.name + end), end) for end in _BESIDE[1:]]
    try:
        settle(database)
    except sqlite3.OperationalError:  # in use
        raise
    except sqlite3.DatabaseError:  # damaged: what lies beside it goes along as it is
        for path, end in beside:
            if path.exists() and keep is not None:
                path.replace(keep.with_name(keep.name + end))
            path.unlink(missing_ok=True)
    if keep is not None:
        _keep(database, keep)


def _keep(database: Path, keep: Path) -> None:
    try:
        os.link(database, keep)
    except FileExistsError:
        raise
    except OSError:  # no hard links there
        shutil.copy2(database, keep)
        sync(keep)


def sync(path: Path) -> None:
    """Make a file's content, or the names in a folder, survive a power cut. Raises `OSError`."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
