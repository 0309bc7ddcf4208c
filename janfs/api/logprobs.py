"""How likely the tokens of an answer were, as OpenAI's two APIs tell it. Pure."""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from janfs.engines.protocol import Likely, TokenLogprob


class TopLogprob(Struct, frozen=True):
    """A token that could have come; `bytes` are what it stands for, also where that is half a character."""

    token: str
    logprob: float
    bytes: list[int]


class ContentLogprob(Struct, frozen=True):
    """A token of the answer, and the likeliest in its place."""

    token: str
    logprob: float
    bytes: list[int]
    top_logprobs: list[TopLogprob]


class ChatLogprobs(Struct, frozen=True):
    """Of a chat's answer, or a piece of it."""

    content: list[ContentLogprob]
    refusal: None = None


class TextLogprobs(Struct, frozen=True):
    """Of a text's continuation; `text_offset` counts characters from the beginning of the answer."""

    tokens: list[str]
    token_logprobs: list[float]
    top_logprobs: list[dict[str, float]]
    text_offset: list[int]


def chat_logprobs(tokens: Sequence[TokenLogprob]) -> ChatLogprobs:
    """In the words of /v1/chat/completions."""
    return ChatLogprobs(
        [
            ContentLogprob(_text(each), each.logprob, list(each.text), [_top(likely) for likely in each.top])
            for each in tokens
        ]
    )


def text_logprobs(tokens: Sequence[TokenLogprob], offset: int = 0) -> TextLogprobs:
    """In the words of /v1/completions."""
    offsets: list[int] = []
    for each in tokens:
        offsets.append(offset)
        offset += len(_text(each))
    return TextLogprobs(
        [_text(each) for each in tokens],
        [each.logprob for each in tokens],
        [{_text(likely): likely.logprob for likely in each.top} for each in tokens],
        offsets,
    )


def _top(likely: Likely) -> TopLogprob:
    return TopLogprob(_text(likely), likely.logprob, list(likely.text))


def _text(token: Any) -> str:
    found: bytes = token.text
    return found.decode("utf-8", "replace")
