"""What a chat asks for, and what of it goes to the engine. Pure."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from janfs.api.images import Content, Piece, image_of, together
from janfs.api.sampling import GenerationFields, refuse, refuse_unsupported
from janfs.api.tools import (
    CallRequest,
    NamedTool,
    ToolChoice,
    ToolRequest,
    calls_of,
    may_call_again,
    tools_of,
)
from janfs.engines.protocol import MAX_LOGPROBS, ChatMessage, ChatPrompt
from janfs.errors import InvalidInput, UnsupportedParameter

_ROLES = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
}


class ImageUrl(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An image, as a data URL. It is always seen in full `detail`."""

    url: str
    detail: Literal["auto", "low", "high", "original"] | None = None


class ContentPart(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of a message: a text (`text`) or an image (`image_url`)."""

    type: str
    text: str | None = None
    image_url: ImageUrl | None = None
    input_audio: Any = None
    file: Any = None
    refusal: Any = None
    prompt_cache_breakpoint: Any = None


class Message(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A message of a chat. The role is system, developer (read as system), user, assistant or tool.

    An assistant's may hold calls or its `reasoning_content`, in place of content or beside it; a tool's
    answers the call `tool_call_id`. A last message of the assistant's is gone on with.
    """

    role: str
    content: str | list[ContentPart] | None = None
    name: str | None = None
    tool_calls: list[CallRequest] | None = None
    tool_call_id: str | None = None
    reasoning_content: str | None = None
    function_call: Any = None
    refusal: Any = None
    audio: Any = None
    annotations: Any = None


class ChatRequest(GenerationFields, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request for the next message of a chat. `max_completion_tokens` wins over `max_tokens`.

    A thought has `reasoning_budget_tokens` at most (llama.cpp's; -1: any number); the `reasoning_effort`
    "none" is none at all.
    """

    messages: list[Message]
    max_completion_tokens: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None

    tools: list[ToolRequest] | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    functions: Any = None
    function_call: Any = None
    modalities: Any = None
    audio: Any = None
    prediction: Any = None
    reasoning_effort: str | None = None
    reasoning_budget_tokens: Annotated[int, Meta(ge=-1, le=2**31 - 1)] | None = None
    verbosity: Any = None
    moderation: Any = None
    web_search_options: Any = None


_NOT_YET: Mapping[str, tuple[Any, ...]] = {
    "functions": ([],),
    "function_call": ("none", "auto"),
    "modalities": (["text"],),
    "audio": (),
    "prediction": (),
    "reasoning_effort": ("none",),
    "verbosity": ("medium",),
    "moderation": (),
    "web_search_options": (),
}
_BESIDE_TEXT: Mapping[str, tuple[Any, ...]] = dict.fromkeys(
    ("image_url", "input_audio", "file", "refusal"), ()
)
_BESIDE_AN_IMAGE: Mapping[str, tuple[Any, ...]] = dict.fromkeys(
    ("text", "input_audio", "file", "refusal"), ()
)
_NOT_IN_MESSAGES: Mapping[str, tuple[Any, ...]] = {
    "function_call": (),
    "refusal": (),
    "audio": (),
    "annotations": ([],),
}


def logprobs_of(asked: ChatRequest) -> int | None:
    """How many likely tokens are told beside each that is chosen. Raises `InvalidInput`."""
    if asked.top_logprobs and not asked.logprobs:
        raise InvalidInput("'top_logprobs' wants 'logprobs': true.", param="top_logprobs")
    count = asked.top_logprobs or 0
    if not 0 <= count <= MAX_LOGPROBS:
        raise InvalidInput(
            f"'top_logprobs' must be between 0 and {MAX_LOGPROBS}, not {count}.", param="top_logprobs"
        )
    return count if asked.logprobs else None


def prompt_of(asked: ChatRequest) -> ChatPrompt:
    """The messages for the engine. Raises `InvalidInput` or `UnsupportedParameter`, naming the place."""
    refuse_unsupported(asked, _NOT_YET)
    if not asked.messages:
        raise InvalidInput("'messages' is empty; there is nothing to answer.", param="messages")
    functions = [tool.function for tool in asked.tools or ()]
    choice = asked.tool_choice.function if isinstance(asked.tool_choice, NamedTool) else asked.tool_choice
    tools, must_call = tools_of(functions, choice, "tools[{}].function")
    return ChatPrompt(
        tuple(_message(item, f"messages[{number}]") for number, item in enumerate(asked.messages)),
        tools,
        must_call,
        may_call_again(choice, asked.parallel_tool_calls),
        most_thought_of(asked.reasoning_effort, asked.reasoning_budget_tokens),
    )


def most_thought_of(effort: str | None, budget: int | None) -> int | None:
    """The tokens that a thought may have; None for any number."""
    if effort == "none":
        return 0
    return None if budget == -1 else budget


def _message(item: Message, place: str) -> ChatMessage:
    refuse(item, _NOT_IN_MESSAGES, f"{place}.")
    if item.role == "function":
        raise UnsupportedParameter(
            f"{place}.role: 'function' is not supported; 'tool' is.", param=f"{place}.role"
        )
    if item.role not in _ROLES:
        known = ", ".join(_ROLES)
        raise InvalidInput(f"{place}.role: '{item.role}' is not one of {known}.", param=f"{place}.role")
    if (item.role == "tool") != (item.tool_call_id is not None):
        param = f"{place}.tool_call_id"
        raise InvalidInput(f"'{param}' belongs to the role 'tool', and to no other.", param=param)
    calls = calls_of(item.tool_calls or (), f"{place}.tool_calls")
    if calls and item.role != "assistant":
        raise InvalidInput(f"Only the assistant calls tools, not {place}.", param=f"{place}.tool_calls")
    if item.reasoning_content and item.role != "assistant":
        param = f"{place}.reasoning_content"
        raise InvalidInput(f"'{param}': only the assistant's thoughts are told.", param=param)
    wordless = item.content is None and (calls or item.reasoning_content)
    content, images = ("", ()) if wordless else _content(item.content, f"{place}.content")
    return ChatMessage(
        _ROLES[item.role], content, calls, item.tool_call_id, item.name, item.reasoning_content, images
    )


def _content(content: str | list[ContentPart] | None, place: str) -> Content:
    if content is None:
        raise InvalidInput(f"'{place}' is missing.", param=place)
    if isinstance(content, str):
        return content, ()
    return together([_piece(part, f"{place}[{number}]") for number, part in enumerate(content)])


def _piece(part: ContentPart, place: str) -> Piece:
    if part.type == "image_url":
        if part.image_url is None:
            raise InvalidInput(f"'{place}.image_url' is missing.", param=f"{place}.image_url")
        refuse(part, _BESIDE_AN_IMAGE, f"{place}.")
        return image_of(part.image_url.url, f"{place}.image_url.url"), place
    if part.type != "text":
        raise UnsupportedParameter(f"{place}.type: '{part.type}' is not supported.", param=f"{place}.type")
    if part.text is None:
        raise InvalidInput(f"'{place}.text' is missing.", param=f"{place}.text")
    refuse(part, _BESIDE_TEXT, f"{place}.")
    return part.text, place
