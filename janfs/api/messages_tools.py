"""The tools of a request to /v1/messages, in Anthropic's words, and which of them must be called. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from msgspec import Struct

from janfs.api.belonging import refuse_strays
from janfs.api.sampling import refuse
from janfs.api.tools import NOT_YET, Choice, Function, FunctionName, tools_of
from janfs.engines.protocol import Tool
from janfs.errors import InvalidInput, UnsupportedParameter


class ToolParam(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A tool that the model may call; `input_schema` is the JSON Schema of its arguments."""

    name: str
    input_schema: dict[str, Any] | None = None
    description: str | None = None
    type: str | None = None
    strict: bool | None = None
    cache_control: Any = None
    eager_input_streaming: Any = None  # calls are told so anyway
    allowed_callers: list[str] | None = None
    defer_loading: bool | None = None
    input_examples: list[dict[str, Any]] | None = None


class ToolChoiceParam(Struct, frozen=True, forbid_unknown_fields=True):
    """Which tool must be called, if any."""

    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


_NOT_YET: Mapping[str, tuple[Any, ...]] = {**NOT_YET, "input_examples": ([],)}
_OF_CHOICES = {"auto": (), "any": (), "tool": ("name",), "none": ()}


def tools_shown(tools: Sequence[ToolParam], choice: ToolChoiceParam | None) -> tuple[tuple[Tool, ...], bool]:
    """The tools that the model is shown, and whether it must call one.

    Raises `InvalidInput` or `UnsupportedParameter`, naming the place.
    """
    functions = [_function(tool, f"tools[{number}]") for number, tool in enumerate(tools)]
    return tools_of(functions, _choice(choice), "tools[{}]", "input_schema")


def _function(tool: ToolParam, place: str) -> Function:
    if tool.type not in (None, "custom"):
        raise UnsupportedParameter(
            f"{place}.type: '{tool.type}' is a tool of Anthropic's own.", param=f"{place}.type"
        )
    refuse(tool, _NOT_YET, f"{place}.")
    return Function(tool.name, tool.description, tool.input_schema, tool.strict)


def _choice(given: ToolChoiceParam | None) -> Choice | FunctionName | None:
    if given is not None:
        refuse_strays(given, _OF_CHOICES, "tool_choice")
    match given:
        case ToolChoiceParam(type="tool", name=None):
            raise InvalidInput("'tool_choice.name' is missing.", param="tool_choice.name")
        case ToolChoiceParam(type="tool", name=str(name)):
            return FunctionName(name)
        case ToolChoiceParam(type="any"):
            return "required"
        case ToolChoiceParam(type="none"):
            return "none"
    return None
