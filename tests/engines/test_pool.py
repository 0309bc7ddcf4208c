"""Models are loaded when they are asked for, and shared."""

import asyncio
from contextlib import aclosing

import msgspec
import pytest

from janfs.engines.protocol import (
    EngineStarted,
    EngineStopped,
    GenerateRequest,
    SamplingParams,
    TextPrompt,
)
from janfs.errors import (
    Busy,
    EngineError,
    ModelNotFound,
    ModelNotRunnable,
)
from tests.engines.pool_bench import FOREVER, Bench, cancelling, run, until


def test_a_request_loads_its_model_and_the_next_one_finds_it_loaded() -> None:
    async def scenario(bench: Bench) -> None:
        assert bench.pool.state("uid-a").state == "stopped"
        await bench.ask("a")
        await bench.ask("a")
        state = bench.pool.state("uid-a")
        assert (state.state, state.active, state.fingerprint) == ("running", 0, "one")
        assert state.info is not None
        assert state.info.pid == 1000

    bench = run(scenario)
    assert bench.factory.loads == 1
    assert bench.kinds() == [EngineStarted, EngineStopped]


def test_many_requests_for_a_stopped_model_cause_one_load() -> None:
    async def scenario(bench: Bench) -> None:
        bench.factory.hold()
        asked = [asyncio.create_task(bench.ask("a")) for _ in range(20)]
        await until(lambda: bench.pool.state("uid-a").waiting == 20, "all wait for the load")
        assert bench.pool.state("uid-a").state == "loading"
        bench.factory.release()
        await asyncio.gather(*asked)

    assert run(scenario).factory.loads == 1


def test_a_load_that_nobody_waits_for_goes_on_and_may_fail() -> None:
    async def scenario(bench: Bench) -> None:
        bench.factory.hold()
        bench.pool.begin("a")
        assert bench.pool.state("uid-a").state == "loading"
        await asyncio.sleep(0.01)
        bench.factory.release()
        await until(lambda: bench.pool.state("uid-a").state == "running", "a is loaded")
        assert (bench.pool.state("uid-a").active, bench.pool.busy) == (0, False)
        bench.factory.failing = "no luck"
        bench.pool.begin("b")
        await until(lambda: bench.pool.state("uid-b").state == "failed", "b has failed")
        with pytest.raises(ModelNotFound):
            bench.pool.begin("nobody")
        bench.factory.failing = None
        bench.factory.hold()
        bench.pool.begin("b")
        await until(lambda: bench.factory.loads == 3, "b is loaded once more")
        await bench.pool.stop("uid-b")
        assert bench.pool.state("uid-b").state == "stopped"
        bench.pool.begin("c")

    run(scenario)


def test_an_unknown_model_an_unknown_engine_and_a_closed_pool_are_refused() -> None:
    async def scenario(bench: Bench) -> None:
        with pytest.raises(ModelNotFound):
            await bench.ask("nobody")
        bench.specs["a"] = msgspec.structs.replace(bench.specs["a"], engine="steam")
        with pytest.raises(ModelNotRunnable, match="steam"):
            await bench.ask("a")
        await bench.pool.close(0)
        with pytest.raises(EngineError, match="shutting down"):
            await bench.ask("b")

    run(scenario)


def test_past_the_bound_of_its_queue_a_model_is_busy() -> None:
    async def scenario(bench: Bench) -> None:
        tasks = [asyncio.create_task(bench.ask("a", words=FOREVER)) for _ in range(5)]
        with cancelling(*tasks):
            await until(lambda: bench.pool.state("uid-a").active == 2, "two run")
            assert bench.pool.state("uid-a").waiting == 3
            with pytest.raises(Busy) as caught:
                await bench.ask("a")
            assert caught.value.retry_after >= 1
            await bench.ask("b")
        await asyncio.wait(tasks)

    run(scenario, max_queue=3)


def test_engines_that_compute_at_once_share_the_machine() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.ask("c")
        long = [asyncio.create_task(bench.ask(name, FOREVER)) for name in "ab"]
        with cancelling(*long):
            await until(lambda: len(bench.factory.alive) == 3, "all are loaded")
            idle, *busy = bench.factory.alive
            await until(lambda: [each.sharing for each in busy] == [2, 2], "both know of each other")
            assert idle.sharing == 3, "one that rests does not know that it would be the third"
            long[0].cancel()
            await until(lambda: busy[1].sharing == 1, "one has the machine for itself")
            assert (idle.sharing, busy[0].sharing) == (2, 2)

    run(scenario, max_loaded=3)


def test_what_is_not_loaded_is_named_as_it_is_wanted() -> None:
    async def scenario(bench: Bench) -> None:
        assert bench.pool.fingerprint_of(bench.specs["a"]) == bench.specs["a"].fingerprint

    run(scenario)


def test_closing_an_answer_early_gives_its_place_back() -> None:
    async def scenario(bench: Bench) -> None:
        request = GenerateRequest(
            request_id="r", prompt=TextPrompt("x"), sampling=SamplingParams(max_tokens=FOREVER)
        )
        async with aclosing(bench.pool.generate("a", request)) as replies:
            async for _ in replies:
                break
        assert bench.pool.state("uid-a").active == 0
        assert not bench.factory.engines[0].live, "the engine still works for nobody"

    run(scenario)
