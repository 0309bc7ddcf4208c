"""A flipped byte in the write-ahead log is found where it costs more than a power cut could have torn."""

import sqlite3
from io import BytesIO

import pytest

from janfs.log import wal
from janfs.log.wal import Damage

_FRAME = 24 + 4096
_COMMITS = 4


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The write-ahead log as it is after some commits of one frame each."""
    folder = tmp_path_factory.mktemp("wal")
    database = sqlite3.connect(folder / "log.db", isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("CREATE TABLE events (data TEXT)")
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for number in range(_COMMITS):
        database.execute("INSERT INTO events VALUES (?)", (f"event {number}",))
    content = (folder / "log.db-wal").read_bytes()
    database.close()
    assert len(content) == 32 + _COMMITS * _FRAME
    return content


def damage_in(content: bytes) -> Damage | None:
    return wal.damage_in(BytesIO(content))


def flipped(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 0x10]) + content[at + 1 :]


def test_an_untouched_one_stands(written: bytes) -> None:
    assert damage_in(written) is None
    assert damage_in(b"") is None


@pytest.mark.parametrize("place", [0, 4, 8, 16, 23, 24, 100, 4000, _FRAME - 1])
@pytest.mark.parametrize("frame", range(_COMMITS - 1))
def test_a_flipped_byte_before_the_last_commit_is_found(written: bytes, frame: int, place: int) -> None:
    start = 32 + frame * _FRAME
    assert damage_in(flipped(written, start + place)) == (start, _COMMITS - frame)


@pytest.mark.parametrize("place", range(32))
def test_a_flipped_byte_in_the_head_is_found(written: bytes, place: int) -> None:
    assert damage_in(flipped(written, place)) == (0, _COMMITS)


def test_what_a_power_cut_may_have_torn_is_no_damage(written: bytes) -> None:
    for place in range(32 + (_COMMITS - 1) * _FRAME, len(written), 97):
        assert damage_in(flipped(written, place)) is None
        assert damage_in(written[:place]) is None


def test_what_an_older_generation_left_behind_is_no_damage(written: bytes) -> None:
    older = bytearray(written)
    for frame in range(_COMMITS):
        older[32 + frame * _FRAME + 8] ^= 1  # other salts
    assert damage_in(written[: 32 + _FRAME] + bytes(older[32 + _FRAME :])) is None


def test_one_that_is_read_in_pieces_is_judged_as_a_whole(
    written: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wal, "_MANY", 1)
    assert damage_in(written) is None
    assert damage_in(flipped(written, 32 + _FRAME + 100)) == (32 + _FRAME, _COMMITS - 1)
