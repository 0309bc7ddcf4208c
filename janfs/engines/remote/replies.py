"""A chat as our other APIs have it, in the words of an engine elsewhere, and its answer in ours. Pure."""

import base64
import json
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from typing import Any

from janfs.engines.image_kinds import image_kind
from janfs.engines.protocol import (
    CallDelta,
    ChatMessage,
    ChatPrompt,
    Finished,
    FinishReason,
    ReasoningDelta,
    Reply,
    TextDelta,
    Usage,
)
from janfs.engines.remote.asking import THOUGHTS
from janfs.engines.remote.in_turn import InTurn, Part
from janfs.engines.remote.pieces import Piece, too_deep

_ENDS: dict[str, FinishReason] = {
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}
_THOUGHTS = (THOUGHTS, "reasoning")  # what servers call them
_WORDS = ("content", "refusal")
_STOPS = ("stop_reason", "matched_stop")  # what vLLM and janfs call the string that ended it, and SGLang


def chat_of(prompt: ChatPrompt) -> dict[str, Any]:
    """The fields of a request that say what is asked, thoughts of earlier turns and images with it."""
    body: dict[str, Any] = {"messages": [_message(each) for each in prompt.messages]}
    if prompt.most_thought == 0:
        body["reasoning_effort"] = "none"
    elif prompt.most_thought is not None:
        body["reasoning_budget_tokens"] = prompt.most_thought  # as llama.cpp's server and janfs call it
    if not prompt.tools:
        return body
    body["tools"] = [
        {
            "type": "function",
            "function": {
                "name": tool.name,
                **({} if tool.description is None else {"description": tool.description}),
                "parameters": json.loads(tool.parameters),
            },
        }
        for tool in prompt.tools
    ]
    if prompt.must_call and len(prompt.tools) == 1:
        body["tool_choice"] = {"type": "function", "function": {"name": prompt.tools[0].name}}
    elif prompt.must_call:
        body["tool_choice"] = "required"
    if not prompt.parallel:
        body["parallel_tool_calls"] = False
    return body


def _message(message: ChatMessage) -> dict[str, Any]:
    calls = [
        {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
        for call in message.tool_calls
    ]
    content: Any = _parts(message) if message.images else message.content or (None if calls else "")
    more = {
        THOUGHTS: message.reasoning,
        "tool_calls": calls,
        "tool_call_id": message.tool_call_id,
        "name": message.name,
    }
    return {"role": message.role, "content": content, **{name: each for name, each in more.items() if each}}


def _parts(message: ChatMessage) -> list[dict[str, Any]]:
    """The texts and images of a message in their order."""
    parts: list[dict[str, Any]] = []
    start = 0
    for image in message.images:
        parts += _text_part(message.content[start : image.at])
        url = f"data:image/{image_kind(image.data) or 'png'};base64,{base64.b64encode(image.data).decode()}"
        parts.append({"type": "image_url", "image_url": {"url": url}})
        start = image.at
    return parts + _text_part(message.content[start:])


def _text_part(text: str) -> list[dict[str, Any]]:
    return [{"type": "text", "text": text}] if text else []


async def replies(pieces: AsyncGenerator[Piece], stops: Sequence[str] = ()) -> AsyncGenerator[Reply]:
    """The one answer of a stream, with its usage at the end; one of the `stops` may have ended it.

    The pieces of a call follow on each other.
    """
    reader, in_turn = _Reader(stops), InTurn()
    async with aclosing(pieces):
        async for piece in pieces:
            for part in reader.read(piece):
                for reply in in_turn.take(part):
                    yield reply
    for reply in in_turn.rest():
        yield reply
    yield reader.end()


class _Reader:
    """What was told of an answer so far."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = stops
        self._calls: dict[str, int] = {}  # theirs may have any number, and some all have the same
        self._ids: list[Any] = []  # of each call, as it began
        self._usage = Usage(0, 0)
        self._reason: FinishReason = "stop"
        self._stop_string: str | None = None

    def read(self, piece: Piece) -> Iterator[Part]:
        self._usage = piece.usage or self._usage
        choices = (piece.data or {}).get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if not isinstance(choice, dict):
                continue
            delta = choice.get("delta")
            if isinstance(delta, dict):
                yield from self._told(delta)
            found = (choice[name] for name in _STOPS if choice.get(name) in self._stops)
            self._stop_string = next(found, self._stop_string)
        for reason in piece.ends.values():
            self._reason = _ENDS.get(reason, "stop")

    def end(self) -> Finished:
        reason, stop_string = self._reason, self._stop_string if self._reason == "stop" else None
        if self._calls and reason == "stop" and stop_string is None:  # as some say of whole calls, too
            reason = "tool_calls"
        return Finished(reason, self._usage, stop_string=stop_string)

    def _told(self, delta: dict[str, Any]) -> Iterator[Part]:
        thought = next((delta[name] for name in _THOUGHTS if delta.get(name)), None)
        if isinstance(thought, str):
            yield ReasoningDelta(thought)
        for name in _WORDS:
            yield from _said(delta.get(name))
        calls = delta.get("tool_calls")
        for call in calls if isinstance(calls, list) else ():
            if isinstance(call, dict):
                yield from self._called(call)

    def _called(self, call: dict[str, Any]) -> Iterator[CallDelta]:
        function = call.get("function")
        said = function if isinstance(function, dict) else {}
        name, arguments = said.get("name"), said.get("arguments")
        id_ = call.get("id")
        theirs = str(call.get("index", id_))
        index, begins = self._calls.get(theirs), None
        if index is None or (name and id_ and self._ids[index] not in (None, "", id_)):
            index, begins = len(self._ids), str(name or "")
            self._calls[theirs] = index
            self._ids.append(id_)
        if begins is not None or arguments:
            yield CallDelta(index, begins, _written(arguments))


def _written(arguments: Any) -> str:
    """The text of a call's arguments, which some send as the object itself. Raises `UpstreamError`."""
    if arguments is None or isinstance(arguments, str):
        return arguments or ""
    try:
        return json.dumps(arguments)
    except RecursionError as error:
        raise too_deep() from error


def _said(content: Any) -> Iterator[Part]:
    """Words; or parts of such and of thoughts, as Mistral's servers send them."""
    for part in content if isinstance(content, list) else ({"text": content},):
        match part:
            case {"text": str(text)} if text:
                yield TextDelta(text)
            case {"thinking": list(thoughts)}:
                for thought in thoughts:
                    match thought:
                        case {"text": str(text)} if text:
                            yield ReasoningDelta(text)
