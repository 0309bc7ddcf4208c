"""Appending: all or nothing, numbered without gaps, with causes that exist."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from janfs.errors import LogCorrupt, LogError, WrongExpectedVersion
from janfs.log import store
from janfs.log.connection import reader_engine, writer_engine
from janfs.log.guards import GUARDS, renew_guards
from janfs.log.reader import LogReader
from janfs.log.records import GENESIS, Head, Record, chain_hash
from janfs.log.store import EventLog
from janfs.log.verify import verify
from tests.fakes.clock import FakeClock
from tests.log.kit import DIGEST, DOCUMENT, by_hand, everything, fill, new, open_log


def test_what_was_appended_is_what_is_read(database: Path) -> None:
    clock = FakeClock(datetime(2026, 5, 1, 12, 30, tzinfo=UTC))
    log = open_log(database, clock)
    clock.advance(0.25)
    appended = fill(log)
    assert list(log.read()) == appended
    assert appended[0] == Record(
        1, "a", 1, "file-dropped", 1, "2026-05-01T12:30:00.250000Z", "folder", None, 1, '{"path":"é"}'
    )
    log.close()
    again = open_log(database)
    assert list(again.read()) == appended, "another opening reads something else"
    assert again.head == log.head
    again.close()


def test_positions_count_the_log_and_versions_their_stream(log: EventLog) -> None:
    records = fill(log)
    assert [record.position for record in records] == [1, 2, 3, 4, 5, 6]
    assert [(record.stream, record.version) for record in records] == [
        ("a", 1),
        ("b", 1),
        ("a", 2),
        ("a", 3),
        ("b", 2),
        ("a", 4),
    ]


def test_the_head_is_the_last_record_and_its_hash(log: EventLog) -> None:
    assert log.head == Head(0, GENESIS)
    (record,) = log.append([new()])
    assert log.head == Head(1, chain_hash(GENESIS, record))


def test_appending_nothing_changes_nothing(log: EventLog, database: Path) -> None:
    before = everything(database)
    assert log.append([]) == []
    assert (log.head.position, everything(database)) == (0, before)


# Expected versions.


@pytest.mark.parametrize("reopened", [False, True], ids=["remembered", "looked up"])
def test_a_stream_that_moved_on_is_not_appended_to(log: EventLog, database: Path, reopened: bool) -> None:
    fill(log)
    if reopened:
        log.close()
        log = open_log(database)
    for expected in (0, 3, 5, -1):
        with pytest.raises(WrongExpectedVersion) as refused:
            log.append([new("b"), new("a", expected=expected)])
        error = refused.value
        assert (error.stream, error.expected, error.actual) == ("a", expected, 4)
    (record,) = log.append([new("a", expected=4)])
    assert (record.position, record.version) == (7, 5), "a refused append left a gap"
    log.close()


def test_expected_versions_count_within_a_batch(log: EventLog) -> None:
    log.append([new("a", expected=0), new("b", expected=0), new("a", expected=1)])
    with pytest.raises(WrongExpectedVersion):
        log.append([new("a", expected=2), new("a", expected=2)])
    assert log.head.position == 3


# Causes.


def test_a_chain_of_causes_has_the_correlation_of_its_first(log: EventLog) -> None:
    records = fill(log)
    assert [(record.cause, record.correlation) for record in records] == [
        (None, 1),
        (None, 2),
        (1, 1),
        (3, 1),
        (None, 5),
        (None, 6),
    ]
    later = log.append([new(cause=2), new(cause=7), new(cause=4)])
    assert [record.correlation for record in later] == [2, 2, 1]


def test_a_cause_from_before_the_start_is_looked_up(log: EventLog, database: Path) -> None:
    fill(log)
    log.close()
    with closing(open_log(database)) as again:
        assert again.append([new(cause=4)])[0].correlation == 1


@pytest.mark.parametrize("cause", [7, 8, 9, 1000, 0, -1])
def test_nothing_is_caused_by_itself_by_the_future_or_by_nothing(log: EventLog, cause: int) -> None:
    fill(log)
    with pytest.raises(LogError, match=f"position {cause}"):
        log.append([new(cause=cause), new(), new()])
    assert log.head.position == 6


# Refused and failed appends.


class Broken(Exception):
    """A projection has a defect."""


def broken_projection(connection: Connection, records: Sequence[Record]) -> None:
    connection.exec_driver_sql("INSERT INTO projections VALUES ('p', 1, 1)")
    raise Broken


def wrong_projection(connection: Connection, records: Sequence[Record]) -> None:
    connection.exec_driver_sql("INSERT INTO projected VALUES ('no such projection', 'k', 'k', 'v')")


FAILURES: dict[str, tuple[type[Exception], dict[str, Any]]] = {
    "a projection raises": (Broken, {"within": broken_projection}),
    "a projection breaks a constraint": (LogError, {"within": wrong_projection}),
    "a document does not match its name": (LogError, {"documents": {"0" * 64: b"x"}}),
    "a document's content changed": (LogError, {"documents": {DIGEST: b"x"}}),
    "a cause is not there": (LogError, {"new": [new(), new(cause=99)]}),
    "a stream has a line feed": (LogError, {"new": [new(), new("a\nb")]}),
}


@pytest.mark.parametrize(("error", "arguments"), FAILURES.values(), ids=FAILURES.keys())
def test_a_failed_append_leaves_nothing_behind(
    log: EventLog, database: Path, error: type[Exception], arguments: dict[str, Any]
) -> None:
    fill(log)
    before, head = everything(database), log.head
    with pytest.raises(error):
        log.append(**{"new": [new("a"), new("new")], "documents": {}, "within": None, **arguments})
    assert everything(database) == before
    assert log.head == head
    records = log.append([new("a"), new("new")])
    assert [(record.position, record.version) for record in records] == [(7, 5), (8, 1)]
    assert verify(log).ok


def test_a_full_disk_is_a_log_error_and_over_when_there_is_room(database: Path) -> None:
    engine = writer_engine(database)
    log = EventLog(engine, reader_engine(database), FakeClock())
    fill(log)
    before, head = everything(database), log.head

    def pragma(statement: str) -> None:
        raw = engine.raw_connection()
        raw.execute(f"PRAGMA {statement}")
        raw.close()

    pragma("max_page_count=1")  # SQLite takes the least that is possible: no page more than now
    with pytest.raises(LogError, match="full"):
        log.append([new(data=f'"{"x" * 100_000}"')])
    assert everything(database) == before
    assert log.head == head
    pragma("max_page_count=1000000")
    assert log.append([new(data=f'"{"x" * 100_000}"')])[0].position == 7
    assert verify(log).ok
    log.close()


def test_a_locked_database_is_a_log_error_and_over_when_it_is_free(database: Path) -> None:
    engine = writer_engine(database)
    log = EventLog(engine, reader_engine(database), FakeClock())
    raw = engine.raw_connection()
    raw.execute("PRAGMA busy_timeout=1")
    raw.close()
    with closing(sqlite3.connect(database)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LogError, match="locked"):
            log.append([new()])
    assert log.append([new()])[0].position == 1
    log.close()


def test_an_event_that_someone_else_appended_is_not_written_over(log: EventLog, database: Path) -> None:
    fill(log)
    by_hand(database, "INSERT INTO events VALUES (7, 'z', 1, 't', 1, 'now', 'me', NULL, 7, '{}', x'00')")
    with pytest.raises(LogError, match="wrong next position"):
        log.append([new()])
    assert len(list(log.read())) == 7


# Documents.


def test_a_document_is_stored_once_under_its_digest(log: EventLog) -> None:
    log.append([new()], {DIGEST: DOCUMENT})
    log.append([new()], {DIGEST: DOCUMENT})
    assert log.document(DIGEST) == DOCUMENT
    assert log.document("0" * 64) is None
    assert list(log.document_digests()) == [(DIGEST, DOCUMENT)]


# Starting.


TAMPERED = {f"{guard} is gone": [f"DROP TRIGGER {guard}"] for guard in sorted(GUARDS)}
TAMPERED |= {
    "events_no_update was changed": [
        "DROP TRIGGER events_no_update",
        "CREATE TRIGGER events_no_update BEFORE UPDATE ON events WHEN 0 BEGIN SELECT RAISE(ABORT, ''); END",
    ],
    "silencer is not ours": [
        "CREATE TRIGGER silencer BEFORE INSERT ON events BEGIN SELECT RAISE(IGNORE); END",
    ],
}


@pytest.mark.parametrize(("complaint", "statements"), TAMPERED.items(), ids=TAMPERED.keys())
def test_a_log_whose_guards_were_touched_is_not_opened_and_has_a_way_out(
    database: Path, complaint: str, statements: list[str]
) -> None:
    with closing(open_log(database)) as log:
        fill(log)
    by_hand(database, *statements)
    writer, readers = writer_engine(database), reader_engine(database)
    with pytest.raises(LogCorrupt, match=complaint) as refused:
        EventLog(writer, readers, FakeClock())
    assert "janfs log guard" in refused.value.detail
    reader = LogReader(readers)
    assert complaint in (verify(reader).reason or ""), "verify must name it too"
    assert verify(reader, guarded=False).ok, "the content is as it was"
    with writer.begin() as connection:
        renew_guards(connection)
    reader.close()
    writer.dispose()
    with closing(open_log(database)) as log:
        assert verify(log).ok


def test_a_damaged_file_is_not_opened(database: Path) -> None:
    with closing(open_log(database)) as log:
        fill(log)
    content = database.read_bytes()
    database.write_bytes(content[:4096] + b"\xa5" * (len(content) - 4096))
    writer, readers = writer_engine(database), reader_engine(database)
    with pytest.raises(LogError, match="malformed"):
        EventLog(writer, readers, FakeClock())
    writer.dispose()


def test_forgetting_what_was_cached_changes_nothing(log: EventLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "_CACHED", 0)
    records = fill(log)
    assert [record.version for record in records] == [1, 1, 2, 3, 2, 4]
    assert log.append([new("b", cause=4)])[0].correlation == 1


def test_a_checkpoint_moves_the_write_ahead_log_into_the_database(log: EventLog, database: Path) -> None:
    fill(log)
    wal = database.with_name("log.db-wal")
    assert wal.stat().st_size > 0
    log.checkpoint()
    assert wal.stat().st_size == 0
    assert len(list(log.read())) == 6
