"""Whatever is changed behind the log's back, `verify` names the first position that does not stand."""

from pathlib import Path

import msgspec
import pytest

from janfs.events.types import EVENT_TYPES, Event, type_name
from janfs.log import projections
from janfs.log.named import document_of
from janfs.log.projections import Checkpoint
from janfs.log.records import Record
from janfs.log.store import EventLog
from janfs.log.verify import Verdict, verify
from tests.log.kit import DIGEST, DOCUMENT, by_hand, fill, new

OF_FILES = ("file-hashed", "duplicate-found", "model-exported", "file-downloaded")
FLIPPED = {
    "position": "position + 1000",
    "version": "version + 1000",
    "schema": "schema + 1",
    "correlation": "correlation + 1",
    "cause": "coalesce(cause, 0) + 1",
    "hash": "CAST(x'01' || substr(hash, 2) AS BLOB)",
}
TEXTS = ("stream", "type", "recorded_at", "actor", "data")
CHANGES = [(column, f"{column} = {value}") for column, value in FLIPPED.items()]
CHANGES += [(column, f"{column} = char(unicode({column}) + 20) || substr({column}, 2)") for column in TEXTS]
CHANGES += [
    (f"{column} no longer UTF-8", f"{column} = CAST(x'ff' || substr({column}, 2) AS TEXT)")
    for column in TEXTS
]
CHANGES += [(f"{column} with a zero", f"{column} = {column} || char(0)") for column in TEXTS]
CHANGES += [("cause taken away or given", "cause = CASE WHEN cause IS NULL THEN 1 ELSE NULL END")]


def test_an_untouched_log_stands(log: EventLog) -> None:
    assert verify(log) == Verdict(0, 0, "00" * 32)
    fill(log)
    assert verify(log) == Verdict(6, 1, log.head.hash.hex())
    assert verify(log).ok


@pytest.mark.parametrize("change", [c for _, c in CHANGES], ids=[name for name, _ in CHANGES])
@pytest.mark.parametrize("position", [1, 3, 6])
def test_a_change_in_any_column_is_found_where_it_is(
    log: EventLog, database: Path, change: str, position: int
) -> None:
    fill(log)
    save_projection(log, at=6)
    by_hand(database, f"UPDATE events SET {change} WHERE position = {position}", guarded=False)
    verdict = verify(log)
    assert not verdict.ok, "the change went unnoticed"
    assert (verdict.bad_position, verdict.events) == (position, position - 1)


@pytest.mark.parametrize("bit", range(8))
def test_every_single_bit_of_the_data_counts(log: EventLog, database: Path, bit: int) -> None:
    text = '{"path":"models/a.gguf"}'
    log.append([new(), new(data=text), new()])
    raw = bytearray(text.encode())
    raw[10] ^= 1 << bit
    change = f"UPDATE events SET data = CAST(x'{raw.hex()}' AS TEXT) WHERE position = 2"
    by_hand(database, change, guarded=False)
    assert verify(log).bad_position == 2


@pytest.mark.parametrize("position", [1, 2, 5])
def test_a_row_taken_out_is_missed(log: EventLog, database: Path, position: int) -> None:
    fill(log)
    by_hand(database, f"DELETE FROM events WHERE position = {position}", guarded=False)
    verdict = verify(log)
    assert verdict.bad_position == position
    assert verdict.reason == f"position {position} is missing; position {position + 1} follows"


def test_a_row_taken_out_is_missed_though_the_rest_closed_up(log: EventLog, database: Path) -> None:
    fill(log)
    up = (f"UPDATE events SET position = {number - 1} WHERE position = {number}" for number in (4, 5, 6))
    by_hand(database, "DELETE FROM events WHERE position = 3", *up, guarded=False)
    assert verify(log).bad_position == 3


@pytest.mark.parametrize("cut", [1, 4, 6])
def test_a_log_cut_short_is_missed_by_the_projection_that_saw_more(
    log: EventLog, database: Path, cut: int
) -> None:
    """The chain alone cannot know where it should end."""
    fill(log)
    save_projection(log, at=6)
    by_hand(database, f"DELETE FROM events WHERE position >= {cut}", guarded=False)
    verdict = verify(log)
    assert verdict.bad_position == cut
    assert verdict.reason is not None
    assert "position 6" in verdict.reason


def save_projection(log: EventLog, at: int) -> None:
    log.append([], None, lambda connection, _: projections.save(connection, "p", Checkpoint(1, at), {}))


def test_a_row_added_by_hand_is_found(log: EventLog, database: Path) -> None:
    fill(log)
    row = "(7, 'a', 5, 'file-dropped', 1, '2026', 'folder', NULL, 7, '{}', zeroblob(32))"
    by_hand(database, f"INSERT INTO events VALUES {row}")
    assert verify(log).bad_position == 7


@pytest.mark.parametrize(("one", "other"), [(1, 2), (2, 5), (5, 6), (3, 4)])
def test_rows_that_changed_places_are_found(log: EventLog, database: Path, one: int, other: int) -> None:
    fill(log)
    swap = (
        f"UPDATE events SET position = -1 WHERE position = {one}",
        f"UPDATE events SET position = {one} WHERE position = {other}",
        f"UPDATE events SET position = {other} WHERE position = -1",
    )
    by_hand(database, *swap, guarded=False)
    assert verify(log).bad_position == one


def test_a_changed_document_is_named(log: EventLog, database: Path) -> None:
    fill(log)
    by_hand(database, "UPDATE documents SET content = CAST(content || x'20' AS BLOB)", guarded=False)
    verdict = verify(log)
    assert not verdict.ok
    assert verdict.bad_position is None
    assert verdict.reason == f"document {DIGEST} does not match its SHA-256"


def test_a_document_that_is_gone_is_missed_where_an_event_names_it(log: EventLog, database: Path) -> None:
    named = msgspec.structs.replace(new(data=f'{{"sha256":"{DIGEST}"}}'), type="json-edited")
    log.append([new(), named, new(), named], {DIGEST: DOCUMENT})
    assert verify(log).ok
    by_hand(database, "DELETE FROM documents", guarded=False)
    verdict = verify(log, guarded=False)
    assert verdict.bad_position == 2
    assert verdict.reason == f"document {DIGEST}, which it names, is gone"


@pytest.mark.parametrize("data", ["", "1", "{}", '{"sha256":5}', '{"sha256":null}'])
def test_an_event_that_names_no_document_misses_none(log: EventLog, data: str) -> None:
    log.append([msgspec.structs.replace(new(data=data), type="json-edited")])
    assert verify(log).ok


@pytest.mark.parametrize("kind", EVENT_TYPES, ids=type_name)
def test_of_every_event_with_a_hash_it_is_known_whether_a_document_has_it(kind: type[Event]) -> None:
    fields = kind.__struct_fields__
    said = msgspec.json.encode({field: field for field in fields}).decode()
    named = document_of(Record(1, "s", 1, type_name(kind), 1, "", "janfs", None, 1, said))
    assert named in (None, *fields)
    assert (named is not None) == ("sha256" in fields and type_name(kind) not in OF_FILES)


def test_a_document_under_another_name_is_named(log: EventLog, database: Path) -> None:
    log.append([], {DIGEST: DOCUMENT})
    by_hand(database, f"UPDATE documents SET sha256 = '{'0' * 64}'", guarded=False)
    assert verify(log).reason == f"document {'0' * 64} does not match its SHA-256"
