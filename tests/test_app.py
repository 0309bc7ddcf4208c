"""How a service ends that is told to by a signal, with answers running."""

import asyncio
import json
import logging
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import uvloop

from janfs import app
from janfs.settings import Settings
from tests.api.service import gguf
from tests.engines.fake_engine import FakeFactory
from tests.engines.pool_bench import until
from tests.support.patience import PATIENCE

Run = Callable[["Callable[[Serving], Awaitable[None]]", float], None]

LONG = 4000  # words, of which each takes more than a millisecond


class Workers(FakeFactory):
    """Fakes, in place of the processes that a service starts."""

    def prepare(self) -> None:
        """There is nothing to be ahead of."""

    async def close(self) -> None:
        """None is kept in advance."""


class Serving:
    """A service in this process, as a client sees it, and what becomes of it."""

    def __init__(self, client: httpx.AsyncClient, workers: Workers) -> None:
        self.client = client
        self.workers = workers

    async def ask(self, words: int) -> httpx.Response:
        return await self.client.post("/v1/completions", json=_body(words))

    async def stream(self, words: int) -> list[str]:
        """The messages of a streamed answer."""
        body = {**_body(words), "stream": True}
        async with self.client.stream("POST", "/v1/completions", json=body) as answer:
            return [line.removeprefix("data: ") async for line in answer.aiter_lines() if line]

    async def running(self, count: int) -> None:
        """Wait until so many answers are being written."""
        await until(lambda: sum(len(each.live) for each in self.workers.engines) == count, "all are written")


def _body(words: int) -> dict[str, object]:
    return {"model": "tiny", "prompt": "hello", "max_tokens": words}


def _told(error: dict[str, dict[str, object]]) -> tuple[object, object]:
    return error["error"]["code"], error["error"]["message"]


@asynccontextmanager
async def _serving(root: Path, monkeypatch: pytest.MonkeyPatch, grace: float) -> AsyncIterator[Serving]:
    workers, said = Workers(), list[str]()
    monkeypatch.setattr(app, "SpareWorkers", lambda: workers)
    (root / "models" / "tiny").mkdir(parents=True)
    (root / "models" / "tiny" / "tiny.gguf").write_bytes(gguf("tiny"))
    settings = Settings(root=root, port=0, memory=0, hashing=False, grace=grace)
    ended = asyncio.create_task(app.serve(settings, said.append))
    await until(lambda: any("curl" in text for text in said), "the model is ready")
    [url] = [text.split("curl ")[1].split("/v1")[0] for text in said if "curl" in text]
    async with httpx.AsyncClient(base_url=url, timeout=PATIENCE, trust_env=False) as client:
        yield Serving(client, workers)
    async with asyncio.timeout(PATIENCE):
        await ended


@pytest.fixture
def serving(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a test with a service that gives answers some seconds of grace, and that it ends by a signal."""

    def run(test: Callable[[Serving], Awaitable[None]], grace: float) -> None:
        async def whole() -> None:
            async with _serving(tmp_path / "root", monkeypatch, grace) as service:
                await test(service)

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(whole())

    return run


def test_answers_whose_time_is_over_when_it_ends_say_so(
    serving: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(service: Serving) -> None:
        whole = asyncio.create_task(service.ask(LONG))
        streamed = asyncio.create_task(service.stream(LONG))
        await service.running(2)
        os.kill(os.getpid(), signal.SIGTERM)
        answer, messages = await whole, await streamed
        reason = "The model was unloaded: janfs is shutting down."
        assert answer.status_code == 503
        assert _told(answer.json()) == ("engine_error", reason)
        assert len(messages) > 1, "it was cut before it began"
        assert _told(json.loads(messages[-1])) == ("engine_error", reason)

    with caplog.at_level(logging.WARNING):
        serving(scenario, 0.1)
    assert [record.getMessage() for record in caplog.records] == []


def test_who_waits_for_a_load_when_it_ends_is_told_at_once(serving: Run) -> None:
    async def scenario(service: Serving) -> None:
        service.workers.hold()
        waiting = asyncio.create_task(service.ask(1))
        await until(lambda: service.workers.loads == 1, "the model loads")
        os.kill(os.getpid(), signal.SIGTERM)
        answer = await waiting
        assert answer.status_code == 503
        reason = "The model was not loaded: janfs is shutting down."
        assert _told(answer.json()) == ("engine_error", reason)

    serving(scenario, PATIENCE)


def test_answers_that_end_within_the_grace_are_whole(serving: Run) -> None:
    async def scenario(service: Serving) -> None:
        asked = asyncio.create_task(service.ask(300))
        await service.running(1)
        os.kill(os.getpid(), signal.SIGTERM)
        assert (await asked).json()["usage"]["completion_tokens"] == 300

    serving(scenario, PATIENCE)


def test_told_a_second_time_it_waits_for_no_answer(serving: Run) -> None:
    async def scenario(service: Serving) -> None:
        asked = asyncio.create_task(service.ask(LONG))
        await service.running(1)
        os.kill(os.getpid(), signal.SIGTERM)
        await until(lambda: service.workers.engines[0].closing, "the answer has its time")
        os.kill(os.getpid(), signal.SIGINT)
        answer = await asked
        assert _told(answer.json()) == ("engine_error", "The model was unloaded: janfs is shutting down.")

    serving(scenario, 10 * PATIENCE)
