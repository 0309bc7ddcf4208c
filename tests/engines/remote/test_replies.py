"""Answers of theirs as replies of ours, whatever they look like."""

import asyncio
import base64
import json
from collections.abc import AsyncGenerator
from itertools import groupby
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from janfs.engines.protocol import (
    CallDelta,
    ChatMessage,
    ChatPrompt,
    Finished,
    Image,
    ReasoningDelta,
    Reply,
    TextDelta,
    Tool,
    Usage,
)
from janfs.engines.remote.in_turn import InTurn
from janfs.engines.remote.pieces import Piece, Rewriter
from janfs.engines.remote.replies import chat_of, replies

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
CALL = st.fixed_dictionaries(
    {},
    optional={
        "index": st.integers(0, 2) | ANYTHING,
        "id": st.text(max_size=2) | ANYTHING,
        "function": st.fixed_dictionaries({}, optional={"name": ANYTHING, "arguments": ANYTHING}) | ANYTHING,
    },
)
DELTA = st.fixed_dictionaries(
    {},
    optional={
        "content": ANYTHING,
        "reasoning": ANYTHING,
        "tool_calls": st.lists(CALL | ANYTHING, max_size=3),
    },
)
CHOICE = st.fixed_dictionaries({}, optional={"delta": DELTA | ANYTHING, "finish_reason": ANYTHING})


def read(*said: dict[str, Any], stops: tuple[str, ...] = ()) -> list[Reply]:
    rewriter = Rewriter("ours", "fp_ours", usage=False)

    async def pieces() -> AsyncGenerator[Piece]:
        for each in said:
            yield rewriter.piece(json.dumps(each).encode())

    async def collect() -> list[Reply]:
        return [reply async for reply in replies(pieces(), stops)]

    return asyncio.run(collect())


def delta(**fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": fields}]}


@given(st.lists(CHOICE | ANYTHING, max_size=5))
def test_whatever_they_say_ends_once_and_calls_are_numbered_in_order(choices: list[Any]) -> None:
    *told, end = read(*({"choices": [choice]} for choice in choices))
    assert isinstance(end, Finished)
    assert not any(isinstance(reply, Finished) for reply in told)
    begun = 0
    for reply in told:
        if isinstance(reply, CallDelta):
            assert (reply.index == begun) == (reply.name is not None), (
                "a call begins with its name, and in order"
            )
            begun += reply.name is not None
            assert reply.index < begun
        elif isinstance(reply, TextDelta):
            assert reply.text


def test_words_and_thoughts_may_come_in_parts() -> None:
    thought = {
        "type": "thinking",
        "thinking": [{"type": "text", "text": "Hm"}, {"type": "text", "text": "m."}],
    }
    parts = [thought, {"type": "text", "text": "Yes"}, {"type": "text", "text": ""}, {"type": "else"}]
    *told, _ = read(delta(content=[thought]), delta(content=parts), delta(content="."))
    thoughts = [ReasoningDelta("Hm"), ReasoningDelta("m.")]
    assert told == [*thoughts, *thoughts, TextDelta("Yes"), TextDelta(".")]


def call(index: int, arguments: str, name: str | None = None) -> dict[str, Any]:
    return {"index": index, "id": f"c{index}", "function": {"name": name, "arguments": arguments}}


def test_calls_that_are_written_in_turns_are_told_one_after_another() -> None:
    *told, _ = read(
        delta(tool_calls=[call(0, "", "f"), call(1, "", "g")]),
        delta(tool_calls=[call(0, '{"a": "\\"}')]),
        delta(tool_calls=[call(1, '{"b":')]),
        delta(content="And"),
        delta(tool_calls=[call(0, '"}')]),
        delta(tool_calls=[call(1, " 2}"), call(2, "{", "h")]),
        delta(content=" so"),
    )
    assert told == [
        CallDelta(0, "f", ""), CallDelta(0, None, '{"a": "\\"}'), CallDelta(0, None, '"}'),
        CallDelta(1, "g", ""), CallDelta(1, None, '{"b":'), CallDelta(1, None, " 2}"),
        TextDelta("And"), CallDelta(2, "h", "{"), TextDelta(" so"),
    ]  # fmt: skip


def test_a_call_with_its_arguments_whole_does_not_wait_for_the_end() -> None:
    in_turn = InTurn()
    parts = [
        CallDelta(0, "f", "{}"),
        CallDelta(1, "g", "{"),
        CallDelta(0, None, "x"),
        CallDelta(1, None, "}"),
    ]
    assert [list(in_turn.take(part)) for part in parts] == [[parts[0]], [parts[1]], [], [parts[3]]]
    assert list(in_turn.rest()) == []


@given(st.lists(st.tuples(st.integers(0, 2), st.text('{}"\\a', max_size=3)), max_size=12))
def test_the_pieces_of_a_call_follow_on_each_other(pieces: list[tuple[int, str]]) -> None:
    said = [delta(content=text) if number == 2 else delta(tool_calls=[call(number, text, "f")])
            for number, text in pieces]  # fmt: skip
    *told, _ = read(*said)
    runs = [index for index, _ in groupby(part.index for part in told if isinstance(part, CallDelta))]
    assert runs == sorted(set(runs))
    kinds = [kind for kind, _ in groupby(getattr(part, "index", None) for part in told)]
    assert len([kind for kind in kinds if kind is not None]) == len(runs), "words came between"
    words = "".join(text for number, text in pieces if number == 2)
    assert "".join(part.text for part in told if isinstance(part, TextDelta)) == words


def test_calls_that_come_whole_or_without_numbers_are_told_apart() -> None:
    one = {"id": "a", "function": {"name": "add", "arguments": '{"a": 1}'}}
    two = {"id": "b", "function": {"name": "sub", "arguments": {"a": 2}}}
    *told, end = read(delta(tool_calls=[one, two]), {"choices": [{"delta": {}, "finish_reason": "stop"}]})
    assert told == [CallDelta(0, "add", '{"a": 1}'), CallDelta(1, "sub", '{"a": 2}')]
    assert isinstance(end, Finished)
    assert end.finish_reason == "tool_calls", "some say stop all the same"


def test_calls_that_all_have_the_same_number_are_told_apart() -> None:
    one = {"index": 0, "id": "a", "function": {"name": "add", "arguments": '{"a": '}}
    more = {"index": 0, "id": "a", "function": {"name": "add", "arguments": "1}"}}
    two = {"index": 0, "id": "b", "function": {"name": "sub", "arguments": '{"a": '}}
    rest = {"index": 0, "id": "another each time", "function": {"arguments": "2}"}}
    *told, _ = read(*(delta(tool_calls=[each]) for each in (one, more, two, rest)))
    assert told == [
        CallDelta(0, "add", '{"a": '),
        CallDelta(0, None, "1}"),
        CallDelta(1, "sub", '{"a": '),
        CallDelta(1, None, "2}"),
    ]


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("content_filter", "content_filter"),
        ("function_call", "tool_calls"),
        ("x", "stop"),
    ],
)
def test_every_end_of_theirs_is_one_of_ours(theirs: str, ours: str) -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 1}
    for name in ("stop_reason", "matched_stop"):
        ended = {"choices": [{"delta": {}, "finish_reason": theirs, name: "END"}]}
        *_, end = read(delta(content="a"), ended, {"choices": [], "usage": usage}, stops=("no", "END"))
        assert end == Finished(ours, Usage(3, 1), stop_string="END" if ours == "stop" else None)  # type: ignore[arg-type]


@pytest.mark.parametrize("said", ["</s>", 2, ["END"], {"END": 1}, None])
def test_what_nobody_asked_to_stop_at_is_no_stop_string(said: Any) -> None:
    call = {"id": "a", "function": {"name": "add", "arguments": "{}"}}
    ended = {"choices": [{"delta": {}, "finish_reason": "stop", "stop_reason": said}]}
    *_, end = read(delta(tool_calls=[call]), ended, stops=("END",))
    assert isinstance(end, Finished)
    assert (end.finish_reason, end.stop_string) == ("tool_calls", None)


def test_of_several_tools_one_must_be_called_or_just_one_at_a_time() -> None:
    tools = (Tool("a"), Tool("b", "Does b."))
    body = chat_of(ChatPrompt((ChatMessage("user", "Hi"),), tools, must_call=True, parallel=False))
    assert (body["tool_choice"], body["parallel_tool_calls"]) == ("required", False)
    assert body["tools"][1]["function"] == {
        "name": "b",
        "description": "Does b.",
        "parameters": {"type": "object"},
    }


def test_a_bound_on_thoughts_goes_along() -> None:
    hi = (ChatMessage("user", "Hi"),)
    assert chat_of(ChatPrompt(hi, most_thought=0))["reasoning_effort"] == "none"
    assert chat_of(ChatPrompt(hi, most_thought=9))["reasoning_budget_tokens"] == 9


def test_thoughts_and_images_go_along_in_their_order() -> None:
    png, jpeg = b"\x89PNG\r\n\x1a\nx", b"\xff\xd8\xff\xe0"
    images = (Image(0, png, "a"), Image(5, jpeg, "b"), Image(5, b"GIF89a", "c"))
    told = ChatMessage("assistant", "Both.", reasoning="Hm.")
    first, second = chat_of(ChatPrompt((ChatMessage("user", "What?Or", images=images), told)))["messages"]
    urls = [
        f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
        for kind, data in (("png", png), ("jpeg", jpeg), ("gif", b"GIF89a"))
    ]
    assert first["content"] == [
        {"type": "image_url", "image_url": {"url": urls[0]}},
        {"type": "text", "text": "What?"},
        {"type": "image_url", "image_url": {"url": urls[1]}},
        {"type": "image_url", "image_url": {"url": urls[2]}},
        {"type": "text", "text": "Or"},
    ]
    assert second == {"role": "assistant", "content": "Both.", "reasoning_content": "Hm."}
