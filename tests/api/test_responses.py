"""/v1/responses, as OpenAI's own client sees it; the engine is a fake."""

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from janfs.api.responses_input import messages_of
from janfs.engines.protocol import (
    CallDelta,
    ChatMessage,
    ChatPrompt,
    Likely,
    ReasoningDelta,
    TokenLogprob,
    Tool,
    ToolCall,
)
from janfs.errors import Busy, ContextExceeded, InvalidInput, WorkerCrashed
from tests.api.service import Service, eventually

CALLED = {"type": "function_call", "call_id": "1", "name": "f", "arguments": "{}"}
ALLOWED = {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "time"}]}
LOGPROBS = "message.output_text.logprobs"
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
WEATHER: Any = {
    "type": "function", "name": "weather", "description": "Tells it.", "parameters": SCHEMA, "strict": True,
}  # fmt: skip
TIME: Any = {"type": "function", "name": "time"}
CALLING = [
    ReasoningDelta("H"),
    ReasoningDelta("m."),
    "Let me",
    " see.",
    CallDelta(0, "weather", '{"city": '),
    CallDelta(0, None, '"Paris"}'),
    CallDelta(1, "time", "{}"),
]


@pytest.fixture
def client(tiny: Service) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(
        base_url=f"{tiny.url}/v1", api_key="none", max_retries=0, _strict_response_validation=True
    ) as found:
        yield found


@pytest.fixture
def calling(tiny: Service) -> Service:
    tiny.pool.texts, tiny.pool.finish = list(CALLING), "tool_calls"
    return tiny


def post(service: Service, **fields: Any) -> httpx.Response:
    return service.client.post("/v1/responses", json={"model": "tiny", "input": "Hello?"} | fields)


def prompt(service: Service) -> ChatPrompt:
    found = service.pool.asked[-1][1].prompt
    assert isinstance(found, ChatPrompt)
    return found


def events(answer: httpx.Response) -> list[Any]:
    """The data of a stream's events, each of which has the name that its data says."""
    found = []
    for part in answer.text.split("\n\n")[:-1]:
        name, data = part.split("\n")  # not splitlines: a text may hold other line ends
        found.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {found[-1]['type']}"
    return found


def without_ids(output: Any) -> Any:
    return [{name: value for name, value in item.items() if name not in ("id", "call_id")} for item in output]


def test_a_response_has_openais_shape(tiny: Service, client: openai.OpenAI) -> None:
    response = client.responses.create(
        model="tiny", instructions="Be kind.", input="Hello?", temperature=0.5, max_output_tokens=9,
        metadata={"mine": "1"}, store=False,
    )  # fmt: skip
    assert (response.output_text, response.status, response.error) == ("Hello there", "completed", None)
    assert (response.model, response.instructions, response.metadata) == ("tiny", "Be kind.", {"mine": "1"})
    assert response.usage is not None
    usage = response.usage
    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (7, 2, 9)
    assert usage.input_tokens_details.cached_tokens == 5
    assert usage.output_tokens_details.reasoning_tokens == 0
    assert prompt(tiny).messages == (ChatMessage("system", "Be kind."), ChatMessage("user", "Hello?"))
    sampling = tiny.pool.asked[-1][1].sampling
    assert (sampling.max_tokens, sampling.temperature) == (9, 0.5)
    body = post(tiny).json()
    assert body["store"] is False, "nothing is stored, whatever OpenAI's default"
    assert body["system_fingerprint"].startswith("fp_")


def test_thoughts_words_and_calls_are_items_of_their_own(calling: Service, client: openai.OpenAI) -> None:
    response = client.responses.create(model="tiny", input="Hello?", tools=[WEATHER, TIME])
    thought, message, first, second = response.output
    assert thought.type == "reasoning"
    assert thought.content is not None
    assert [part.text for part in thought.content] == ["Hm."]
    assert message.type == "message"
    assert response.output_text == "Let me see."
    assert first.type == second.type == "function_call"
    assert (first.name, first.arguments) == ("weather", '{"city": "Paris"}')
    assert (second.name, second.arguments) == ("time", "{}")
    assert first.call_id != second.call_id
    weather, time = prompt(calling).tools
    assert weather == Tool("weather", "Tells it.", json.dumps(SCHEMA), strict=True)
    assert time == Tool("time", None, '{"type": "object", "properties": {}}')


def test_a_loop_of_calls_and_results_goes_on_as_one_chat(calling: Service, client: openai.OpenAI) -> None:
    asked: Any = [{"role": "user", "content": "Weather?"}]
    first = client.responses.create(model="tiny", input=asked, tools=[WEATHER, TIME])
    calls = [item for item in first.output if item.type == "function_call"]
    results = [{"type": "function_call_output", "call_id": call.call_id, "output": "sun"} for call in calls]
    calling.pool.texts, calling.pool.finish = ["It is sunny."], "stop"
    again: Any = [*asked, *first.output, *results, {"role": "user", "content": "Thanks."}]
    second = client.responses.create(model="tiny", input=again, tools=[WEATHER, TIME])
    assert second.output_text == "It is sunny."
    made = (
        ToolCall(calls[0].call_id, "weather", '{"city": "Paris"}'),
        ToolCall(calls[1].call_id, "time", "{}"),
    )
    assert prompt(calling).messages == (
        ChatMessage("user", "Weather?"),
        ChatMessage("assistant", "Let me see.", made, reasoning="Hm."),
        ChatMessage("tool", "sun", tool_call_id=calls[0].call_id),
        ChatMessage("tool", "sun", tool_call_id=calls[1].call_id),
        ChatMessage("user", "Thanks."),
    )


def test_a_stream_puts_together_what_a_whole_response_is(calling: Service, client: openai.OpenAI) -> None:
    whole = client.responses.create(model="tiny", input="Hello?", tools=[WEATHER, TIME])
    with client.responses.stream(model="tiny", input="Hello?", tools=[WEATHER, TIME]) as stream:
        streamed = stream.get_final_response()
    one, other = streamed.model_dump(mode="json"), whole.model_dump(mode="json")
    assert [item.type for item in streamed.output] == [item.type for item in whole.output]
    assert streamed.output_text == whole.output_text
    assert one["usage"] == other["usage"]


def test_every_item_of_a_stream_is_opened_filled_and_closed_in_turn(calling: Service) -> None:
    found = events(post(calling, stream=True, tools=[WEATHER, TIME]))
    assert [event["sequence_number"] for event in found] == list(range(len(found)))
    added, part, done = "response.output_item.added", "response.content_part", "response.output_item.done"
    thought, text, call = (
        f"response.{kind}" for kind in ("reasoning_text", "output_text", "function_call_arguments")
    )
    assert [event["type"] for event in found] == [
        "response.created",
        "response.in_progress",
        *(added, f"{part}.added", *[f"{thought}.delta"] * 2, f"{thought}.done", f"{part}.done", done),
        *(added, f"{part}.added", *[f"{text}.delta"] * 2, f"{text}.done", f"{part}.done", done),
        *(added, *[f"{call}.delta"] * 2, f"{call}.done", done),
        *(added, f"{call}.delta", f"{call}.done", done),
        "response.completed",
    ]
    last = found[-1]["response"]
    assert [event["item"] for event in found if event["type"] == done] == last["output"]
    whole = post(calling, tools=[WEATHER, TIME]).json()
    assert without_ids(last["output"]) == without_ids(whole["output"])
    for index, item in enumerate(last["output"]):
        about = [event for event in found if event.get("item_id") == item["id"]]
        assert {event["output_index"] for event in about} == {index}


PIECES = st.lists(
    st.one_of(
        st.text(min_size=1, max_size=3),
        st.text(min_size=1, max_size=3).map(ReasoningDelta),
        st.tuples(st.integers(0, 1), st.text(max_size=3)).map(lambda call: CallDelta(call[0], "f", call[1])),
    ),
    max_size=8,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pieces=PIECES)
def test_whatever_is_said_arrives_once_and_in_order(tiny: Service, pieces: list[Any]) -> None:
    tiny.pool.texts = pieces
    found = events(post(tiny, stream=True))
    deltas: dict[str, str] = {}
    for event in found:
        if event["type"].endswith(".delta"):
            deltas[event["item_id"]] = deltas.get(event["item_id"], "") + event["delta"]
    output = found[-1]["response"]["output"]
    assert output, "a response without an item"
    for item in output:
        held = item["arguments"] if "arguments" in item else "".join(part["text"] for part in item["content"])
        assert deltas.get(item["id"], "") == held
        assert item["status"] == "completed"
    told = "".join(deltas.get(item["id"], "") for item in output)
    said = [getattr(each, "text", getattr(each, "arguments", each)) for each in pieces]
    assert told == "".join(said)


def test_an_answer_that_was_cut_short_is_incomplete(tiny: Service, client: openai.OpenAI) -> None:
    tiny.pool.finish = "length"
    response = client.responses.create(model="tiny", input="Hello?", max_output_tokens=2)
    assert response.status == "incomplete"
    assert response.incomplete_details is not None
    assert response.incomplete_details.reason == "max_output_tokens"
    [item] = response.output
    assert item.type == "message"
    assert item.status == "incomplete"
    last = events(post(tiny, stream=True))[-1]
    assert (last["type"], last["response"]["status"]) == ("response.incomplete", "incomplete")


def test_an_answer_that_says_nothing_has_an_empty_message(tiny: Service, client: openai.OpenAI) -> None:
    tiny.pool.texts = []
    response = client.responses.create(model="tiny", input="Hello?")
    assert response.output_text == ""
    assert [item.type for item in response.output] == ["message"]


def test_a_stream_that_breaks_says_so_and_ends(tiny: Service, client: openai.OpenAI) -> None:
    tiny.pool.texts = ["Hello", WorkerCrashed("It died.")]
    found = events(post(tiny, stream=True))
    last = found[-1]
    assert last["type"] == "response.failed"
    assert last["response"]["error"] == {"code": "server_error", "message": "It died."}
    assert last["response"]["output"][0]["content"][0]["text"] == "Hello"
    with client.responses.create(model="tiny", input="Hello?", stream=True) as stream:
        assert [event.type for event in stream][-1] == "response.failed"
    tiny.pool.texts = [WorkerCrashed("It died.")]
    assert post(tiny, stream=True).status_code == 502, (
        "before the first word there is a status to say it with"
    )
    tiny.pool.texts = [Busy("Later.", retry_after=3)]
    with pytest.raises(openai.RateLimitError):
        client.responses.create(model="tiny", input="Hello?")


@pytest.mark.parametrize("stream", [False, True])
def test_what_an_engine_refuses_is_refused_by_what_the_client_calls_it(tiny: Service, stream: bool) -> None:
    tiny.pool.texts = [ContextExceeded(9, 8)]
    error = post(tiny, stream=stream).json()["error"]
    assert (error["param"], error["n_prompt_tokens"], error["n_ctx"]) == ("input", 9, 8)
    tiny.pool.texts = [InvalidInput("An image.", param="input[0].content[1]")]
    assert post(tiny, stream=stream).json()["error"]["param"] == "input[0].content[1]"
    tiny.pool.texts = [InvalidInput("A schema.", param="json_schema")]
    assert post(tiny, stream=stream).json()["error"]["param"] == "text.format.schema"


def test_a_client_that_goes_away_ends_the_generation(tiny: Service) -> None:
    tiny.pool.held = 1
    with tiny.client.stream(
        "POST", "/v1/responses", json={"model": "tiny", "input": "x", "stream": True}
    ) as it:
        for line in it.iter_lines():
            if "delta" in line:
                break
    eventually(lambda: tiny.pool.cancelled == 1, "the generation goes on for nobody")


def test_an_answer_in_a_form_is_read_by_the_client(tiny: Service, client: openai.OpenAI) -> None:
    class City(BaseModel):
        name: str

    tiny.pool.texts = ['{"name": ', '"Paris"}']
    response = client.responses.parse(model="tiny", input="Where?", text_format=City)
    assert response.output_parsed == City(name="Paris")
    asked = tiny.pool.asked[-1][1].sampling.json_schema
    assert asked is not None
    assert json.loads(asked)["properties"]["name"]["type"] == "string"
    response = client.responses.create(model="tiny", input="Where?", text={"format": {"type": "json_object"}})
    assert tiny.pool.asked[-1][1].sampling.json_schema == '{"type": "object"}'


def test_logprobs_come_where_they_are_included(tiny: Service, client: openai.OpenAI) -> None:
    tiny.pool.logprobs = (TokenLogprob(5, b"Hel", -0.5, (Likely(5, b"Hel", -0.5),)),)
    tiny.pool.texts = ["Hel"]
    response = client.responses.create(
        model="tiny", input="x", include=["message.output_text.logprobs"], top_logprobs=1
    )
    [item] = response.output
    assert item.type == "message"
    [part] = item.content
    assert part.type == "output_text"
    assert part.logprobs is not None
    assert [(each.token, each.logprob, len(each.top_logprobs)) for each in part.logprobs] == [
        ("Hel", -0.5, 1)
    ]
    assert tiny.pool.asked[-1][1].sampling.logprobs == 1
    with client.responses.create(
        model="tiny", input="x", include=["message.output_text.logprobs"], stream=True
    ) as stream:
        [delta] = [event for event in stream if event.type == "response.output_text.delta"]
    assert [each.token for each in delta.logprobs] == ["Hel"]


def test_which_tool_must_be_called_is_the_callers_choice(tiny: Service) -> None:
    some = {"type": "allowed_tools", "tools": [{"type": "function", "name": "time"}]}
    cases: list[tuple[Any, list[str], bool]] = [
        ("auto", ["weather", "time"], False),
        ("required", ["weather", "time"], True),
        ("none", [], False),
        ({"type": "function", "name": "time"}, ["time"], True),
        (some | {"mode": "auto"}, ["time"], False),
        (some | {"mode": "required"}, ["time"], True),
    ]
    for choice, names, must_call in cases:
        answer = post(tiny, tools=[WEATHER, TIME], tool_choice=choice, parallel_tool_calls=False)
        assert answer.status_code == 200, answer.text
        assert answer.json()["tool_choice"] == choice
        found = prompt(tiny)
        assert ([tool.name for tool in found.tools], found.must_call) == (names, must_call)
        assert not found.parallel


def test_a_function_that_is_forced_by_name_is_called_once(tiny: Service) -> None:
    post(tiny, tools=[WEATHER, TIME], tool_choice={"type": "function", "name": "time"})
    assert not prompt(tiny).parallel
    post(tiny, tools=[WEATHER, TIME], tool_choice="required")
    assert prompt(tiny).parallel


def test_without_any_effort_nothing_is_thought(tiny: Service) -> None:
    post(tiny, reasoning={"effort": "none"})
    assert prompt(tiny).most_thought == 0
    post(tiny, reasoning={"summary": "auto"})
    assert prompt(tiny).most_thought is None


def test_every_kind_of_text_is_read(tiny: Service) -> None:
    given = [
        {"role": "developer", "content": [{"type": "input_text", "text": "Be kind."}]},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": t} for t in "ab"]},
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm."}]},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
        {"role": "assistant", "content": [{"type": "output_text", "text": "Yes.", "annotations": []}]},
        {"type": "function_call", "call_id": "1", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "1", "output": [{"type": "input_text", "text": "r"}]},
    ]
    assert post(tiny, input=given).status_code == 200
    assert prompt(tiny).messages == (
        ChatMessage("system", "Be kind."),
        ChatMessage("user", "a\nb"),
        ChatMessage("assistant", "No.", reasoning="Hm."),
        ChatMessage("assistant", "Yes.", (ToolCall("1", "f", "{}"),)),
        ChatMessage("tool", "r", tool_call_id="1"),
    )


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"store": True}, "unsupported_parameter", "store"),
        ({"previous_response_id": "resp_1"}, "unsupported_parameter", "previous_response_id"),
        ({"conversation": "conv_1"}, "unsupported_parameter", "conversation"),
        ({"background": True}, "unsupported_parameter", "background"),
        ({"truncation": "auto"}, "unsupported_parameter", "truncation"),
        ({"reasoning": {"effort": "high"}}, "unsupported_parameter", "reasoning.effort"),
        ({"text": {"verbosity": "low"}}, "unsupported_parameter", "text.verbosity"),
        ({"include": ["file_search_call.results"]}, "unsupported_parameter", "include[0]"),
        ({"tools": [TIME, {"type": "web_search"}]}, "unsupported_parameter", "tools[1].type"),
        ({"tools": [TIME | {"defer_loading": True}]}, "unsupported_parameter", "tools[0].defer_loading"),
        ({"tools": [{"type": "function"}]}, "invalid_value", "tools[0].name"),
        ({"tools": [TIME, TIME]}, "invalid_value", "tools[1].name"),
        ({"tools": [TIME | {"parameters": {"type": "array"}}]}, "invalid_value", "tools[0].parameters"),
        ({"tool_choice": "required"}, "invalid_value", "tool_choice"),
        ({"tool_choice": {"type": "function", "name": "x"}}, "invalid_value", "tool_choice"),
        *[
            ({"tools": [TIME], "tool_choice": choice}, "unsupported_parameter", f"tool_choice.{stray}")
            for choice, stray in (
                ({"type": "function", "name": "time", "mode": "auto"}, "mode"),
                ({"type": "function", "name": "time", "tools": []}, "tools"),
                (ALLOWED | {"name": "time"}, "name"),
                (ALLOWED | {"tools": [{"type": "function", "name": "time", "odd": 1}]}, "tools[0].odd"),
            )
        ],
        (
            {"tools": [TIME], "tool_choice": ALLOWED | {"tools": [{"type": "mcp", "name": "time"}]}},
            "invalid_value",
            "tool_choice.tools[0].type",
        ),
        ({"tool_choice": {"type": "web_search"}}, "unsupported_parameter", "tool_choice.type"),
        ({"odd": 1}, "unsupported_parameter", "odd"),
        ({"input": []}, "invalid_value", "input"),
        ({"input": [{"type": "reasoning", "summary": []}]}, "invalid_value", "input"),
        ({"input": [{"type": "item_reference", "id": "1"}]}, "unsupported_parameter", "input[0].type"),
        ({"input": [{"role": "wizard", "content": "x"}]}, "invalid_value", "input[0].role"),
        ({"input": [{"role": "user"}]}, "invalid_value", "input[0].content"),
        ({"input": [{"role": "user", "content": "x", "odd": 1}]}, "unsupported_parameter", "input[0].odd"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_file"}]}]},
            "unsupported_parameter",
            "input[0].content[0].type",
        ),
        (
            {"input": [{"role": "user", "content": [{"type": "input_text", "text": 1}]}]},
            "invalid_value",
            "input[0].content[0].text",
        ),
        (
            {"input": [{"type": "function_call", "call_id": "1", "name": "f", "arguments": "[]"}]},
            "invalid_value",
            "input[0].arguments",
        ),
        *[
            ({"input": [CALLED | {name: "x"}]}, "unsupported_parameter", f"input[0].{name}")
            for name in ("namespace", "caller", "async_")
        ],
        ({"max_output_tokens": 0}, "invalid_value", "max_output_tokens"),
        ({"temperature": 9}, "invalid_value", "temperature"),
        ({"top_logprobs": 3}, "invalid_value", "top_logprobs"),
        ({"top_logprobs": 21, "include": [LOGPROBS]}, "invalid_value", "top_logprobs"),
        ({"top_logprobs": -1, "include": [LOGPROBS]}, "invalid_value", "top_logprobs"),
        ({"stream_options": {}}, "invalid_value", "stream_options"),
        ({"metadata": {"mine": 1}}, "invalid_value", "metadata[...]"),
        ({"text": {"format": {"type": "json_schema", "name": "x"}}}, "invalid_value", "text.format.schema"),
        *[
            (
                {"text": {"format": {"type": kind, name: value}}},
                "unsupported_parameter",
                f"text.format.{name}",
            )
            for kind in ("text", "json_object")
            for name, value in (("schema", SCHEMA), ("name", "x"))
        ],
    ],
)
def test_what_is_wrong_or_not_offered_is_refused_by_name(
    tiny: Service, fields: dict[str, Any], code: str, param: str
) -> None:
    answer = post(tiny, **fields)
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert (error["code"], error["param"]) == (code, param)
    assert param in error["message"]
    assert tiny.pool.asked == []


@pytest.mark.parametrize(
    "item",
    [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "a"},
        {"type": "function_call", "call_id": "1", "name": "f", "arguments": ""},
    ],
)
def test_many_items_take_no_more_time_each_than_few(item: dict[str, Any]) -> None:
    """Nobody else is answered meanwhile, and a body has room for half a million of them."""
    began = time.process_time()
    messages_of([item] * 100_000)
    assert time.process_time() - began < 10


def test_what_changes_nothing_is_taken(tiny: Service) -> None:
    neutral: dict[str, Any] = {
        "store": False,
        "background": False,
        "truncation": "disabled",
        "include": ["reasoning.encrypted_content"],
        "reasoning": {"effort": None, "summary": "auto"},
        "text": {"format": {"type": "text"}, "verbosity": "medium"},
        "service_tier": "auto",
        "prompt_cache_key": "mine",
        "stream": False,
        "tools": [],
    }
    assert post(tiny, **neutral).status_code == 200
    of_tools = {"allowed_callers": ["direct"], "defer_loading": False, "output_schema": None}
    for more in (of_tools, dict.fromkeys(of_tools)):
        assert post(tiny, tools=[TIME | more]).status_code == 200, more
    assert post(tiny, **dict.fromkeys(neutral)).status_code == 200, "null is the same as absence"
    call = CALLED | dict.fromkeys(("id", "status", "namespace", "caller", "async_"))
    assert post(tiny, input=[{"role": "user", "content": "x"}, call]).status_code == 200
