"""A model on two other machines: real services with the real model, and one of them killed under load."""

import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.conftest import SAMPLE_ID
from tests.support.patience import PATIENCE
from tests.support.ports import vacant_port
from tests.support.service import ServiceProcess

pytestmark = pytest.mark.model

KEY = "a-key-for-the-others"
THEIRS = ("--sample", "--hashing", "off", "--spare-worker", "off", "--api-key", KEY)
TEXT = "/v1/completions"
ASKED = {"prompt": "1, 2, 3, 4, 5, 6, 7, 8,", "temperature": 0, "max_tokens": 24}
CLIENTS = 4


@pytest.fixture
def others(tmp_path: Path) -> Iterator[list[ServiceProcess]]:
    """Two services that have the model."""
    with ExitStack() as stack:
        port = stack.enter_context(vacant_port())  # that of the first one, which comes back
        ports = {"one": str(port), "two": "0"}
        started = [ServiceProcess(tmp_path / name, *THEIRS, "--port", ports[name]) for name in ports]
        for each in started:
            stack.callback(each.stop)
            stack.callback(each.client.close)
        for each in started:
            each.wait_model(SAMPLE_ID)
            each.client.post(f"/v1/models/{SAMPLE_ID}/start").raise_for_status()
        yield started


@pytest.fixture
def front(tmp_path: Path, others: list[ServiceProcess]) -> Iterator[ServiceProcess]:
    """A service without the model, which those two have."""
    root = tmp_path / "front"
    (root / "engines").mkdir(parents=True)
    said = {"base_urls": [each.url for each in others], "api_key": KEY}
    (root / "engines" / "others.json").write_text(json.dumps(said))
    (root / "models" / "mine").mkdir(parents=True)
    manifest = {"format": "api", "engine": "others", "id": SAMPLE_ID}
    (root / "models" / "mine" / "model.json").write_text(json.dumps(manifest))
    with ServiceProcess(root, "--spare-worker", "off") as service:
        service.wait_model("mine")
        yield service


def upstreams(front: ServiceProcess) -> dict[str, str]:
    """The state of each server, by its address."""
    (engine,) = [each for each in front.get("/v1/engines")["data"] if each["id"] == "others"]
    return {each["url"].removesuffix("/v1"): each["state"] for each in engine["upstreams"]}


class Client(threading.Thread):
    """Streams one answer after another until told to stop; `streams` are what came of each."""

    def __init__(self, url: str, stopping: threading.Event) -> None:
        super().__init__()
        self._url = url
        self._stopping = stopping
        self.streams: list[tuple[int, list[Any]]] = []

    def run(self) -> None:
        body = {**ASKED, "model": "mine", "stream": True}
        with httpx.Client(base_url=self._url, timeout=PATIENCE, trust_env=False) as client:
            while not self._stopping.is_set():
                with client.stream("POST", TEXT, json=body) as answer:
                    lines = [line for line in answer.iter_lines() if line] if answer.is_success else []
                self.streams.append((answer.status_code, [line.removeprefix("data: ") for line in lines]))


def text_of(lines: list[Any]) -> str:
    chunks = [json.loads(line) for line in lines if line != "[DONE]"]
    return "".join(choice["text"] for each in chunks for choice in each.get("choices", ()))


def test_one_of_two_is_killed_under_load_and_comes_back(
    front: ServiceProcess, others: list[ServiceProcess]
) -> None:
    one, two = others
    direct = one.client.post(TEXT, json={**ASKED, "model": SAMPLE_ID}).json()
    through = front.client.post(TEXT, json={**ASKED, "model": "mine"}).raise_for_status().json()
    said = direct["choices"][0]["text"]
    assert through["choices"] == direct["choices"], "it is not the same answer through another machine"
    assert (through["model"], through["usage"]["completion_tokens"]) == (
        "mine",
        direct["usage"]["completion_tokens"],
    )

    hello = [{"role": "user", "content": "Hello, you there."}]
    counting = {
        "/tokenize": {"content": "Hello, you there.", "add_special": True},
        "/v1/apply-template": {"messages": hello},
        "/v1/messages/count_tokens": {"messages": hello},
    }
    for call, asked in counting.items():
        there = one.client.post(call, json={**asked, "model": SAMPLE_ID}).raise_for_status().json()
        assert front.client.post(call, json={**asked, "model": "mine"}).json() == there, call

    stopping = threading.Event()
    clients = [Client(front.url, stopping) for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    try:
        front.wait(lambda: all(len(client.streams) >= 2 for client in clients), "the clients to be at work")
        assert upstreams(front) == {one.url: "up", two.url: "up"}
        before = sum(len(client.streams) for client in clients)
        one.kill()
        front.wait(
            lambda: sum(len(client.streams) for client in clients) > before + 2 * CLIENTS,
            "work to go on",
        )
        assert upstreams(front) == {one.url: "down", two.url: "up"}
    finally:
        stopping.set()
        for client in clients:
            client.join()

    streams = [stream for client in clients for stream in client.streams]
    assert {status for status, _ in streams} == {200}, "a request that had no token yet failed"
    broken = [lines for _, lines in streams if lines[-1] != "[DONE]"]
    assert len(broken) <= CLIENTS, "more failed than were under way"
    for lines in broken:
        assert "error" in json.loads(lines[-1]), "it ended without a word"
        assert text_of(lines[:-1]), "it had no token yet, and was not tried at the other one"
        assert said.startswith(text_of(lines[:-1]))
    assert {text_of(lines) for _, lines in streams if lines[-1] == "[DONE]"} == {said}

    port = one.url.rpartition(":")[2]
    with ServiceProcess(one.root, *THEIRS, "--port", port) as back:
        back.wait_model(SAMPLE_ID)
        front.wait(lambda: upstreams(front) == {one.url: "up", two.url: "up"}, "it to be seen again")
        for _ in range(4):
            front.client.post(TEXT, json={**ASKED, "model": "mine", "max_tokens": 1}).raise_for_status()
        assert (
            f'janfs_answers_total{{model="{SAMPLE_ID}",outcome="length"}}' in back.client.get("/metrics").text
        )
    assert KEY not in front.output.read_text()
