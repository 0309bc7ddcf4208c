"""The hash of a record is a format: it may never change."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from janfs.log.records import GENESIS, Record, chain_hash

RECORD = Record(
    position=7,
    stream="0123abcd",
    version=2,
    type="file-moved",
    schema=1,
    recorded_at="2026-01-01T00:00:00.000000Z",
    actor="folder",
    cause=5,
    correlation=3,
    data='{"source":"models/é.gguf"}',
)
LINES = '7\n0123abcd\n2\nfile-moved\n1\n2026-01-01T00:00:00.000000Z\nfolder\n5\n3\n{"source":"models/é.gguf"}'


def test_the_hash_covers_the_previous_hash_and_every_column_a_line_each() -> None:
    previous = bytes(range(32))
    assert chain_hash(previous, RECORD) == hashlib.sha256(previous + LINES.encode()).digest()


def test_the_hash_is_the_one_that_the_first_release_wrote() -> None:
    assert GENESIS == b"\0" * 32
    assert (
        chain_hash(GENESIS, RECORD).hex()
        == "328e34dcbfb2088b2635e31b9109e0bfa9bb87e38de14b42429247fbc05fefa1"
    )


one_line = st.text().filter(lambda text: "\n" not in text)
records = st.builds(
    Record,
    position=st.integers(1),
    stream=one_line,
    version=st.integers(1),
    type=one_line,
    schema=st.integers(1),
    recorded_at=one_line,
    actor=one_line,
    cause=st.none() | st.integers(1),
    correlation=st.integers(1),
    data=one_line,
)


@given(records, records)
def test_different_records_have_different_hashes(one: Record, other: Record) -> None:
    assert (chain_hash(GENESIS, one) == chain_hash(GENESIS, other)) == (one == other)


@pytest.mark.parametrize("cause", [0, 1, 50])
def test_no_cause_is_not_any_cause(cause: int) -> None:
    without = Record(1, "a", 1, "t", 1, "now", "me", None, 1, "{}")
    given_one = Record(1, "a", 1, "t", 1, "now", "me", cause, 1, "{}")
    assert chain_hash(GENESIS, without) != chain_hash(GENESIS, given_one)
