"""/tokenize, /detokenize and /apply-template as clients see them; the engine is a fake."""

import http.client
import json
from typing import Any

import httpx
import pytest

from janfs.engines.protocol import ChatMessage, ChatPrompt, PlainText
from tests.api.service import Service, eventually


def post(service: Service, path: str, **fields: Any) -> httpx.Response:
    return service.client.post(path, json={"model": "tiny"} | fields)


@pytest.mark.parametrize("prefix", ["", "/v1"])
def test_a_text_is_told_in_tokens(tiny: Service, prefix: str) -> None:
    assert post(tiny, f"{prefix}/tokenize", content="café").json() == {"tokens": [0, 1, 2]}
    assert tiny.pool.told == [PlainText("café", whole=False, special=True)]


def test_what_spells_special_tokens_is_read_as_it_is_asked_for(tiny: Service) -> None:
    assert post(tiny, "/tokenize", content="a", add_special=True, parse_special=False).status_code == 200
    assert tiny.pool.told == [PlainText("a", whole=True, special=False)]


def test_pieces_that_are_no_whole_characters_are_bytes(tiny: Service) -> None:
    assert post(tiny, "/tokenize", content="café", with_pieces=True).json() == {
        "tokens": [{"id": 0, "piece": "caf"}, {"id": 1, "piece": [0xC3]}, {"id": 2, "piece": [0xA9]}]
    }


@pytest.mark.parametrize("prefix", ["", "/v1"])
def test_tokens_are_told_as_text_and_half_a_character_as_bytes_too(tiny: Service, prefix: str) -> None:
    path = f"{prefix}/detokenize"
    assert post(tiny, path, tokens=[0, 1, 2]).json() == {"content": "café"}
    assert post(tiny, path, tokens=[0, 1]).json() == {"content": "caf\ufffd", "bytes": [*b"caf\xc3"]}
    assert post(tiny, path, tokens=[]).json() == {"content": ""}


@pytest.mark.parametrize("prefix", ["", "/v1"])
def test_a_chat_is_told_as_the_model_reads_it(tiny: Service, prefix: str) -> None:
    messages = [{"role": "user", "content": "Hello?"}]
    answer = post(tiny, f"{prefix}/apply-template", messages=messages, temperature=0)
    assert answer.json() == {"prompt": "a chat"}
    assert tiny.pool.told == [ChatPrompt((ChatMessage("user", "Hello?"),))]


def test_what_is_wrong_is_refused_by_name(tiny: Service) -> None:
    cases: list[tuple[str, dict[str, Any], str]] = [
        ("/tokenize", {}, "content"),
        ("/tokenize", {"content": 1}, "content"),
        ("/tokenize", {"content": "a", "pieces": True}, "pieces"),
        ("/detokenize", {"tokens": [-1]}, "tokens[0]"),
        ("/detokenize", {"tokens": [9]}, "tokens"),
        ("/apply-template", {"messages": []}, "messages"),
    ]
    for path, fields, param in cases:
        answer = post(tiny, path, **fields)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, param), f"{path} {fields}"
    assert post(tiny, "/tokenize", content="a", model="nobody").status_code == 404


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/tokenize", {"content": "a"}),
        ("/detokenize", {"tokens": [0]}),
        ("/apply-template", {"messages": [{"role": "user", "content": "a"}]}),
        ("/v1/messages/count_tokens", {"messages": [{"role": "user", "content": "a"}]}),
    ],
)
def test_nobody_is_answered_who_has_left(tiny: Service, path: str, fields: dict[str, Any]) -> None:
    tiny.pool.words_held = True
    connection = http.client.HTTPConnection("127.0.0.1", tiny.context.port)
    body = json.dumps({"model": "tiny"} | fields)
    connection.request("POST", path, body, {"Content-Type": "application/json"})
    eventually(lambda: tiny.pool.checking == 1, "the request did not come")
    connection.close()
    eventually(lambda: tiny.pool.checking == 0, "it goes on for nobody")
