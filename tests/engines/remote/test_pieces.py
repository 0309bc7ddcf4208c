"""What servers elsewhere send, however the network cuts it."""

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from janfs.engines.protocol import Usage
from janfs.engines.remote.pieces import Rewriter, message_of, messages
from janfs.errors import UpstreamError

ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
KEYS = st.sampled_from(["model", "choices", "usage", "error", "system_fingerprint", "id"])
PARTS = st.fixed_dictionaries(
    {},
    optional={
        "index": ANYTHING,
        "delta": ANYTHING,
        "message": ANYTHING,
        "text": ANYTHING,
        "finish_reason": ANYTHING,
    },
)


def read(chunks: Sequence[bytes]) -> list[bytes]:
    async def sent() -> AsyncGenerator[bytes]:
        for chunk in chunks:
            yield chunk

    async def collect() -> list[bytes]:
        return [data async for data in messages(sent())]

    return asyncio.run(collect())


@given(
    st.lists(
        st.text(st.characters(exclude_characters="\r\n", exclude_categories=("Cs",)), max_size=20), max_size=5
    ),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.sets(st.integers(0, 300)),
)
def test_messages_are_the_same_however_they_are_cut(texts: list[str], end: str, cuts: set[int]) -> None:
    sent = "".join(f": a comment{end}event: x{end}data: {text}{end}{end}" for text in texts).encode()
    places = [0, *sorted(cut for cut in cuts if cut < len(sent)), len(sent)]
    chunks = [sent[begin:stop] for begin, stop in pairwise(places)]
    assert read(chunks) == [text.encode() for text in texts]


def test_a_line_may_end_with_one_half_of_its_end_and_empty_chunks_are_nothing() -> None:
    assert read([b"data: 1\r", b"", b"\n", b"\n", b"data: 2\r", b"\r", b"\n"]) == [b"1", b"2"]
    assert read([b"data: 1\r\n\r", b"\ndata: 2\n\r\n"]) == [b"1", b"2"]
    assert read([b"data: 1\r", b"\n", b"data: 2\r\n\r\n"]) == [b"1\n2"]


def test_a_message_of_several_lines_is_one() -> None:
    assert read([b'data: {"a":\ndata: 1}\n\ndata:[DONE]']) == [b'{"a":\n1}', b"[DONE]"]


def test_a_last_message_without_an_end_counts() -> None:
    assert read([b"data: 1\n\ndata: 2\n"]) == [b"1", b"2"]
    assert read([b'data: 1\n\ndata: {"a"', b": 2}"]) == [b"1", b'{"a": 2}'], "nor has its line one"
    assert read([b'\xef\xbb\xbfdata: {"a":\ndata: 2}']) == [b'{"a":\n2}']


@pytest.mark.parametrize("cut", [b'{"a": {"b": 1}', b'{"a', b"[DON", b"[" * 100_000, b"1", b""])
def test_a_last_message_that_was_cut_is_none(cut: bytes) -> None:
    assert read([b"data: 1\n\ndata: " + cut]) == [b"1"]


def test_a_message_without_end_is_not_read_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("janfs.engines.remote.pieces.MOST_BYTES", 100)
    with pytest.raises(UpstreamError, match="more than 100 bytes"):
        read([b"data: "] + [b"x" * 30] * 4)
    with pytest.raises(UpstreamError, match="more than 100 bytes"):
        read([b"data: " + b"x" * 30 + b"\n"] * 4)
    assert len(read([b"data: " + b"x" * 30 + b"\n\n"] * 4)) == 4, "each has a bound of its own"


@pytest.mark.parametrize("cut", range(4))
def test_a_mark_of_its_encoding_before_a_stream_is_no_part_of_it(cut: int) -> None:
    sent = b"\xef\xbb\xbfdata: 1\n\ndata: 2\n\n"
    assert read([sent[:cut], sent[cut:]]) == [b"1", b"2"]


@given(
    st.dictionaries(KEYS, ANYTHING) | st.fixed_dictionaries({"choices": st.lists(PARTS, max_size=3)}),
    st.booleans(),
)
def test_whatever_is_sent_is_a_piece_or_an_error_of_theirs(said: dict[str, Any], usage: bool) -> None:
    try:
        piece = Rewriter("ours", "fp_ours", usage=usage).piece(json.dumps(said).encode())
    except UpstreamError:
        assert said.get("error") or said.get("object") == "error", "what is no error was taken for one"
        return
    ours = {"model": "ours", "system_fingerprint": "fp_ours"}
    if piece.data is None:
        assert "usage" in said
        return
    assert all(piece.data[name] == ours[name] for name in ours if name in piece.data)
    kept = said.keys() - ours.keys() - {"usage"}
    assert {name: piece.data[name] for name in kept} == {name: said[name] for name in kept}


@pytest.mark.parametrize(
    ("choice", "told"),
    [
        ({"delta": {"role": "assistant", "content": ""}}, False),
        ({"delta": {}}, False),
        ({"delta": {"content": "x"}}, True),
        ({"delta": {"reasoning_content": "x"}}, True),
        ({"delta": {"tool_calls": [{"index": 0}]}}, True),
        ({"text": "x"}, True),
        ({"text": ""}, False),
        ({"text": "", "finish_reason": "stop"}, True),
        ({"text": "", "finish_reason": ""}, False),
        ({"message": {"content": "x"}}, True),
    ],
)
def test_who_speaks_is_not_said_yet(choice: dict[str, Any], told: bool) -> None:
    piece = Rewriter("m", "f", usage=True).piece(json.dumps({"choices": [choice]}).encode())
    assert piece.told is told


def test_the_usage_is_counted_and_told_to_who_asked() -> None:
    details = {
        "prompt_tokens_details": {"cached_tokens": 3},
        "completion_tokens_details": {"reasoning_tokens": 1},
    }
    said = {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9} | details}
    for usage in (True, False):
        piece = Rewriter("m", "f", usage=usage).piece(json.dumps(said).encode())
        assert piece.usage == Usage(7, 2, 3, 1)
        assert (piece.data is not None) is usage


@pytest.mark.parametrize("count", ["1" + "0" * 400, "true", "-1", "1.5", '"7"'])
def test_a_count_that_cannot_be_one_is_none(count: str) -> None:
    said = b'{"choices": [], "usage": {"prompt_tokens": %b, "completion_tokens": 2}}' % count.encode()
    assert Rewriter("m", "f", usage=True).piece(said).usage == Usage(0, 2)


def test_no_part_of_a_count_is_more_than_all() -> None:
    details = {
        "prompt_tokens_details": {"cached_tokens": 9},
        "completion_tokens_details": {"reasoning_tokens": 5},
    }
    said = {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 2} | details}
    assert Rewriter("m", "f", usage=True).piece(json.dumps(said).encode()).usage == Usage(7, 2, 7, 2)


@pytest.mark.parametrize(
    "said",
    [
        {"error": {"message": "No."}},
        {"error": "No."},
        {"message": "No."},
        {"detail": "No."},
        {"object": "error", "message": " No. "},
    ],
)
def test_an_error_is_understood_in_every_shape(said: dict[str, Any]) -> None:
    assert message_of(said) == "No."


def from_below(frames: int, said: Any) -> str | None:
    """Its message, read with less of the stack left than there was for the decoder."""
    return message_of(said) if frames == 0 else from_below(frames - 1, said)


def test_an_error_that_is_nested_as_deeply_as_can_just_be_read_is_no_trouble() -> None:
    for levels in range(900, 1100):
        deep = b"[" * levels + b"]" * levels
        try:
            said = msgspec.json.decode(b'{"detail": %b}' % deep)
        except RecursionError:
            return
        assert from_below(5, said) in (None, deep.decode())


@given(ANYTHING)
def test_an_error_of_any_shape_is_no_trouble(said: Any) -> None:
    found = message_of(said)
    assert found is None or found.strip()
