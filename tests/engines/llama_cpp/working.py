"""A worker process as tests ask it: with the real model, or with one that loads in milliseconds."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from janfs.engines.llama_cpp.client import LlamaCppEngine, start_worker
from janfs.engines.protocol import (
    Engine,
    EngineSettings,
    Finished,
    GenerateRequest,
    Prompt,
    RunSpec,
    SamplingParams,
    TextDelta,
)
from tests.support.patience import PATIENCE

GREEDY = SamplingParams(temperature=0, max_tokens=16)


class Client:
    """An engine on an event loop of its own, for tests that are not async."""

    def __init__(self, runner: asyncio.Runner, engine: LlamaCppEngine) -> None:
        self.runner = runner
        self.engine = engine
        self._count = 0

    def run(self, what: Awaitable[Any]) -> Any:
        async def awaited() -> Any:
            async with asyncio.timeout(PATIENCE):
                return await what

        return self.runner.run(awaited())

    async def answer(
        self, prompt: Prompt, sampling: SamplingParams = GREEDY, *, cache_prompt: bool = True
    ) -> tuple[list[str], Finished]:
        self._count += 1
        request = GenerateRequest(
            request_id=f"r{self._count}", prompt=prompt, sampling=sampling, cache_prompt=cache_prompt
        )
        *deltas, end = await self.replies(request)
        assert isinstance(end, Finished)
        return [delta.text for delta in deltas if isinstance(delta, TextDelta)], end

    async def replies(self, request: GenerateRequest) -> list[Any]:
        """All that is said to a request, as it is told."""
        return [reply async for reply in self.engine.generate(request)]


@contextmanager
def working(spec: RunSpec) -> Iterator[Client]:
    with asyncio.Runner() as runner:
        engine = runner.run(start_worker(spec))
        yield Client(runner, engine)
        runner.run(engine.close(0, "the tests are over"))


def run_tiny(path: Path, scenario: Callable[[Engine], Awaitable[None]], **settings: Any) -> None:
    async def whole() -> None:
        engine = await start_worker(spec_for(path, **settings))
        try:
            await scenario(engine)
        finally:
            await engine.close(0, "over")

    asyncio.run(whole())


def spec_for(path: Path, **settings: Any) -> RunSpec:
    chosen = EngineSettings(**{"ctx_len": 512, "cpu_threads": 1, **settings})
    return RunSpec(
        model_id="m", uid="u", engine="llama-cpp", path=str(path), settings=chosen, fingerprint="f"
    )


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and was not reaped yet does not."""
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_for_end(pid: int) -> None:
    until = time.monotonic() + PATIENCE
    while alive(pid):
        assert time.monotonic() < until, f"the worker {pid} still runs"
        time.sleep(0.01)


def child_pids() -> set[int]:
    """Workers of this process."""
    found = Path(f"/proc/{os.getpid()}/task").glob("*/children")
    pids = {int(pid) for path in found for pid in told(path).split()}
    return {pid for pid in pids if b"llama_cpp.worker" in told(Path(f"/proc/{pid}/cmdline"))}


def told(path: Path) -> bytes:
    """What the kernel tells there; nothing of a thread or a process that ended just now."""
    try:
        return path.read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""
