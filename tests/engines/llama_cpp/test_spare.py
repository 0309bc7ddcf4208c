"""A process that waits for the next model: it is used, replaced, and leaves nothing behind."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from janfs.engines.llama_cpp.spare import SpareWorkers
from janfs.engines.protocol import TextPrompt
from janfs.errors import LoadFailed
from tests.engines.llama_cpp.working import alive, child_pids, spec_for
from tests.support.streams import until


def with_spare(scenario: Callable[[SpareWorkers], Awaitable[None]]) -> None:
    """Run with workers whose spare is made at once; in the end every process is gone."""

    async def run() -> None:
        workers = SpareWorkers(after=0)
        try:
            await scenario(workers)
        finally:
            await workers.close()

    before = child_pids()
    asyncio.run(run())
    assert child_pids() == before, "a worker was left behind"


async def the_spare(workers: SpareWorkers) -> int:
    """The process that waits, once there is one."""
    await until(lambda: workers.spare is not None, "no spare worker came")
    assert workers.spare is not None
    return workers.spare


def test_a_model_is_loaded_by_the_process_that_waited_and_another_takes_its_place(tiny_model: Path) -> None:
    async def scenario(workers: SpareWorkers) -> None:
        workers.prepare()
        spare = await the_spare(workers)
        engine = await workers(spec_for(tiny_model))
        assert engine.info.pid == spare
        assert await engine.tokenize(TextPrompt("a"))
        assert await the_spare(workers) != spare
        await engine.close(0, "the test is over")

    with_spare(scenario)


def test_a_spare_that_died_costs_nobody_an_answer(tiny_model: Path) -> None:
    async def scenario(workers: SpareWorkers) -> None:
        workers.prepare()
        spare = await the_spare(workers)
        os.kill(spare, signal.SIGKILL)
        while alive(spare):
            await asyncio.sleep(0.01)
        engine = await workers(spec_for(tiny_model))
        assert engine.info.pid != spare
        await engine.close(0, "the test is over")

    with_spare(scenario)


def test_a_model_that_does_not_load_takes_its_spare_with_it(tmp_path: Path) -> None:
    async def scenario(workers: SpareWorkers) -> None:
        workers.prepare()
        spare = await the_spare(workers)
        with pytest.raises(LoadFailed, match="does not exist"):
            await workers(spec_for(tmp_path / "none.gguf"))
        assert not alive(spare)
        assert await the_spare(workers) != spare

    with_spare(scenario)


def test_nothing_is_made_ahead_before_it_was_asked_for(tiny_model: Path) -> None:
    async def scenario(workers: SpareWorkers) -> None:
        engine = await workers(spec_for(tiny_model))
        assert child_pids() == {engine.info.pid}
        await engine.close(0, "the test is over")

    with_spare(scenario)


def test_closing_while_a_spare_is_made_ends_it() -> None:
    async def scenario(workers: SpareWorkers) -> None:
        workers.prepare()
        await asyncio.sleep(0.005)

    with_spare(scenario)
