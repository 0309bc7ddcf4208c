"""/v1/chat/completions as clients see it; the engine is a fake."""

import http.client
import json
import re
from typing import Any

import httpx
import openai
import pytest

from janfs.engines.protocol import ChatMessage, ChatPrompt, Likely, TokenLogprob
from janfs.errors import Busy, ContextExceeded, InvalidInput, LoadFailed, WorkerCrashed
from tests.api.service import Service, eventually

USAGE = {
    "prompt_tokens": 7,
    "completion_tokens": 2,
    "total_tokens": 9,
    "prompt_tokens_details": {"cached_tokens": 5},
    "completion_tokens_details": {"reasoning_tokens": 0},
}
TIMINGS = {  # seven tokens, five of them known, in half a second; then two in a quarter of one
    "cache_n": 5,
    "prompt_n": 2,
    "prompt_ms": 500.0,
    "prompt_per_token_ms": 250.0,
    "prompt_per_second": 4.0,
    "predicted_n": 2,
    "predicted_ms": 250.0,
    "predicted_per_token_ms": 125.0,
    "predicted_per_second": 8.0,
}
HELLO = [{"role": "user", "content": "Hello?"}]


@pytest.fixture
def own(service: Service) -> Service:
    """A service with a folder that a test may change."""
    service.drop("tiny.gguf")
    return service


def ask(service: Service, **fields: Any) -> httpx.Response:
    return service.client.post("/v1/chat/completions", json={"model": "tiny", "messages": HELLO} | fields)


def chunks(answer: httpx.Response) -> list[Any]:
    """The messages of a stream, `[DONE]` as it stands."""
    parts = answer.text.split("\n\n")
    assert parts.pop() == "", "the stream ends within a message"
    data = [part.removeprefix("data: ") for part in parts]
    return [item if item == "[DONE]" else json.loads(item) for item in data]


def test_a_whole_answer_has_openais_shape(tiny: Service) -> None:
    answer = ask(tiny)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert re.fullmatch("chatcmpl-[0-9a-f]{32}", body.pop("id"))
    assert isinstance(body.pop("created"), int)
    assert re.fullmatch("fp_[0-9a-f]{16}", body.pop("system_fingerprint"))
    message = {"role": "assistant", "content": "Hello there", "refusal": None}
    assert body == {
        "object": "chat.completion",
        "model": "tiny",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}],
        "usage": USAGE,
        "timings": TIMINGS,
    }


def test_a_stream_has_openais_chunks(tiny: Service) -> None:
    tiny.pool.finish = "length"
    answer = ask(tiny, stream=True)
    assert answer.headers["content-type"].startswith("text/event-stream")
    *found, done = chunks(answer)
    assert done == "[DONE]"
    assert [chunk["choices"][0]["delta"] for chunk in found] == [
        {"role": "assistant", "content": ""},
        {"content": "Hello"},
        {"content": " there"},
        {},
    ]
    assert [chunk["choices"][0]["finish_reason"] for chunk in found] == [None, None, None, "length"]
    assert {chunk["object"] for chunk in found} == {"chat.completion.chunk"}
    assert len({chunk["id"] for chunk in found}) == 1
    assert not any("usage" in chunk for chunk in found), "nobody asked for the usage"
    assert [chunk.get("timings") for chunk in found] == [None, None, None, TIMINGS]


def test_a_stream_tells_its_usage_when_asked(tiny: Service) -> None:
    *found, last, _ = chunks(ask(tiny, stream=True, stream_options={"include_usage": True}))
    assert last["choices"] == []
    assert last["usage"] == USAGE
    assert all(chunk["usage"] is None for chunk in found)


def test_the_stop_string_that_ended_an_answer_is_told(tiny: Service) -> None:
    asked: dict[str, Any] = {"stop": ["no", "END"]}
    assert "stop_reason" not in ask(tiny, **asked).json()["choices"][0], "the model itself ended it"
    tiny.pool.stop_string = "END"
    assert ask(tiny, **asked).json()["choices"][0]["stop_reason"] == "END"
    *told, last, _ = chunks(ask(tiny, **asked, stream=True))
    assert last["choices"][0]["stop_reason"] == "END"
    assert not any("stop_reason" in each["choices"][0] for each in told), "it has not ended yet"


def test_the_openai_client_chats(tiny: Service) -> None:
    messages: Any = [{"role": "system", "content": "Be kind."}, *HELLO]
    with openai.OpenAI(base_url=f"{tiny.url}/v1", api_key="none") as client:
        whole = client.chat.completions.create(model="tiny", messages=messages)
        assert whole.choices[0].message.content == "Hello there"
        assert whole.usage is not None
        assert whole.usage.total_tokens == 9
        with client.chat.completions.create(model="tiny", messages=messages, stream=True) as stream:
            assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == "Hello there"
        with pytest.raises(openai.NotFoundError) as caught:
            client.chat.completions.create(model="none", messages=messages)
    assert caught.value.code == "model_not_found"
    with openai.OpenAI(base_url=f"{tiny.url}/v1", api_key="none") as client:
        again = [*messages, whole.choices[0].message.model_dump(), *HELLO]
        client.chat.completions.create(model="tiny", messages=again)
    prompt = tiny.pool.asked[-1][1].prompt
    assert isinstance(prompt, ChatPrompt)
    assert [message.role for message in prompt.messages] == ["system", "user", "assistant", "user"]


def test_without_a_word_about_streaming_the_answer_is_whole_whatever_model_json_says(own: Service) -> None:
    written = json.loads((own.root / "models/tiny/model.json").read_text())
    assert written["model_parameters"]["stream"] is True, "this test is about a model.json that says stream"
    assert ask(own).headers["content-type"] == "application/json"


def test_the_models_parameters_hold_where_the_request_says_nothing(own: Service) -> None:
    path = own.root / "models/tiny/model.json"
    written = json.loads(path.read_text())
    mine = {"temperature": 0.11, "top_p": 0.5, "stop": ["END"], "max_tokens": 33}
    path.write_text(json.dumps(written | {"model_parameters": mine}))
    own.look()
    ask(own, temperature=0.2, top_p=None)
    sampling = own.pool.asked[-1][1].sampling
    assert (sampling.temperature, sampling.top_p) == (0.2, 0.5), "the request wins, and null says nothing"
    assert (sampling.stop, sampling.max_tokens) == (("END",), 33)


def test_every_sampling_field_reaches_the_engine(tiny: Service) -> None:
    fields: dict[str, Any] = {
        "temperature": 0.3,
        "top_p": 0.4,
        "top_k": 5,
        "min_p": 0.06,
        "seed": 7,
        "max_tokens": 8,
        "frequency_penalty": 0.9,
        "presence_penalty": 1.0,
        "repeat_penalty": 1.1,
        "repeat_last_n": 12,
        "ignore_eos": True,
    }
    assert ask(tiny, stop=["a", "b"], **fields).status_code == 200
    sampling = tiny.pool.asked[-1][1].sampling
    assert {name: getattr(sampling, name) for name in fields} == fields
    assert sampling.stop == ("a", "b")
    ask(tiny, stop="c", max_tokens=1, max_completion_tokens=2)
    assert tiny.pool.asked[-1][1].sampling.stop == ("c",)
    assert tiny.pool.asked[-1][1].sampling.max_tokens == 2


@pytest.mark.parametrize(
    ("asked", "cached"),
    [({}, True), ({"cache_prompt": None}, True)]
    + [({"cache_prompt": value}, value) for value in (True, False)],
)
def test_a_request_may_keep_out_of_the_cache(tiny: Service, asked: dict[str, Any], cached: bool) -> None:
    assert ask(tiny, **asked).status_code == 200
    assert tiny.pool.asked[-1][1].cache_prompt is cached


def test_content_may_come_in_parts_and_developers_speak_as_the_system(tiny: Service) -> None:
    parts = [{"type": "text", "text": "One"}, {"type": "text", "text": "two"}]
    messages = [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": parts}]
    assert ask(tiny, messages=messages).status_code == 200
    expected = (ChatMessage("system", "Be brief."), ChatMessage("user", "One\ntwo"))
    assert tiny.pool.asked[-1][1].prompt == ChatPrompt(expected)


@pytest.mark.parametrize(
    "fields",
    [
        {"user": "me", "metadata": {"a": "b"}, "store": True, "service_tier": "auto"},
        {"safety_identifier": "x", "prompt_cache_key": "y", "prompt_cache_retention": "24h"},
        {"n": 1, "tools": [], "tool_choice": "auto", "logprobs": False, "logit_bias": {}},
        {"response_format": {"type": "text"}, "modalities": ["text"], "parallel_tool_calls": True},
        {"stop": None, "tools": None, "n": None, "seed": None, "stream": None, "stream_options": None},
    ],
)
def test_fields_that_change_nothing_are_accepted(tiny: Service, fields: dict[str, Any]) -> None:
    answer = ask(tiny, **fields)
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    ("fields", "most"),
    [
        ({"reasoning_effort": "none"}, 0),
        ({"reasoning_budget_tokens": 7}, 7),
        ({"reasoning_budget_tokens": 0}, 0),
        ({"reasoning_budget_tokens": -1}, None),
        ({}, None),
    ],
)
def test_a_model_thinks_no_more_than_it_may(tiny: Service, fields: dict[str, Any], most: int | None) -> None:
    assert ask(tiny, **fields).status_code == 200
    prompt = tiny.pool.asked[-1][1].prompt
    assert isinstance(prompt, ChatPrompt)
    assert prompt.most_thought == most


SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
JSON_SCHEMA = {"type": "json_schema", "json_schema": {"name": "a", "strict": True, "schema": SCHEMA}}


@pytest.mark.parametrize("content", [{}, {"content": None}, {"content": ""}])
def test_an_assistant_may_have_thoughts_and_no_words_yet(tiny: Service, content: dict[str, Any]) -> None:
    last = {"role": "assistant", "reasoning_content": "Hm", **content}
    assert ask(tiny, messages=[{"role": "user", "content": "x"}, last]).status_code == 200
    prompt = tiny.pool.asked[-1][1].prompt
    assert isinstance(prompt, ChatPrompt)
    assert prompt.messages[-1] == ChatMessage("assistant", "", reasoning="Hm")


UNSUPPORTED: list[tuple[dict[str, Any], str]] = [
    ({"audio": {"voice": "x"}}, "audio"),
    ({"messages": [{"role": "function", "content": "x"}]}, "messages[0].role"),
    ({"n_probs": 3}, "n_probs"),
    ({"response_format": {"type": "text", "odd": 1}}, "response_format.odd"),
    ({"reasoning_effort": "high"}, "reasoning_effort"),
    ({"thinking_budget_tokens": 5}, "thinking_budget_tokens"),
    ({"never_heard_of": 1}, "never_heard_of"),
    ({"messages": [{"role": "user", "content": "x", "odd": 1}]}, "messages[0].odd"),
    (
        {"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "x"}}]}]},
        "messages[0].content[0].type",
    ),
    (
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "x", "file": {}}]}]},
        "messages[0].content[0].file",
    ),
    ({"moderation": {"model": "x"}}, "moderation"),
    ({"verbosity": "low"}, "verbosity"),
    ({"response_format": {"type": "text", "schema": SCHEMA}}, "response_format.schema"),
    ({"response_format": JSON_SCHEMA | {"type": "json_object"}}, "response_format.json_schema"),
]
INVALID: list[tuple[dict[str, Any], str]] = [
    ({"n": 0}, "n"),
    ({"n": 1000}, "n"),
    ({"top_logprobs": 3}, "top_logprobs"),
    ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
    ({"logit_bias": {"x": 1}}, "logit_bias"),
    ({"logit_bias": {"1": 101}}, "logit_bias"),
    ({"mirostat": 3}, "mirostat"),
    ({"typical_p": 2}, "typical_p"),
    ({"response_format": {"type": "yaml"}}, "response_format.type"),
    ({"response_format": {"type": "json_schema"}}, "response_format.json_schema.schema"),
    ({"response_format": JSON_SCHEMA, "grammar": 'root ::= "a"'}, "response_format"),
    ({"response_format": {"type": "json_object"}, "grammar": 'root ::= "a"'}, "response_format"),
    ({"response_format": {"type": "json_object"}, "json_schema": SCHEMA}, "response_format"),
    ({"json_schema": SCHEMA, "grammar": 'root ::= "a"'}, "json_schema"),
    ({"json_schema": SCHEMA, "ignore_eos": True}, "ignore_eos"),
    ({"messages": []}, "messages"),
    ({"messages": [{"role": "wizard", "content": "x"}]}, "messages[0].role"),
    ({"messages": [{"role": "user"}]}, "messages[0].content"),
    ({"messages": [{"role": "assistant", "reasoning_content": ""}]}, "messages[0].content"),
    (
        {"messages": [{"role": "user", "content": "x", "reasoning_content": "y"}]},
        "messages[0].reasoning_content",
    ),
    ({"messages": [{"content": "x"}]}, "messages[0].role"),
    ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text"),
    ({"messages": "Hello"}, "messages"),
    ({"temperature": -1}, "temperature"),
    ({"temperature": 1e9}, "temperature"),
    ({"temperature": "warm"}, "temperature"),
    ({"top_p": 2}, "top_p"),
    ({"max_tokens": 0}, "max_tokens"),
    ({"max_tokens": -5}, "max_tokens"),
    ({"max_completion_tokens": 0}, "max_completion_tokens"),
    ({"max_tokens": 1.5}, "max_tokens"),
    ({"seed": 2**70}, "seed"),
    ({"stop": [""]}, "stop"),
    ({"stop": ["x"] * 17}, "stop"),
    ({"stop": [1]}, "stop[0]"),
    ({"stream": "yes"}, "stream"),
    ({"stream_options": {"include_usage": True}}, "stream_options"),
    ({"model": None}, "model"),
]


def test_several_answers_are_told_apart_and_their_prompt_counts_once(tiny: Service) -> None:
    body = ask(tiny, n=3, seed=7).json()
    assert [choice["index"] for choice in body["choices"]] == [0, 1, 2]
    assert {choice["message"]["content"] for choice in body["choices"]} == {"Hello there"}
    assert body["usage"] == {**USAGE, "completion_tokens": 6, "total_tokens": 13}
    assert sorted(request.sampling.seed for _, request in tiny.pool.asked) == [7, 8, 9]
    *found, done = chunks(ask(tiny, n=2, stream=True))
    assert done == "[DONE]"
    for number in (0, 1):
        mine = [chunk["choices"][0] for chunk in found if chunk["choices"][0]["index"] == number]
        assert "".join(each["delta"].get("content", "") for each in mine) == "Hello there"
        assert mine[-1]["finish_reason"] == "stop"


def test_many_answers_take_turns_and_no_more_of_the_queue_than_can_be_computed(tiny: Service) -> None:
    for stream in (False, True):
        assert ask(tiny, n=32, stream=stream).status_code == 200
        assert tiny.pool.most_at_once <= 4, "n_parallel is 4"


def test_one_of_several_answers_that_fails_fails_all_and_leaves_none_running(tiny: Service) -> None:
    tiny.pool.texts = ["Hello", WorkerCrashed("It died.")]
    assert ask(tiny, n=3).status_code == 502
    *_, last = chunks(ask(tiny, n=3, stream=True))
    assert last["error"]["code"] == "engine_crashed"


def test_logprobs_come_with_the_text_that_they_are_of(tiny: Service) -> None:
    one = TokenLogprob(5, b"Hel", -0.5, (Likely(5, b"Hel", -0.5), Likely(6, b"\xc3", -1.5)))
    tiny.pool.logprobs = (one,)
    content = ask(tiny, logprobs=True, top_logprobs=2).json()["choices"][0]["logprobs"]["content"]
    expected = {
        "token": "Hel",
        "logprob": -0.5,
        "bytes": [72, 101, 108],
        "top_logprobs": [
            {"token": "Hel", "logprob": -0.5, "bytes": [72, 101, 108]},
            {"token": "\ufffd", "logprob": -1.5, "bytes": [0xC3]},
        ],
    }
    assert content == [expected, expected], "one for each of the two texts"
    assert tiny.pool.asked[-1][1].sampling.logprobs == 2
    streamed = chunks(ask(tiny, logprobs=True, stream=True))[1]["choices"][0]
    assert streamed["delta"] == {"content": "Hello"}
    assert streamed["logprobs"]["content"] == [expected]
    with openai.OpenAI(base_url=f"{tiny.url}/v1", api_key="none") as client:
        messages: Any = HELLO
        whole = client.chat.completions.create(model="tiny", messages=messages, logprobs=True)
    assert whole.choices[0].logprobs is not None
    assert whole.choices[0].logprobs.content is not None
    assert whole.choices[0].logprobs.content[0].token == "Hel"


@pytest.mark.parametrize("stream", [False, True])
def test_a_schema_that_an_engine_refuses_is_refused_by_the_field_it_came_in(
    tiny: Service, stream: bool
) -> None:
    for fields in ({"response_format": JSON_SCHEMA}, {"json_schema": SCHEMA}):
        for call, asked in (("chat/completions", {"messages": HELLO}), ("completions", {"prompt": "x"})):
            tiny.pool.texts = [InvalidInput("A schema.", param="json_schema")]
            body = {"model": "tiny", "stream": stream, **asked, **fields}
            error = tiny.client.post(f"/v1/{call}", json=body).json()["error"]
            assert error["param"] in fields, call


def test_a_form_that_binds_the_answer_reaches_the_engine_as_a_schema(tiny: Service) -> None:
    any_object = {"type": "object"}
    cases: list[tuple[dict[str, Any], Any]] = [
        ({"response_format": JSON_SCHEMA}, SCHEMA),
        ({"response_format": {"type": "json_object"}}, any_object),
        ({"response_format": {"type": "json_object", "schema": SCHEMA}}, SCHEMA),
        ({"json_schema": SCHEMA}, SCHEMA),
    ]
    for fields, schema in cases:
        assert ask(tiny, **fields).status_code == 200, fields
        sampling = tiny.pool.asked[-1][1].sampling
        assert (json.loads(sampling.json_schema or ""), sampling.grammar) == (schema, None), fields
    for free in ({}, {"response_format": {"type": "text"}}, {"grammar": ""}):
        ask(tiny, **free)
        sampling = tiny.pool.asked[-1][1].sampling
        assert (sampling.json_schema, sampling.grammar) == (None, None), free
    ask(tiny, grammar='root ::= "a"', logit_bias={"5": -100, "6": 1.5})
    sampling = tiny.pool.asked[-1][1].sampling
    assert sampling.grammar == 'root ::= "a"'
    assert sampling.logit_bias == ((5, -100), (6, 1.5))


def test_what_is_not_supported_is_refused_by_name(tiny: Service) -> None:
    for fields, param in UNSUPPORTED:
        answer = ask(tiny, **fields)
        assert answer.status_code == 400, f"{fields}: {answer.status_code} {answer.text}"
        error = answer.json()["error"]
        assert (error["code"], error["param"]) == ("unsupported_parameter", param), f"{fields}: {error}"
        assert param in error["message"], f"{fields}: {error}"
    assert tiny.pool.asked == [], "a refused request reached the pool"


def test_wrong_values_are_refused_by_name(tiny: Service) -> None:
    for fields, param in INVALID:
        answer = ask(tiny, **fields)
        assert answer.status_code == 400, f"{fields}: {answer.status_code} {answer.text}"
        error = answer.json()["error"]
        assert (error["code"], error["param"]) == ("invalid_value", param), f"{fields}: {error}"
        assert error["type"] == "invalid_request_error"
    assert tiny.pool.asked == [], "a refused request reached the pool"


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b'{"model": "tiny"}', b'"x"', b"\xff", b"{'a': 1}"]
)
def test_a_body_that_is_no_request_is_a_400(service: Service, body: bytes) -> None:
    answer = service.client.post(
        "/v1/chat/completions", content=body, headers={"content-type": "application/json"}
    )
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["code"] == "invalid_value"


def test_a_prompt_that_is_too_long_says_how_long_it_may_be(tiny: Service) -> None:
    tiny.pool.texts = [ContextExceeded(5000, 4096)]
    for stream in (False, True):
        answer = ask(tiny, stream=stream)
        error = answer.json()["error"]
        assert (answer.status_code, error["type"]) == (400, "exceed_context_size_error")
        assert (error["n_prompt_tokens"], error["n_ctx"]) == (5000, 4096)


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (WorkerCrashed("It was killed."), 502, "engine_crashed"),
        (LoadFailed("No memory."), 503, "model_load_failed"),
        (Busy("Too many.", retry_after=9), 429, "server_busy"),
        (ZeroDivisionError("secret"), 500, "internal_error"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_an_error_before_the_first_word_has_its_status(
    tiny: Service, error: Exception, status: int, code: str, stream: bool
) -> None:
    tiny.pool.texts = [error]
    answer = ask(tiny, stream=stream)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert "secret" not in answer.text
    if status == 429:
        assert answer.headers["retry-after"] == "9"


def test_an_error_after_the_first_word_is_the_last_message_of_the_stream(tiny: Service) -> None:
    tiny.pool.texts = ["Hel", WorkerCrashed("It was killed.")]
    answer = ask(tiny, stream=True)
    assert answer.status_code == 200
    found = chunks(answer)
    assert found[1]["choices"][0]["delta"] == {"content": "Hel"}
    assert found[-1] == {
        "error": {
            "message": "It was killed.",
            "type": "server_error",
            "param": None,
            "code": "engine_crashed",
        }
    }
    assert ask(tiny).status_code == 502, "a whole answer is not given in half"


def test_a_model_that_is_not_ready_is_refused_with_the_reason(own: Service) -> None:
    (own.root / "models/tiny/tiny.gguf").unlink()
    own.look()
    answer = ask(own)
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "model_not_ready")


def test_leaving_a_stream_ends_the_generation(tiny: Service) -> None:
    tiny.pool.held = 1
    asked = {"model": "tiny", "messages": HELLO, "stream": True}
    with tiny.client.stream("POST", "/v1/chat/completions", json=asked) as answer:
        lines = answer.iter_lines()
        assert any("Hello" in line for line in lines), "the stream did not begin"
        assert tiny.pool.cancelled == 0
    eventually(lambda: tiny.pool.cancelled == 1, "the generation went on for nobody")


@pytest.mark.parametrize(("stream", "held"), [(True, 0), (False, 0), (False, 1)])
def test_leaving_before_there_is_an_answer_ends_the_generation(
    tiny: Service, stream: bool, held: int
) -> None:
    tiny.pool.held = held
    connection = http.client.HTTPConnection("127.0.0.1", tiny.context.port)
    body = {"model": "tiny", "messages": HELLO, "stream": stream}
    headers = {"Content-Type": "application/json"}
    connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
    eventually(lambda: tiny.pool.asked, "the request did not come")
    connection.close()
    eventually(lambda: tiny.pool.cancelled == 1, "the generation went on for nobody")
