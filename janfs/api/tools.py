"""Tools in a chat's request: what the model may call, and what it called. Pure."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType

from janfs.api.nesting import refuse_deep, too_deep
from janfs.engines.protocol import Tool, ToolCall
from janfs.errors import InvalidInput

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,128}")  # OpenAI's may have 64, those of Anthropic and of MCP 128
_NONE: dict[str, Any] = {"properties": {}}  # of a function without 'parameters', as OpenAI has it
MAX_TOOLS = 256

NOT_YET: Mapping[str, tuple[Any, ...]] = {"allowed_callers": (["direct"],), "defer_loading": (False,)}
"""Fields of a tool in the newer APIs that are not supported, with the values that change nothing."""


class Function(Struct, frozen=True, forbid_unknown_fields=True):
    """A function that may be called. Arguments fit `parameters` if it is `strict`, or a call is required."""

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


Choice = Literal["none", "auto", "required"]
ToolChoice = Choice | NamedTool


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


class CallRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A call that the model made earlier in the chat."""

    id: str
    function: CalledFunction
    type: Literal["function"] = "function"
    index: int | None = None  # as a stream has it


def tools_of(
    functions: Sequence[Function],
    choice: Choice | FunctionName | None,
    place: str,
    schema: str = "parameters",
) -> tuple[tuple[Tool, ...], bool]:
    """The tools that the model is shown, and whether it must call one.

    `place` is where function number `{}` stands in the request, and `schema` what its parameters are called
    there. Raises `InvalidInput`.
    """
    given = _checked(functions, place, schema)
    if isinstance(choice, FunctionName):
        return named(given, [choice.name]), True
    if choice == "required" and not given:
        raise InvalidInput("'tool_choice' is 'required', and there are no 'tools'.", param="tool_choice")
    return (() if choice == "none" else given), choice == "required"


def named(tools: Sequence[Tool], names: Sequence[str]) -> tuple[Tool, ...]:
    """Those of the tools that `tool_choice` names. Raises `InvalidInput` for a name that none has."""
    known = {tool.name for tool in tools}
    for name in names:
        if name not in known:
            raise InvalidInput(f"'tool_choice' names '{name}', which is not in 'tools'.", param="tool_choice")
    return tuple(tool for tool in tools if tool.name in names)


def may_call_again(choice: object, parallel: bool | None) -> bool:
    """Whether there may be more than one call: to OpenAI a function that is forced by name is called once."""
    return parallel is not False and not isinstance(choice, FunctionName)


def calls_of(calls: Sequence[CallRequest], place: str) -> tuple[ToolCall, ...]:
    """The calls of an earlier message. Raises `InvalidInput` for arguments that are JSON but no object."""
    return tuple(
        ToolCall(
            call.id,
            call.function.name,
            arguments_of(call.function.arguments, f"{place}[{number}].function.arguments"),
        )
        for number, call in enumerate(calls)
    )


def _checked(functions: Sequence[Function], place: str, schema: str) -> tuple[Tool, ...]:
    if len(functions) > MAX_TOOLS:
        raise InvalidInput(f"'tools' may hold {MAX_TOOLS} tools, not {len(functions)}.", param="tools")
    found: dict[str, Tool] = {}
    for number, function in enumerate(functions):
        at = place.format(number)
        name, here = function.name, f"{at}.name"
        if not _NAME.fullmatch(name):
            raise InvalidInput(f"'{here}' must be 1 to 128 letters, digits, '_', '.' or '-'.", param=here)
        if name in found:
            raise InvalidInput(f"'{here}': there are two tools called '{name}'.", param=here)
        given = _NONE if function.parameters is None else function.parameters
        parameters, here = {"type": "object"} | given, f"{at}.{schema}"
        refuse_deep(parameters, here)
        if parameters["type"] != "object":
            raise InvalidInput(f"'{here}': the arguments of a tool are an object, by its 'type'.", param=here)
        found[name] = Tool(name, function.description, json.dumps(parameters), bool(function.strict))
    return tuple(found.values())


def arguments_of(text: str, param: str) -> str:
    """The arguments of an earlier call as they stand; nothing but blanks are none.

    They may be no JSON: models write such, and a chat goes on after it. Raises `InvalidInput` where they are
    JSON that is no object, or is nested too deeply.
    """
    if not text.strip():
        return ""
    try:
        said = msgspec.json.decode(text)
    except msgspec.MsgspecError:
        return text
    except RecursionError as error:
        raise too_deep(param) from error
    if not isinstance(said, dict):
        raise InvalidInput(f"'{param}' is no JSON object.", param=param)
    refuse_deep(said, param)
    return text
