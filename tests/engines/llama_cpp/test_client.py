"""The host's watch over a worker that stands still."""

import asyncio
import os
import signal
import time
from collections.abc import Callable
from contextlib import aclosing, suppress
from pathlib import Path

import pytest
from msgspec.structs import replace

from janfs.engines.llama_cpp.client import start_worker
from janfs.engines.llama_cpp.grammar import MAX_GRAMMAR
from janfs.engines.protocol import (
    ChatMessage,
    ChatPrompt,
    GenerateRequest,
    RunSpec,
    SamplingParams,
    TextDelta,
    TextPrompt,
)
from janfs.errors import EngineError, InvalidInput, WorkerCrashed
from tests.engines.llama_cpp.working import spec_for
from tests.support.patience import PATIENCE

pytestmark = pytest.mark.model

LONG = GenerateRequest(
    request_id="long",
    prompt=TextPrompt("1, 2, 3,"),
    sampling=SamplingParams(max_tokens=100_000, ignore_eos=True),
)


def bound_to(grammar: str, prompt: str) -> GenerateRequest:
    """A request for a short answer that fits a grammar."""
    sampling = SamplingParams(max_tokens=9, grammar=grammar)
    return GenerateRequest(request_id="bound", prompt=TextPrompt(prompt), sampling=sampling)


def test_a_worker_that_stands_still_is_ended_and_its_requests_are_told(
    sample_spec: Callable[..., RunSpec],
) -> None:
    async def scenario() -> None:
        engine = await start_worker(sample_spec(ctx_len=512), patience=6.0)
        async with aclosing(engine.generate(LONG)) as replies:
            assert isinstance(await anext(replies), TextDelta)
            os.kill(engine.info.pid, signal.SIGSTOP)
            with pytest.raises(WorkerCrashed, match="no sign of life for 6 seconds"):
                [_ async for _ in replies]
        assert (await engine.wait()).signal == "SIGKILL"

    asyncio.run(scenario())


def test_a_worker_that_stands_still_and_takes_no_more_is_closed_all_the_same(
    sample_spec: Callable[..., RunSpec],
) -> None:
    async def scenario() -> None:
        engine = await start_worker(sample_spec(ctx_len=512))
        os.kill(engine.info.pid, signal.SIGSTOP)
        more_than_a_socket_holds = replace(LONG, prompt=TextPrompt("x" * 4_000_000))
        async with aclosing(engine.generate(more_than_a_socket_holds)) as replies:
            asked = asyncio.ensure_future(anext(replies))
            await asyncio.sleep(0)
            async with asyncio.timeout(PATIENCE):
                await engine.close(0, "it is to end")
            with pytest.raises(EngineError, match="it is to end"):
                await asked

    asyncio.run(scenario())


def test_who_asks_a_worker_that_has_died_is_told_that_it_did(sample_spec: Callable[..., RunSpec]) -> None:
    async def scenario() -> None:
        engine = await start_worker(sample_spec(ctx_len=512))
        os.kill(engine.info.pid, signal.SIGKILL)
        await engine.wait()
        with pytest.raises(WorkerCrashed, match="SIGKILL"):
            async with aclosing(engine.generate(LONG)) as replies:
                await anext(replies)

    asyncio.run(scenario())


def test_that_a_worker_has_died_is_said_also_once_it_is_closed(tiny_model: Path) -> None:
    async def scenario() -> None:
        engine = await start_worker(spec_for(tiny_model))
        os.kill(engine.info.pid, signal.SIGKILL)
        await engine.wait()
        await engine.close(0, "it was unloaded")
        with pytest.raises(WorkerCrashed, match="SIGKILL"):
            await engine.tokenize(TextPrompt("x"))

    asyncio.run(scenario())


def test_a_worker_may_die_of_a_signal_without_a_name(tiny_model: Path) -> None:
    async def scenario() -> None:
        engine = await start_worker(spec_for(tiny_model))
        os.kill(engine.info.pid, signal.SIGRTMIN + 1)
        assert (await engine.wait()).signal == f"signal {signal.SIGRTMIN + 1}"

    asyncio.run(scenario())


def test_a_grammar_may_lead_from_rule_to_rule_as_deep_as_it_is_long(
    sample_spec: Callable[..., RunSpec],
) -> None:
    rules = [f"r{number} ::= {'(' * 60}r{number + 1}{')' * 60}?" for number in range(MAX_GRAMMAR // 140)]
    grammar = "\n".join(["root ::= r0", *rules, f'r{len(rules)} ::= "a"'])
    deep = bound_to(grammar, "1, 2, 3,")

    async def scenario() -> None:
        engine = await start_worker(sample_spec(ctx_len=512))
        async with aclosing(engine.generate(deep)) as replies:
            found = [reply.text async for reply in replies if isinstance(reply, TextDelta)]
        assert "".join(found) in ("", "a")
        await engine.close(0, "done")

    asyncio.run(scenario())


HALVES = [f"x{number} ::= x{number + 1} x{number + 1}" for number in range(40)]
ENDLESS = {  # to llama.cpp, which looks at every way in which a text may be read
    "asked": 'root ::= ("a"? "b"?){500}',
    "compiled": "\n".join(["root ::= x0", *HALVES, 'x40 ::= "a"?']),
}


@pytest.mark.parametrize(
    "bound",
    [
        bound_to(ENDLESS["compiled"], "a b a b"),
        bound_to(ENDLESS["asked"], "a b a b"),
        replace(
            bound_to(ENDLESS["asked"], ""),
            prompt=ChatPrompt((ChatMessage("user", "a b"), ChatMessage("assistant", "ab" * 9))),
        ),
    ],
    ids=["compiled", "asked", "begun"],
)
def test_a_grammar_without_end_is_refused_and_its_worker_is_to_be_replaced(
    sample_spec: Callable[..., RunSpec], bound: GenerateRequest
) -> None:

    async def scenario() -> None:
        engine = await start_worker(sample_spec(ctx_len=512))
        async with aclosing(engine.generate(LONG)) as others:
            await anext(others)
            async with aclosing(engine.generate(bound)) as replies:
                with pytest.raises(InvalidInput, match="too many ways") as refused:
                    [_ async for _ in replies]
            assert refused.value.param == "grammar"
            async with asyncio.timeout(PATIENCE):
                await engine.worn()
            for _ in range(3):
                assert isinstance(await anext(others), TextDelta), "another one's answer has ended"
        await engine.close(0, "done")
        assert (await engine.wait()).code == 0

    asyncio.run(scenario())


@pytest.mark.long
def test_a_worker_ends_when_grammars_without_end_take_many_processors(
    sample_spec: Callable[..., RunSpec],
) -> None:
    bound = bound_to(ENDLESS["asked"], "a b a b")

    async def scenario() -> None:
        engine = await start_worker(sample_spec(ctx_len=512))
        for message in ("too many ways", "too many ways", "comes to no end with: 3"):
            async with aclosing(engine.generate(bound)) as replies:
                with pytest.raises((InvalidInput, WorkerCrashed), match=message):
                    [_ async for _ in replies]
        assert (await engine.wait()).code == 1

    asyncio.run(scenario())


@pytest.mark.long
def test_a_worker_ends_when_a_grammar_without_end_takes_the_memory(
    sample_spec: Callable[..., RunSpec],
) -> None:
    bound = bound_to(ENDLESS["compiled"], "a")

    async def scenario() -> None:
        engine = await start_worker(sample_spec(ctx_len=8192))
        async with aclosing(engine.generate(LONG)) as others:
            await anext(others)
            async with aclosing(engine.generate(bound)) as replies:
                with pytest.raises(InvalidInput, match="too many ways"):
                    await anext(replies)
            with pytest.raises(WorkerCrashed, match=r"no end with: 1, and 1\d{3} MiB"):
                [_ async for _ in others]

    asyncio.run(scenario())


def test_a_worker_that_computes_or_that_nobody_waits_for_is_left_alone(
    sample_spec: Callable[..., RunSpec],
) -> None:
    async def scenario() -> None:
        patience = 6.0
        engine = await start_worker(sample_spec(ctx_len=2048), patience=patience)
        os.kill(engine.info.pid, signal.SIGSTOP)
        await asyncio.sleep(patience + 1)
        os.kill(engine.info.pid, signal.SIGCONT)
        prompt = TextPrompt("All work and no play. " * 200)  # seconds without a word
        long = GenerateRequest(request_id="p", prompt=prompt, sampling=SamplingParams(max_tokens=1))
        began = time.monotonic()
        async with aclosing(engine.generate(long)) as replies:
            with suppress(TimeoutError):  # by then it would have been ended
                async with asyncio.timeout(2 * patience):
                    assert [reply async for reply in replies], f"ended after {time.monotonic() - began:.1f} s"
        await engine.close(0, "done")

    asyncio.run(scenario())
