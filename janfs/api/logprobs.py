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
    """Of a text's continuation; `text_offset` counts characters from the beginning of the answer.

    A prompt's first token follows nothing: its logprobs are null. A token that was chosen is among the
    likeliest in its place, also where others are likelier than it.
    """

    tokens: list[str]
    token_logprobs: list[float | None]
    top_logprobs: list[dict[str, float] | None]
    text_offset: list[int]


def chat_logprobs(tokens: Sequence[TokenLogprob]) -> ChatLogprobs:
    """In the words of /v1/chat/completions."""
    return ChatLogprobs(
        [
            ContentLogprob(_text(each), each.logprob, list(each.text), [_top(likely) for likely in each.top])
            for each in tokens
            if each.logprob is not None
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
        [_likeliest(each) for each in tokens],
        offsets,
    )


def _likeliest(token: TokenLogprob) -> dict[str, float] | None:
    if token.logprob is None:
        return None
    return {_text(token): token.logprob} | {_text(likely): likely.logprob for likely in token.top}


def _top(likely: Likely) -> TopLogprob:
    return TopLogprob(_text(likely), likely.logprob, list(likely.text))


def _text(token: Any) -> str:
    found: bytes = token.text
    return found.decode("utf-8", "replace")
