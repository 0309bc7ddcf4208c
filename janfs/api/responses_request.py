"""What a request to /v1/responses asks for, in OpenAI's words, and what of it goes to the engine. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from msgspec import Struct

from janfs.api.belonging import refuse_strays
from janfs.api.errors import convert
from janfs.api.nesting import refuse_deep
from janfs.api.responses_input import messages_of
from janfs.api.sampling import GenerationFields, refuse
from janfs.api.structured import JsonSchemaFormat, ResponseFormat
from janfs.api.tools import NOT_YET, Choice, Function, FunctionName, may_call_again, named, tools_of
from janfs.engines.protocol import MAX_LOGPROBS, ChatMessage, ChatPrompt, Tool
from janfs.errors import InvalidInput, UnsupportedParameter

_LOGPROBS = "message.output_text.logprobs"
# Thoughts are answered in plain words, so there is nothing to encrypt for the way back.
_INCLUDABLE = (_LOGPROBS, "reasoning.encrypted_content")


class FunctionTool(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A function that the model may call."""

    type: str
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None
    allowed_callers: list[str] | None = None
    defer_loading: bool | None = None
    output_schema: dict[str, Any] | None = None


class ChoiceOfTools(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The one function that must be called, or those that may be (`allowed_tools`)."""

    type: str
    name: str | None = None
    mode: Literal["auto", "required"] | None = None
    tools: list[dict[str, Any]] | None = None


class AllowedTool(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of the functions that may be called."""

    type: Literal["function"]
    name: str


class TextFormat(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an answer looks like."""

    type: Literal["text", "json_object", "json_schema"] = "text"
    name: str | None = None
    schema: dict[str, Any] | None = None
    description: str | None = None
    strict: bool | None = None


class TextConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the words of an answer come."""

    format: TextFormat | None = None
    verbosity: Any = None


class ReasoningConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a model thinks: as it was trained to, or with the effort "none" not at all. It is told in full."""

    effort: str | None = None
    summary: Any = None
    generate_summary: Any = None


class StreamConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """OpenAI's `stream_options`. Obfuscation pads events against eavesdroppers; there are none here."""

    include_obfuscation: bool | None = None


class ResponsesRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request for a response. Nothing of it is stored. null is the same as absence."""

    model: str
    input: str | list[dict[str, Any]]
    instructions: str | None = None
    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_logprobs: int | None = None
    stream: bool | None = None
    stream_options: StreamConfig | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: Choice | ChoiceOfTools | None = None
    parallel_tool_calls: bool | None = None
    text: TextConfig | None = None
    reasoning: ReasoningConfig | None = None
    include: list[str] | None = None

    # For the caller's own books, or for tools that run on OpenAI's side; they change nothing in an answer.
    metadata: dict[str, str] | None = None
    user: Any = None
    safety_identifier: Any = None
    prompt_cache_key: Any = None
    prompt_cache_retention: Any = None
    prompt_cache_options: Any = None
    service_tier: Any = None
    max_tool_calls: Any = None

    store: Any = None
    previous_response_id: Any = None
    conversation: Any = None
    prompt: Any = None
    background: Any = None
    truncation: Any = None
    context_management: Any = None
    moderation: Any = None


_NOT_YET: Mapping[str, tuple[Any, ...]] = {
    "store": (False,),
    "previous_response_id": (),
    "conversation": (),
    "prompt": (),
    "background": (False,),
    "truncation": ("disabled",),
    "context_management": ([],),
    "moderation": (),
}
_NOT_YET_OF_TOOLS: Mapping[str, tuple[Any, ...]] = {**NOT_YET, "output_schema": ()}
_OF_CHOICES = {"function": ("name",), "allowed_tools": ("mode", "tools")}
_OF_FORMATS = {"text": (), "json_object": (), "json_schema": ("schema", "name", "description", "strict")}


def prompt_of(asked: ResponsesRequest) -> ChatPrompt:
    """The messages for the engine. Raises `InvalidInput` or `UnsupportedParameter`, naming the place."""
    refuse(asked, _NOT_YET)
    if asked.text is not None:
        refuse(asked.text, {"verbosity": ("medium",)}, "text.")
    if asked.reasoning is not None:
        neutral = {"effort": ("none",), "summary": ("auto",), "generate_summary": ("auto",)}
        refuse(asked.reasoning, neutral, "reasoning.")
    if asked.stream_options is not None and not asked.stream:
        raise InvalidInput("'stream_options' has a meaning only with 'stream': true.", param="stream_options")
    rules = (ChatMessage("system", asked.instructions),) if asked.instructions else ()
    functions = [_function(tool, f"tools[{number}]") for number, tool in enumerate(asked.tools or ())]
    choice = _choice(asked)
    tools, must_call = _tools(functions, choice)
    messages = rules + messages_of(asked.input)
    effort = asked.reasoning.effort if asked.reasoning is not None else None
    most_thought = 0 if effort == "none" else None
    again = may_call_again(choice, asked.parallel_tool_calls)
    return ChatPrompt(messages, tools, must_call, again, most_thought)


def fields_of(asked: ResponsesRequest) -> GenerationFields:
    """What the request has in common with chats, in their words. Raises `InvalidInput`."""
    most = asked.max_output_tokens
    if most is not None and not 1 <= most < 2**31:
        raise InvalidInput(
            f"'max_output_tokens' must be between 1 and {2**31 - 1}, not {most}.", param="max_output_tokens"
        )
    return GenerationFields(
        model=asked.model,
        temperature=asked.temperature,
        top_p=asked.top_p,
        max_tokens=most,
        response_format=_format(asked.text.format if asked.text is not None else None),
    )


def logprobs_of(asked: ResponsesRequest) -> int | None:
    """How many likely tokens are told beside each that is chosen. Raises `InvalidInput`."""
    for number, name in enumerate(asked.include or ()):
        if name not in _INCLUDABLE:
            param = f"include[{number}]"
            raise UnsupportedParameter(f"'{param}': '{name[:80]}' is not supported.", param=param)
    if not 0 <= (asked.top_logprobs or 0) <= MAX_LOGPROBS:
        raise InvalidInput(
            f"'top_logprobs' must be between 0 and {MAX_LOGPROBS}, not {asked.top_logprobs}.",
            param="top_logprobs",
        )
    if _LOGPROBS in (asked.include or ()):
        return asked.top_logprobs or 0
    if asked.top_logprobs:
        raise InvalidInput(f"'top_logprobs' wants '{_LOGPROBS}' in 'include'.", param="top_logprobs")
    return None


def _tools(
    functions: Sequence[Function], choice: Choice | FunctionName | ChoiceOfTools | None
) -> tuple[tuple[Tool, ...], bool]:
    if not isinstance(choice, ChoiceOfTools):
        return tools_of(functions, choice, "tools[{}]")
    if choice.type == "allowed_tools" and choice.tools and choice.mode is not None:
        given, _ = tools_of(functions, "auto", "tools[{}]")
        allowed = [
            convert(tool, AllowedTool, f"tool_choice.tools[{number}]")
            for number, tool in enumerate(choice.tools)
        ]
        return named(given, [tool.name for tool in allowed]), choice.mode == "required"
    if choice.type in ("function", "allowed_tools"):
        raise InvalidInput(f"'tool_choice' lacks what '{choice.type}' wants.", param="tool_choice")
    raise UnsupportedParameter(
        f"'tool_choice.type': '{choice.type[:80]}' is not supported.", param="tool_choice.type"
    )


def _choice(asked: ResponsesRequest) -> Choice | FunctionName | ChoiceOfTools | None:
    if isinstance(asked.tool_choice, ChoiceOfTools):
        refuse_strays(asked.tool_choice, _OF_CHOICES, "tool_choice")
    match asked.tool_choice:
        case ChoiceOfTools(type="function", name=str(name)):
            return FunctionName(name)
    return asked.tool_choice


def _function(tool: dict[str, Any], place: str) -> Function:
    if tool.get("type") != "function":
        kind = str(tool.get("type"))[:80]
        raise UnsupportedParameter(
            f"'{place}.type': '{kind}' is not supported; 'function' is.", param=f"{place}.type"
        )
    known = convert(tool, FunctionTool, place)
    refuse(known, _NOT_YET_OF_TOOLS, f"{place}.")
    return Function(known.name, known.description, known.parameters, known.strict)


def _format(given: TextFormat | None) -> ResponseFormat | None:
    if given is None:
        return None
    refuse_strays(given, _OF_FORMATS, "text.format")
    if given.type != "json_schema":
        return ResponseFormat(given.type)
    if given.schema is None:
        raise InvalidInput("'text.format.schema' is missing.", param="text.format.schema")
    refuse_deep(given.schema, "text.format.schema")
    return ResponseFormat(
        "json_schema", JsonSchemaFormat(given.name or "answer", given.schema, strict=given.strict)
    )
