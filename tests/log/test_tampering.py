"""Whatever one bit, row or byte is changed in a log that models lived in, `verify` says that it was.

The logs are those of a real pipeline, with a catalogue; what is changed is changed in the database by hand,
past the guards, or in the bytes of the file itself.
"""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import DatabaseError

from janfs.errors import JanfsError
from janfs.log.connection import reader_engine
from janfs.log.reader import LogReader
from janfs.log.verify import Noted, parse_noted, verify
from janfs.pipeline.recorder import compare
from janfs.root import OpenRoot, RootPaths
from tests.fakes.clock import FakeClock
from tests.log.kit import by_hand, everything
from tests.support.lives import live

CONTENT = ("events", "documents", "projections", "projected")


@pytest.fixture(scope="session")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database of a root in which two models were dropped, edited, started, renamed and deleted."""
    root = tmp_path_factory.mktemp("lived") / "jan"
    with OpenRoot(root, FakeClock()) as opened:
        live(opened.log)
        opened.log.checkpoint()
    return RootPaths(root).database


@pytest.fixture
def copy(lived: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(lived, tmp_path / "log.db"))


def complaint(path: Path, noted: Noted | None = None, *, guarded: bool = True) -> str | None:
    """What `janfs verify` would say; where the guards were taken away to change something, what else."""
    log = LogReader(reader_engine(path))
    try:
        verdict = verify(log, noted, guarded=guarded)
        return compare(log).difference if verdict.ok else verdict.complaint
    except (JanfsError, DatabaseError) as error:
        return str(error)
    finally:
        log.close()


def test_what_was_lived_stands(lived: Path) -> None:
    assert complaint(lived) is None
    rows = everything(lived)
    assert all(rows[table] for table in CONTENT), "every table must hold something to be changed"


def flipped(value: Any, at: int) -> Any:
    """A stored value with one bit turned over."""
    if value is None:
        return 1
    if isinstance(value, int):
        return value ^ (1 << at % 16)
    raw = bytearray(value.encode() if isinstance(value, str) else value)
    raw[at // 8 % len(raw)] ^= 1 << at % 8
    return bytes(raw)


def change(connection: sqlite3.Connection, table: str, row: int, column: int, at: int) -> bool:
    """Turn one bit of one field over; False where the field is empty or the table does not take it."""
    info = connection.execute(f"PRAGMA table_info({table})").fetchall()
    names = [each[1] for each in info]
    name, kind = names[column % len(names)], info[column % len(names)][2]
    keys = [each[1] for each in info if each[5]]
    rows = connection.execute(f"SELECT * FROM {table} ORDER BY {', '.join(keys)}").fetchall()
    chosen = dict(zip(names, rows[row % len(rows)], strict=True))
    if chosen[name] in ("", b""):
        return False
    new = flipped(chosen[name], at)
    where = " AND ".join(f"{key} = ?" for key in keys)
    placed = "CAST(? AS TEXT)" if kind == "TEXT" else "?"
    try:
        connection.execute(
            f"UPDATE {table} SET {name} = {placed} WHERE {where}", [new, *(chosen[key] for key in keys)]
        )
    except sqlite3.IntegrityError:
        return False
    return True


@settings(max_examples=80, deadline=None)
@given(
    table=st.sampled_from(CONTENT),
    row=st.integers(0, 10_000),
    column=st.integers(0, 20),
    at=st.integers(0, 100_000),
)
def test_one_bit_of_any_field_of_any_row_is_found(
    lived: Path, tmp_path_factory: pytest.TempPathFactory, *, table: str, row: int, column: int, at: int
) -> None:
    path = Path(shutil.copy(lived, tmp_path_factory.mktemp("bit") / "log.db"))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA synchronous=OFF")
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        done = change(connection, table, row, column, at)
        connection.commit()
    assert not done or complaint(path, guarded=False) is not None, "the change went unnoticed"
    shutil.rmtree(path.parent)


@settings(max_examples=60, deadline=None)
@given(
    table=st.sampled_from(("events", "documents", "projected")),
    row=st.integers(0, 10_000),
    how=st.sampled_from(("drop", "cut", "swap", "repeat")),
)
def test_a_row_dropped_added_or_reordered_is_found(
    lived: Path, tmp_path_factory: pytest.TempPathFactory, table: str, row: int, how: str
) -> None:
    path = Path(shutil.copy(lived, tmp_path_factory.mktemp("row") / "log.db"))
    count = len(everything(path)[table])
    position = row % count + 1
    if table == "events":
        statements = {
            "drop": [f"DELETE FROM events WHERE position = {position}"],
            "cut": [f"DELETE FROM events WHERE position >= {position}"],
            "swap": [
                f"UPDATE events SET position = -1 WHERE position = {position}",
                f"UPDATE events SET position = {position} WHERE position = {position % count + 1}",
                f"UPDATE events SET position = {position % count + 1} WHERE position = -1",
            ],
            "repeat": [
                f"INSERT INTO events SELECT {count + 1}, 'new', 1, type, schema, recorded_at, actor, cause, "
                f"correlation, data, hash FROM events WHERE position = {position}"
            ],
        }[how]
    elif table == "documents":
        if how != "repeat":
            return  # documents are found by their digest; which of them are needed, the catalogue knows
        statements = [f"INSERT INTO documents VALUES ('{row:064x}', x'{row:08x}')"]
    elif how == "repeat":
        statements = ["INSERT INTO projected VALUES ('catalogue', 'file', 'models/never', '{}')"]
    else:
        statements = [
            "DELETE FROM projected WHERE key = (SELECT key FROM projected "
            f"ORDER BY kind, key LIMIT 1 OFFSET {row % count})"
        ]
    by_hand(path, *statements, guarded=False)
    assert complaint(path, guarded=False) is not None, "the change went unnoticed"
    shutil.rmtree(path.parent)


@settings(max_examples=80, deadline=None)
@given(at=st.integers(0, 10**9), bit=st.integers(0, 7))
def test_one_bit_of_the_file_is_found_or_changes_nothing_that_is_stored(
    lived: Path, tmp_path_factory: pytest.TempPathFactory, at: int, bit: int
) -> None:
    """Pages have gaps, and headers counters; what is in those is nobody's content."""
    path = tmp_path_factory.mktemp("file") / "log.db"
    content = bytearray(lived.read_bytes())
    content[at % len(content)] ^= 1 << bit
    path.write_bytes(content)
    found = complaint(path)
    if found is None:
        assert everything(path) == everything(lived), f"byte {at % len(content)} was flipped unnoticed"
    shutil.rmtree(path.parent)


# A head that was noted elsewhere.


def test_a_noted_head_is_found_later_and_a_rewritten_log_is_not(copy: Path, lived: Path) -> None:
    with closing(sqlite3.connect(lived)) as connection:
        hashes = dict(connection.execute("SELECT position, hex(hash) FROM events"))
    for position in (1, len(hashes) // 2, len(hashes)):
        for text in (hashes[position], f"{hashes[position]}@{position}", hashes[position].lower()):
            assert complaint(copy, parse_noted(text)) is None, "an untouched log holds what was noted"
    assert "no position of it has the hash" in (complaint(copy, Noted("ab" * 32)) or "")
    assert "written anew" in (complaint(copy, Noted("ab" * 32, 2)) or "")
    past = len(hashes) + 5
    assert f"position {past} was noted" in (complaint(copy, Noted("ab" * 32, past)) or "")


def test_a_log_that_was_written_anew_with_every_hash_right_fails_only_against_the_noted_head(
    tmp_path: Path,
) -> None:
    heads = []
    for name in ("one", "two"):
        with OpenRoot(tmp_path / name, FakeClock()) as opened:
            live(opened.log, says=name)
            heads.append(opened.log.head)
    databases = [RootPaths(tmp_path / name).database for name in ("one", "two")]
    assert [complaint(path) for path in databases] == [None, None]
    noted = Noted(heads[0].hash.hex(), heads[0].position)
    assert complaint(databases[0], noted) is None
    assert "written anew" in (complaint(databases[1], noted) or "")


@pytest.mark.parametrize(
    "text", ["", "abc", "g" * 64, "a" * 63, f"{'a' * 64}@x", f"{'a' * 64}@-1", f"{'a' * 64}@²"]
)
def test_a_head_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(JanfsError, match="no head"):
        parse_noted(text)
