"""What the tests of the log share: opening one, filling one, and going behind its back."""

import hashlib
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from janfs.log.connection import reader_engine, writer_engine
from janfs.log.records import NewRecord, Record
from janfs.log.store import EventLog
from tests.fakes.clock import FakeClock

DOCUMENT = b'{"name": "Zephyr"}'
DIGEST = hashlib.sha256(DOCUMENT).hexdigest()


def open_log(path: Path, clock: FakeClock | None = None) -> EventLog:
    return EventLog(writer_engine(path), reader_engine(path), clock or FakeClock())


def new(
    stream: str = "a", *, cause: int | None = None, expected: int | None = None, data: str = "{}"
) -> NewRecord:
    return NewRecord(
        stream=stream,
        type="file-dropped",
        schema=1,
        data=data,
        actor="folder",
        cause=cause,
        expected_version=expected,
    )


def fill(log: EventLog) -> list[Record]:
    """Six events in two streams, two of them caused by others, and a document."""
    first = log.append([new("a", data='{"path":"é"}'), new("b")], {DIGEST: DOCUMENT})
    second = log.append([new("a", cause=1), new("a", cause=3)])
    third = log.append([new("b"), new("a")])
    return [*first, *second, *third]


def everything(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table, read past all of our code."""
    with closing(sqlite3.connect(path)) as connection:
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {table: sorted(connection.execute(f"SELECT * FROM {table}"), key=repr) for table in tables}


def by_hand(path: Path, *statements: str, guarded: bool = True) -> None:
    """Run SQL as any other program could; with `guarded=False`, after removing every trigger."""
    with closing(sqlite3.connect(path)) as connection:
        if not guarded:
            triggers = connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
            for (name,) in triggers:
                connection.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            connection.execute(statement)
        connection.commit()
