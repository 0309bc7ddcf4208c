"""Models on other machines, as a client of ours sees them: over real connections to a server with vices."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.api.relay import CHAT, HI, KEY, ask, connect, shown, stream, text_of
from tests.api.service import Service, eventually, running_service
from tests.support.ports import vacant_port
from tests.support.upstream import STREAM, USAGE, Reply, Theirs, answer, chunk, theirs


class TestHandingOn:
    def test_an_answer_is_theirs_with_our_model_and_fingerprint(
        self, service: Service, upstream: Theirs
    ) -> None:
        connect(service, upstream)
        given = ask(service, unknown_to_us={"a": [1]}, reasoning_effort="low")
        fingerprint = given["system_fingerprint"]
        assert given == answer() | {"model": "ours", "system_fingerprint": fingerprint}
        (body,) = upstream.bodies
        said = {"messages": HI, "unknown_to_us": {"a": [1]}, "reasoning_effort": "low"}
        assert body == {"model": "theirs", **said}, "what the client says is handed on, whatever it is"
        meant = service.get(f"/v1/fingerprints/{fingerprint}")
        assert (meant["id"], meant["engine"], meant["parts"]) == ("ours", "there", [])
        assert meant["settings"]["model"] == "theirs"

    def test_what_its_model_json_says_is_asked_where_the_client_says_nothing(
        self, service: Service, upstream: Theirs
    ) -> None:
        said = {"temperature": 0.1, "max_tokens": 9, "typ_p": 0.5, "stream": True, "theirs": 1, "stop": []}
        connect(service, upstream, model={"model_parameters": said})
        ask(service, temperature=0.7)
        ask(service, max_completion_tokens=3, temperature=None)
        first, second = upstream.bodies
        assert first == {
            "model": "theirs", "messages": HI, "temperature": 0.7, "max_tokens": 9, "typical_p": 0.5,
            "theirs": 1,
        }  # fmt: skip
        assert (second["temperature"], second["max_completion_tokens"]) == (0.1, 3)
        assert "max_tokens" not in second

    def test_text_completions_go_to_theirs(self, service: Service, upstream: Theirs) -> None:
        connect(service, upstream)
        upstream.usual = Reply(body={"object": "text_completion", "choices": [{"index": 0, "text": "x"}]})
        ask(service, path="/v1/completions", prompt="Hi", echo=True)
        assert [path for path, _, _ in upstream.asked] == ["/v1/completions"]
        counted = service.client.get("/metrics").text
        assert 'janfs_answers_total{model="ours",outcome="other"} 1.0' in counted, (
            "it does not say how it ended"
        )

    @pytest.mark.parametrize(("path", "there"), [("/v1/embeddings", "embeddings"), ("/rerank", "rerank")])
    def test_vectors_and_ranks_come_from_theirs(
        self, service: Service, upstream: Theirs, path: str, there: str
    ) -> None:
        connect(service, upstream, model={"model_parameters": {"temperature": 0.1}})
        given = {
            "object": "list",
            "data": [{"embedding": [0.5]}],
            "model": "theirs",
            "usage": {"prompt_tokens": 3},
        }
        upstream.usual = Reply(body=given)
        assert ask(service, path=path, input="Hi", stream=True) == given | {"model": "ours"}
        assert upstream.asked[0][0] == f"/v1/{there}"
        assert "temperature" not in upstream.bodies[0]
        assert 'janfs_embedding_tokens_total{model="ours"} 3.0' in service.client.get("/metrics").text

    def test_a_stream_is_theirs_message_by_message(self, service: Service, upstream: Theirs) -> None:
        connect(service, upstream)
        upstream.usual = STREAM
        *messages, done = stream(service)
        assert done == "[DONE]"
        assert text_of(messages) == "Hello"
        assert {each["model"] for each in messages} == {"ours"}
        assert {each["system_fingerprint"] for each in messages} == {messages[0]["system_fingerprint"]}
        assert not any("usage" in each for each in messages), "nobody asked for it"
        assert upstream.bodies[0]["stream_options"] == {"include_usage": True}, "but it is counted"
        counted = service.client.get("/metrics").text
        assert 'janfs_completion_tokens_total{model="ours"} 2.0' in counted
        assert 'janfs_prompt_tokens_total{model="ours"} 5.0' in counted
        assert 'janfs_answers_total{model="ours",outcome="stop"} 1.0' in counted

    def test_a_usage_that_grows_with_every_message_is_counted_once(
        self, service: Service, upstream: Theirs
    ) -> None:
        connect(service, upstream)
        first = USAGE | {"completion_tokens": 1}
        upstream.usual = Reply(stream=[chunk("Hel", usage=first), chunk("lo", "stop", usage=USAGE)])
        assert text_of(stream(service)) == "Hello"
        counted = service.client.get("/metrics").text
        assert 'janfs_prompt_tokens_total{model="ours"} 5.0' in counted
        assert 'janfs_completion_tokens_total{model="ours"} 2.0' in counted

    def test_the_usage_of_a_stream_is_handed_on_to_who_asks_for_it(
        self, service: Service, upstream: Theirs
    ) -> None:
        connect(service, upstream)
        upstream.usual = STREAM
        *_, last, _ = stream(service, stream_options={"include_usage": True, "theirs": 1})
        assert (last["usage"], last["choices"]) == (USAGE, [])
        assert upstream.bodies[0]["stream_options"] == {"include_usage": True, "theirs": 1}

    def test_who_does_not_know_stream_options_is_asked_without(
        self, service: Service, upstream: Theirs
    ) -> None:
        connect(service, upstream)
        upstream.usual = STREAM
        upstream.replies = [Reply(422, {"detail": [{"loc": ["stream_options"], "msg": "Extra inputs."}]})]
        assert text_of(stream(service)) == "Hello"
        assert text_of(stream(service)) == "Hello"
        assert ["stream_options" in body for body in upstream.bodies] == [True, False, False]

    def test_a_stream_may_end_without_its_last_message(self, service: Service, upstream: Theirs) -> None:
        connect(service, upstream)
        upstream.usual = Reply(stream=[chunk("Hi"), chunk(finish="stop")], done=False)
        assert stream(service)[-1] == "[DONE]"

    def test_a_connection_is_used_again_after_a_stream(self, service: Service, upstream: Theirs) -> None:
        connect(service, upstream)
        upstream.usual = STREAM
        for _ in range(3):
            assert text_of(stream(service)) == "Hello"
        assert upstream.connections == 1

    def test_a_stream_that_is_left_open_after_its_last_message_is_whole(
        self, service: Service, upstream: Theirs
    ) -> None:
        connect(service, upstream)
        never = threading.Event()
        upstream.usual = Reply(stream=[chunk("Hi"), chunk(finish="stop"), b"[DONE]", never])
        try:
            assert stream(service)[-1] == "[DONE]"
        finally:
            never.set()

    @pytest.mark.parametrize(
        ("style", "headers"),
        [
            ("both", {"authorization": f"Bearer {KEY}", "api-key": KEY}),
            ("authorization", {"authorization": f"Bearer {KEY}"}),
            ("api-key", {"api-key": KEY}),
            ("x-api-key", {"x-api-key": KEY}),
        ],
    )
    def test_the_key_goes_in_the_headers_that_are_asked_for(
        self, service: Service, upstream: Theirs, style: str, headers: dict[str, str]
    ) -> None:
        connect(service, upstream, auth_header=style)
        ask(service)
        ((_, sent, _),) = upstream.asked
        names = ("authorization", "api-key", "x-api-key")
        assert {name: sent[name] for name in names if name in sent} == headers

    def test_a_key_from_the_environment_is_taken_from_there(
        self, service: Service, upstream: Theirs, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        connect(service, upstream, api_key="${THEIR_KEY}")
        said = ask(service, 409)["error"]
        assert "environment variable THEIR_KEY" in said["message"]
        monkeypatch.setenv("THEIR_KEY", KEY)
        ask(service)
        assert upstream.asked[-1][1]["api-key"] == KEY

    def test_without_a_key_none_is_sent(self, service: Service, upstream: Theirs) -> None:
        connect(service, upstream, api_key=None)
        given = service.client.post(
            CHAT, json={"model": "ours", "messages": HI}, headers={"Authorization": "Bearer of-the-client"}
        )
        assert given.status_code == 200
        assert "authorization" not in upstream.asked[0][1], "what the client says to us is for us"


THEIRS_AND_OURS: list[tuple[Reply, tuple[int, str]]] = [
    (
        Reply(400, {"error": {"message": "Too long.", "code": "too_long", "param": "messages"}}),
        (400, "too_long"),
    ),
    (
        Reply(404, {"error": {"message": "No such model.", "code": "model_not_found"}}),
        (404, "model_not_found"),
    ),
    (Reply(422, {"detail": "Not so."}), (422, "upstream_error")),
    (
        Reply(401, {"error": {"message": f"Incorrect API key provided: {KEY}"}}),
        (502, "upstream_unauthorized"),
    ),
    (Reply(403, b"<html>"), (502, "upstream_unauthorized")),
    (Reply(407, b""), (502, "upstream_error")),
    (Reply(500, {"error": f"It broke over {KEY}."}), (502, "upstream_error")),
    (Reply(503, {"error": {"message": "Loading model"}}), (503, "upstream_error")),
    (Reply(504, b""), (504, "upstream_error")),
    (Reply(302, b"", headers={"Location": "https://example.org/"}), (502, "upstream_redirects")),
    (Reply(200, b"not json"), (502, "upstream_error")),
    (Reply(200, b'{"choices": [{"text": "caf\xe9"}]}'), (502, "upstream_error")),
    (Reply(400, b'{"error": {"message": "caf\xe9"}}'), (400, "upstream_error")),
    (Reply(200, [1]), (502, "upstream_error")),
    (Reply(200, {"error": {"message": "Out of memory."}}), (502, "upstream_error")),
]


class TestErrors:
    @pytest.mark.parametrize("streamed", [False, True])
    def test_theirs_become_ours(self, service: Service, upstream: Theirs, streamed: bool) -> None:
        connect(service, upstream)
        for reply, (status, code) in THEIRS_AND_OURS:
            upstream.usual = reply
            error = ask(service, status, stream=streamed)["error"]
            assert error["code"] == code, f"after {reply}"
            where = upstream.url.removeprefix("http://")
            assert error["message"].startswith(f"The engine 'there' at {where}:"), f"after {reply}"
            assert KEY not in error["message"], f"after {reply}"
        counted = service.client.get("/metrics").text
        assert f'janfs_answers_total{{model="ours",outcome="error"}} {len(THEIRS_AND_OURS)}.0' in counted

    @pytest.mark.parametrize(
        "said", [{"error": {"message": "Out of memory."}}, {"object": "error", "message": "Out of memory."}]
    )
    def test_an_error_that_comes_as_a_good_answer_is_told(
        self, service: Service, upstream: Theirs, said: dict[str, Any]
    ) -> None:
        connect(service, upstream)
        upstream.usual = Reply(body=said)
        for streamed in (False, True):
            assert "Out of memory." in ask(service, 502, stream=streamed)["error"]["message"]
        upstream.usual = Reply(stream=[chunk("Hel"), said])
        *messages, last = stream(service)
        assert text_of(messages) == "Hel"
        assert "Out of memory." in last["error"]["message"]

    def test_what_is_nested_as_deeply_as_can_just_be_read_is_no_defect_of_ours(
        self, service: Service, upstream: Theirs
    ) -> None:
        """Where that is depends on how much of the stack is in use when it is read and written."""
        connect(service, upstream)
        told = set()
        for levels in range(960, 1000):
            deep = b'{"a":' * levels + b"1" + b"}" * levels
            upstream.usual = Reply(body=b'{"choices": [], "more": %b}' % deep)
            given = service.client.post(CHAT, json={"model": "ours", "messages": HI})
            called = b'{"choices": [{"delta": {"tool_calls": [{"function": {"arguments": %b}}]}}]}' % deep
            upstream.usual = Reply(stream=[called, chunk(finish="tool_calls")])
            asked = {"model": "ours", "messages": HI, "max_tokens": 5}
            other = service.client.post("/v1/messages", json=asked)
            for each in (given, other):
                assert each.status_code in (200, 502), f"{levels} levels: {each.text}"
                if each.status_code == 502:
                    told.add(each.json()["error"]["message"])
        assert "What the engine elsewhere sends is nested too deeply." in told

    def test_a_prompt_that_does_not_fit_there_is_told_with_both_numbers(
        self, service: Service, upstream: Theirs
    ) -> None:
        connect(service, upstream)
        kind = "exceed_context_size_error"
        told = {"code": 400, "message": "Too long.", "type": kind, "n_prompt_tokens": 30, "n_ctx": 20}
        upstream.usual = Reply(400, {"error": told})
        error = ask(service, 400)["error"]
        assert (error["code"], error["n_prompt_tokens"], error["n_ctx"]) == (kind, 30, 20)
        for wrong in (True, -1, 0, "20", 2.5):
            upstream.usual = Reply(400, {"error": told | {"n_ctx": wrong}})
            error = ask(service, 400)["error"]
            assert not {"n_ctx", "n_prompt_tokens"} & error.keys(), wrong

    def test_there_is_nothing_to_fetch(self, service: Service, upstream: Theirs) -> None:
        connect(service, upstream, model={"sources": [{"url": "https://openai.com"}]})
        given = service.client.post("/v1/models/ours/download")
        assert given.status_code == 400
        assert "on another machine" in given.json()["error"]["message"]

    def test_a_limit_of_theirs_is_told_and_kept_to(self, service: Service, upstream: Theirs) -> None:
        connect(service, upstream)
        limit = {"error": {"message": "Slow down.", "type": "requests", "code": "rate_limit_exceeded"}}
        upstream.replies = [Reply(429, limit, headers={"Retry-After": "40"})]
        given = service.client.post(CHAT, json={"model": "ours", "messages": HI})
        assert (given.status_code, given.headers["retry-after"]) == (429, "40")
        assert given.json()["error"]["code"] == "rate_limit_exceeded"
        again = service.client.post(CHAT, json={"model": "ours", "messages": HI})
        assert again.status_code == 429
        assert 0 < int(again.headers["retry-after"]) <= 40
        assert len(upstream.bodies) == 1, "it was asked although it had asked to be left alone"

    def test_nobody_there_is_said_so(self, service: Service, upstream: Theirs) -> None:
        with vacant_port() as port:
            connect(service, Theirs(f"http://127.0.0.1:{port}"))
            assert ask(service, 502)["error"]["code"] == "upstream_unreachable"
        assert (shown(service)["state"], shown(service)["status"]) == ("failed", "ready")

    def test_silence_ends_in_time(self, service: Service, upstream: Theirs) -> None:
        connect(service, upstream, read_timeout=1)
        told = threading.Event()
        upstream.usual = Reply(body=answer(), hold=told)
        try:
            assert ask(service, 504)["error"]["code"] == "upstream_timeout"
        finally:
            told.set()

    def test_what_breaks_off_after_the_first_word_ends_with_an_error(
        self, service: Service, upstream: Theirs, other: Theirs
    ) -> None:
        connect(service, upstream, other)
        for site in (upstream, other):
            site.usual = Reply(stream=[chunk(), chunk("Hel")], cut=True)
        *messages, last = stream(service)
        assert text_of(messages) == "Hel", "another server cannot go on where one broke off"
        assert last["error"]["code"] == "upstream_unreachable"
        assert len(upstream.bodies) + len(other.bodies) == 1

    @pytest.mark.parametrize("none_yet", [None, ""])
    def test_a_stream_that_ends_without_a_reason_has_broken_off(
        self, service: Service, upstream: Theirs, none_yet: str | None
    ) -> None:
        connect(service, upstream)
        upstream.usual = Reply(stream=[chunk(), chunk("Hel", none_yet)], done=False)
        assert "broke off" in stream(service)[-1]["error"]["message"]

    def test_other_calls_are_refused_by_name(self, service: Service, upstream: Theirs) -> None:
        connect(service, upstream)
        given = service.client.post("/models/load", json={"model": "ours"})
        assert given.status_code == 409, given.text
        assert "'there' on another machine" in given.json()["error"]["message"]


class TestSeveral:
    @pytest.fixture
    def port(self) -> Iterator[int]:
        with vacant_port() as found:
            yield found

    def test_requests_go_to_who_has_the_fewest(
        self, service: Service, upstream: Theirs, other: Theirs
    ) -> None:
        connect(service, upstream, other)
        for _ in range(6):
            ask(service)
        assert (len(upstream.bodies), len(other.bodies)) == (3, 3)

    @pytest.mark.parametrize(
        "reply",
        [
            Reply(cut=True),
            Reply(401, {}),
            Reply(429, {}),
            Reply(502, {}),
            Reply(503, {}),
            Reply(504, {}),
            Reply(200, b"<html>"),
            Reply(stream=[chunk()], cut=True),
            Reply(stream=[chunk(), {"error": {"message": "Out of memory."}}]),
        ],
    )
    def test_who_fails_before_the_first_word_is_replaced(
        self, service: Service, upstream: Theirs, other: Theirs, reply: Reply
    ) -> None:
        connect(service, upstream, other)
        upstream.usual, other.usual = reply, STREAM
        for _ in range(3):
            assert text_of(stream(service)) == "Hello"

    @pytest.mark.parametrize("status", [400, 404, 422, 500])
    def test_who_refuses_the_request_itself_is_not(
        self, service: Service, upstream: Theirs, other: Theirs, status: int
    ) -> None:
        connect(service, upstream, other)
        for site in (upstream, other):
            site.usual = Reply(status, {})
        ask(service, 502 if status == 500 else status)
        assert len(upstream.bodies) + len(other.bodies) == 1

    def test_who_is_gone_is_left_out_until_it_is_back(
        self, service: Service, upstream: Theirs, port: int
    ) -> None:
        with theirs(port) as gone:
            connect(service, upstream, gone)
            ask(service)
            ask(service)
            assert gone.bodies
        for _ in range(4):
            ask(service)
        counted = service.client.get("/metrics").text
        assert f'janfs_upstream_up{{engine="there",server="{upstream.url}/v1"}} 1.0' in counted
        assert f'janfs_upstream_up{{engine="there",server="{gone.url}/v1"}} 0.0' in counted
        states = {each["url"]: each for each in service.get("/v1/engines")["data"][-1]["upstreams"]}
        assert states[f"{upstream.url}/v1"]["state"] == "up"
        assert states[f"{gone.url}/v1"]["state"] == "down"
        assert "no connection" in states[f"{gone.url}/v1"]["reason"]
        with theirs(port) as back:
            eventually(
                lambda: all(
                    each["state"] == "up" for each in service.get("/v1/engines")["data"][-1]["upstreams"]
                ),
                "nobody saw that it is back",
            )
            ask(service)
            ask(service)
            assert back.bodies, "it is back, and not asked"

    def test_a_lone_server_whose_connection_breaks_is_asked_once_more(
        self, service: Service, upstream: Theirs
    ) -> None:
        connect(service, upstream)
        upstream.replies = [Reply(cut=True)]
        ask(service)
        upstream.replies = [Reply(cut=True), Reply(cut=True)]
        assert ask(service, 502)["error"]["code"] == "upstream_unreachable"


def test_clients_that_vanish_leave_nothing_behind(service: Service, upstream: Theirs) -> None:
    connect(service, upstream)
    upstream.usual = Reply(stream=[chunk("a"), *[0.02, chunk("b")] * 500])
    body = {"model": "ours", "messages": HI, "stream": True}
    with ThreadPoolExecutor(20) as clients:
        for reading in (True, False):

            def leave(_: int, reading: bool = reading) -> None:
                with service.client.stream("POST", CHAT, json=body) as given:
                    if reading:
                        next(given.iter_bytes())

            list(clients.map(leave, range(20)))

    def active() -> int:
        return int(service.get("/v1/engines")["data"][-1]["upstreams"][0]["active"])

    eventually(lambda: active() == 0, "requests of clients that are gone run on")
    eventually(lambda: upstream.now == 0, "the server goes on writing for clients that are gone")
    upstream.usual = STREAM
    assert text_of(stream(service)) == "Hello"


class TestManaging:
    def test_start_looks_whether_it_answers(self, service: Service, upstream: Theirs) -> None:
        connect(service, upstream)
        assert shown(service)["state"] == "stopped"
        said = service.client.post("/v1/models/ours/start").json()
        assert said["state"] == shown(service)["state"] == "running"
        assert said["message"] == "Model ours is served by there on another machine, which answers"
        upstream.models = Reply(body={"data": [{"id": "else"}]})
        assert (
            "does not list a model 'theirs'" in service.client.post("/v1/models/ours/start").json()["message"]
        )
        upstream.models = Reply(404, b"")
        assert service.client.post("/v1/models/ours/start").status_code == 200
        upstream.models = Reply(403, {})
        said = service.client.post("/v1/models/ours/start").json()
        assert said["message"].endswith("answers, but it does not let our key list its models (status 403)")
        assert said["state"] == "running"
        upstream.models = Reply(401, {})
        refused = service.client.post("/v1/models/ours/start")
        assert (refused.status_code, refused.json()["error"]["code"]) == (502, "upstream_unauthorized")
        assert shown(service)["state"] == "failed"

    def test_stop_leaves_it_where_it_is_and_says_so(self, service: Service, upstream: Theirs) -> None:
        connect(service, upstream)
        said = service.client.post("/v1/models/ours/stop").json()
        assert "nothing to stop here" in said["message"]
        ask(service)

    def test_a_new_address_holds_from_the_next_request_on(
        self, service: Service, upstream: Theirs, other: Theirs
    ) -> None:
        connect(service, upstream)
        before = ask(service)["system_fingerprint"]
        connect(service, other, api_key="another-key")
        eventually(lambda: ask(service)["system_fingerprint"] != before, "it goes to the old address")
        assert other.bodies
        assert "another-key" not in str(upstream.asked), "the new key went to the old address"
        assert [each["url"] for each in service.get("/v1/engines")["data"][-1]["upstreams"]] == [
            f"{other.url}/v1"
        ]


def test_the_key_is_nowhere_but_in_its_file_and_on_its_way(
    tmp_path: Path, upstream: Theirs, capfd: pytest.CaptureFixture[str]
) -> None:
    """Not in the log's database, nor in any answer, nor in anything that is printed."""
    answers: list[str] = []
    with running_service(tmp_path / "root") as service:
        service.client.event_hooks = {"response": [lambda given: answers.append(given.read().decode())]}
        connect(service, upstream)
        ask(service)
        echo = {"error": {"message": f"Bearer {KEY}", "code": KEY, "param": KEY}}
        for reply in (
            Reply(400, echo),
            Reply(401, echo),
            Reply(500, echo),
            Reply(429, echo),
            Reply(cut=True),
        ):
            upstream.replies = [reply, reply]
            service.client.post(CHAT, json={"model": "ours", "messages": HI})
            service.client.post(CHAT, json={"model": "ours", "messages": HI, "stream": True})
        upstream.usual = Reply(stream=[chunk("x"), {"error": {"message": KEY}}])
        stream(service)
        for path in (
            *(
                "/v1/models",
                "/v1/models/ours",
                "/v1/models/ours/config",
                "/v1/engines",
                "/v1/events",
                "/metrics",
            ),
            *("/v1/models/ours/history", "/v1/why?subject=ours", "/openapi.json", "/v1/models/ours/blame"),
        ):
            service.client.get(path)
        service.client.post("/v1/models/ours/start")
        service.client.post("/v1/models/ours/stop")
        text = (service.root / "engines" / "there.json").read_text()
        (service.root / "engines" / "there.json").write_text(text[:-1])  # no JSON any more
        eventually(
            lambda: service.look() or service.get("/v1/engines")["data"][-1]["problems"],
            "nobody saw the mistake",
        )
        ask(service, 200 if upstream.replies else 502)
    assert len(answers) > 20
    assert not [each for each in answers if KEY in each], "the key is in an answer"
    private = [path for path in (tmp_path / "root" / ".janfs").rglob("*") if path.is_file()]
    assert any(path.name == "log.db" for path in private)
    assert not [path for path in private if KEY.encode() in path.read_bytes()], "the key is in the log"
    printed = capfd.readouterr()
    assert KEY not in printed.out + printed.err
