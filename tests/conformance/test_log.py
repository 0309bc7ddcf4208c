"""What every log promises, in memory and on SQLite alike."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from janfs.errors import LogError, WrongExpectedVersion
from janfs.log.records import GENESIS, NewRecord, chain_hash
from janfs.log.store import EventLog
from tests.fakes.clock import FakeClock
from tests.fakes.log import MemoryLog
from tests.log.kit import DIGEST, DOCUMENT, new
from tests.pipeline.world import open_log

Log = EventLog | MemoryLog


@pytest.fixture(params=["memory", "SQLite"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Log]:
    made: Log = MemoryLog(FakeClock())
    if request.param == "SQLite":
        made = open_log(tmp_path / "log.db", FakeClock())
    yield made
    made.close()


def test_an_empty_log_has_nothing(log: Log) -> None:
    assert (log.head.position, log.head.hash) == (0, GENESIS)
    assert log.last() == log.head
    assert list(log.read()) == list(log.read_hashed()) == list(log.document_digests()) == []
    assert log.append([]) == []


def test_positions_versions_and_correlations_are_given(log: Log) -> None:
    log.append([new("a"), new("b"), new("a", cause=1)])
    records = log.append([new("b", cause=3), new("a", cause=4)])
    assert [(r.position, r.stream, r.version, r.cause, r.correlation) for r in records] == [
        (4, "b", 2, 3, 1),
        (5, "a", 3, 4, 1),
    ]
    assert [record.position for record in log.read()] == [1, 2, 3, 4, 5]
    assert log.last().position == 5


def test_each_hash_covers_what_came_before(log: Log) -> None:
    log.append([new("a", data='"ü"'), new("b")])
    log.append([new("a")])
    previous = GENESIS
    for record, own in log.read_hashed():
        assert own == chain_hash(previous, record)
        previous = own
    assert log.head.hash == previous


def test_reading_takes_a_part(log: Log) -> None:
    log.append([new("a"), new("b"), new("a"), new("b"), new("a")])
    read = {
        (3, 4, 5): log.read(2),
        (1, 3, 5): log.read(stream="a"),
        (1, 2): log.read(until=2),
        (2,): log.read(1, limit=1),
        (3,): log.read(1, stream="a", until=4),
        (4, 5): (record for record, _ in log.read_hashed(3)),
        (): log.read(stream="nobody"),
    }
    for positions, records in read.items():
        assert tuple(record.position for record in records) == positions


def test_documents_are_kept_once(log: Log) -> None:
    log.append([new()], {DIGEST: DOCUMENT})
    log.append([new()], {DIGEST: DOCUMENT})
    assert list(log.document_digests()) == [(DIGEST, DOCUMENT)]
    assert (log.document(DIGEST), log.document("0" * 64)) == (DOCUMENT, None)


REFUSED = {
    "the stream has moved on": ([new("a", expected=0)], {}, WrongExpectedVersion),
    "the second of a batch": ([new("b"), new("b", expected=3)], {}, WrongExpectedVersion),
    "a cause yet to come": ([new("b"), new("a", cause=9)], {}, LogError),
    "a cause before the first": ([new("a", cause=0)], {}, LogError),
    "a line feed": ([new("a\nb")], {}, LogError),
    "another document": ([new("a")], {"0" * 64: b"x"}, LogError),
}


@pytest.mark.parametrize(("batch", "documents", "error"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_refused_leaves_nothing_behind(
    log: Log, batch: list[NewRecord], documents: dict[str, bytes], error: type[Exception]
) -> None:
    log.append([new("a")])
    head = log.head
    with pytest.raises(error):
        log.append(batch, documents)
    assert (log.head, len(list(log.read())), list(log.document_digests())) == (head, 1, [])
    assert log.append([new("a", expected=1)])[0].position == 2


def test_what_goes_along_decides(log: Log) -> None:
    def refuse(*_: object) -> None:
        raise KeyError

    with pytest.raises(KeyError):
        log.append([new("a")], {DIGEST: DOCUMENT}, refuse)
    assert (log.head.position, log.document(DIGEST)) == (0, None)
    seen: list[int] = []
    log.append([new("a"), new("b")], None, lambda _, records: seen.extend(r.position for r in records))
    assert seen == [1, 2]


batches = st.lists(
    st.tuples(
        st.sampled_from("abc"),
        st.text(max_size=3),
        st.none() | st.integers(-1, 9),
        st.none() | st.integers(0, 4),
    ),
    max_size=4,
)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(batches, max_size=5))
def test_both_come_to_the_same_in_any_life(
    tmp_path_factory: pytest.TempPathFactory, life: list[list[tuple[str, str, int | None, int | None]]]
) -> None:
    memory = MemoryLog(FakeClock())
    disk = open_log(tmp_path_factory.mktemp("log") / "log.db", FakeClock())
    for batch in life:
        drafts = [new(name, data=text, cause=cause, expected=at) for name, text, cause, at in batch]
        documents = {hashlib.sha256(text.encode()).hexdigest(): text.encode() for _, text, _, _ in batch}
        outcomes: list[object] = []
        for log in (memory, disk):
            try:
                outcomes.append(log.append(drafts, documents))
            except LogError as error:
                outcomes.append([type(error)])
        assert outcomes[0] == outcomes[1]
    assert list(memory.read_hashed()) == list(disk.read_hashed())
    assert list(memory.document_digests()) == list(disk.document_digests())
    disk.close()
