"""What is nested too deeply for those who read it after the decoder is refused with its place."""

import json
from typing import Any

import pytest

from janfs.api.nesting import MAX_DEPTH, refuse_deep
from janfs.errors import InvalidInput
from tests.api.service import Service

HELLO = {"role": "user", "content": "Hello?"}


def nested(levels: int) -> Any:
    value: Any = 1
    for level in range(levels):
        value = [value] if level % 2 else {"a": value}
    return value


def test_so_many_levels_are_allowed_and_no_more() -> None:
    for value in (nested(MAX_DEPTH), [nested(MAX_DEPTH - 1), {}], [], 1):
        refuse_deep(value, "x")
    for value in (nested(MAX_DEPTH + 1), [0, nested(MAX_DEPTH)]):
        with pytest.raises(InvalidInput, match="'x' is nested too deeply"):
            refuse_deep(value, "x")


def chat(text: str) -> dict[str, Any]:
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": text}}
    return {"messages": [HELLO, {"role": "assistant", "content": None, "tool_calls": [call]}, HELLO]}


def response(text: str) -> dict[str, Any]:
    call = {"type": "function_call", "call_id": "1", "name": "f", "arguments": text}
    return {"input": [{**HELLO, "type": "message"}, call]}


def message(text: str) -> dict[str, Any]:
    call = {"type": "tool_use", "id": "1", "name": "f", "input": json.loads(text)}
    return {"max_tokens": 5, "messages": [HELLO, {"role": "assistant", "content": [call]}]}


def tool(text: str) -> dict[str, Any]:
    function = {"name": "f", "parameters": {"default": json.loads(text)}}
    return {"messages": [HELLO], "tools": [{"type": "function", "function": function}]}


def bound(text: str) -> dict[str, Any]:
    return {"messages": [HELLO], "json_schema": json.loads(text)}


def formatted(text: str) -> dict[str, Any]:
    return {"input": "x", "text": {"format": {"type": "json_schema", "schema": json.loads(text)}}}


CHAT, IN_CHAT = "/v1/chat/completions", "messages[1].tool_calls[0].function.arguments"


@pytest.mark.parametrize(
    ("path", "body", "param", "levels"),
    [
        *[(CHAT, chat, IN_CHAT, levels) for levels in (MAX_DEPTH, 980, 3000)],
        *[("/apply-template", chat, IN_CHAT, levels) for levels in (MAX_DEPTH, 1100)],
        *[("/v1/responses", response, "input[1].arguments", levels) for levels in (MAX_DEPTH, 3000)],
        ("/v1/messages", message, "messages[1].content[0].input", MAX_DEPTH),
        (CHAT, bound, "json_schema", MAX_DEPTH),
        ("/v1/responses", formatted, "text.format.schema", MAX_DEPTH),
        (CHAT, tool, "tools[0].function.parameters", MAX_DEPTH),
    ],
)
def test_what_is_too_deep_is_refused_by_name(
    tiny: Service, path: str, body: Any, param: str, levels: int
) -> None:
    text = f'{{"a": {"[" * levels}{"]" * levels}}}'
    answer = tiny.client.post(path, json={"model": "tiny"} | body(text))
    assert answer.status_code == 400, answer.text
    assert param in answer.json()["error"]["message"]
    assert tiny.pool.asked == []
