"""Tools in a chat, as clients see them; the engine is a fake."""

import json
import re
from typing import Any

import httpx
import openai
import pytest

from janfs.engines.protocol import CallDelta, ChatMessage, ChatPrompt, ReasoningDelta, Tool, ToolCall
from tests.api.service import Service
from tests.api.test_chat import HELLO, chunks

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = {
    "type": "function",
    "function": {"name": "weather", "description": "Tells it.", "parameters": SCHEMA},
}
TIME = {"type": "function", "function": {"name": "time"}}
TOOLS = [WEATHER, TIME]
PARTS = [
    ReasoningDelta("Hm"),
    ReasoningDelta("."),
    "Let me see.",
    CallDelta(0, "weather", '{"city": '),
    CallDelta(0, None, '"Paris"}'),
    CallDelta(1, "time", "{}"),
]


def ask(service: Service, **fields: Any) -> httpx.Response:
    return service.client.post("/v1/chat/completions", json={"model": "tiny", "messages": HELLO} | fields)


def prompt(service: Service) -> ChatPrompt:
    """What the last request gave the engine."""
    found = service.pool.asked[-1][1].prompt
    assert isinstance(found, ChatPrompt)
    return found


@pytest.fixture
def calling(tiny: Service) -> Service:
    tiny.pool.texts = list(PARTS)
    tiny.pool.finish = "tool_calls"
    return tiny


def test_calls_and_thoughts_stand_beside_the_words(calling: Service) -> None:
    [choice] = ask(calling, tools=TOOLS).json()["choices"]
    message = choice["message"]
    assert choice["finish_reason"] == "tool_calls"
    assert (message["content"], message["reasoning_content"]) == ("Let me see.", "Hm.")
    first, second = message["tool_calls"]
    assert first["function"] == {"name": "weather", "arguments": '{"city": "Paris"}'}
    assert second["function"] == {"name": "time", "arguments": "{}"}
    for call in (first, second):
        assert call["type"] == "function"
        assert re.fullmatch("call_[0-9a-f]{24}", call["id"])
    assert first["id"] != second["id"]


def test_calls_without_words_have_no_content(calling: Service) -> None:
    calling.pool.texts = [CallDelta(0, "time", "{}")]
    message = ask(calling, tools=TOOLS).json()["choices"][0]["message"]
    assert message["content"] is None
    assert "reasoning_content" not in message


def test_arguments_are_streamed_as_they_come(calling: Service) -> None:
    *found, done = chunks(ask(calling, tools=TOOLS, stream=True))
    assert done == "[DONE]"
    deltas = [chunk["choices"][0]["delta"] for chunk in found]
    calls = [call for delta in deltas for call in delta.get("tool_calls", [])]
    assert [call["index"] for call in calls] == [0, 0, 1]
    assert [call["function"]["arguments"] for call in calls] == ['{"city": ', '"Paris"}', "{}"]
    assert {"id", "type"} <= set(calls[0])
    assert calls[0]["function"]["name"] == "weather"
    assert set(calls[1]) == {"index", "function"}, "a call begins once"
    assert set(calls[1]["function"]) == {"arguments"}, "a call begins once"
    assert "".join(delta.get("reasoning_content", "") for delta in deltas) == "Hm."
    assert found[-1]["choices"][0]["finish_reason"] == "tool_calls"


def test_the_openai_client_makes_a_round_of_calls(calling: Service) -> None:
    messages: list[Any] = list(HELLO)
    tools: Any = TOOLS
    with openai.OpenAI(base_url=f"{calling.url}/v1", api_key="none") as client:
        message = (
            client.chat.completions.create(model="tiny", messages=messages, tools=tools).choices[0].message
        )
        assert message.tool_calls is not None
        messages.append(message)
        for call in message.tool_calls:
            messages.append({"role": "tool", "tool_call_id": call.id, "content": "sunny"})
        client.chat.completions.create(model="tiny", messages=messages, tools=tools)
        with client.chat.completions.stream(model="tiny", messages=messages, tools=tools) as stream:
            final = stream.get_final_completion().choices[0].message
    assert final.tool_calls is not None
    assert [call.function.arguments for call in final.tool_calls] == ['{"city": "Paris"}', "{}"]
    asked = prompt(calling)
    ids = [call.id for call in message.tool_calls]
    assert asked.messages[1].tool_calls == (
        ToolCall(ids[0], "weather", '{"city": "Paris"}'),
        ToolCall(ids[1], "time", "{}"),
    )
    assert asked.messages[2:] == tuple(ChatMessage("tool", "sunny", tool_call_id=id_) for id_ in ids)


def test_tools_reach_the_engine_as_the_choice_says(tiny: Service) -> None:
    weather = Tool("weather", "Tells it.", json.dumps(SCHEMA))
    time = Tool("time", None, '{"type": "object", "properties": {}}')
    cases: list[tuple[dict[str, Any], tuple[Tool, ...], bool]] = [
        ({}, (weather, time), False),
        ({"tool_choice": "auto"}, (weather, time), False),
        ({"tool_choice": "none"}, (), False),
        ({"tool_choice": "required"}, (weather, time), True),
        ({"tool_choice": {"type": "function", "function": {"name": "time"}}}, (time,), True),
    ]
    for fields, tools, must_call in cases:
        assert ask(tiny, tools=TOOLS, **fields).status_code == 200, fields
        assert (prompt(tiny).tools, prompt(tiny).must_call) == (tools, must_call), fields
    ask(tiny, tools=TOOLS)
    assert prompt(tiny).parallel
    ask(tiny, tools=TOOLS, parallel_tool_calls=False)
    assert not prompt(tiny).parallel


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ({}, {"type": "object", "properties": {}}),
        ({"parameters": None}, {"type": "object", "properties": {}}),
        ({"parameters": {}}, {"type": "object"}),
        ({"parameters": {"properties": {"a": {}}}}, {"type": "object", "properties": {"a": {}}}),
    ],
)
def test_a_function_without_parameters_has_none_and_one_that_says_nothing_of_them_any(
    tiny: Service, said: dict[str, Any], meant: dict[str, Any]
) -> None:
    assert ask(tiny, tools=[{"type": "function", "function": {"name": "time", **said}}]).status_code == 200
    assert json.loads(prompt(tiny).tools[0].parameters) == meant


def test_a_name_may_be_as_long_as_anthropics_and_mcps_are(tiny: Service) -> None:
    for length, status in ((128, 200), (129, 400)):
        function = {"name": "mcp__" + "a" * (length - 5)}
        assert ask(tiny, tools=[{"type": "function", "function": function}]).status_code == status


@pytest.mark.parametrize("written", ['{"city": "Paris",}', '{"city": "Par', "city=Paris"])
def test_a_chat_goes_on_after_a_call_whose_arguments_are_no_json(tiny: Service, written: str) -> None:
    calls = [{"role": "assistant", "content": None, "tool_calls": [call(written)]}]
    result = {"role": "tool", "tool_call_id": "1", "content": "These are no JSON."}
    assert ask(tiny, messages=[*HELLO, *calls, result]).status_code == 200
    assert prompt(tiny).messages[1].tool_calls == (ToolCall("1", "x", written),)


def test_arguments_of_nothing_but_blanks_are_none(tiny: Service) -> None:
    messages = [*HELLO, {"role": "assistant", "tool_calls": [call(" \n")]}, *HELLO]
    assert ask(tiny, messages=messages).status_code == 200
    assert prompt(tiny).messages[1].tool_calls == (ToolCall("1", "x", ""),)


@pytest.mark.parametrize("parallel", [None, True])
def test_a_function_that_is_forced_by_name_is_called_once(tiny: Service, parallel: bool | None) -> None:
    choice = {"type": "function", "function": {"name": "time"}}
    assert ask(tiny, tools=TOOLS, tool_choice=choice, parallel_tool_calls=parallel).status_code == 200
    assert not prompt(tiny).parallel
    assert ask(tiny, tools=TOOLS, tool_choice="required", parallel_tool_calls=parallel).status_code == 200
    assert prompt(tiny).parallel


@pytest.mark.parametrize(
    ("said", "meant"), [({}, False), ({"strict": False}, False), ({"strict": True}, True)]
)
def test_whether_a_tool_is_strict_reaches_the_engine_by_every_api(
    tiny: Service, said: dict[str, Any], meant: bool
) -> None:
    function = {"name": "time", **said}
    asked = {"model": "tiny", "messages": [{"role": "user", "content": "Hello?"}]}
    bodies: dict[str, dict[str, Any]] = {
        "/v1/chat/completions": asked | {"tools": [{"type": "function", "function": function}]},
        "/v1/messages": asked | {"max_tokens": 5, "tools": [function | {"input_schema": {}}]},
        "/v1/responses": {"model": "tiny", "input": "Hello?", "tools": [{"type": "function", **function}]},
    }
    for path, body in bodies.items():
        assert tiny.client.post(path, json=body).status_code == 200, path
        assert [tool.strict for tool in prompt(tiny).tools] == [meant], path


def call(arguments: str) -> dict[str, Any]:
    return {"id": "1", "type": "function", "function": {"name": "x", "arguments": arguments}}


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"tools": [{"type": "function"}]}, "tools[0].function", "invalid_value"),
        ({"tools": [{"type": "file"}]}, "tools[0].type", "invalid_value"),
        ({"tools": [TIME, TIME]}, "tools[1].function.name", "invalid_value"),
        (
            {"tools": [{"type": "function", "function": {"name": "a b"}}]},
            "tools[0].function.name",
            "invalid_value",
        ),
        ({"tools": [TIME] * 257}, "tools", "invalid_value"),
        ({"tool_choice": "required"}, "tool_choice", "invalid_value"),
        ({"tool_choice": "perhaps"}, "tool_choice", "invalid_value"),
        (
            {"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "none"}}},
            "tool_choice",
            "invalid_value",
        ),
        (
            {"tools": [{"type": "function", "function": {"name": "a", "parameters": {"type": "string"}}}]},
            "tools[0].function.parameters",
            "invalid_value",
        ),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id", "invalid_value"),
        (
            {"messages": [{"role": "assistant", "tool_calls": [call("{}") | {"odd": 1}]}]},
            "messages[0].tool_calls[0].odd",
            "unsupported_parameter",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "x", "odd": 1}]}]},
            "messages[0].content[0].odd",
            "unsupported_parameter",
        ),
        (
            {"messages": [{"role": "user", "content": "x", "tool_call_id": "1"}]},
            "messages[0].tool_call_id",
            "invalid_value",
        ),
        (
            {"messages": [{"role": "assistant", "tool_calls": [call("[1]")]}]},
            "messages[0].tool_calls[0].function.arguments",
            "invalid_value",
        ),
        (
            {"messages": [{"role": "user", "content": "x", "tool_calls": [call("{}")]}]},
            "messages[0].tool_calls",
            "invalid_value",
        ),
    ],
)
def test_what_is_wrong_with_tools_is_said_with_its_place(
    tiny: Service, fields: dict[str, Any], param: str, code: str
) -> None:
    answer = ask(tiny, **fields)
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert (error["param"], error["code"]) == (param, code), error
    assert tiny.pool.asked == []


def test_an_answer_may_be_bound_to_a_form_where_tools_may_be_called(tiny: Service) -> None:
    assert ask(tiny, tools=TOOLS, response_format={"type": "json_object"}).status_code == 200
    assert [tool.name for tool in prompt(tiny).tools] == ["weather", "time"]
    assert tiny.pool.asked[-1][1].sampling.json_schema == '{"type": "object"}'
