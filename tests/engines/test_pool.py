import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import aclosing

import msgspec
import pytest
from msgspec.structs import replace

from janfs.engines.fingerprint import with_file
from janfs.engines.llama_cpp.client import start_worker
from janfs.engines.pool import EnginePool
from janfs.engines.protocol import (
    Engine,
    EngineCrashed,
    EngineFact,
    EngineStarted,
    EngineStartFailed,
    EngineStopped,
    Finished,
    GenerateRequest,
    RunSpec,
    SamplingParams,
    SpecPart,
    TextPrompt,
)
from janfs.errors import (
    Busy,
    EngineError,
    LoadFailed,
    LogError,
    ModelNotFound,
    ModelNotRunnable,
    WorkerCrashed,
)
from tests.engines.fake_engine import TICK
from tests.engines.pool_bench import FOREVER, Bench, cancelling, run, until
from tests.support.patience import PATIENCE


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


def test_what_is_not_loaded_is_named_as_it_is_wanted() -> None:
    async def scenario(bench: Bench) -> None:
        assert bench.pool.fingerprint_of(bench.specs["a"]) == bench.specs["a"].fingerprint

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


def test_a_request_that_comes_while_a_model_stops_gets_a_fresh_engine() -> None:
    async def scenario(bench: Bench) -> None:
        running = asyncio.create_task(bench.ask("a", words=50))
        await until(lambda: bench.pool.state("uid-a").active == 1, "a runs")
        stopping = asyncio.create_task(bench.pool.stop("uid-a", grace=PATIENCE))
        await asyncio.sleep(0)
        await bench.ask("a")
        await asyncio.gather(running, stopping)

    assert run(scenario, max_loaded=1, patience=PATIENCE).factory.most_alive == 1


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
