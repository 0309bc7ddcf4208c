"""What a chat asks for, and what of it goes to the engine. Pure."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from janfs.api.sampling import GenerationFields, refuse_unsupported
from janfs.engines.protocol import ChatMessage, ChatPrompt
from janfs.errors import InvalidInput, UnsupportedParameter

_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}


class ContentPart(Struct, frozen=True):
    """A part of a message. Only parts of the type `text` are supported."""

    type: str
    text: str | None = None


class Message(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A message of a chat. The role is system, developer (read as system), user or assistant."""

    role: str
    content: str | list[ContentPart] | None = None
    name: Any = None
    tool_calls: Any = None
    tool_call_id: Any = None
    function_call: Any = None
    refusal: Any = None
    audio: Any = None
    annotations: Any = None


class ChatRequest(GenerationFields, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request for the next message of a chat. `max_completion_tokens` wins over `max_tokens`."""

    messages: list[Message]
    max_completion_tokens: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None

    tools: Any = None
    tool_choice: Any = None
    parallel_tool_calls: Any = None
    functions: Any = None
    function_call: Any = None
    modalities: Any = None
    audio: Any = None
    prediction: Any = None
    reasoning_effort: Any = None
    verbosity: Any = None
    web_search_options: Any = None


_NOT_YET: Mapping[str, tuple[Any, ...]] = {
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "parallel_tool_calls": (True, False),
    "functions": ([],),
    "function_call": ("none", "auto"),
    "modalities": (["text"],),
    "audio": (),
    "prediction": (),
    "reasoning_effort": ("none",),
    "verbosity": (),
    "web_search_options": (),
}
_NOT_IN_MESSAGES: Mapping[str, tuple[Any, ...]] = {
    "name": (),
    "tool_calls": ([],),
    "tool_call_id": (),
    "function_call": (),
    "refusal": (),
    "audio": (),
    "annotations": ([],),
}


def logprobs_of(asked: ChatRequest) -> int | None:
    """How many likely tokens are told beside each that is chosen. Raises `InvalidInput`."""
    if asked.top_logprobs and not asked.logprobs:
        raise InvalidInput("'top_logprobs' wants 'logprobs': true.", param="top_logprobs")
    return (asked.top_logprobs or 0) if asked.logprobs else None


def prompt_of(asked: ChatRequest) -> ChatPrompt:
    """The messages for the engine. Raises `InvalidInput` or `UnsupportedParameter`, naming the place."""
    refuse_unsupported(asked, _NOT_YET)
    if not asked.messages:
        raise InvalidInput("'messages' is empty; there is nothing to answer.", param="messages")
    return ChatPrompt(
        tuple(_message(item, f"messages[{number}]") for number, item in enumerate(asked.messages))
    )


def _message(item: Message, place: str) -> ChatMessage:
    for name, neutral in _NOT_IN_MESSAGES.items():
        value = getattr(item, name)
        if value is not None and value not in neutral:
            raise UnsupportedParameter(f"'{place}.{name}' is not supported yet.", param=f"{place}.{name}")
    if item.role in ("tool", "function"):
        raise UnsupportedParameter(
            f"{place}.role: '{item.role}' is not supported yet.", param=f"{place}.role"
        )
    if item.role not in _ROLES:
        known = ", ".join(_ROLES)
        raise InvalidInput(f"{place}.role: '{item.role}' is not one of {known}.", param=f"{place}.role")
    return ChatMessage(_ROLES[item.role], _text(item.content, f"{place}.content"))


def _text(content: str | list[ContentPart] | None, place: str) -> str:
    if content is None:
        raise InvalidInput(f"'{place}' is missing.", param=place)
    if isinstance(content, str):
        return content
    for number, part in enumerate(content):
        here = f"{place}[{number}]"
        if part.type != "text":
            raise UnsupportedParameter(
                f"{here}.type: '{part.type}' is not supported yet.", param=f"{here}.type"
            )
        if part.text is None:
            raise InvalidInput(f"'{here}.text' is missing.", param=f"{here}.text")
    # A line each, as llama.cpp's server does (common/chat.cpp).
    return "\n".join(part.text or "" for part in content)
