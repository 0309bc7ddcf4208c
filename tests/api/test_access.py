"""What becomes of every request besides its answer: an id, a line in the log, a place in the metrics."""

import asyncio
import contextlib
import re
from typing import Any

import httpx
import pytest

from janfs.api.access import Access
from janfs.metrics import Metrics
from tests.api.service import Service


def test_an_answer_carries_the_clients_request_id_or_a_new_one(tiny: Service) -> None:
    given = tiny.client.get("/v1/models", headers={"x-request-id": "abc-1.2_3"})
    assert given.headers["x-request-id"] == "abc-1.2_3"
    ids = set()
    for strange in ("", "a b", "x" * 65, 'a"b'):
        answer = tiny.client.get("/v1/models", headers={"x-request-id": strange})
        assert re.fullmatch("[0-9a-f]{32}", answer.headers["x-request-id"]), strange
        ids.add(answer.headers["x-request-id"])
    assert len(ids) == 4, "two requests had one id"


def test_refused_requests_have_an_id_too(tiny: Service) -> None:
    answer = tiny.client.get("/v1/models", headers={"host": "evil.example", "x-request-id": "mine"})
    assert (answer.status_code, answer.headers["x-request-id"]) == (403, "mine")


async def teapot(scope: Any, receive: Any, send: Any) -> None:
    if scope["path"] == "/broken":
        raise RuntimeError("broken")
    await send({"type": "http.response.start", "status": 418, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def requested(path: str) -> dict[str, Any]:
    """The log line of a request to `teapot`."""
    lines: list[dict[str, Any]] = []
    access = Access(teapot, Metrics(), lambda event, **fields: lines.append({"event": event, **fields}))

    async def ask() -> None:
        client = httpx.AsyncClient(transport=httpx.ASGITransport(access), base_url="http://here")
        async with client:
            with contextlib.suppress(RuntimeError):
                await client.get(path)

    asyncio.run(ask())
    [line] = lines
    return line


def test_every_request_is_a_line_in_the_log_also_one_that_breaks() -> None:
    line = requested("/tea?for=two")
    assert line.pop("seconds") >= 0
    assert line == {"event": "request", "method": "GET", "path": "/tea", "status": 418}
    assert requested("/broken")["status"] == 0, "there was no answer"


def test_requests_are_counted_by_route_and_not_by_path(tiny: Service) -> None:
    for path in ("/v1/models/tiny", "/v1/models/none", "/nowhere", "/elsewhere"):
        tiny.client.get(path)
    tiny.client.post(
        "/v1/chat/completions", json={"model": "tiny", "messages": [{"role": "user", "content": "?"}]}
    )
    answer = tiny.client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    routes = set(re.findall(r'janfs_requests_total\{method="GET",route="([^"]*)"', answer.text))
    assert {"/v1/models/{model_id}", "none"} <= routes
    assert not any("nowhere" in route or "tiny" in route for route in routes), routes
    assert 'janfs_answers_total{model="tiny",outcome="stop"}' in answer.text
    assert "process_resident_memory_bytes" in answer.text


@pytest.mark.parametrize("path", ["/metrics", "/healthz"])
def test_watching_leaves_no_trace_of_prompts(tiny: Service, path: str) -> None:
    secret = "my-secret-word"
    tiny.client.post(
        "/v1/chat/completions", json={"model": "tiny", "messages": [{"role": "user", "content": secret}]}
    )
    assert secret not in tiny.client.get(path).text
