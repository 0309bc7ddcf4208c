"""How likely the tokens of an answer were, as OpenAI's two APIs tell it. Pure."""

import codecs
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
    """Of a text's continuation; `text_offset` counts the text's characters up to each token.

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


class Offsets:
    """Where the tokens of one answer begin in its text, in characters, as they come.

    Of a character that spans tokens all of them begin where it does.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._at = 0

    def next(self, token: TokenLogprob) -> int:
        """The beginning of the token that follows on those before."""
        at = self._at
        self._at += len(self._decoder.decode(token.text))
        return at


def text_logprobs(tokens: Sequence[TokenLogprob], offsets: Offsets, length: int) -> TextLogprobs:
    """In the words of /v1/completions; the text has so many characters by now.

    A special token that is not shown is spelled out here all the same, so offsets end with the text.
    """
    return TextLogprobs(
        [_text(each) for each in tokens],
        [each.logprob for each in tokens],
        [_likeliest(each) for each in tokens],
        [min(offsets.next(each), length) for each in tokens],
    )


def _likeliest(token: TokenLogprob) -> dict[str, float] | None:
    """Of tokens that look alike, such as parts of characters, the one that was chosen, then the likeliest."""
    if token.logprob is None:
        return None
    found = {_text(token): token.logprob}
    for likely in token.top:
        found.setdefault(_text(likely), likely.logprob)
    return found


def _top(likely: Likely) -> TopLogprob:
    return TopLogprob(_text(likely), likely.logprob, list(likely.text))


def _text(token: Any) -> str:
    found: bytes = token.text
    return found.decode("utf-8", "replace")
