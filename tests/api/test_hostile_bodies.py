"""Whatever a client sends is answered or refused with the reason; nothing of it is an error of ours."""

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from janfs.api.openapi import OPERATIONS
from janfs.engines.protocol import CallDelta, ReasoningDelta
from tests.api.service import Service
from tests.api.test_images import URL

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
CALL = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
SAMPLING = {
    "temperature": 0.5, "top_p": 0.9, "top_k": 4, "min_p": 0.1, "seed": 1, "max_tokens": 5, "stop": ["a"],
    "n": 2, "logit_bias": {"5": 1.0}, "grammar": None, "stream": False, "stream_options": None, "user": "me",
}  # fmt: skip
CHAT = {
    "model": "tiny",
    "messages": [
        {"role": "system", "content": [{"type": "text", "text": "Be kind."}]},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": URL, "detail": "low"}}]},
        {"role": "assistant", "content": None, "tool_calls": [CALL], "reasoning_content": "Hm."},
        {"role": "tool", "content": "x", "tool_call_id": "1"},
    ],
    "tools": [{"type": "function", "function": {"name": "f", "description": "d", "parameters": SCHEMA}}],
    "tool_choice": {"type": "function", "function": {"name": "f"}},
    "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}},
    "logprobs": True,
    "top_logprobs": 2,
    **SAMPLING,
}
TEXT = {"model": "tiny", "prompt": "Once", "logprobs": 1, **SAMPLING}
RESPONSE = {
    "model": "tiny",
    "input": [
        {
            "role": "user",
            "content": [{"type": "input_text", "text": "?"}, {"type": "input_image", "image_url": URL}],
        },
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}], "content": []},
        {"type": "function_call", "call_id": "1", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "1", "output": "x"},
    ],
    "instructions": "Be kind.",
    "tools": [{"type": "function", "name": "f", "parameters": SCHEMA, "strict": True}],
    "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]},
    "text": {"format": {"type": "json_schema", "name": "x", "schema": SCHEMA}},
    "include": ["message.output_text.logprobs"],
    "top_logprobs": 2,
    "max_output_tokens": 5,
    "metadata": {"a": "b"},
    "reasoning": {"summary": "auto"},
    "stream": False,
}
COUNTED = {
    "model": "tiny",
    "messages": [
        {"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": URL}}]},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "1", "name": "f", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1", "content": "x"}]},
    ],
    "system": "Be kind.",
    "tools": [{"name": "f", "input_schema": SCHEMA}],
    "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
}
MESSAGE = {
    **COUNTED,
    "max_tokens": 5,
    "stop_sequences": ["a"],
    "temperature": 0.5,
    "top_k": 2,
    "stream": True,
}
BODIES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": CHAT,
    "/v1/completions": TEXT,
    "/v1/responses": RESPONSE,
    "/v1/messages": MESSAGE,
    "/v1/messages/count_tokens": COUNTED,
    "/v1/embeddings": {"model": "tiny", "input": ["a", "b"], "encoding_format": "base64", "dimensions": 2},
    "/v1/rerank": {"model": "tiny", "query": "q", "documents": ["a", {"text": "b"}], "top_n": 1},
    "/tokenize": {"model": "tiny", "content": "abc", "add_special": True, "with_pieces": True},
    "/detokenize": {"model": "tiny", "tokens": [1, 2]},
    "/apply-template": CHAT,
    "/v1/models/tiny/revert": {"to": "1", "dry_run": True},
    "/v1/models/tiny/pair": {"part": "x.gguf"},
    "/models/load": {"model": "tiny"},
    "/models/unload": {"model": "tiny"},
    "/v1/import": {"path": "/nowhere.jan.tar"},
    "/v1/pull": {"source": "hf:"},
    "/v1/dedupe": {"model": "tiny", "dry_run": True},
    "/v1/organise": {"dry_run": True},
}
ODD = st.one_of(
    st.sampled_from([None, True, False, 0, -1, 2**31, 2**63, -(2**63) - 1, 10**40, 1e308, 0.5, -0.0]),
    st.sampled_from(["", "\0", "\ud800", "x" * 2000, "{", "[]", "tiny", "data:image/png;base64,", "%s%n"]),
    st.sampled_from(["file:///etc/passwd", "{{ 7 * 7 }}"]),
    st.sampled_from([[], {}, [[]], [{}], [None], {"": None}, {"$ref": "#"}, ["a"] * 300]),
    st.just({"type": "object", "properties": {"a": {"$ref": "#/x"}}}),
    st.text(max_size=6),
    st.integers(-5, 5),
    st.recursive(st.none() | st.text(max_size=3), lambda inner: st.lists(inner, max_size=2), max_leaves=4),
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of everything in a body."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inner:
        yield (*path, key)
        yield from places(each, (*path, key))


@st.composite
def spoilt(draw: st.DrawFn, body: dict[str, Any]) -> Any:
    """A body in which a few things were replaced, taken out or added."""
    found = copy.deepcopy(body)
    for _ in range(draw(st.integers(1, 3))):
        known = list(places(found))
        if not known:
            return found
        *way, last = draw(st.sampled_from(known))
        holder = found
        for step in way:
            holder = holder[step]
        match draw(st.sampled_from(["replace", "replace", "replace", "take out", "add"])):
            case "replace":
                holder[last] = copy.deepcopy(draw(ODD))
            case "take out":
                del holder[last]
            case "add" if isinstance(holder, dict):
                holder[draw(st.text(max_size=5))] = copy.deepcopy(draw(ODD))
            case _:
                holder.append(copy.deepcopy(draw(ODD)))  # type: ignore[attr-defined]
    return found


def test_every_operation_with_a_body_is_tried() -> None:
    for operation in OPERATIONS:
        if operation.body is None or "POST" not in operation.handler.http_methods:
            continue
        paths = {path.replace("{model_id:str}", "tiny") for path in operation.handler.paths}
        assert paths & BODIES.keys(), f"nothing hostile is sent to {paths}"


@pytest.mark.parametrize("path", BODIES)
def test_a_body_is_answered_or_refused_with_the_reason(tiny: Service, path: str) -> None:
    tiny.pool.texts = ["Hel", ReasoningDelta("Hm"), CallDelta(0, "f", "{"), CallDelta(0, None, "}"), "lo"]

    @settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
    @given(spoilt(BODIES[path]))
    def try_one(body: Any) -> None:
        check(tiny, path, json.dumps(body).encode())

    try_one()


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize(
    "content",
    [b"", b"\xff", b"{", b"[]", b"null", b'"x"', b"1e999", b"{" * 5000, b"[" * 100_000, b'{"model": "\xff"}',
     b'{"model": "tiny", "model": "tiny"}', b'{"model": NaN}', b"\xef\xbb\xbf{}"],
)  # fmt: skip
def test_what_is_no_such_body_is_refused_with_the_reason(tiny: Service, path: str, content: bytes) -> None:
    check(tiny, path, content)


def check(service: Service, path: str, content: bytes) -> None:
    answer = service.client.post(path, content=content, headers={"content-type": "application/json"})
    assert answer.status_code < 500, f"{path} {content[:500]!r}: {answer.status_code} {answer.text}"
    if answer.status_code >= 400:
        error = answer.json()["error"]
        assert error["message"], f"{path} {content[:500]!r}: no reason"
        assert error["type"], f"{path} {content[:500]!r}: no type"
