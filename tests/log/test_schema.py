"""The tables refuse every change but the next event, whoever asks."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine

from janfs.log.guards import GUARDS
from janfs.log.schema import metadata
from janfs.log.store import EventLog
from tests.log.kit import DIGEST, by_hand, everything, fill

ALEMBIC = "alembic_version"  # made by Alembic, not by us


def event(position: int, stream: str, version: int) -> str:
    return f"({position}, '{stream}', {version}, 't', 1, 'now', 'me', NULL, {position}, '{{}}', x'00')"


NEXT = event(7, "c", 1)
HARMFUL = {
    "update": "UPDATE events SET actor = 'x' WHERE position = 6",
    "update of nothing but the type": "UPDATE events SET type = type",
    "update or replace": "UPDATE OR REPLACE events SET position = 1 WHERE position = 2",
    "delete the last": "DELETE FROM events WHERE position = 6",
    "delete all": "DELETE FROM events",
    "replace by position": f"INSERT OR REPLACE INTO events VALUES {event(6, 'c', 1)}",
    "replace by stream and version": f"INSERT OR REPLACE INTO events VALUES {event(7, 'a', 4)}",
    "replace spelt REPLACE": f"REPLACE INTO events VALUES {event(1, 'a', 1)}",
    "ignore": f"INSERT OR IGNORE INTO events VALUES {event(1, 'a', 1)}",
    "ignore, same version": f"INSERT OR IGNORE INTO events VALUES {event(7, 'a', 4)}",
    "upsert": f"INSERT INTO events VALUES {NEXT.replace('7', '6')} "
    "ON CONFLICT (position) DO UPDATE SET data = excluded.data",
    "upsert by version": f"INSERT INTO events VALUES {event(7, 'a', 4)} "
    "ON CONFLICT (stream, version) DO UPDATE SET data = excluded.data",
    "upsert that does nothing": f"INSERT INTO events VALUES {event(7, 'a', 4)} ON CONFLICT DO NOTHING",
    "position skipped": f"INSERT INTO events VALUES {event(8, 'c', 1)}",
    "position zero": f"INSERT INTO events VALUES {event(0, 'c', 1)}",
    "position left out": "INSERT INTO events (stream, version, type, schema, recorded_at, actor, "
    "correlation, data, hash) VALUES ('c', 1, 't', 1, 'now', 'me', 7, '{}', x'00')",
    "version skipped": f"INSERT INTO events VALUES {event(7, 'a', 6)}",
    "version of a new stream not 1": f"INSERT INTO events VALUES {event(7, 'c', 2)}",
    "two rows, the second wrong": f"INSERT INTO events VALUES {NEXT}, {event(9, 'c', 2)}",
    "a seam, later": "INSERT INTO seam VALUES (3, x'00', '{}')",
    "archived streams, later": "INSERT OR REPLACE INTO archived_streams VALUES ('a', 9)",
    "document updated": f"UPDATE documents SET content = x'00' WHERE sha256 = '{DIGEST}'",
    "document deleted": "DELETE FROM documents",
    "document replaced": f"INSERT OR REPLACE INTO documents VALUES ('{DIGEST}', x'00')",
    "document ignored": f"INSERT OR IGNORE INTO documents VALUES ('{DIGEST}', x'00')",
    "document upserted": f"INSERT INTO documents VALUES ('{DIGEST}', x'00') "
    "ON CONFLICT (sha256) DO UPDATE SET content = excluded.content",
}


@pytest.mark.parametrize("statement", HARMFUL.values(), ids=HARMFUL.keys())
def test_what_was_written_cannot_be_changed_by_any_statement(
    database: Path, log: EventLog, statement: str
) -> None:
    fill(log)
    before = everything(database)
    for recursive in (0, 1):
        with closing(sqlite3.connect(database)) as connection:
            connection.execute(f"PRAGMA recursive_triggers={recursive}")
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                connection.execute(statement)
            connection.commit()
        assert everything(database) == before


def test_the_next_event_by_hand_is_not_refused(database: Path, log: EventLog) -> None:
    fill(log)
    by_hand(database, f"INSERT INTO events VALUES {NEXT}", f"INSERT INTO events VALUES {event(8, 'a', 5)}")
    assert len(everything(database)["events"]) == 8, "the guards refuse more than they should"


def test_the_guards_are_to_the_letter_those_that_the_start_looks_for(database: Path) -> None:
    with closing(sqlite3.connect(database)) as connection:
        texts = dict(connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"))
    assert texts == GUARDS, "janfs.log.guards and the migrations disagree"


def test_every_table_is_strict(database: Path) -> None:
    with closing(sqlite3.connect(database)) as connection:
        tables = connection.execute("PRAGMA table_list").fetchall()
    lax = {name for _, name, kind, _, _, strict in tables if kind == "table" and not strict}
    assert {name for name in lax if not name.startswith("sqlite_")} == {ALEMBIC}


def test_a_value_of_the_wrong_type_is_refused(database: Path) -> None:
    wrong = event(1, "a", 1).replace("(1, 'a'", "('one', 'a'")
    with pytest.raises(sqlite3.IntegrityError):
        by_hand(database, f"INSERT INTO events VALUES {wrong}")


def test_migrated_tables_are_those_of_the_code(database: Path) -> None:
    engine = create_engine(f"sqlite:///{database}")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == [], "janfs.log.schema and the migrations disagree"
    engine.dispose()


def test_migrated_tables_are_those_of_the_code_to_the_last_detail(database: Path, tmp_path: Path) -> None:
    """What Alembic's comparison leaves out: STRICT, WITHOUT ROWID, key order, foreign keys."""
    engine = create_engine(f"sqlite:///{tmp_path / 'code.db'}")
    metadata.create_all(engine)
    engine.dispose()
    migrated = anatomy(database)
    assert migrated.pop(ALEMBIC)
    assert migrated == anatomy(tmp_path / "code.db")


def anatomy(path: Path) -> dict[str, list[Any]]:
    with closing(sqlite3.connect(path)) as connection:
        tables = {row[1]: row for row in connection.execute("PRAGMA main.table_list") if row[0] == "main"}
        return {
            name: [
                row,
                connection.execute(f"PRAGMA table_xinfo({name})").fetchall(),
                connection.execute(f"PRAGMA foreign_key_list({name})").fetchall(),
                connection.execute(f"PRAGMA index_list({name})").fetchall(),
            ]
            for name, row in tables.items()
            if not name.startswith("sqlite_")
        }
