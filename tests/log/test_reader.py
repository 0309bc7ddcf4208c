"""Reading: any part of the log, in order, a page at a time."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from janfs.errors import EventDamaged, LogError
from janfs.log import reader
from janfs.log.store import EventLog
from tests.log.kit import DIGEST, DOCUMENT, by_hand, fill, new

positions = st.integers(0, 14)


@pytest.mark.parametrize("page", [1, 3, 12, 5_000])
def test_any_part_of_the_log_can_be_read(log: EventLog, monkeypatch: pytest.MonkeyPatch, page: int) -> None:
    monkeypatch.setattr(reader, "PAGE", page)
    log.append([new(stream) for stream in "abacabadabac"])
    every = list(log.read())

    @settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
    @given(positions, st.none() | st.sampled_from("abcd!"), st.none() | positions, st.none() | positions)
    def check(after: int, stream: str | None, until: int | None, limit: int | None) -> None:
        wanted = [
            record
            for record in every
            if record.position > after
            and (stream is None or record.stream == stream)
            and (until is None or record.position <= until)
        ]
        assert list(log.read(after, stream=stream, until=until, limit=limit)) == wanted[:limit]

    check()
    assert [record for record, _ in log.read_hashed()] == every
    assert [record for record, _ in log.read_hashed(4)] == every[4:]


def test_reading_goes_on_while_the_log_grows(log: EventLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "PAGE", 2)
    fill(log)
    reading = log.read()
    assert next(reading).position == 1
    log.append([new()])
    assert [record.position for record in reading] == [2, 3, 4, 5, 6, 7]


def test_an_event_that_is_no_text_is_named_when_the_reading_comes_to_it(
    log: EventLog, database: Path
) -> None:
    records = fill(log)
    broken = "UPDATE events SET data = CAST(x'ff' AS TEXT) WHERE position = 3"
    by_hand(database, broken, guarded=False)
    told = log.read()
    assert [next(told), next(told)] == records[:2]
    with pytest.raises(EventDamaged, match=r"^Event 3 of the log \(file-dropped\) .* `janfs verify`"):
        next(told)
    back = log.backwards(stream="a")
    assert [next(back).position, next(back).position] == [6, 4]
    with pytest.raises(EventDamaged, match=r"^Event 3 "):
        next(back)
    of_others = [each for each in records if each.stream == "b"]
    assert (list(log.read(3)), list(log.read(stream="b"))) == (records[3:], of_others)


def test_a_damaged_file_is_an_error_of_the_log(log: EventLog, database: Path) -> None:
    fill(log)
    log.checkpoint()
    size = database.stat().st_size
    with database.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xa5" * (size - 4096))
    with pytest.raises(LogError):
        list(log.read())


def test_the_log_is_read_backwards_from_any_position(log: EventLog) -> None:
    log.append([new(stream, data=f'{{"path":"{stream}"}}') for stream in "abacabadabac" * 20])
    every = list(log.read())[::-1]

    @settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
    @given(
        st.integers(0, 250), st.none() | st.sampled_from("abcd!"), st.sampled_from([(), ("b",), ("c", "d")])
    )
    def check(before: int, stream: str | None, saying: str) -> None:
        texts = [f'"{text}"' for text in saying]
        wanted = [
            record
            for record in every
            if record.position < before
            and (stream is None or record.stream == stream)
            and (not texts or any(text in record.data for text in texts))
        ]
        assert list(log.backwards(before, stream=stream, saying=texts)) == wanted

    check()


@pytest.mark.parametrize("damage", ["x''", "x'00'", "content || x'00'"])
def test_a_document_that_is_not_what_was_stored_is_none(log: EventLog, database: Path, damage: str) -> None:
    fill(log)
    assert (log.document(DIGEST), log.document("0" * 64)) == (DOCUMENT, None)
    by_hand(database, f"UPDATE documents SET content = CAST({damage} AS BLOB)", guarded=False)
    assert log.document(DIGEST) is None


def test_what_folds_the_log_gets_damaged_data_as_none(log: EventLog, database: Path) -> None:
    records = fill(log)
    by_hand(database, "UPDATE events SET data = CAST(x'ff' AS TEXT) WHERE position = 3", guarded=False)
    [page] = log.pages()
    assert [(row[0], row[-1]) for row in page] == [
        (each.position, "" if each.position == 3 else each.data) for each in records
    ]
    of_one = [
        replace(each, data="") if each.position == 3 else each for each in records if each.stream == "a"
    ]
    assert list(log.told("a")) == of_one


def test_a_stream_is_told_over_many_pages(log: EventLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "PAGE", 2)
    records = fill(log)
    assert list(log.told("a")) == [each for each in records if each.stream == "a"]
