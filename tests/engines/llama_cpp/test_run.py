"""What the tokens of one answer add up to."""

import pytest

from janfs.engines.llama_cpp.dialects.marks import GENERIC
from janfs.engines.llama_cpp.dialects.reading import reader
from janfs.engines.llama_cpp.dialects.stream import PartStream
from janfs.engines.llama_cpp.run import Run
from janfs.engines.llama_cpp.text import TextStream
from janfs.engines.protocol import Finished, Reply, SamplingParams, TokenLogprob

CALL = [b"<tool_call>", b'{"name": "weather",', b' "arguments": {}}', b"</tool_call>"]


def told_of(
    pieces: list[bytes], *, thinking: bool = False, stop: tuple[str, ...] = (), ends: bool = True
) -> list[Reply]:
    """The replies of an answer of these tokens, and of one that ends it."""
    parts = PartStream(reader(GENERIC, tools=True, thinking=thinking))
    run = Run("r", [1, 2], 2, SamplingParams(logprobs=0), TextStream(stop), parts=parts)
    replies: list[Reply] = []
    for piece in pieces:
        replies += run.take(3, piece, TokenLogprob(3, piece, -1.0), ends=False, n_ctx=99, now=0.0)
    return replies + (run.take(3, b"", None, ends=True, n_ctx=99, now=0.0) if ends else [])


@pytest.mark.parametrize(
    ("pieces", "thinking", "thought"),
    [
        ([b"Hi", b" there"], False, 0),
        ([b"<think>", b"Hm", b".", b"</think>", b"\n\n", b"Hi", b" there"], False, 5),
        ([b"Hm", b".", b"</think>", b"Hi"], True, 3),
        ([b"Hm", b".", b"</think>", *CALL], True, 5),  # a call is known for one with its arguments
        ([b"Hm", b" and"], True, 2),
        ([b"</think>", b"Hi"], True, 0),
    ],
)
def test_tokens_of_a_thought_are_counted_up_to_the_first_word_of_the_answer(
    pieces: list[bytes], thinking: bool, thought: int
) -> None:
    [*_, end] = told_of(pieces, thinking=thinking)
    assert isinstance(end, Finished)
    assert end.usage.completion_tokens == len(pieces)
    assert end.usage.reasoning_tokens == thought


@pytest.mark.parametrize(
    ("pieces", "thinking", "told"),
    [
        ([b"Hi", b" there"], False, [b"Hi", b" there"]),
        ([b"<think>", b"Hm", b"</th", b"ink>\n", b"\n", b"Hi", b" <", b"b"], False, [b"Hi", b" <", b"b"]),
        ([b"Hm", b".", b"</think>", b"\n\n", b"Hi", b"!"], True, [b"Hi", b"!"]),
        ([b"</think> Hi", b"!"], True, [b"</think> Hi", b"!"]),
        ([*CALL], False, []),
        ([b"I", b" look. ", *CALL], False, [b"I", b" look. "]),
        ([b"Hm", b" and"], True, []),
    ],
)
def test_the_tokens_that_are_told_are_those_of_the_words(
    pieces: list[bytes], thinking: bool, told: list[bytes]
) -> None:
    replies = told_of(pieces, thinking=thinking)
    found = [each.text for reply in replies for each in getattr(reply, "logprobs", ())]
    assert found == told


@pytest.mark.parametrize(
    ("pieces", "stop", "ends", "reason"),
    [
        ([*CALL], (), True, "tool_calls"),
        ([*CALL[:2], b' "arguments": {"ci', b'ty"'], ("city",), False, "stop"),
        ([*CALL[:2], b' "arguments": {"ci', b'ty"'], (), True, "tool_calls"),
        ([*CALL, b"\n", b"END"], ("END",), False, "tool_calls"),
        ([b"Hi", b" END"], ("END",), False, "stop"),
    ],
)
def test_a_stop_string_within_a_call_leaves_the_answer_without_a_call_to_make(
    pieces: list[bytes], stop: tuple[str, ...], ends: bool, reason: str
) -> None:
    [*_, end] = told_of(pieces, stop=stop, ends=ends)
    assert isinstance(end, Finished)
    assert (end.finish_reason, end.stop_string) == (reason, stop[0] if stop else None)
