"""Messages and tools as a chat template takes them, or as plain words where it knows no tools. Pure."""

import json
import re
from collections.abc import Iterable, Sequence
from hashlib import sha256
from itertools import groupby
from typing import Any

from msgspec.structs import replace

from janfs.engines.llama_cpp.dialects.marks import GENERIC, HARMONY, Marks
from janfs.engines.protocol import ChatMessage, Tool, ToolCall

_TOLD = """\
You can call these tools. Each is described by a JSON object:
{tools}

To call one, answer with nothing but a JSON object between tags, once for each call:
{call}{{"name": "the tool's name", "arguments": {{"an argument": "its value"}}}}{call_end}
What it gives comes back to you. When no tool is needed, answer in words."""

_SHORT_ID = re.compile("[A-Za-z0-9]{9}")


def template_messages(messages: Sequence[ChatMessage], marks: Marks) -> list[dict[str, Any]]:
    """The messages as Hugging Face's templates expect them."""
    return [_message(message, marks) for message in messages]


def in_parts(messages: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same for templates that see content only as a list of parts, as some of models with eyes do."""
    return [message | {"content": [{"type": "text", "text": message["content"]}]} for message in messages]


def template_tools(tools: Sequence[Tool]) -> list[dict[str, Any]] | None:
    """The tools as Hugging Face's templates expect them; None where there are none."""
    return [_described(tool) for tool in tools] or None


def in_words(messages: Sequence[ChatMessage], tools: Sequence[Tool]) -> list[ChatMessage]:
    """The same chat for a template that knows no tools: told in the system's words, or the first user's."""
    found = [told for came, turn in groupby(messages, _is_result) for told in _in_words(turn, came=came)]
    first = next((n for n, message in enumerate(found) if message.role in ("system", "user")), None)
    if not tools or first is None:
        return found
    told = _TOLD.format(
        tools="\n".join(json.dumps(_described(tool), ensure_ascii=False) for tool in tools),
        call=GENERIC.call,
        call_end=GENERIC.call_end,
    )
    found[first] = ChatMessage(found[first].role, f"{told}\n\n{found[first].content}".rstrip())
    return found


def one_by_one(messages: Sequence[ChatMessage]) -> list[ChatMessage]:
    """The same chat with one call in a message, each before what came of it."""
    turns: list[list[ChatMessage]] = []  # each with the results that follow on it
    open_calls: dict[str | None, list[ChatMessage]] = {}
    for message in messages:
        if message.role == "tool" and message.tool_call_id in open_calls:
            open_calls[message.tool_call_id].append(message)
            continue
        if len(message.tool_calls) < 2:
            turns.append([message])
            continue
        first = True
        for call in message.tool_calls:
            alone = replace(message, tool_calls=(call,))
            turns.append([alone if first else replace(alone, content="", reasoning=None, images=())])
            open_calls[call.id] = turns[-1]
            first = False
    return [message for turn in turns for message in turn]


def ways_to_tell(messages: Sequence[ChatMessage]) -> list[list[ChatMessage]]:
    """A chat as it is, and then the same for templates that refuse that.

    Some want users to take turns with the assistant, and some have no role for the system.
    """
    told = list(messages)
    ways = [told, _taking_turns(told), _without_system(told), _taking_turns(_without_system(told))]
    return [way for number, way in enumerate(ways) if way not in ways[:number]]


def _without_system(messages: list[ChatMessage]) -> list[ChatMessage]:
    """The first user says what the system does, where there is one."""
    rules = [message.content for message in messages if message.role == "system"]
    rest = [message for message in messages if message.role != "system"]
    first = next((number for number, message in enumerate(rest) if message.role == "user"), None)
    if not rules or first is None:
        return messages
    rest[first] = replace(rest[first], content="\n\n".join([*rules, rest[first].content]))
    return rest


def _taking_turns(messages: list[ChatMessage]) -> list[ChatMessage]:
    """What users say in a row is said at once."""
    found: list[ChatMessage] = []
    for message in messages:
        if found and message.role == found[-1].role == "user":
            found[-1] = replace(found[-1], content=f"{found[-1].content}\n\n{message.content}")
        else:
            found.append(message)
    return found


def _message(message: ChatMessage, marks: Marks) -> dict[str, Any]:
    found: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.tool_calls:
        found["tool_calls"] = [_call(call, marks) for call in message.tool_calls]
    if message.tool_call_id is not None:
        found["tool_call_id"] = _id(message.tool_call_id, marks)
    if message.name is not None:
        found["name"] = message.name
    if message.reasoning is not None:
        found["reasoning_content"] = message.reasoning
        if marks is HARMONY:
            found |= _harmonys_thought(message, message.reasoning)
    return found


def _harmonys_thought(message: ChatMessage, thought: str) -> dict[str, str]:
    """A thought as gpt-oss' template calls it, which before a call takes words for one, and refuses both."""
    if not message.tool_calls:
        return {"thinking": thought}
    return {"thinking": "\n\n".join(filter(None, (thought, message.content))), "content": ""}


def _call(call: ToolCall, marks: Marks) -> dict[str, Any]:
    arguments = (call.arguments or "{}") if marks.takes_text else _arguments(call.arguments)
    return {
        "id": _id(call.id, marks),
        "type": "function",
        "function": {"name": call.name, "arguments": arguments},
    }


def _arguments(text: str) -> Any:
    """What a call was given. Where that is no JSON, as models write some, it is shown in an object."""
    try:
        return json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {"raw_arguments": text}


def _id(given: str, marks: Marks) -> str:
    """The id of a call as the family takes it; one and the same always becomes the same."""
    if not marks.short_ids or _SHORT_ID.fullmatch(given):
        return given
    return sha256(given.encode()).hexdigest()[:9]


def _described(tool: Tool) -> dict[str, Any]:
    function: dict[str, Any] = {"name": tool.name}
    if tool.description is not None:
        function["description"] = tool.description
    return {"type": "function", "function": {**function, "parameters": json.loads(tool.parameters)}}


def _is_result(message: ChatMessage) -> bool:
    return message.tool_call_id is not None


def _in_words(turn: Iterable[ChatMessage], *, came: bool) -> list[ChatMessage]:
    """Messages in a row; what came of several calls is one message, as templates want users to take turns."""
    if not came:
        return [_calls_in_words(message) for message in turn]
    results = (f"<tool_response>\n{message.content}\n</tool_response>" for message in turn)
    return [ChatMessage("user", "\n".join(results))]


def _calls_in_words(message: ChatMessage) -> ChatMessage:
    if not message.tool_calls:
        return message
    calls = [
        f'{GENERIC.call}{{"name": {json.dumps(call.name)}, "arguments": {call.arguments or "{}"}}}'
        f"{GENERIC.call_end}"
        for call in message.tool_calls
    ]
    return ChatMessage(message.role, "\n".join([message.content, *calls]).lstrip("\n"))
