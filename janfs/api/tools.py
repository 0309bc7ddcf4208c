"""Tools in a chat's request: what the model may call, and what it called. Pure."""

import json
import re
from collections.abc import Sequence
from typing import Any, Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType

from janfs.engines.protocol import Tool, ToolCall
from janfs.errors import InvalidInput

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
MAX_TOOLS = 256


class Function(Struct, frozen=True, forbid_unknown_fields=True):
    """A function that may be called. Its arguments fit `parameters` always where a call is required."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class ToolRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """A tool; all of them are functions."""

    type: Literal["function"]
    function: Function


class FunctionName(Struct, frozen=True, forbid_unknown_fields=True):
    """The name of a function."""

    name: str


class NamedTool(Struct, frozen=True, forbid_unknown_fields=True):
    """The one tool that must be called."""

    type: Literal["function"]
    function: FunctionName


ToolChoice = Literal["none", "auto", "required"] | NamedTool


class FunctionCall(Struct, frozen=True):
    """A call's function and the JSON text of its arguments; in a stream, the next piece of it."""

    arguments: str
    name: str | UnsetType = UNSET


class ToolCallView(Struct, frozen=True, kw_only=True):
    """A call that the model made, or in a stream what is new of call number `index`."""

    function: FunctionCall
    index: int | UnsetType = UNSET
    id: str | UnsetType = UNSET
    type: Literal["function"] | UnsetType = UNSET


class CalledFunction(Struct, frozen=True, forbid_unknown_fields=True):
    """A call's function, as a client sends it back."""

    name: str
    arguments: str


class CallRequest(Struct, frozen=True, kw_only=True):
    """A call that the model made earlier in the chat."""

    id: str
    function: CalledFunction
    type: Literal["function"] = "function"


def tools_of(tools: Sequence[ToolRequest] | None, choice: ToolChoice | None) -> tuple[tuple[Tool, ...], bool]:
    """The tools that the model is shown, and whether it must call one. Raises `InvalidInput`."""
    given = _checked(tools or ())
    if isinstance(choice, NamedTool):
        named = tuple(tool for tool in given if tool.name == choice.function.name)
        if not named:
            raise InvalidInput(
                f"'tool_choice' names '{choice.function.name}', which is not in 'tools'.", param="tool_choice"
            )
        return named, True
    if choice == "required" and not given:
        raise InvalidInput("'tool_choice' is 'required', and there are no 'tools'.", param="tool_choice")
    return (() if choice == "none" else given), choice == "required"


def calls_of(calls: Sequence[CallRequest], place: str) -> tuple[ToolCall, ...]:
    """The calls of an earlier message. Raises `InvalidInput` for arguments that are no JSON object."""
    return tuple(
        ToolCall(call.id, call.function.name, _arguments(call.function.arguments, f"{place}[{number}]"))
        for number, call in enumerate(calls)
    )


def _checked(tools: Sequence[ToolRequest]) -> tuple[Tool, ...]:
    if len(tools) > MAX_TOOLS:
        raise InvalidInput(f"'tools' may hold {MAX_TOOLS} tools, not {len(tools)}.", param="tools")
    found: dict[str, Tool] = {}
    for number, tool in enumerate(tools):
        name, place = tool.function.name, f"tools[{number}].function.name"
        if not _NAME.fullmatch(name):
            raise InvalidInput(f"'{place}' must be 1 to 64 letters, digits, '_', '.' or '-'.", param=place)
        if name in found:
            raise InvalidInput(f"'{place}': there are two tools called '{name}'.", param=place)
        parameters = {"type": "object"} | (tool.function.parameters or {})
        found[name] = Tool(name, tool.function.description, json.dumps(parameters))
    return tuple(found.values())


def _arguments(text: str, place: str) -> str:
    try:
        if text.strip():
            msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.MsgspecError as error:
        param = f"{place}.function.arguments"
        raise InvalidInput(f"'{param}' is no JSON object: {error}.", param=param) from error
    return text
