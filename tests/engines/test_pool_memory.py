"""Who is unloaded, lowered or refused when memory is short; and when nobody uses a model."""

import asyncio
from contextlib import aclosing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from janfs.engines.fit import LEAST_CONTEXT
from janfs.engines.memory import need, split
from janfs.engines.protocol import (
    EngineSettings,
    EngineStartFailed,
    EngineStopped,
    GenerateRequest,
    TextPrompt,
)
from janfs.errors import DoesNotFit, LoadFailed, OutOfMemory
from tests.engines.pool_bench import FOREVER, Bench, cancelling, run, spec_of, until
from tests.engines.shapes import SMOLLM2


def size(context: int) -> int:
    return need(SMOLLM2, EngineSettings(ctx_len=context, n_parallel=2)).total


def test_the_longest_unused_goes_until_the_newcomer_fits() -> None:
    async def scenario(bench: Bench) -> None:
        bench.sizes(a=4096, b=4096, c=8192)
        bench.machine = 2 * size(4096)
        for name in "ab":
            await bench.ask(name)
        assert bench.states() == "running running stopped"
        await bench.ask("c")
        assert bench.states() == "stopped stopped running"
        await bench.ask("a")
        assert bench.states() == "running stopped stopped"

    run(scenario, max_loaded=9)


def test_what_models_keep_to_be_faster_costs_no_other_its_place_or_context() -> None:
    async def scenario(bench: Bench) -> None:
        bench.sizes(a=4096)
        bench.sizes(b=4096, c=4096, lowerable=True)
        bench.machine = 2 * size(4096)
        await bench.ask("a")
        [first] = bench.factory.alive
        first.kept = 100 << 20
        await bench.ask("b")
        assert bench.states() == "running running stopped"
        assert bench.pool.state("uid-b").lowered == {}
        assert first.kept == 0

    run(scenario, max_loaded=9)


def test_what_models_keep_is_theirs_while_there_is_room() -> None:
    async def scenario(bench: Bench) -> None:
        bench.sizes(a=4096, b=4096)
        bench.machine = 2 * size(4096) + (100 << 20)
        await bench.ask("a")
        [first] = bench.factory.alive
        first.kept = 100 << 20
        await bench.ask("b")
        assert first.kept == 100 << 20

    run(scenario, max_loaded=9)


def test_a_model_that_does_not_answer_keeps_nobody_waiting_for_good() -> None:
    async def scenario(bench: Bench) -> None:
        bench.sizes(a=4096, b=4096)
        bench.machine = size(4096)
        await bench.ask("a")
        [first] = bench.factory.alive

        async def never() -> int:
            await asyncio.Event().wait()
            raise AssertionError

        first.spare = never  # type: ignore[method-assign]
        await bench.ask("b")
        assert bench.states() == "stopped running stopped"

    run(scenario, max_loaded=9, settle=0.05)


def test_of_busy_models_none_has_to_leave_when_another_has_become_idle_meanwhile() -> None:
    async def scenario(bench: Bench) -> None:
        context = 2 * FOREVER
        bench.sizes(a=context, b=context, c=context)
        bench.machine = 2 * size(context)
        asked = [asyncio.create_task(bench.ask("a", FOREVER))]
        with cancelling(*asked):
            await until(lambda: bench.pool.state("uid-a").active == 1, "a runs")
            asked.append(asyncio.create_task(bench.ask("b", FOREVER)))
            await until(lambda: bench.pool.state("uid-b").active == 1, "b runs")
            times = 0

            async def spare() -> int:
                nonlocal times
                times += 1
                if times == 2:  # it has waited for as long as it is patient
                    asked[1].cancel()
                    await until(lambda: bench.pool.state("uid-b").active == 0, "b is idle")
                return 0

            bench.factory.engines[0].spare = spare  # type: ignore[method-assign]
            await bench.ask("c")
            assert times >= 2
            assert bench.states() == "running stopped running"
        await asyncio.wait(asked)

    run(scenario, max_loaded=9, patience=0.05)


def test_nobody_goes_who_need_not() -> None:
    async def scenario(bench: Bench) -> None:
        bench.sizes(a=4096, b=4096, c=4096)
        bench.machine = 2 * size(4096)
        for name in "abac":
            await bench.ask(name)
        assert bench.states() == "running stopped running"

    run(scenario, max_loaded=9)


def test_within_its_own_bound_a_pool_holds_no_more_however_much_is_free() -> None:
    async def scenario(bench: Bench) -> None:
        bench.sizes(a=4096, b=4096)
        for name in "ab":
            await bench.ask(name)
        assert bench.states() == "stopped running stopped"

    run(scenario, max_loaded=9, memory=2 * size(4096) - 1)


def test_memory_that_does_not_come_back_costs_another_model_its_place() -> None:
    async def scenario(bench: Bench) -> None:
        bench.sizes(a=4096, b=4096, c=4096)
        bench.machine = 2 * size(4096)
        bench.lost = {1000: size(4096)}
        for name in "abc":
            await bench.ask(name)
        assert bench.states() == "stopped stopped running"

    run(scenario, max_loaded=9, settle=0.05)


def test_memory_that_comes_back_late_is_waited_for() -> None:
    async def scenario(bench: Bench) -> None:
        bench.sizes(a=4096, b=4096, c=4096)
        bench.machine = 2 * size(4096)
        bench.lost = {1000: size(4096)}
        for name in "ab":
            await bench.ask(name)
        asyncio.get_running_loop().call_later(0.2, bench.lost.clear)
        await bench.ask("c")
        assert bench.states() == "stopped running running"

    run(scenario, max_loaded=9)


def test_busy_and_pinned_models_stay_and_what_nobody_asked_for_is_lowered() -> None:
    async def scenario(bench: Bench) -> None:
        bench.sizes(a=4096, b=4096)
        bench.sizes(c=8192, lowerable=True)
        bench.specs["a"] = replace(bench.specs["a"], pinned=True)
        bench.machine = 2 * size(4096) + size(5120)
        await bench.ask("a")
        with cancelling(asyncio.create_task(bench.ask("b", FOREVER))):
            await until(lambda: bench.pool.state("uid-b").state == "running", "b runs")
            await bench.ask("c")
            state = bench.pool.state("uid-c")
            assert bench.states() == "running running running"
            assert state.lowered == {"ctx_len": 5120}
            assert state.info is not None
            assert state.info.n_ctx == 5120
            assert state.fingerprint != bench.specs["c"].fingerprint, "it names other settings"
            await bench.ask("c")
            assert bench.factory.loads == 3, "a lowered model was loaded anew"

    run(scenario, max_loaded=9)


def test_what_was_lowered_is_loaded_anew_once_the_user_asks_for_it() -> None:
    async def scenario(bench: Bench) -> None:
        bench.sizes(a=8192, lowerable=True)
        bench.machine = size(5120)
        await bench.ask("a")
        assert bench.pool.state("uid-a").lowered == {"ctx_len": 5120}
        bench.specs["a"] = replace(bench.specs["a"], lowerable=frozenset())  # written into its model.json
        with pytest.raises(DoesNotFit):
            await bench.ask("a")
        bench.specs["a"] = replace(bench.specs["a"], lowerable=frozenset({"ctx_len"}))  # and taken out again
        await bench.ask("a")
        bench.specs["a"] = replace(bench.specs["a"], lowerable=frozenset())
        bench.machine = size(8192)
        await bench.ask("a")
        state = bench.pool.state("uid-a")
        assert state.info is not None
        assert (state.info.n_ctx, state.lowered) == (8192, {})
        assert bench.pool.fingerprint_of(bench.specs["a"]) == bench.specs["a"].fingerprint

    run(scenario, max_loaded=9)


def test_idle_models_go_before_anything_is_lowered() -> None:
    async def scenario(bench: Bench) -> None:
        bench.sizes(a=4096)
        bench.sizes(b=8192, lowerable=True)
        bench.machine = size(8192) + 1
        for name in "ab":
            await bench.ask(name)
        assert bench.states() == "stopped running stopped"
        assert bench.pool.state("uid-b").lowered == {}

    run(scenario, max_loaded=9)


def test_a_load_that_runs_out_of_memory_is_tried_once_more_with_less() -> None:
    async def scenario(bench: Bench) -> None:
        bench.sizes(a=8192, lowerable=True)
        bench.factory.enough = 5000
        await bench.ask("a")
        state = bench.pool.state("uid-a")
        assert state.lowered == {"ctx_len": 4096}
        assert state.wanted == bench.specs["a"].fingerprint != state.fingerprint
        await bench.ask("a")
        assert bench.factory.loads == 2, "what was lowered was loaded anew"

    bench = run(scenario)
    failed, started, _ = bench.facts
    assert isinstance(failed, EngineStartFailed)
    assert failed.reason == "There is no memory left. It is tried once more with ctx_len 4096."
    assert failed.fingerprint != started.fingerprint


@pytest.mark.parametrize("lowerable", [True, False])
def test_before_a_second_try_idle_models_go_and_no_others(lowerable: bool) -> None:
    async def scenario(bench: Bench) -> None:
        bench.sizes(a=1024, b=1024, c=1024)
        bench.specs["b"] = replace(bench.specs["b"], pinned=True)
        for name in "abc":
            await bench.ask(name)
        bench.specs["d"] = spec_of("d")
        bench.sizes(d=8192, lowerable=lowerable)
        bench.factory.enough = 2 * 1024 + 8192
        async with bench.pool.engine("c"):
            await bench.ask("d")
            assert bench.states() == "stopped running running running"
        assert bench.pool.state("uid-d").lowered == ({"ctx_len": 4096} if lowerable else {})

    bench = run(scenario, max_loaded=9)
    reasons = [fact.reason for fact in bench.facts if isinstance(fact, EngineStopped | EngineStartFailed)]
    less = " and with ctx_len 4096" if lowerable else ""
    assert reasons[:2] == [
        "room was needed for 'd'",
        f"There is no memory left. It is tried once more without a{less}.",
    ]


@pytest.mark.parametrize(
    ("context", "lowerable", "loads"),
    [(8192, False, 1), (LEAST_CONTEXT, True, 1), (8192, True, 2)],
    ids=["somebody asked for it", "it is at its floor", "half is too much as well"],
)
def test_what_has_not_enough_memory_even_so_is_told(
    cooling: None, context: int, lowerable: bool, loads: int
) -> None:
    async def scenario(bench: Bench) -> None:
        bench.sizes(a=context, lowerable=lowerable)
        bench.sizes(b=1024)
        bench.factory.enough = 1024
        with pytest.raises(OutOfMemory) as caught:
            await bench.ask("a")
        assert caught.value.retry_after == 1
        assert bench.factory.loads == loads
        await bench.ask("b")
        bench.factory.enough = None
        with pytest.raises(LoadFailed, match="next try"):
            await bench.ask("a")
        await bench.pool.start("a")
        assert bench.pool.state("uid-a").lowered == {}

    run(scenario)


def test_a_second_try_takes_no_more_than_is_free_by_then() -> None:
    async def scenario(bench: Bench) -> None:
        bench.sizes(a=16384, lowerable=True)
        bench.factory.enough = 8192
        bench.factory.hold()
        asked = asyncio.create_task(bench.ask("a"))
        await until(lambda: bench.factory.loads == 1, "the first try has begun")
        bench.machine = size(4096)  # somebody else took the rest
        bench.factory.release()
        await asked
        assert bench.pool.state("uid-a").lowered == {"ctx_len": 4096}

    run(scenario)


def test_a_gpu_is_shared_out_as_memory_is() -> None:
    async def scenario(bench: Bench) -> None:
        bench.sizes(a=4096, b=4096, c=4096)
        bench.gpu = 2 * split(SMOLLM2, bench.specs["a"].settings).device
        for name in "abc":
            await bench.ask(name)
        assert bench.states() == "stopped running running"

    run(scenario, max_loaded=9)


def test_layers_that_nobody_asked_for_on_a_gpu_go_where_there_is_room() -> None:
    async def scenario(bench: Bench) -> None:
        bench.sizes(a=4096)
        bench.specs["a"] = replace(bench.specs["a"], lowerable=frozenset({"ngl"}))
        bench.gpu = split(SMOLLM2, bench.specs["a"].settings).device // 2
        await bench.ask("a")
        assert 0 < bench.pool.state("uid-a").lowered["ngl"] < SMOLLM2.layers

    run(scenario)


def test_what_can_never_fit_is_refused_at_once_and_nobody_goes_for_it(cooling: None) -> None:
    async def scenario(bench: Bench) -> None:
        bench.sizes(a=4096, b=1 << 20)
        bench.machine = size(8192)
        await bench.ask("a")
        with pytest.raises(DoesNotFit, match="1,048,576 tokens"):
            await bench.ask("b")
        assert bench.states() == "running failed stopped"
        with pytest.raises(DoesNotFit, match="next try"):
            await bench.ask("b")
        bench.change("b", "smaller")
        bench.sizes(b=4096)
        await bench.ask("b")

    bench = run(scenario, max_loaded=9)
    assert bench.kinds("uid-b")[0] is EngineStartFailed


def test_a_model_of_a_thousand_tokens_may_be_what_the_user_wants() -> None:
    async def scenario(bench: Bench) -> None:
        bench.sizes(a=LEAST_CONTEXT // 2, lowerable=True)
        bench.machine = size(LEAST_CONTEXT // 2)
        await bench.ask("a")
        assert bench.pool.state("uid-a").lowered == {}

    run(scenario)


def test_where_all_places_are_for_pinned_models_another_is_refused_and_does_not_wait() -> None:
    async def scenario(bench: Bench) -> None:
        bench.specs["a"] = replace(bench.specs["a"], pinned=True)
        await bench.ask("a")
        with pytest.raises(DoesNotFit, match="a stay, being pinned"):
            await bench.ask("b")
        assert bench.states() == "running failed stopped"

    run(scenario, max_loaded=1)


def test_a_pinned_model_is_replaced_in_its_own_place() -> None:
    async def scenario(bench: Bench) -> None:
        bench.sizes(a=4096)
        bench.specs["a"] = replace(bench.specs["a"], pinned=True)
        bench.machine = size(4096)
        await bench.ask("a")
        with cancelling(asyncio.create_task(bench.ask("a", 200))):
            await asyncio.sleep(0.01)
            bench.change("a", "two")
            await bench.ask("a")
        assert bench.pool.state("uid-a").fingerprint == "two"

    run(scenario, max_loaded=1)


def test_a_pinned_model_that_is_edited_while_it_loads_is_replaced_too() -> None:
    async def scenario(bench: Bench) -> None:
        bench.sizes(a=4096)
        bench.specs["a"] = replace(bench.specs["a"], pinned=True)
        bench.machine = size(4096)
        bench.factory.hold()
        early = asyncio.create_task(bench.ask("a"))
        await until(lambda: bench.factory.loads == 1, "a loads")
        bench.change("a", "two")
        late = asyncio.create_task(bench.ask("a"))
        await until(lambda: bool(bench.pool.leaving()), "the first is on its way out")
        bench.factory.release()
        await asyncio.gather(early, late)
        assert bench.pool.state("uid-a").fingerprint == "two"

    assert run(scenario, max_loaded=1).factory.most_alive == 1


def test_a_model_that_nobody_uses_is_unloaded_after_its_time() -> None:
    async def scenario(bench: Bench) -> None:
        bench.specs["b"] = replace(bench.specs["b"], keep_alive=-1)
        bench.specs["c"] = replace(bench.specs["c"], pinned=True)
        for name in "bca":
            await bench.ask(name)
        assert bench.pool.state("uid-a").unloads_at is not None
        await until(lambda: bench.states() == "stopped running running", "a is unloaded")
        assert bench.pool.state("uid-b").unloads_at is None

    bench = run(scenario, max_loaded=9, keep_alive=0.05)
    [first, *_] = [fact for fact in bench.facts if isinstance(fact, EngineStopped)]
    assert (first.uid, first.reason) == ("uid-a", "nobody used it for 0.05 seconds")


def test_a_model_that_answers_is_not_idle() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.ask("a")
        request = GenerateRequest(request_id="long", prompt=TextPrompt("hello"))
        async with aclosing(bench.pool.generate("a", request)) as replies:
            for _ in range(100):  # of a millisecond each at the least
                await anext(replies)
            assert bench.pool.state("uid-a").unloads_at is None
        assert bench.factory.loads == 1

    run(scenario, keep_alive=0.02)


def test_a_renamed_model_keeps_its_engine() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.ask("a")
        bench.specs["new"] = replace(bench.specs.pop("a"), model_id="new", path="/new.gguf")
        assert bench.pool.state("uid-a").state == "running"
        await bench.ask("new")

    assert run(scenario).factory.loads == 1


@given(
    contexts=st.lists(st.integers(1, 40), min_size=3, max_size=3),
    lowerable=st.booleans(),
    machine=st.integers(0, 30),
    pinned=st.sampled_from([None, *"abc"]),
    asked=st.lists(st.sampled_from("abc"), min_size=1, max_size=8),
)
@settings(max_examples=25)
def test_whoever_is_asked_memory_is_never_given_twice_and_pinned_models_stay(
    contexts: list[int], lowerable: bool, machine: int, pinned: str | None, asked: list[str]
) -> None:
    async def scenario(bench: Bench) -> None:
        bench.machine = size(256) + machine * (size(1024) - size(512))
        for name, context in zip("abc", contexts, strict=True):
            bench.sizes(lowerable=lowerable, **{name: 512 * context})
            bench.specs[name] = replace(bench.specs[name], pinned=name == pinned)
        for name in asked:
            kept = pinned is not None and bench.pool.state(f"uid-{pinned}").state == "running"
            try:
                await bench.ask(name)
            except DoesNotFit:
                assert bench.pool.state(f"uid-{name}").state == "failed"
            assert bench.free([]) >= 0, "more was given than there is"
            assert not kept or bench.pool.state(f"uid-{pinned}").state == "running"

    run(scenario, max_loaded=9)
