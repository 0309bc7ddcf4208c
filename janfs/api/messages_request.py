"""What a request to /v1/messages asks for, in Anthropic's words, and what of it goes to the engine. Pure."""

import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from janfs.api.belonging import refuse_strays
from janfs.api.images import Content, Piece, decoded, image_of, together
from janfs.api.messages_blocks import Block, SourceParam, check_block
from janfs.api.messages_tools import ToolChoiceParam, ToolParam, tools_shown
from janfs.api.nesting import refuse_deep
from janfs.api.sampling import GenerationFields, refuse
from janfs.api.structured import OutputConfig, format_of
from janfs.engines.protocol import ChatMessage, ChatPrompt, ToolCall
from janfs.errors import InvalidInput, UnsupportedParameter


class MessageParam(Struct, frozen=True, forbid_unknown_fields=True):
    """A message of a chat."""

    role: Literal["user", "assistant", "system"]
    content: str | list[Block]


class ThinkingParam(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether thoughts are wanted, and how many tokens of them at most.

    A model thinks as it was trained to ("adaptive"), and its thoughts are told in full.
    """

    type: Literal["enabled", "disabled", "adaptive"]
    budget_tokens: Annotated[int, Meta(ge=1, le=2**31 - 1)] | None = None
    display: Literal["summarized"] | None = None


class ChatParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a request and the counting of its tokens have in common."""

    model: str
    messages: list[MessageParam]
    system: str | list[Block] | None = None
    tools: list[ToolParam] | None = None
    tool_choice: ToolChoiceParam | None = None
    thinking: ThinkingParam | None = None
    output_config: OutputConfig | None = None
    cache_control: Any = None
    context_management: Any = None
    mcp_servers: Any = None
    speed: Any = None


class MessagesRequest(ChatParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request for the next message of a chat."""

    max_tokens: int
    stream: bool | None = None
    stop_sequences: list[str] | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None

    # For the caller's own books, or for a service with many machines; they change nothing in an answer.
    metadata: Any = None
    service_tier: Any = None
    container: Any = None
    inference_geo: Any = None


_NOT_YET: Mapping[str, tuple[Any, ...]] = {
    "context_management": (),
    "mcp_servers": ([],),
    "speed": ("standard",),
}
_NOT_YET_IN_ANSWERS: Mapping[str, tuple[Any, ...]] = {"container": (), "inference_geo": ()}
_OF_SOURCES = {"base64": ("media_type", "data"), "url": ("url",)}


def prompt_of(asked: ChatParams) -> ChatPrompt:
    """The messages for the engine. Raises `InvalidInput` or `UnsupportedParameter`, naming the place."""
    refuse(asked, _NOT_YET)
    if asked.output_config is not None:
        refuse(asked.output_config, {"effort": ()}, "output_config.")
    if not asked.messages:
        raise InvalidInput("'messages' is empty; there is nothing to answer.", param="messages")
    messages: list[ChatMessage] = []
    if asked.system:
        messages.append(ChatMessage("system", _text(asked.system, "system")))
    for number, message in enumerate(asked.messages):
        messages += _messages(message, f"messages[{number}]")
    choice = asked.tool_choice
    tools, must_call = tools_shown(asked.tools or (), choice)
    parallel = choice is None or not choice.disable_parallel_tool_use
    return ChatPrompt(tuple(messages), tools, must_call, parallel, _most_thought(asked.thinking))


def fields_of(asked: MessagesRequest) -> GenerationFields:
    """What the request has in common with chats, in their words. Raises `UnsupportedParameter`."""
    refuse(asked, _NOT_YET_IN_ANSWERS)
    return GenerationFields(
        model=asked.model,
        max_tokens=asked.max_tokens,
        stop=asked.stop_sequences,
        temperature=asked.temperature,
        top_p=asked.top_p,
        top_k=asked.top_k,
        response_format=format_of(asked.output_config),
    )


def _most_thought(given: ThinkingParam | None) -> int | None:
    """The tokens that a thought may have; None for any number. Raises `InvalidInput`."""
    if given is None:
        return None
    if given.budget_tokens is not None and given.type != "enabled":
        param = "thinking.budget_tokens"
        raise InvalidInput(f"'{param}' belongs to the type 'enabled', not to '{given.type}'.", param=param)
    return 0 if given.type == "disabled" else given.budget_tokens


def _messages(message: MessageParam, place: str) -> Iterator[ChatMessage]:
    """One message of theirs can be several of ours: what tools gave are messages of their own."""
    if isinstance(message.content, str):
        yield ChatMessage(message.role, message.content)
        return
    if not message.content and message.role == "user":
        raise InvalidInput(f"'{place}.content' is empty.", param=f"{place}.content")
    pieces: list[Piece] = []
    thoughts: list[str] = []
    calls: list[ToolCall] = []
    for number, block in enumerate(message.content):
        here = f"{place}.content[{number}]"
        check_block(block, here, message.role)
        match block.type:
            case "text" | "image":
                pieces.append(_piece(block, here))
            case "thinking" if block.thinking is not None:
                thoughts.append(block.thinking)
            case "tool_use" if block.id is not None and block.name is not None:
                refuse_deep(block.input or {}, f"{here}.input")
                calls.append(ToolCall(block.id, block.name, json.dumps(block.input or {})))
            case "tool_result" if block.tool_use_id is not None:
                text, images = _result(block, f"{here}.content")
                yield ChatMessage("tool", text, tool_call_id=block.tool_use_id, images=images)
            case "thinking" | "tool_use" | "tool_result":
                raise InvalidInput(f"'{here}' lacks what a block of the type '{block.type}' has.", param=here)
            case "redacted_thinking":
                pass  # somebody else's secret
            case _:
                raise UnsupportedParameter(
                    f"{here}.type: '{block.type}' is not supported yet.", param=f"{here}.type"
                )
    if pieces or calls or thoughts:
        text, images = together(pieces)
        thought = "\n".join(thoughts) or None
        yield ChatMessage(message.role, text, tuple(calls), reasoning=thought, images=images)


def _text(content: str | list[Block], place: str) -> str:
    text, images = _content(content, place)
    if images:
        param = f"{images[0].place}.type"
        raise UnsupportedParameter(f"{param}: only text is supported here.", param=param)
    return text


def _content(content: str | list[Block], place: str) -> Content:
    if isinstance(content, str):
        return content, ()
    return together(_pieces(content, place))


def _result(block: Block, place: str) -> Content:
    """What a tool gave; chat templates know no other way to say that it failed than words."""
    given = block.content or ""
    pieces = _pieces([Block(type="text", text=given)] if isinstance(given, str) else given, place)
    return together([("Error:", place), *pieces] if block.is_error else pieces)


def _pieces(blocks: list[Block], place: str) -> list[Piece]:
    found = []
    for number, block in enumerate(blocks):
        here = f"{place}[{number}]"
        check_block(block, here)
        found.append(_piece(block, here))
    return found


def _piece(block: Block, place: str) -> Piece:
    match block.type:
        case "text" if block.text is not None:
            return block.text, place
        case "image" if block.source is not None:
            return _image(block.source, f"{place}.source"), place
        case "text" | "image":
            raise InvalidInput(f"'{place}' lacks what a block of the type '{block.type}' has.", param=place)
    raise UnsupportedParameter(f"{place}.type: '{block.type}' is not supported here.", param=f"{place}.type")


def _image(source: SourceParam, place: str) -> bytes:
    refuse_strays(source, _OF_SOURCES, place)
    if source.type == "url":
        return image_of(source.url or "", f"{place}.url")
    if source.type == "base64":
        return decoded(source.data or "", f"{place}.data")
    raise UnsupportedParameter(f"{place}.type: '{source.type}' is not supported here.", param=f"{place}.type")
