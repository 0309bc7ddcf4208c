"""Engines that die, and loads that fail."""

import asyncio

import pytest

from janfs.engines.pool import EnginePool
from janfs.engines.protocol import (
    EngineCrashed,
    EngineFact,
    EngineStarted,
    EngineStartFailed,
    EngineStopped,
    TextPrompt,
)
from janfs.errors import (
    EngineError,
    LoadFailed,
    LogError,
    WorkerCrashed,
)
from tests.engines.pool_bench import FOREVER, Bench, run, until


def test_a_crash_fails_its_own_requests_and_the_next_one_starts_a_fresh_engine() -> None:
    async def scenario(bench: Bench) -> None:
        other = asyncio.create_task(bench.ask("b", words=50))
        dying = [asyncio.create_task(bench.ask("a", words=FOREVER)) for _ in range(2)]
        await until(lambda: bench.pool.state("uid-a").active == 2, "a runs")
        bench.factory.engines[[e.spec.model_id for e in bench.factory.engines].index("a")].crash()
        for task in dying:
            with pytest.raises(WorkerCrashed, match="SIGKILL: out of luck"):
                await task
        assert (await bench.ask("a")).finish_reason == "length"
        await other
        crash = next(fact for fact in bench.facts if isinstance(fact, EngineCrashed))
        assert (crash.uid, crash.requests, crash.exit.signal) == ("uid-a", 2, "SIGKILL")

    bench = run(scenario)
    assert bench.kinds("uid-a") == [EngineStarted, EngineCrashed, EngineStarted, EngineStopped]


def test_an_idle_engine_that_crashes_is_recorded_and_shown() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.ask("a")
        bench.factory.engines[0].crash()
        await until(lambda: bench.pool.state("uid-a").state == "failed", "the crash shows")
        assert "SIGKILL" in str(bench.pool.state("uid-a").reason)

    assert run(scenario).kinds() == [EngineStarted, EngineCrashed]


def test_a_failed_load_tells_all_who_wait_and_cools_down(cooling: None) -> None:
    async def scenario(bench: Bench) -> None:
        bench.factory.failing = "no such tensor"
        asked = await asyncio.gather(*(bench.ask("a") for _ in range(3)), return_exceptions=True)
        assert [str(error) for error in asked] == ["no such tensor"] * 3
        assert bench.pool.state("uid-a").state == "failed"
        assert bench.pool.state("uid-a").reason == "no such tensor"
        bench.factory.failing = None
        with pytest.raises(LoadFailed, match=r"no such tensor \(the next try"):
            await bench.ask("a")
        assert bench.factory.loads == 1, "it was tried again too soon"
        assert (await bench.pool.start("a")).pid == 1000, "an explicit start does not wait"
        assert bench.pool.state("uid-a").state == "running"

    assert run(scenario).kinds() == [EngineStartFailed, EngineStarted, EngineStopped]


def test_a_changed_model_is_tried_again_at_once_after_a_failed_load() -> None:
    async def scenario(bench: Bench) -> None:
        bench.factory.failing = "broken"
        with pytest.raises(LoadFailed):
            await bench.ask("a")
        bench.factory.failing = None
        bench.change("a", "two")
        await bench.ask("a")

    run(scenario)


def test_a_start_that_cannot_be_recorded_ends_the_engine_and_is_a_failed_load(cooling: None) -> None:
    async def scenario(bench: Bench) -> None:
        full = True

        async def record(fact: EngineFact) -> None:
            if full:
                raise LogError("the disk is full")

        pool = EnginePool(bench.find, record, {"fake": bench.factory})
        told = await asyncio.gather(*(pool.start("a") for _ in range(2)), return_exceptions=True)
        assert [(type(error), str(error)) for error in told] == [(LogError, "the disk is full")] * 2
        assert not bench.factory.alive
        assert (pool.state("uid-a").state, pool.state("uid-a").reason) == ("failed", "the disk is full")
        with pytest.raises(LoadFailed, match=r"full \(the next try is in 1\.0") as caught:
            await pool.tokenize("a", TextPrompt("hello"))
        assert caught.value.retry_after == 1
        assert bench.factory.loads == 1, "it was loaded again too soon"
        with pytest.raises(LogError):
            await pool.start("a")
        with pytest.raises(LoadFailed, match=r"in 2\.0 seconds"):
            await pool.tokenize("a", TextPrompt("hello"))
        full = False
        await pool.start("a")
        assert pool.state("uid-a").state == "running"
        await pool.close(0)

    run(scenario)


def test_a_defect_where_a_start_is_recorded_ends_the_engine_and_tells_who_waits() -> None:
    async def scenario(bench: Bench) -> None:
        async def record(fact: EngineFact) -> None:
            raise KeyError(fact.uid)

        pool = EnginePool(bench.find, record, {"fake": bench.factory})
        with pytest.raises(EngineError, match="not loaded: an internal error"):
            await pool.start("a")
        assert not bench.factory.alive
        await pool.close(0)

    run(scenario)
