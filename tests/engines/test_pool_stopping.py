"""Models are unloaded on request."""

import asyncio

import pytest

from janfs.engines.pool import EnginePool
from janfs.engines.protocol import (
    Engine,
    EngineStarted,
    EngineStopped,
    RunSpec,
)
from janfs.errors import (
    EngineError,
)
from tests.engines.fake_engine import TICK
from tests.engines.pool_bench import FOREVER, Bench, run, until
from tests.support.patience import PATIENCE


def test_stop_lets_requests_finish_within_its_grace() -> None:
    async def scenario(bench: Bench) -> None:
        running = asyncio.create_task(bench.ask("a", words=30))
        await until(lambda: bench.pool.state("uid-a").active == 1, "a runs")
        assert await bench.pool.stop("uid-a", grace=PATIENCE)
        assert (await running).finish_reason == "length"
        assert bench.pool.state("uid-a").state == "stopped"
        assert not await bench.pool.stop("uid-a"), "there is nothing left to stop"

    run(scenario)


def test_stop_cuts_off_what_outlasts_its_grace_and_says_why() -> None:
    async def scenario(bench: Bench) -> None:
        running = asyncio.create_task(bench.ask("a", words=FOREVER))
        await until(lambda: bench.pool.state("uid-a").active == 1, "a runs")
        stopping = asyncio.create_task(bench.pool.stop("uid-a", grace=0.02))
        await until(lambda: bench.pool.state("uid-a").state == "stopping", "stopping shows")
        assert await stopping
        with pytest.raises(EngineError, match="stopped on request"):
            await running

    assert run(scenario).kinds() == [EngineStarted, EngineStopped]


def test_a_model_that_is_told_to_end_sooner_than_before_does() -> None:
    async def scenario(bench: Bench) -> None:
        running = asyncio.create_task(bench.ask("a", words=FOREVER))
        await until(lambda: bench.pool.state("uid-a").active == 1, "a runs")
        first = asyncio.create_task(bench.pool.stop("uid-a", grace=10 * PATIENCE))
        await until(lambda: bench.factory.engines[0].closing, "its answer has its time")
        async with asyncio.timeout(PATIENCE):
            await bench.pool.stop("uid-a", grace=0)
            await first
        with pytest.raises(EngineError, match="stopped on request"):
            await running

    assert run(scenario).kinds() == [EngineStarted, EngineStopped]


def test_stop_breaks_off_a_load() -> None:
    async def scenario(bench: Bench) -> None:
        bench.factory.hold()
        waiting = asyncio.create_task(bench.ask("a"))
        await until(lambda: bench.factory.loads == 1, "the load begins")
        assert await bench.pool.stop("uid-a", reason="stopped by a test")
        with pytest.raises(EngineError, match="stopped by a test"):
            await waiting

    assert run(scenario).kinds() == []


def test_a_load_that_is_stopped_twice_is_cleaned_up_all_the_same() -> None:
    async def scenario(bench: Bench) -> None:
        loading, cleaning, cleaned = asyncio.Event(), asyncio.Event(), asyncio.Event()

        async def load(spec: RunSpec) -> Engine:
            try:
                loading.set()
                await asyncio.Event().wait()
            finally:
                cleaning.set()
                await asyncio.sleep(TICK)
                cleaned.set()
            raise AssertionError

        pool = EnginePool(bench.find, bench.record, {"fake": load})
        pool.begin("a")
        await loading.wait()
        first = asyncio.create_task(pool.stop("uid-a"))
        await cleaning.wait()
        assert not cleaned.is_set()
        await pool.stop("uid-a", grace=0)
        assert cleaned.is_set(), "the process that was to load would have been left behind"
        await first

    run(scenario)


def test_a_load_that_is_stopped_before_it_began_leaves_nobody_waiting() -> None:
    async def scenario(bench: Bench) -> None:
        waiting = asyncio.create_task(bench.ask("a"))
        await asyncio.sleep(0)  # it has asked, but the task of the load has not run yet
        assert await bench.pool.stop("uid-a")
        async with asyncio.timeout(PATIENCE):
            with pytest.raises(EngineError, match="stopped on request"):
                await waiting
        assert bench.pool.state("uid-a").state == "stopped"
        await bench.ask("a")

    assert run(scenario).factory.loads == 1


def test_a_request_that_comes_while_a_model_stops_gets_a_fresh_engine() -> None:
    async def scenario(bench: Bench) -> None:
        running = asyncio.create_task(bench.ask("a", words=50))
        await until(lambda: bench.pool.state("uid-a").active == 1, "a runs")
        stopping = asyncio.create_task(bench.pool.stop("uid-a", grace=PATIENCE))
        await asyncio.sleep(0)
        await bench.ask("a")
        await asyncio.gather(running, stopping)

    assert run(scenario, max_loaded=1, patience=PATIENCE).factory.most_alive == 1
