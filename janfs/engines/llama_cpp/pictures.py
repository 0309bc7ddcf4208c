"""Images in a prompt: rows of numbers at positions where there would be tokens. Pure."""

import hashlib
from typing import Any, NamedTuple

from janfs.engines.protocol import ChatMessage


class Picture(NamedTuple):
    """An image as the model sees it: `rows`, an array of which each stands at a position from `start` on."""

    start: int
    rows: Any

    @property
    def end(self) -> int:
        """The position behind it."""
        return self.start + len(self.rows)


class Read(NamedTuple):
    """A prompt with its images; at their positions there are placeholders among the tokens."""

    tokens: list[int]
    pictures: tuple[Picture, ...]


def placeholders(digest: bytes, count: int) -> list[int]:
    """Numbers below 0 that stand for an image's rows.

    They are the same for the same image and for no other, so that prompts share images as they share words.
    """
    return [
        -1 - int.from_bytes(hashlib.sha256(digest + row.to_bytes(4, "big")).digest()[:7], "big")
        for row in range(count)
    ]


def marked(message: ChatMessage, marker: str) -> ChatMessage:
    """The message with a marker in its text where each image stands."""
    content = message.content
    for image in reversed(message.images):
        content = content[: image.at] + marker + content[image.at :]
    return ChatMessage(
        message.role, content, message.tool_calls, message.tool_call_id, message.name, message.reasoning
    )
