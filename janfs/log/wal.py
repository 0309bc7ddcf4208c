"""Whether SQLite's write-ahead log was damaged (https://www.sqlite.org/fileformat2.html#walformat).

SQLite takes it to end before the first frame that is damaged, and what follows is as if it had never been
written. A power cut tears the last commit, which nobody was told of then, so one commit behind such a frame
says nothing. But a commit begins only when the one before is synced: two are damage.
"""

import shutil
import struct
import sys
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, NamedTuple

from janfs.errors import LogError
from janfs.log.swap import copy_whole

_HEADER = struct.Struct(">8I")  # magic, version, page size, sequence, two salts, two sums
_FRAME = struct.Struct(">6I")  # page, pages of the database after a commit or 0, two salts, two sums
_PAGE = 4096  # bytes of a page: SQLite's own choice, which the log leaves to it
_SIZE = _FRAME.size + _PAGE
_WORDS = _SIZE // 4
_MANY = 1_000  # frames that are read at once
_MASK = 0xFFFFFFFF
_ORDER = "<" if sys.byteorder == "little" else ">"  # of the words that are summed up


class Damage(NamedTuple):
    """The first byte of what is damaged, and how many commits from there on are lost to SQLite."""

    offset: int
    commits: int


class Kept(NamedTuple):
    """A damaged write-ahead log of which a copy was kept, with one of its database."""

    damage: Damage
    database: Path
    wal: Path


class _Frame(NamedTuple):
    salts: tuple[int, int]
    commits: bool
    # By its sums, which go on from those of the frame before, as written there or as they should be.
    stands: bool


def keep_damaged(database: Path, now: datetime) -> Kept | None:
    """Copy a damaged write-ahead log and its database aside, before SQLite clears away what it leaves out.

    For whoever owns the database and has not opened it. Raises `LogError` where there can be no copy.
    """
    kept = database.with_name(f"{database.name}.damaged-{now:%Y%m%dT%H%M%S}")
    # Not `-wal`: SQLite would take it for that of the copy, and clear it away too.
    kept_wal = kept.with_name(f"{kept.name}.wal")
    wal = _beside(database)
    try:
        damage = find_damage(database)
        if damage is None:
            return None
        copy_whole(kept_wal, lambda copy: shutil.copy2(wal, copy))
        copy_whole(kept, lambda copy: shutil.copy2(database, copy))
    except OSError as error:
        raise LogError(
            f"{wal} is damaged or cannot be read, and cannot be copied aside: {error.strerror}. Make room in "
            f"{database.parent}, or move log.db and log.db-wal elsewhere and `janfs restore` a backup."
        ) from error
    return Kept(damage, kept, kept_wal)


def find_damage(database: Path) -> Damage | None:
    """What is wrong with a database's write-ahead log, which may be in use. Raises `OSError`.

    To be asked before SQLite opens the database, as it leaves out what is damaged, and may clear it away.
    """
    found = _look(database)
    # One that is begun anew while it is read looks damaged once.
    return found if found is None or _look(database) == found else None


def _look(database: Path) -> Damage | None:
    with suppress(FileNotFoundError), _beside(database).open("rb") as wal:
        return damage_in(wal)
    return None


def _beside(database: Path) -> Path:
    return database.with_name(f"{database.name}-wal")


def damage_in(wal: BinaryIO) -> Damage | None:
    """Where the content of a `-wal` file is damaged so that commits are lost; None where nothing says so."""
    header = wal.read(_HEADER.size)
    if len(header) < _HEADER.size:
        return None
    *_, one, other, first, second = _HEADER.unpack(header)
    whole = _sums(header[:-8], (0, 0)) == (first, second)
    salts = (one, other) if whole else None
    bad: int | None = None
    commits = 0
    for at, frame in enumerate(_frames(wal, (first, second))):
        salts = salts or frame.salts
        stands = frame.stands and frame.salts == salts
        if bad is not None:
            commits += frame.commits and stands
        elif not (whole and stands):
            bad, commits = at, int(frame.commits)
    if bad is None or commits < 2:
        return None
    return Damage(_HEADER.size + bad * _SIZE if whole else 0, commits)


def _frames(wal: BinaryIO, before: tuple[int, int]) -> Iterator[_Frame]:
    if not (chunk := wal.read(_MANY * _SIZE)):
        return
    import numpy as np  # a tenth of a second, which a start with nothing to read does not have

    # Many frames are summed up at once: one by one in Python, 60 MB would take two seconds.
    *powers, last = _powers((_WORDS - 4) // 2)
    weights = np.array([((a + b, b + c), (b, c)) for a, b, c in reversed(powers)])
    weights = weights.reshape(-1, 2).astype(np.uint32)
    made = before
    while count := len(chunk) // _SIZE:
        words = np.frombuffer(chunk, f"{_ORDER}u4", count * _WORDS).reshape(count, _WORDS)
        summed = np.delete(words, np.s_[2:6], axis=1).astype(np.uint32) @ weights
        for number, sums in enumerate(summed.tolist()):
            _, pages, one, other, *stored = _FRAME.unpack_from(chunk, number * _SIZE)
            # From the sums as they are in the frame before, or as they should be there.
            after, correct = (_added(sums, last, each) for each in (before, made))
            before, made = (stored[0], stored[1]), after
            yield _Frame((one, other), pages > 0, before in (after, correct))
        chunk = wal.read(_MANY * _SIZE)


def _sums(content: bytes, before: tuple[int, int]) -> tuple[int, int]:
    """SQLite's checksum, gone on with from the one before."""
    first, second = before
    words = struct.unpack(f"{_ORDER}{len(content) // 4}I", content)
    for at in range(0, len(words), 2):
        first = (first + words[at] + second) & _MASK
        second = (second + words[at + 1] + first) & _MASK
    return first, second


def _powers(steps: int) -> list[tuple[int, int, int]]:
    """What 0, 1, … steps of a sum over words of 0 make of the sums (1, 0): (a, b), and of (0, 1): (b, c)."""
    found = [(1, 0, 1)]
    for _ in range(steps):
        a, b, c = found[-1]
        found.append(((a + b) & _MASK, (b + c) & _MASK, (b + 2 * c) & _MASK))
    return found


def _added(sums: list[int], power: tuple[int, int, int], before: tuple[int, int]) -> tuple[int, int]:
    """The sums of a frame on top of those before it."""
    (a, b, c), (first, second) = power, before
    return (sums[0] + a * first + b * second) & _MASK, (sums[1] + b * first + c * second) & _MASK
