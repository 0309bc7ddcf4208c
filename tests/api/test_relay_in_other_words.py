"""What is asked by other APIs than chat completions, of models on other machines."""

import base64
import json
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

from janfs.engines.protocol import CallDelta
from tests.api.relay import CHAT, HI, KEY, ask, connect, stream
from tests.api.service import Service, running_service
from tests.support.upstream import STREAM, USAGE, Reply, Theirs, chunk

TOOL = {"name": "add", "input_schema": {"type": "object", "properties": {"a": {"type": "number"}}}}
CALLED = [
    {"index": 4, "id": "call_1", "type": "function", "function": {"name": "add", "arguments": ""}},
    {"index": 4, "function": {"arguments": '{"a":'}},
    {"index": 4, "function": {"arguments": " 1}"}},
]
THINKING = Reply(
    stream=[
        chunk(),
        *({"choices": [{"index": 0, "delta": {"reasoning_content": text}}]} for text in ("Hm", "m.")),
        chunk("I "),
        chunk("add."),
        *({"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]} for call in CALLED),
        chunk(finish="tool_calls"),
        {"choices": [], "usage": USAGE},
    ]
)


class TestOtherApis:
    """What is asked in other words is told there in those of chat completions."""

    @pytest.mark.parametrize("streamed", [False, True])
    def test_anthropics_messages(self, service: Service, upstream: Theirs, streamed: bool) -> None:
        connect(service, upstream, model={"model_parameters": {"seed": 5}})
        upstream.usual = THINKING
        client = anthropic.Anthropic(base_url=service.url, api_key="none")
        earlier = [{"type": "tool_use", "id": "t1", "name": "add", "input": {"a": 1}}]
        result = [{"type": "tool_result", "tool_use_id": "t1", "content": "1"}]
        asked: dict[str, Any] = {
            "model": "ours", "max_tokens": 9, "system": "Be brief.", "stop_sequences": ["x"], "tools": [TOOL],
            "tool_choice": {"type": "tool", "name": "add"}, "extra_body": {"top_k": 3},
            "messages": [*HI, {"role": "assistant", "content": earlier}, {"role": "user", "content": result}],
        }  # fmt: skip
        with client:
            if streamed:
                with client.messages.stream(**asked) as stream:
                    given = stream.get_final_message()
            else:
                given = client.messages.create(**asked)
        thought, text, call = given.content
        assert (thought.type, thought.type == "thinking" and thought.thinking) == ("thinking", "Hmm.")
        assert (text.type, text.type == "text" and text.text) == ("text", "I add.")
        assert call.type == "tool_use"
        assert (call.name, call.input) == ("add", {"a": 1})
        assert (given.model, given.stop_reason, given.usage.output_tokens) == ("ours", "tool_use", 2)
        (body,) = upstream.bodies
        function = {"name": "add", "parameters": TOOL["input_schema"]}
        assert body == {
            "model": "theirs", "seed": 5, "max_tokens": 9, "stop": ["x"], "top_k": 3,
            "stream": True, "stream_options": {"include_usage": True},
            "messages": [
                {"role": "system", "content": "Be brief."},
                *HI,
                {
                    "role": "assistant", "content": None,
                    "tool_calls": [{
                        "id": "t1", "type": "function",
                        "function": {"name": "add", "arguments": json.dumps({"a": 1})},
                    }],
                },
                {"role": "tool", "content": "1", "tool_call_id": "t1"},
            ],
            "tools": [{"type": "function", "function": function}],
            "tool_choice": {"type": "function", "function": {"name": "add"}},
        }  # fmt: skip

    def test_calls_that_a_server_writes_in_turns_are_one_block_or_item_each(
        self, service: Service, upstream: Theirs
    ) -> None:
        connect(service, upstream)
        parts = ((0, '{"a":'), (1, '{"a":'), (0, " 1}"), (1, " 2}"))
        begun = [{"index": each, "id": f"c{each}", "function": {"name": "add"}} for each in (0, 1)]
        calls = [begun, *([{"index": each, "function": {"arguments": text}}] for each, text in parts)]
        upstream.usual = Reply(
            stream=[
                *({"choices": [{"index": 0, "delta": {"tool_calls": each}}]} for each in calls),
                chunk(finish="tool_calls"),
            ]
        )
        with anthropic.Anthropic(base_url=service.url, api_key="none") as client:
            asked: dict[str, Any] = {"model": "ours", "max_tokens": 9, "messages": HI, "tools": [TOOL]}
            with client.messages.stream(**asked) as stream:
                blocks = stream.get_final_message().content
        assert [block.type == "tool_use" and block.input for block in blocks] == [{"a": 1}, {"a": 2}]
        with (
            openai.OpenAI(base_url=f"{service.url}/v1", api_key="none") as client,
            client.responses.create(model="ours", input="Hi", stream=True) as events,
        ):
            *_, last = events
        assert last.type == "response.completed"
        items = [each.type == "function_call" and each.arguments for each in last.response.output]
        assert items == ['{"a": 1}', '{"a": 2}']

    @pytest.mark.parametrize("streamed", [False, True])
    def test_openais_responses(self, service: Service, upstream: Theirs, streamed: bool) -> None:
        connect(service, upstream)
        upstream.usual = STREAM
        format_ = {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": True}
        with openai.OpenAI(base_url=f"{service.url}/v1", api_key="none") as client:
            asked: dict[str, Any] = {"model": "ours", "input": "Hi", "text": {"format": format_}}
            if streamed:
                with client.responses.create(**asked, stream=True) as events:
                    given = list(events)[-1].response
            else:
                given = client.responses.create(**asked)
        assert given.output_text == "Hello"
        assert (given.model, given.usage.output_tokens) == ("ours", 2)
        assert service.get(f"/v1/fingerprints/{given.system_fingerprint}")["id"] == "ours"
        (body,) = upstream.bodies
        assert body["response_format"] == {
            "type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}, "strict": True},
        }  # fmt: skip
        assert "temperature" not in body, "what nobody said was said there"

    def test_thoughts_and_images_reach_the_server_and_who_refuses_thoughts_gets_none(
        self, service: Service, upstream: Theirs
    ) -> None:
        connect(service, upstream)
        upstream.usual = THINKING
        extra = {"detail": [{"loc": ["messages", 1, "reasoning_content"], "msg": "Extra inputs."}]}
        upstream.replies = [THINKING, Reply(422, extra)]
        url = "data:image/gif;base64," + base64.b64encode(b"GIF89a" + b"\1\0\1\0").decode()
        bodies: dict[str, dict[str, Any]] = {
            "/v1/messages": {
                "max_tokens": 9,
                "messages": [
                    {"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": url}}]},
                    {
                        "role": "assistant",
                        "content": [
                            {"type": "thinking", "thinking": "Red?"},
                            {"type": "text", "text": "Red."},
                        ],
                    },
                    *HI,
                ],
            },
            "/v1/responses": {
                "input": [
                    {"role": "user", "content": [{"type": "input_image", "image_url": url}]},
                    {"type": "reasoning", "content": [{"type": "reasoning_text", "text": "Red?"}]},
                    {"role": "assistant", "content": "Red."},
                    *HI,
                ],
            },
        }
        for path, body in bodies.items():
            given = service.client.post(path, json={"model": "ours"} | body)
            assert given.status_code == 200, given.text
            assert "Hmm." in given.text, "its thoughts came back"
        told = [
            [{"type": "image_url", "image_url": {"url": url}}],
            {"role": "assistant", "content": "Red.", "reasoning_content": "Red?"},
        ]
        messages, responses, refused = (body["messages"] for body in upstream.bodies)
        for each in (messages, responses):
            assert [each[0]["content"], each[1]] == told
        assert refused[1] == {"role": "assistant", "content": "Red."}
        service.client.post("/v1/responses", json={"model": "ours"} | bodies["/v1/responses"])
        assert "reasoning_content" not in json.dumps(upstream.bodies[-1]), "it had refused that before"
        stream(service, messages=[told[1]])
        assert upstream.bodies[-1]["messages"] == [told[1]], "the client's own words were changed"

    @pytest.mark.parametrize("path", ["/v1/messages", "/v1/responses", CHAT])
    def test_a_bound_is_called_as_openais_newer_models_want_it(
        self, service: Service, upstream: Theirs, path: str
    ) -> None:
        connect(service, upstream, model={"model_parameters": {"max_tokens": 7}})
        words = "Unsupported parameter: 'max_tokens' is not supported with this model. Use '{}' instead."
        error = {"message": words.format("max_completion_tokens"), "param": "max_tokens"}
        upstream.usual, upstream.replies = STREAM, [Reply(400, {"error": error})]
        asked = {"input": "Hi"} if path == "/v1/responses" else {"messages": HI}
        if path == "/v1/messages":
            asked["max_tokens"] = 9
        for _ in range(2):
            given = service.client.post(path, json={"model": "ours", "stream": True, **asked})
            assert given.status_code == 200, given.text
        bound = asked.get("max_tokens", 7)
        told = [
            [body.get(name) for name in ("max_tokens", "max_completion_tokens")] for body in upstream.bodies
        ]
        assert told == [[bound, None], [None, bound], [None, bound]]

    def test_a_bound_of_the_clients_is_left_as_it_is(self, service: Service, upstream: Theirs) -> None:
        connect(service, upstream, model={"model_parameters": {"max_completion_tokens": 7}})
        error = {"message": "Use 'max_completion_tokens' instead.", "param": "max_tokens"}
        upstream.replies = [Reply(400, {"error": error})]
        assert ask(service, 400, max_tokens=9)["error"]["param"] == "max_tokens"
        (body,) = upstream.bodies
        assert (body["max_tokens"], "max_completion_tokens" in body) == (9, False), "it has two of them"
        unknown = {"error": {"message": "Unknown: max_completion_tokens."}}
        upstream.usual, upstream.replies = STREAM, [Reply(400, unknown)]
        ask(service, 400, max_completion_tokens=9)
        ask(service, path="/v1/messages", max_tokens=9)
        assert "max_tokens" in upstream.bodies[-1], "it was told by the name that is not known there"

    def test_the_usage_is_told_in_full(self, service: Service, upstream: Theirs) -> None:
        connect(service, upstream)
        more = {
            "prompt_tokens_details": {"cached_tokens": 3},
            "completion_tokens_details": {"reasoning_tokens": 1},
        }
        upstream.usual = Reply(stream=[chunk("Hi"), chunk(finish="stop"), chunk(usage=USAGE | more)])
        usage = service.client.post("/v1/responses", json={"model": "ours", "input": "Hi"}).json()["usage"]
        assert usage["input_tokens_details"]["cached_tokens"] == 3
        assert usage["output_tokens_details"]["reasoning_tokens"] == 1

    def test_no_count_is_less_than_nothing_where_they_count_what_was_cached_beside_the_rest(
        self, service: Service, upstream: Theirs
    ) -> None:
        connect(service, upstream)
        usage = USAGE | {"prompt_tokens": 1, "prompt_tokens_details": {"cached_tokens": 9}}
        upstream.usual = Reply(stream=[chunk("Hi"), chunk(finish="stop", usage=usage)])
        assert ask(service, path="/v1/messages", max_tokens=5)["usage"]["input_tokens"] == 0

    def test_an_answer_that_a_filter_cut_off_is_not_told_as_a_whole_one(
        self, service: Service, upstream: Theirs
    ) -> None:
        connect(service, upstream)
        upstream.usual = Reply(stream=[chunk("Hi"), chunk(finish="content_filter")])
        assert ask(service, path="/v1/messages", max_tokens=5)["stop_reason"] == "refusal"
        given = service.client.post("/v1/responses", json={"model": "ours", "input": "Hi"}).json()
        assert (given["status"], given["output"][0]["status"]) == ("incomplete", "incomplete")
        assert given["incomplete_details"] == {"reason": "content_filter"}
        counted = service.client.get("/metrics").text
        assert 'janfs_answers_total{model="ours",outcome="content_filter"} 2.0' in counted

    @pytest.mark.parametrize("streamed", [False, True])
    @pytest.mark.parametrize("texts", [["1, 2, "], [CallDelta(0, "add", '{"a":')]])
    def test_the_stop_sequence_that_another_janfs_came_upon_is_told(
        self, service: Service, tmp_path: Path, texts: list[Any], streamed: bool
    ) -> None:
        with running_service(tmp_path / "theirs") as there:
            there.drop("theirs.gguf")
            there.pool.texts, there.pool.stop_string = texts, "END"
            connect(service, Theirs(there.url))
            client = anthropic.Anthropic(base_url=service.url, api_key="none")
            asked: Any = {"model": "ours", "max_tokens": 9, "messages": HI, "stop_sequences": ["no", "END"]}
            with client, client.messages.stream(**asked) as stream:
                given = stream.get_final_message() if streamed else client.messages.create(**asked)
        assert (given.stop_reason, given.stop_sequence) == ("stop_sequence", "END")

    def test_an_error_comes_in_their_words(self, service: Service, upstream: Theirs) -> None:
        connect(service, upstream)
        upstream.usual = Reply(429, {"error": {"message": "Slow down."}})
        said = ask(service, 429, "/v1/messages", max_tokens=5)
        assert (said["type"], said["error"]["type"]) == ("error", "rate_limit_error")
        assert "Slow down." in said["error"]["message"]
        upstream.usual = Reply(stream=[chunk("a")], cut=True)
        given = service.client.post(
            "/v1/messages", json={"model": "ours", "messages": HI, "max_tokens": 5, "stream": True}
        )
        assert given.text.rstrip().rpartition("event: ")[2].startswith("error")

    def test_what_is_refused_there_is_refused_by_what_the_client_calls_it(
        self, service: Service, upstream: Theirs
    ) -> None:
        connect(service, upstream)
        for theirs, ours in (("messages", "input"), ("temperature", "temperature")):
            upstream.usual = Reply(400, {"error": {"message": "No.", "param": theirs}})
            given = service.client.post("/v1/responses", json={"model": "ours", "input": "Hi"})
            assert (given.status_code, given.json()["error"]["param"]) == (400, ours)

    def test_probabilities_are_refused_where_they_cannot_be_told(
        self, service: Service, upstream: Theirs
    ) -> None:
        connect(service, upstream)
        asked = {"model": "ours", "input": "Hi", "include": ["message.output_text.logprobs"]}
        given = service.client.post("/v1/responses", json=asked)
        assert given.status_code == 400
        assert given.json()["error"]["code"] == "unsupported_parameter"
        assert not upstream.bodies


@pytest.mark.parametrize(
    ("call", "asked", "there"),
    [
        ("/tokenize", {"content": "Hi", "theirs": 1}, "/tokenize"),
        ("/v1/tokenize", {"content": "Hi"}, "/tokenize"),
        ("/v1/detokenize", {"tokens": [1]}, "/detokenize"),
        ("/apply-template", {"messages": HI}, "/apply-template"),
        ("/v1/messages/count_tokens", {"messages": HI, "system": "Be brief."}, "/v1/messages/count_tokens"),
    ],
)
def test_tokens_are_asked_of_who_has_the_vocabulary(
    service: Service, upstream: Theirs, call: str, asked: dict[str, Any], there: str
) -> None:
    connect(service, upstream, base_urls=[f"{upstream.url}/v1/chat/completions?version=1"])
    upstream.replies = [Reply(body={"tokens": [1, 2]}), Reply(404, {"error": {"message": "Not Found"}})]
    given = service.client.post(call, json={"model": "ours", **asked})
    assert (given.status_code, given.json()) == (200, {"tokens": [1, 2]})
    ((path, headers, body),) = upstream.asked
    assert (path, body) == (f"{there}?version=1", {"model": "theirs", **asked})
    assert headers["authorization"] == f"Bearer {KEY}"
    refused = service.client.post(call, json={"model": "ours", **asked})
    error = refused.json()["error"]
    assert refused.status_code == 400, refused.text
    assert f"seems to have no {there.removeprefix('/v1')}" in error["message"]
    if "messages" not in call:
        assert (error["code"], error["param"]) == ("unsupported_parameter", "model")
    counted = service.client.get("/metrics").text
    assert 'model="ours"' not in counted, "it was counted as an answer or as vectors"
