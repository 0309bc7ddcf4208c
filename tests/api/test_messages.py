"""/v1/messages, as Anthropic's own client sees it; the engine is a fake."""

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import httpx
import pytest
from pydantic import BaseModel

from janfs.engines.protocol import CallDelta, ChatMessage, ChatPrompt, ReasoningDelta, Tool, ToolCall
from janfs.errors import Busy, ContextExceeded, WorkerCrashed
from tests.api.service import Service


class City(BaseModel):
    """What answers are read as."""

    city: str


HELLO: Any = [{"role": "user", "content": "Hello?"}]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
TOOLS: Any = [{"name": "weather", "description": "Tells it.", "input_schema": SCHEMA}]
CALLING = [
    ReasoningDelta("Hm."),
    "Let me see.",
    CallDelta(0, "weather", '{"city": '),
    CallDelta(0, None, '"Paris"}'),
    CallDelta(1, "weather", "{}"),
]


@pytest.fixture
def client(tiny: Service) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(
        base_url=tiny.url, api_key="none", max_retries=0, _strict_response_validation=True
    ) as found:
        yield found


def post(service: Service, **fields: Any) -> httpx.Response:
    body = {"model": "tiny", "max_tokens": 9, "messages": HELLO} | fields
    return service.client.post("/v1/messages", json=body)


def said(role: str, block: dict[str, Any]) -> dict[str, Any]:
    """A request with one message of one block."""
    return {"messages": [{"role": role, "content": [block]}]}


def prompt(service: Service) -> ChatPrompt:
    found = service.pool.asked[-1][1].prompt
    assert isinstance(found, ChatPrompt)
    return found


def test_an_answer_has_anthropics_shape(tiny: Service, client: anthropic.Anthropic) -> None:
    message = client.messages.create(
        model="tiny",
        max_tokens=9,
        system="Be kind.",
        messages=HELLO,
        stop_sequences=["END"],
        extra_body={"temperature": 0.5},
    )
    assert [block.text for block in message.content if block.type == "text"] == ["Hello there"]
    assert (message.role, message.model, message.stop_reason) == ("assistant", "tiny", "end_turn")
    assert message.usage.input_tokens + (message.usage.cache_read_input_tokens or 0) == 7
    assert message.usage.output_tokens == 2
    assert prompt(tiny).messages == (ChatMessage("system", "Be kind."), ChatMessage("user", "Hello?"))
    sampling = tiny.pool.asked[-1][1].sampling
    assert (sampling.max_tokens, sampling.stop, sampling.temperature) == (9, ("END",), 0.5)


@pytest.mark.parametrize("sequence", ["END", "<|model's own|>"])
def test_a_stop_sequence_of_the_request_is_told(
    tiny: Service, client: anthropic.Anthropic, sequence: str
) -> None:
    expected = ("stop_sequence", "END") if sequence == "END" else ("end_turn", None)
    tiny.pool.stop_string = sequence
    asked: Any = {"model": "tiny", "max_tokens": 9, "messages": HELLO, "stop_sequences": ["no", "END"]}
    message = client.messages.create(**asked)
    assert (message.stop_reason, message.stop_sequence) == expected
    with client.messages.stream(**asked) as stream:
        streamed = stream.get_final_message()
    assert (streamed.stop_reason, streamed.stop_sequence) == expected


def test_thoughts_and_calls_are_blocks_of_their_own(tiny: Service, client: anthropic.Anthropic) -> None:
    tiny.pool.texts, tiny.pool.finish = list(CALLING), "tool_calls"
    message = client.messages.create(model="tiny", max_tokens=9, messages=HELLO, tools=TOOLS)
    assert [block.type for block in message.content] == ["thinking", "text", "tool_use", "tool_use"]
    assert message.stop_reason == "tool_use"
    first = message.content[2]
    assert first.type == "tool_use"
    assert (first.name, first.input) == ("weather", {"city": "Paris"})
    assert prompt(tiny).tools == (Tool("weather", "Tells it.", json.dumps(SCHEMA)),)
    results: Any = [
        {"type": "tool_result", "tool_use_id": first.id, "content": [{"type": "text", "text": "sun"}]}
    ]
    round_two: Any = [
        *HELLO,
        {"role": "assistant", "content": message.content},
        {"role": "user", "content": results},
    ]
    client.messages.create(model="tiny", max_tokens=9, messages=round_two, tools=TOOLS)
    said, result = prompt(tiny).messages[1:]
    assert (said.content, said.reasoning) == ("Let me see.", "Hm.")
    assert said.tool_calls[0] == ToolCall(first.id, "weather", '{"city": "Paris"}')
    assert result == ChatMessage("tool", "sun", tool_call_id=first.id)


def test_a_stream_puts_together_what_a_whole_answer_is(tiny: Service, client: anthropic.Anthropic) -> None:
    tiny.pool.texts, tiny.pool.finish = list(CALLING), "tool_calls"
    whole = client.messages.create(model="tiny", max_tokens=9, messages=HELLO, tools=TOOLS)
    with client.messages.stream(model="tiny", max_tokens=9, messages=HELLO, tools=TOOLS) as stream:
        streamed = stream.get_final_message()

    def without_ids(message: Any) -> Any:
        return [block.model_dump(exclude={"id"}) for block in message.content]

    assert without_ids(streamed) == without_ids(whole)
    assert streamed.stop_reason == "tool_use"
    assert streamed.usage.output_tokens == whole.usage.output_tokens
    assert streamed.usage.input_tokens == whole.usage.input_tokens


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ('{"a": "x\\ud800y"}', {"a": "x\ufffdy"}),
        ('{"a": "\\ud83d\\ude00"}', {"a": "\U0001f600"}),
        ('{"a": 123456789012345678901234567890}', {"a": 123456789012345678901234567890}),
        ('{"a": NaN, "b": 1}', {"a": None, "b": 1}),
        ('{"a": 1e999, "b": 0.5}', {"a": None, "b": 0.5}),
        ('{"a": ' + "[" * 3000 + "]" * 3000 + "}", {}),
        ('{"a": "bro', {}),
        ("[1]", {}),
        ("", {}),
    ],
)
def test_whatever_arguments_a_model_writes_the_answer_can_be_read(
    tiny: Service, arguments: str, told: Any
) -> None:
    tiny.pool.texts, tiny.pool.finish = [CallDelta(0, "weather", arguments)], "tool_calls"
    answer = post(tiny, tools=TOOLS)
    assert answer.status_code == 200, answer.text
    [call] = answer.json()["content"]
    assert (call["name"], call["input"]) == ("weather", told)
    assert post(tiny, tools=TOOLS, stream=True).status_code == 200


def test_every_block_of_a_stream_is_opened_and_closed_in_turn(tiny: Service) -> None:
    tiny.pool.texts = list(CALLING)
    lines = post(tiny, stream=True).text.splitlines()
    events = [line.removeprefix("event: ") for line in lines if line.startswith("event: ")]
    block = ["content_block_start", "content_block_delta", "content_block_stop"]
    call = ["content_block_start", "content_block_delta", "content_block_delta", "content_block_stop"]
    assert events == ["message_start", *block, *block, *call, *block, "message_delta", "message_stop"]
    data = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]
    assert [each["type"] for each in data] == events
    assert [each["index"] for each in data if each["type"] == "content_block_stop"] == [0, 1, 2, 3]


def test_a_stream_begins_with_the_count_of_its_prompt(tiny: Service, client: anthropic.Anthropic) -> None:
    asked: Any = {"model": "tiny", "max_tokens": 9, "messages": HELLO}
    whole = client.messages.create(**asked).usage
    with client.messages.stream(**asked) as stream:
        begun = next(event.message.usage for event in stream if event.type == "message_start")
    assert (begun.input_tokens, begun.cache_read_input_tokens) == (2, 5)
    assert (whole.input_tokens, whole.cache_read_input_tokens) == (2, 5)


def test_which_tool_must_be_called_is_the_callers_choice(tiny: Service) -> None:
    other = {"name": "other", "input_schema": {"type": "object"}}
    cases: list[tuple[dict[str, Any], list[str], bool]] = [
        ({"type": "auto"}, ["weather", "other"], False),
        ({"type": "any"}, ["weather", "other"], True),
        ({"type": "tool", "name": "other"}, ["other"], True),
        ({"type": "none"}, [], False),
    ]
    for choice, names, must_call in cases:
        assert post(tiny, tools=[*TOOLS, other], tool_choice=choice).status_code == 200, choice
        assert ([tool.name for tool in prompt(tiny).tools], prompt(tiny).must_call) == (names, must_call)
    post(tiny, tools=TOOLS, tool_choice={"type": "tool", "name": "weather"})
    assert prompt(tiny).parallel, "it may be called with several arguments at once, unless that is disabled"
    post(tiny, tools=TOOLS, tool_choice={"type": "auto", "disable_parallel_tool_use": True})
    assert not prompt(tiny).parallel


@pytest.mark.parametrize(
    ("thinking", "most"),
    [
        ({"type": "enabled", "budget_tokens": 1024}, 1024),
        ({"type": "enabled"}, None),
        ({"type": "adaptive", "display": "summarized"}, None),
        ({"type": "disabled"}, 0),
        (None, None),
    ],
)
def test_a_model_thinks_no_more_than_it_may(tiny: Service, thinking: Any, most: int | None) -> None:
    assert post(tiny, thinking=thinking).status_code == 200
    assert prompt(tiny).most_thought == most


def test_an_answer_in_a_form_is_read_by_the_client(tiny: Service, client: anthropic.Anthropic) -> None:
    tiny.pool.texts = ['{"city": "Paris"}']
    answer = client.messages.parse(model="tiny", max_tokens=9, messages=HELLO, output_format=City)
    assert answer.parsed_output == City(city="Paris")
    bound = json.loads(tiny.pool.asked[-1][1].sampling.json_schema or "")
    assert bound["properties"]["city"]["type"] == "string"


def test_what_a_tool_that_failed_gave_is_said_to_be_an_error(tiny: Service) -> None:
    for content in ("No such town.", [{"type": "text", "text": "No such town."}]):
        result = {"type": "tool_result", "tool_use_id": "t", "content": content, "is_error": True}
        post(tiny, messages=[*HELLO, {"role": "user", "content": [result]}])
        assert prompt(tiny).messages[-1] == ChatMessage("tool", "Error:\nNo such town.", tool_call_id="t")


def test_tokens_are_counted_as_they_would_be_computed(tiny: Service, client: anthropic.Anthropic) -> None:
    counted = client.messages.count_tokens(model="tiny", system="Be kind.", messages=HELLO, tools=TOOLS)
    assert counted.input_tokens == 3
    assert prompt(tiny).messages[0] == ChatMessage("system", "Be kind.")
    assert prompt(tiny).tools[0].name == "weather"


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "user", "content": []}]}, "messages[0].content"),
        ({"messages": [{"role": "assistant", "content": []}]}, "messages"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": [{"type": "image"}]}]}, "messages[0].content[0]"),
        ({"messages": [{"role": "user", "content": [{"type": "pdf"}]}]}, "messages[0].content[0].type"),
        (said("user", {"type": "document", "source": {"type": "text", "data": "x"}}), "content[0].type"),
        (said("user", {"type": "image", "source": {"type": "text", "data": "x"}}), "content[0].source.type"),
        (said("user", {"type": "image", "source": {"type": "base64", "url": "x"}}), "content[0].source.url"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0]"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"temperature": 9}, "temperature"),
        ({"odd": 1}, "odd"),
        ({"output_config": {"effort": "low"}}, "output_config.effort"),
        ({"output_config": {"format": {"type": "json_schema"}}}, "output_config.format.schema"),
        ({"tools": [{"name": "x", "type": "computer_20250124"}]}, "tools[0].type"),
        ({"tool_choice": {"type": "any"}}, "tool_choice"),
        ({"tools": TOOLS, "tool_choice": {"type": "tool", "name": "x"}}, "tool_choice"),
        ({"tools": TOOLS, "tool_choice": {"type": "tool"}}, "tool_choice.name"),
        ({"tools": TOOLS * 2}, "tools[1].name"),
        ({"tools": [{"name": "x", "input_schema": {"type": "array"}}]}, "tools[0].input_schema"),
        ({"tools": [{"name": "x", "defer_loading": True}]}, "tools[0].defer_loading"),
        ({"tools": [{"name": "x", "input_examples": [{}]}]}, "tools[0].input_examples"),
        ({"speed": "fast"}, "speed"),
        ({"container": "c"}, "container"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "x", "odd": 1}]}]}, "odd"),
        ({"tools": TOOLS, "tool_choice": {"type": "auto", "name": "weather"}}, "tool_choice.name"),
        *[
            (said("user", {"type": "text", "text": "x", name: value}), f"messages[0].content[0].{name}")
            for name, value in (("thinking", "x"), ("input", {}), ("source", {"type": "url", "url": "x"}))
        ],
        ({"system": [{"type": "text", "text": "x", "name": "y"}]}, "system[0].name"),
        (
            said(
                "user",
                {
                    "type": "tool_result",
                    "tool_use_id": "t",
                    "content": [{"type": "text", "text": "x", "id": "y"}],
                },
            ),
            "messages[0].content[0].content[0].id",
        ),
        (said("user", {"type": "tool_use", "id": "1", "name": "f", "input": {}}), "messages[0].content[0]"),
        (said("user", {"type": "thinking", "thinking": "x"}), "messages[0].content[0]"),
        (said("assistant", {"type": "tool_result", "tool_use_id": "1"}), "messages[0].content[0]"),
        ({"thinking": {"type": "perhaps"}}, "thinking.type"),
        ({"thinking": {"type": "enabled", "budget_tokens": 0}}, "thinking.budget_tokens"),
        ({"thinking": {"type": "adaptive", "budget_tokens": 9}}, "thinking.budget_tokens"),
        ({"thinking": {"type": "enabled", "display": "omitted"}}, "thinking.display"),
        ({"thinking": {"type": "enabled", "odd": 1}}, "thinking.odd"),
    ],
)
def test_what_is_wrong_is_said_in_anthropics_shape(tiny: Service, fields: dict[str, Any], where: str) -> None:
    answer = post(tiny, **fields)
    assert answer.status_code == 400, answer.text
    body = answer.json()
    assert (body["type"], body["error"]["type"]) == ("error", "invalid_request_error")
    assert where in body["error"]["message"]
    assert tiny.pool.asked == []


def test_what_changes_nothing_is_taken(tiny: Service) -> None:
    neutral: dict[str, Any] = {
        "metadata": {"user_id": "me"},
        "service_tier": "auto",
        "speed": "standard",
        "mcp_servers": [],
        "stop_sequences": [],
        "stream": False,
    }
    of_tools: dict[str, Any] = {
        "type": "custom",
        "strict": False,
        "eager_input_streaming": True,
        "allowed_callers": ["direct"],
        "defer_loading": False,
        "input_examples": [],
    }
    absent = dict.fromkeys((*neutral, "context_management", "container", "inference_geo", "thinking"))
    for fields, more in ((neutral, of_tools), (absent, dict.fromkeys(of_tools))):
        answer = post(tiny, **fields, tools=[TOOLS[0] | more])
        assert answer.status_code == 200, answer.text


def test_errors_have_the_clients_own_types(tiny: Service, client: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.NotFoundError):
        client.messages.create(model="none", max_tokens=9, messages=HELLO)
    nowhere = tiny.client.post("/v1/messages/batches", json={})
    assert (nowhere.status_code, nowhere.json()["error"]["type"]) == (404, "not_found_error")
    tiny.pool.texts = [Busy("Many wait.", retry_after=3)]
    with pytest.raises(anthropic.RateLimitError) as caught:
        client.messages.create(model="tiny", max_tokens=9, messages=HELLO)
    assert caught.value.response.headers["retry-after"] == "3"


def test_a_prompt_that_does_not_fit_is_too_long_in_the_words_that_clients_know(tiny: Service) -> None:
    tiny.pool.texts = [ContextExceeded(4096, 4096)]
    answer = post(tiny)
    error = answer.json()["error"]
    assert (answer.status_code, error["type"]) == (400, "invalid_request_error")
    assert error["message"].startswith("prompt is too long: 4096 tokens > 4095 maximum. The prompt has 4096")


def test_an_error_in_a_stream_is_its_last_event(tiny: Service, client: anthropic.Anthropic) -> None:
    tiny.pool.texts = ["Hello", WorkerCrashed("It died.")]
    with (
        pytest.raises(anthropic.APIStatusError, match="It died"),
        client.messages.stream(model="tiny", max_tokens=9, messages=HELLO) as stream,
    ):
        stream.get_final_message()
