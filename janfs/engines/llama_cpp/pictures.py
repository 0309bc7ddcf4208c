"""Images in a prompt: rows of numbers at positions where there would be tokens. Pure."""

import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple

from janfs.engines.protocol import ChatMessage


class Picture(NamedTuple):
    """An image as the model sees it: `rows` of an array, each in place of a token from the place `start` on.

    `positions` are where the model takes them to stand: a row for each dimension it knows, a column for each
    row of the image. Text goes on `extent` positions behind the first one. Of an image that is seen `at_once`
    every row sees all others, so that they are computed together.
    """

    start: int
    rows: Any
    positions: Any
    extent: int
    at_once: bool = False

    @property
    def end(self) -> int:
        """The place behind it."""
        return self.start + len(self.rows)


class Read(NamedTuple):
    """A prompt with its images; in their places there are placeholders among the tokens."""

    tokens: list[int]
    pictures: tuple[Picture, ...]


def placeholders(digest: bytes, count: int) -> list[int]:
    """Numbers below 0 that stand for an image's rows.

    They are the same for the same image and for no other, so that prompts share images as they share words.
    The lowest bit tells the first row from those that go on with it.
    """
    hashes = [hashlib.sha256(digest + row.to_bytes(4, "big")).digest()[:7] for row in range(count)]
    return [~(int.from_bytes(each, "big") << 1 | (row > 0)) for row, each in enumerate(hashes)]


def whole(tokens: Sequence[int], place: int) -> int:
    """The last place up to this one that no image of the tokens lies on both sides of."""
    while place < len(tokens) and tokens[place] < 0 and ~tokens[place] & 1:
        place -= 1
    return place


def marked(message: ChatMessage, marker: str) -> ChatMessage:
    """The message with a marker in its text where each image stands."""
    content = message.content
    for image in reversed(message.images):
        content = content[: image.at] + marker + content[image.at :]
    return ChatMessage(
        message.role, content, message.tool_calls, message.tool_call_id, message.name, message.reasoning
    )
