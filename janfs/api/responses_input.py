"""The `input` of a request to /v1/responses: a text, or items, those of earlier responses too. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from msgspec import Struct

from janfs.api.errors import convert
from janfs.api.images import Content, Piece, image_of, together
from janfs.api.sampling import refuse
from janfs.api.tools import arguments_of
from janfs.engines.protocol import ChatMessage, ToolCall
from janfs.errors import InvalidInput, UnsupportedParameter

_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}


class Item(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What all items may have; an item that was answered comes back as it is."""

    type: str = "message"
    id: str | None = None
    status: str | None = None


class MessageItem(Item, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A message. The role is system, developer (read as system), user or assistant."""

    role: str
    content: str | list[dict[str, Any]]
    phase: str | None = None


class CallItem(Item, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A call that the model made (`function_call`)."""

    call_id: str
    name: str
    arguments: str
    namespace: Any = None
    caller: Any = None
    async_: Any = None


class ResultItem(Item, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a call gave (`function_call_output`)."""

    call_id: str
    output: str | list[dict[str, Any]]


class ThoughtItem(Item, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the model thought (`reasoning`). A thought that another service encrypted is passed over."""

    summary: list[dict[str, Any]] | None = None
    content: list[dict[str, Any]] | None = None
    encrypted_content: str | None = None


class TextPart(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A text: the user's, the model's, or a thought's."""

    type: str
    text: str
    annotations: Any = None
    logprobs: Any = None
    prompt_cache_breakpoint: Any = None


class ImagePart(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An image (`input_image`), as a data URL. It is always seen in full `detail`."""

    type: str
    image_url: str
    detail: Literal["auto", "low", "high", "original"] | None = None
    prompt_cache_breakpoint: Any = None


class RefusalPart(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a model said in place of an answer."""

    type: str
    refusal: str


_ITEMS: dict[str, type[Item]] = {
    "message": MessageItem,
    "function_call": CallItem,
    "function_call_output": ResultItem,
    "reasoning": ThoughtItem,
}
_OF_OTHER_CALLS: Mapping[str, tuple[Any, ...]] = dict.fromkeys(("namespace", "caller", "async_"), ())
_TEXTS = ("input_text", "output_text", "reasoning_text", "summary_text")


class _Turn:
    """What the model said at one go; it may be several items."""

    def __init__(self) -> None:
        self.content: str | None = None
        self.reasoning: str | None = None
        self.calls: list[ToolCall] = []

    def message(self) -> tuple[ChatMessage, ...]:
        """The one message of it; none if nothing was said."""
        if self.content is None and self.reasoning is None and not self.calls:
            return ()
        return (ChatMessage("assistant", self.content or "", tuple(self.calls), reasoning=self.reasoning),)


def messages_of(given: str | Sequence[dict[str, Any]]) -> tuple[ChatMessage, ...]:
    """The messages for the engine. Raises `InvalidInput` or `UnsupportedParameter`, naming the place."""
    if isinstance(given, str):
        return (ChatMessage("user", given),)
    if not given:
        raise InvalidInput("'input' is empty; there is nothing to answer.", param="input")
    found: list[ChatMessage] = []  # and no tuple: there may be hundreds of thousands
    turn = _Turn()

    def end_turn() -> None:
        nonlocal turn
        found.extend(turn.message())
        turn = _Turn()

    for number, value in enumerate(given):
        place = f"input[{number}]"
        match _item(value, place):
            case MessageItem(role="assistant", content=content):
                if turn.content is not None or turn.calls:
                    end_turn()
                turn.content = _text(content, f"{place}.content")
            case ThoughtItem(content=content, summary=summary):
                if turn.content is not None or turn.calls:
                    end_turn()
                told = [_text(content or [], f"{place}.content"), _text(summary or [], f"{place}.summary")]
                turn.reasoning = told[0] or told[1] or turn.reasoning
            case CallItem() as call:
                refuse(call, _OF_OTHER_CALLS, f"{place}.")
                arguments = arguments_of(call.arguments, f"{place}.arguments")
                turn.calls.append(ToolCall(call.call_id, call.name, arguments))
            case MessageItem(role=role, content=content):
                end_turn()
                text, images = _content(content, f"{place}.content")
                found.append(ChatMessage(_role(role, place), text, images=images))
            case ResultItem(call_id=call_id, output=output):
                end_turn()
                text, images = _content(output, f"{place}.output")
                found.append(ChatMessage("tool", text, tool_call_id=call_id, images=images))
    end_turn()
    if not found:
        raise InvalidInput("'input' says nothing that could be answered.", param="input")
    return tuple(found)


def _item(value: dict[str, Any], place: str) -> Item:
    kind = value.get("type") or "message"
    if not isinstance(kind, str) or kind not in _ITEMS:
        known = ", ".join(f"'{name}'" for name in _ITEMS)
        raise UnsupportedParameter(
            f"'{place}.type': '{str(kind)[:80]}' is not supported; {known} are.", param=f"{place}.type"
        )
    return convert(value | {"type": kind}, _ITEMS[kind], place)


def _role(role: str, place: str) -> str:
    if role not in _ROLES:
        known = ", ".join(_ROLES)
        raise InvalidInput(f"{place}.role: '{role[:80]}' is not one of {known}.", param=f"{place}.role")
    return _ROLES[role]


def _text(content: str | Sequence[dict[str, Any]], place: str) -> str:
    """Text alone, as the model itself writes it."""
    text, images = _content(content, place)
    if images:
        param = f"{images[0].place}.type"
        raise UnsupportedParameter(f"'{param}': only text is supported here.", param=param)
    return text


def _content(content: str | Sequence[dict[str, Any]], place: str) -> Content:
    if isinstance(content, str):
        return content, ()
    return together([_piece(part, f"{place}[{number}]") for number, part in enumerate(content)])


def _piece(part: dict[str, Any], place: str) -> Piece:
    kind = part.get("type")
    if kind == "refusal":
        return convert(part, RefusalPart, place).refusal, place
    if kind == "input_image":
        return image_of(convert(part, ImagePart, place).image_url, f"{place}.image_url"), place
    if kind not in _TEXTS:
        raise UnsupportedParameter(
            f"'{place}.type': '{str(kind)[:80]}' is not supported; 'input_text', 'input_image' and "
            "'output_text' are.",
            param=f"{place}.type",
        )
    return convert(part, TextPart, place).text, place
