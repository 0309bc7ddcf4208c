"""An engine is replaced by a fresh one, and its requests finish."""

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import aclosing

import pytest
from msgspec.structs import replace

from janfs.engines.fingerprint import with_file
from janfs.engines.llama_cpp.client import start_worker
from janfs.engines.pool import EnginePool
from janfs.engines.protocol import (
    EngineCrashed,
    EngineFact,
    EngineStarted,
    EngineStopped,
    GenerateRequest,
    RunSpec,
    SamplingParams,
    SpecPart,
    TextPrompt,
)
from janfs.errors import (
    EngineError,
    LoadFailed,
    WorkerCrashed,
)
from tests.engines.pool_bench import FOREVER, Bench, cancelling, run, until


def test_a_changed_fingerprint_goes_to_a_fresh_engine_while_old_requests_finish() -> None:
    async def scenario(bench: Bench) -> None:
        old = asyncio.create_task(bench.ask("a", words=150))
        await until(lambda: bench.pool.state("uid-a").active == 1, "the old request runs")
        bench.change("a", "two")
        await bench.ask("a")
        assert not old.done(), "the old request should still be running on the old engine"
        [(uid, leaving)] = bench.pool.leaving()
        assert (uid, leaving.state, leaving.active, leaving.fingerprint) == ("uid-a", "stopping", 1, "one")
        assert [engine.spec.fingerprint for engine in bench.factory.alive] == ["one", "two"]
        await old
        await until(lambda: not bench.pool.leaving(), "the old engine is gone")
        assert len(bench.factory.alive) == 1
        assert bench.pool.state("uid-a").fingerprint == "two"

    bench = run(scenario, max_loaded=1)
    reasons = [fact.reason for fact in bench.facts if isinstance(fact, EngineStopped)]
    assert reasons == ["its settings changed", "janfs is shutting down"]


def test_an_engine_that_is_replaced_and_still_answers_keeps_the_pool_busy() -> None:
    async def scenario(bench: Bench) -> None:
        with cancelling(asyncio.create_task(bench.ask("a", FOREVER))):
            await until(lambda: bench.pool.state("uid-a").active == 1, "the old request runs")
            bench.change("a", "two")
            await bench.ask("a")
            assert bench.pool.state("uid-a").active == 0
            assert bench.pool.busy
        await until(lambda: not bench.pool.busy, "the old request has ended")

    run(scenario, max_loaded=1)


def test_that_new_settings_do_not_load_is_shown_also_once_the_old_engine_has_ended() -> None:
    async def scenario(bench: Bench) -> None:
        old = asyncio.create_task(bench.ask("a", words=150))
        await until(lambda: bench.pool.state("uid-a").active == 1, "the old request runs")
        bench.change("a", "two")
        bench.factory.failing = "no such tensor"
        with pytest.raises(LoadFailed):
            await bench.ask("a")
        assert bench.pool.state("uid-a").reason == "no such tensor"
        await old
        await until(lambda: not bench.pool.leaving(), "the old engine is gone")
        assert bench.pool.state("uid-a").reason == "no such tensor"

    run(scenario, max_loaded=1)


def test_how_an_engine_ended_is_shown_where_its_successor_was_never_loaded() -> None:
    async def scenario(bench: Bench) -> None:
        old = asyncio.create_task(bench.ask("a", FOREVER))
        await until(lambda: bench.pool.state("uid-a").active == 1, "the old request runs")
        bench.change("a", "two")
        bench.factory.hold()
        new = asyncio.create_task(bench.ask("a"))
        await until(lambda: bench.factory.loads == 2, "the new engine loads")
        await bench.pool.stop("uid-a", grace=0)
        for task in (old, new):
            with pytest.raises(EngineError):
                await task
        assert bench.pool.state("uid-a").reason == "its settings changed"

    run(scenario, max_loaded=1)


def test_an_engine_that_is_worn_leaves_its_place_to_a_fresh_one_while_its_requests_finish() -> None:
    async def scenario(bench: Bench) -> None:
        old = asyncio.create_task(bench.ask("a", words=150))
        await until(lambda: bench.pool.state("uid-a").active == 1, "the old request runs")
        bench.factory.engines[0].wear.set()
        await until(lambda: bench.pool.state("uid-a").state == "stopping", "the pool has heard of it")
        await bench.ask("a")
        assert not old.done(), "the old request should still be running on the old engine"
        assert len(bench.factory.alive) == 2
        await old
        await until(lambda: not bench.pool.leaving(), "the old engine is gone")
        assert bench.factory.alive == bench.factory.engines[1:]

    bench = run(scenario, max_loaded=1)
    reasons = [fact.reason for fact in bench.facts if isinstance(fact, EngineStopped)]
    assert reasons == ["work without end takes a processor", "janfs is shutting down"]


def test_who_waited_for_the_old_engine_is_told_its_fingerprint() -> None:
    async def scenario(bench: Bench) -> None:
        old = bench.specs["a"]
        bench.factory.grammar = SpecPart("a.gbnf", 1, 1, 1, sha256="one")
        waiting = asyncio.create_task(bench.ask("a", words=150))
        await until(lambda: bench.pool.state("uid-a").active == 1, "the old request runs")
        first = bench.pool.fingerprint_of(old)
        assert first == with_file(old, bench.factory.grammar).fingerprint
        new = bench.specs["a"] = replace(old, grammar_stamp=(1, 2, 3))
        bench.factory.grammar = SpecPart("a.gbnf", 1, 1, 1, sha256="two")
        await bench.ask("a")
        assert bench.pool.fingerprint_of(old) == first
        assert bench.pool.fingerprint_of(new) == with_file(new, bench.factory.grammar).fingerprint != first
        await waiting

    run(scenario)


def test_an_edited_grammar_is_loaded_at_once_though_the_fingerprint_stays(cooling: None) -> None:
    async def scenario(bench: Bench) -> None:
        await bench.ask("a")
        bench.specs["a"] = replace(bench.specs["a"], grammar_stamp=(1, 2, 3))
        await bench.ask("a")
        await bench.ask("a")
        assert [engine.spec.grammar_stamp for engine in bench.factory.engines] == [None, (1, 2, 3)]
        bench.specs["a"] = replace(bench.specs["a"], grammar_stamp=(4, 2, 3))
        bench.factory.failing = "this is no grammar"
        with pytest.raises(LoadFailed):
            await bench.ask("a")
        bench.factory.failing = None
        with pytest.raises(LoadFailed, match="next try"):
            await bench.ask("a")
        bench.specs["a"] = replace(bench.specs["a"], grammar_stamp=(5, 2, 3))
        await bench.ask("a")

    run(scenario)


@pytest.mark.model
def test_a_real_worker_is_replaced_when_killed_and_when_its_settings_change(
    sample_spec: Callable[..., RunSpec],
) -> None:
    async def scenario() -> list[EngineFact]:
        facts: list[EngineFact] = []
        specs = [sample_spec(fingerprint="one", ctx_len=512)]

        async def record(fact: EngineFact) -> None:
            facts.append(fact)

        pool = EnginePool(lambda _: specs[-1], record, {"llama-cpp": start_worker})
        endless = GenerateRequest(
            request_id="r", prompt=TextPrompt("Hi"), sampling=SamplingParams(ignore_eos=True)
        )
        try:
            async with aclosing(pool.generate("m", endless)) as dying:
                await anext(dying)
                pid = (await pool.start("m")).pid
                os.kill(pid, signal.SIGKILL)
                with pytest.raises(WorkerCrashed, match="SIGKILL"):
                    async for _ in dying:
                        pass
            async with aclosing(pool.generate("m", endless)) as old:
                await anext(old)
                specs.append(sample_spec(fingerprint="two", ctx_len=1024))
                assert (await pool.start("m")).n_ctx == 1024
                assert await anext(old), "the old request ended with the old settings"
        finally:
            await pool.close(0)
        return facts

    facts = asyncio.run(scenario())
    assert [type(fact) for fact in facts[:3]] == [EngineStarted, EngineCrashed, EngineStarted]
    assert isinstance(facts[1], EngineCrashed)
    assert facts[1].requests == 1
    assert [fact.fingerprint for fact in facts[:4]] == ["one", "one", "one", "two"]
    assert {fact.fingerprint for fact in facts[4:]} == {"one", "two"}
