"""One connection writes, durably; the others cannot."""

import shutil
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from janfs.log.connection import reader_engine, writer_engine
from janfs.log.reader import LogReader
from janfs.log.store import EventLog
from tests.log.kit import everything, fill, new, open_log


def pragma(engine: Engine, name: str) -> object:
    with engine.connect() as connection:
        return connection.exec_driver_sql(f"PRAGMA {name}").scalar()


def test_an_acknowledged_commit_survives_a_power_cut(database: Path) -> None:
    engine = writer_engine(database)
    assert pragma(engine, "journal_mode") == "wal"
    assert pragma(engine, "synchronous") == 2, "2 is FULL; anything less loses the last commits"
    assert pragma(engine, "foreign_keys") == 1
    assert pragma(engine, "recursive_triggers") == 1
    engine.dispose()


@pytest.mark.parametrize("name", ["a?b", "a?mode=ro", "100%41", "a#b", "ä b", ":memory:"])
def test_a_log_lies_where_it_was_asked_for_whatever_its_folder_is_called(
    database: Path, tmp_path: Path, name: str
) -> None:
    path = tmp_path / name / "log.db"
    path.parent.mkdir()
    shutil.copy(database, path)
    with closing(open_log(path)) as log:
        fill(log)
    assert len(everything(path)["events"]) == 6
    assert [each.name for each in path.parent.iterdir()] == ["log.db"]


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO documents VALUES ('x', x'00')",
        "DELETE FROM projected",
        "CREATE TABLE t (a INTEGER)",
        "DROP TABLE events",
        "DROP TRIGGER events_no_delete",
    ],
)
def test_a_reader_cannot_write(database: Path, log: EventLog, statement: str) -> None:
    fill(log)
    before = everything(database)
    with log.query() as connection, pytest.raises(OperationalError, match="readonly"):
        connection.exec_driver_sql(statement)
    assert everything(database) == before


def test_a_reader_never_checkpoints(database: Path) -> None:
    engine = reader_engine(database)
    assert pragma(engine, "wal_autocheckpoint") == 0
    assert pragma(engine, "query_only") == 1
    engine.dispose()


def test_a_reader_that_closes_last_leaves_the_write_ahead_log_as_it_is(
    database: Path, tmp_path: Path
) -> None:
    """Whoever closes a database last clears that away, and with it what `janfs verify` found wrong there."""
    copies = [tmp_path / f"some #copy?.db{end}" for end in ("", "-wal")]
    with closing(open_log(database)) as log:
        fill(log)
        for end, copy in zip(("", "-wal"), copies, strict=True):
            shutil.copy(database.with_name(f"log.db{end}"), copy)
    before = [copy.read_bytes() for copy in copies]
    reader = LogReader(reader_engine(copies[0]))
    assert len(list(reader.read())) == 6
    reader.close()
    assert [copy.read_bytes() for copy in copies] == before


def test_a_writer_takes_the_write_lock_at_once(database: Path) -> None:
    engine = writer_engine(database)
    with engine.begin(), closing(sqlite3.connect(database, timeout=0)) as other:
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")
        other.execute("SELECT * FROM events").fetchall()
    engine.dispose()


def test_a_change_of_tables_is_rolled_back_with_its_transaction(database: Path) -> None:
    engine = writer_engine(database)
    with engine.connect() as connection:
        transaction = connection.begin()
        connection.exec_driver_sql("CREATE TABLE half (a INTEGER) STRICT")
        transaction.rollback()
    engine.dispose()
    assert "half" not in everything(database)


def test_readers_see_only_what_was_committed_from_any_thread(log: EventLog) -> None:
    fill(log)
    seen: list[int] = []

    def read() -> None:
        seen.append(len(list(log.read())))

    def within(*_: object) -> None:
        thread = threading.Thread(target=read)
        thread.start()
        thread.join()

    log.append([new()], within=within)
    read()
    assert seen == [6, 7], "first while the append was under way, then after it"
