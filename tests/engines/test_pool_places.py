"""Who has a place in the pool, and who makes room."""

import asyncio

from msgspec.structs import replace

from janfs.engines.protocol import (
    Finished,
)
from tests.engines.pool_bench import FOREVER, Bench, cancelling, run, until
from tests.support.patience import PATIENCE


def test_the_idle_model_that_was_unused_longest_makes_room() -> None:
    async def scenario(bench: Bench) -> None:
        for name in ("a", "b", "a", "c"):
            await bench.ask(name)
        assert [bench.pool.state(f"uid-{name}").state for name in "abc"] == ["running", "stopped", "running"]
        assert bench.pool.state("uid-b").reason == "room was needed for 'c'"

    assert run(scenario, max_loaded=2).factory.most_alive == 2


def test_a_busy_model_is_never_evicted() -> None:
    async def scenario(bench: Bench) -> None:
        busy = asyncio.create_task(bench.ask("a", words=200))
        await until(lambda: bench.pool.state("uid-a").active == 1, "a runs")
        await bench.ask("b")
        assert await busy, "the busy model was taken away"

    bench = run(scenario, max_loaded=1, patience=PATIENCE)
    assert bench.factory.most_alive == 1, "the place was not free"


def test_models_that_are_always_busy_do_not_keep_another_out_for_good() -> None:
    async def scenario(bench: Bench) -> None:
        async def always(name: str) -> Finished:
            while True:
                await bench.ask(name, words=20)

        tasks = [asyncio.create_task(always("a")) for _ in range(4)]
        with cancelling(*tasks):
            await until(lambda: bench.pool.state("uid-a").active == 2, "a is busy")
            await asyncio.wait_for(bench.ask("b"), timeout=PATIENCE)
        await asyncio.wait(tasks)

    run(scenario, max_loaded=1, patience=0.05)


def test_a_pinned_model_in_use_now_and_then_does_not_have_another_wait_for_good() -> None:
    async def scenario(bench: Bench) -> None:
        bench.specs["a"] = replace(bench.specs["a"], pinned=True)

        async def always(name: str, words: int) -> Finished:
            while True:
                await bench.ask(name, words)

        tasks = [asyncio.create_task(always("a", 1))]  # idle for a moment after each
        tasks += [asyncio.create_task(always("b", 20)) for _ in range(4)]
        with cancelling(*tasks):
            await until(lambda: bench.pool.state("uid-b").active == 2, "b is busy")
            await asyncio.wait_for(bench.ask("c"), timeout=PATIENCE)
            assert bench.pool.state("uid-a").state == "running"
        await asyncio.wait(tasks)

    run(scenario, max_loaded=2, patience=0.05)


def test_a_long_answer_of_an_engine_that_was_replaced_does_not_have_another_wait_for_it() -> None:
    async def scenario(bench: Bench) -> None:
        async def always() -> Finished:
            while True:
                await bench.ask("a", words=20)

        old = asyncio.create_task(bench.ask("a", FOREVER))
        await until(lambda: bench.pool.state("uid-a").active == 1, "the old request runs")
        bench.change("a", "two")
        tasks = [old, *(asyncio.create_task(always()) for _ in range(4))]
        with cancelling(*tasks):
            await until(lambda: bench.pool.state("uid-a").active == 2, "its successor is busy")
            await asyncio.wait_for(bench.ask("b"), timeout=PATIENCE)
            assert not old.done(), "it was waited for"
        await asyncio.wait(tasks)

    run(scenario, max_loaded=1, patience=0.05)


def test_a_request_that_goes_away_before_its_load_begins_leaves_no_load_behind() -> None:
    async def scenario(bench: Bench) -> None:
        busy = asyncio.create_task(bench.ask("a", words=100))
        await until(lambda: bench.pool.state("uid-a").active == 1, "a runs")
        waiting = asyncio.create_task(bench.ask("b"))
        await until(lambda: bench.pool.state("uid-b").waiting == 1, "b waits for a place")
        waiting.cancel()
        await asyncio.wait([waiting])
        assert bench.pool.state("uid-b").state == "stopped"
        await busy

    assert run(scenario, max_loaded=1, patience=PATIENCE).factory.loads == 1
