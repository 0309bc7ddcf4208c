"""Whether SQLite's write-ahead log was damaged (https://www.sqlite.org/fileformat2.html#walformat).

SQLite takes it to end before the first frame that is damaged, and what follows is as if it had never been
written. A power cut tears the last commit, which nobody was told of then, so one commit behind such a frame
says nothing. But a commit begins only when the one before is synced: two are damage.
"""

import struct
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

_HEADER = struct.Struct(">8I")  # magic, version, page size, sequence, two salts, two sums
_FRAME = struct.Struct(">6I")  # page, pages of the database after a commit or 0, two salts, two sums
_PAGE = 4096  # bytes of a page: SQLite's own choice, which the log leaves to it
_ORDER = "<" if sys.byteorder == "little" else ">"  # of the words that are summed up


class Damage(NamedTuple):
    """The first byte of what is damaged, and how many commits from there on are lost to SQLite."""

    offset: int
    commits: int


class _Frame(NamedTuple):
    salts: tuple[int, int]
    commits: bool
    stands: (
        bool  # by its sums, which go on from those of the frame before, as written there or as they should be
    )


def find_damage(database: Path) -> Damage | None:
    """What is wrong with a database's write-ahead log, which may be in use. Raises `OSError`.

    To be asked before SQLite opens the database, as it leaves out what is damaged, and may clear it away.
    """
    found = damage_in(_read(database))
    # One that is begun anew while it is read looks damaged once.
    return found if found is None or damage_in(_read(database)) == found else None


def damage_in(content: bytes) -> Damage | None:
    """Where the content of a `-wal` file is damaged so that commits are lost; None where nothing says so."""
    if len(content) < _HEADER.size:
        return None
    *_, one, other, first, second = _HEADER.unpack_from(content)
    whole = _sums(content[: _HEADER.size - 8], (0, 0)) == (first, second)
    frames = list(_frames(content, (first, second)))
    salts = (one, other) if whole else frames[0].salts if frames else None
    standing = (at for at, frame in enumerate(frames) if not (frame.stands and frame.salts == salts))
    bad = next(standing, len(frames)) if whole else 0
    behind = sum(frame.commits and frame.stands and frame.salts == salts for frame in frames[bad + 1 :])
    commits = behind + sum(frame.commits for frame in frames[bad : bad + 1])
    if commits < 2:
        return None
    return Damage(_HEADER.size + bad * (_FRAME.size + _PAGE) if whole else 0, commits)


def _read(database: Path) -> bytes:
    with suppress(FileNotFoundError):
        return database.with_name(f"{database.name}-wal").read_bytes()
    return b""


def _frames(content: bytes, before: tuple[int, int]) -> Iterator[_Frame]:
    size, made = _FRAME.size + _PAGE, before
    for start in range(_HEADER.size, len(content) - size + 1, size):
        _, pages, one, other, first, second = _FRAME.unpack_from(content, start)
        summed = content[start : start + 8] + content[start + _FRAME.size : start + size]
        after = _sums(summed, before)
        stands = (first, second) in (after, after if made == before else _sums(summed, made))
        yield _Frame((one, other), pages > 0, stands)
        before, made = (first, second), after


def _sums(content: bytes, before: tuple[int, int]) -> tuple[int, int]:
    """SQLite's checksum, gone on with from the one before."""
    first, second = before
    words = struct.unpack(f"{_ORDER}{len(content) // 4}I", content)
    for at in range(0, len(words), 2):
        first = (first + words[at] + second) & 0xFFFFFFFF
        second = (second + words[at + 1] + first) & 0xFFFFFFFF
    return first, second
