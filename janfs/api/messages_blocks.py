"""The blocks that messages are made of in Anthropic's words: what each may hold, and who may say it. Pure."""

from typing import Any

from msgspec import Struct

from janfs.api.belonging import refuse_strays
from janfs.errors import InvalidInput


class SourceParam(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where an image is: here, in `base64`, or in a data URL."""

    type: str
    media_type: str | None = None
    data: str | None = None
    url: str | None = None


class Block(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of a message: text, a thought, a call of a tool (`tool_use`) or what came of one."""

    type: str
    text: str | None = None
    thinking: str | None = None
    id: str | None = None
    name: str | None = None
    input: dict[str, Any] | None = None
    tool_use_id: str | None = None
    content: "str | list[Block] | None" = None
    is_error: bool | None = None
    source: SourceParam | None = None
    # Of a thought that was told, and of what is kept elsewhere; they change nothing here.
    signature: Any = None
    data: Any = None
    citations: Any = None
    caller: Any = None
    cache_control: Any = None


_FIELDS = {
    "text": ("text",),
    "image": ("source",),
    "thinking": ("thinking",),
    "redacted_thinking": (),
    "tool_use": ("id", "name", "input"),
    "tool_result": ("tool_use_id", "content", "is_error"),
}
_SAID_BY = {"thinking": "assistant", "tool_use": "assistant", "tool_result": "user"}


def check_block(block: Block, place: str, role: str | None = None) -> None:
    """Raises `InvalidInput`, naming the place, for a field of another type, or what is not this role's."""
    refuse_strays(block, _FIELDS, place)
    if role is not None and _SAID_BY.get(block.type, role) != role:
        raise InvalidInput(f"'{place}': '{block.type}' is not the {role}'s to say.", param=place)
