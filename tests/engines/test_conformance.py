"""What every engine does, whatever is behind it."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager

import pytest

from janfs.engines.llama_cpp import process
from janfs.engines.llama_cpp.client import start_worker
from janfs.engines.protocol import (
    ChatMessage,
    ChatPrompt,
    Engine,
    EngineFactory,
    EngineSettings,
    Finished,
    GenerateRequest,
    PairPrompt,
    PlainText,
    Prompt,
    Reply,
    RunSpec,
    SamplingParams,
    TextDelta,
    TextPrompt,
    TokenPrompt,
)
from janfs.errors import ContextExceeded, EngineError, InvalidInput, WorkerCrashed
from tests.engines.fake_engine import FakeEngine, FakeFactory
from tests.support.patience import PATIENCE

Opener = Callable[..., "asyncio.AbstractAsyncContextManager[Engine]"]
HELLO = TextPrompt("hello")
LONG = 400  # tokens: more than any of these tests lets pass
ENDLESS = 6000  # tokens: with four at a time more than a test waits for


@pytest.fixture(params=["fake", pytest.param("llama-cpp", marks=pytest.mark.model)])
def opened(request: pytest.FixtureRequest) -> Opener:
    """Opens an engine for a block and closes it."""
    factory: EngineFactory
    if request.param == "fake":
        factory, path = FakeFactory(), "/no/such/file"
    else:
        factory, path = start_worker, str(request.getfixturevalue("sample_model"))

    @asynccontextmanager
    async def open_(context: int = 512) -> AsyncIterator[Engine]:
        settings = EngineSettings(ctx_len=context, n_parallel=4, cpu_threads=1, embedding=True)
        engine = await factory(
            RunSpec(model_id="m", uid="u", engine="any", path=path, settings=settings, fingerprint="f")
        )
        try:
            yield engine
        finally:
            await engine.close(0, "the test is over")

    return open_


@pytest.fixture
def time_to_exit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine may take some until a process that was closed has ended."""
    monkeypatch.setattr(process, "_EXIT_SECONDS", PATIENCE)


@asynccontextmanager
async def writing(engine: Engine, name: str = "r", tokens: int = LONG) -> AsyncIterator[AsyncIterator[Reply]]:
    """An answer that has begun: what comes after its first reply."""
    async with aclosing(engine.generate(request_for(name, tokens))) as replies:
        await anext(replies)
        yield replies


def crash(engine: Engine) -> None:
    if isinstance(engine, FakeEngine):
        engine.crash()
    else:
        os.kill(engine.info.pid, signal.SIGKILL)


async def ask(engine: Engine, name: str, tokens: int = 4, prompt: Prompt = HELLO) -> Finished:
    replies = [reply async for reply in engine.generate(request_for(name, tokens, prompt))]
    assert isinstance(replies[-1], Finished)
    assert all(isinstance(reply, TextDelta) and reply.text for reply in replies[:-1])
    return replies[-1]


def request_for(name: str, tokens: int, prompt: Prompt = HELLO) -> GenerateRequest:
    sampling = SamplingParams(temperature=0, max_tokens=tokens, ignore_eos=True)
    return GenerateRequest(request_id=name, prompt=prompt, sampling=sampling)


def test_every_kind_of_prompt_is_answered_and_counted(opened: Opener) -> None:
    async def scenario() -> None:
        async with opened() as engine:
            for prompt in (
                TextPrompt("hello there"),
                TextPrompt(""),
                TokenPrompt((5, 6, 7)),
                ChatPrompt((ChatMessage("user", "hi"),)),
            ):
                end = await ask(engine, "r", 4, prompt)
                assert (end.finish_reason, end.usage.completion_tokens) == ("length", 4)
                assert end.usage.prompt_tokens == len(await engine.tokenize(prompt))

    asyncio.run(scenario())


def test_the_first_reply_and_the_last_say_what_the_prompt_took(opened: Opener) -> None:
    async def scenario() -> None:
        async with opened() as engine:
            replies = [reply async for reply in engine.generate(request_for("r", 4))]
            first, *between, end = [reply.usage for reply in replies]
            assert first is not None
            assert end is not None
            assert (first.prompt_tokens, first.cached_tokens) == (end.prompt_tokens, end.cached_tokens)
            assert first.prompt_tokens == len(await engine.tokenize(HELLO))
            assert not any(between)

    asyncio.run(scenario())


def test_a_prompt_that_does_not_fit_is_refused_with_both_sizes(opened: Opener) -> None:
    async def scenario() -> None:
        async with opened() as engine:
            with pytest.raises(ContextExceeded) as caught:
                await ask(engine, "r", 4, TokenPrompt((5,) * 600))
            assert (caught.value.n_prompt_tokens, caught.value.n_ctx) == (600, 512)
            with pytest.raises(ContextExceeded) as caught:
                await engine.tokenize(TokenPrompt((5,) * 512), to_answer=True)
            assert (caught.value.n_prompt_tokens, caught.value.param) == (512, "prompt")
            assert len(await engine.tokenize(TokenPrompt((5,) * 511), to_answer=True)) == 511
            assert len(await engine.tokenize(TokenPrompt((5,) * 600))) == 600, "nobody wants it answered"
            assert (await ask(engine, "r")).finish_reason == "length", "the engine is none the worse for it"

    asyncio.run(scenario())


def test_eight_at_once_are_all_answered(opened: Opener) -> None:
    async def scenario() -> None:
        async with opened() as engine:
            ends = await asyncio.gather(*(ask(engine, f"r{number}") for number in range(8)))
            assert [end.usage.completion_tokens for end in ends] == [4] * 8

    asyncio.run(scenario())


def test_requests_of_one_name_are_not_mixed_up(opened: Opener) -> None:
    async def scenario() -> None:
        async with opened() as engine:
            async with writing(engine):
                pass
            ends = await asyncio.gather(*(ask(engine, "r", tokens) for tokens in (2, 5)))
            assert [end.usage.completion_tokens for end in ends] == [2, 5]

    asyncio.run(scenario())


def test_closing_the_iterator_frees_what_the_request_held(opened: Opener) -> None:
    async def scenario() -> None:
        async with opened(context=4 * ENDLESS) as engine:
            for number in range(6):  # more than there are sequences
                async with writing(engine, f"r{number}", ENDLESS):
                    pass
            async with asyncio.timeout(PATIENCE):
                await ask(engine, "last")

    asyncio.run(scenario())


def test_a_crash_fails_the_running_requests_and_says_how_the_process_ended(opened: Opener) -> None:
    async def scenario() -> None:
        async with opened() as engine:
            async with writing(engine) as replies:
                crash(engine)
                with pytest.raises(WorkerCrashed, match="SIGKILL"):
                    async for _ in replies:
                        pass
            assert (await engine.wait()).signal == "SIGKILL"
            with pytest.raises(EngineError):
                await ask(engine, "next")

    asyncio.run(scenario())


@pytest.mark.usefixtures("time_to_exit")
def test_close_lets_requests_finish_in_time_and_cuts_off_the_rest(opened: Opener) -> None:
    async def scenario() -> None:
        async with opened() as engine:
            async with writing(engine) as replies:
                closing = asyncio.create_task(engine.close(0.05, "enough"))
                with pytest.raises(EngineError, match="enough"):
                    async for _ in replies:
                        pass
            await closing
            assert (await engine.wait()).code == 0

    asyncio.run(scenario())


@pytest.mark.usefixtures("time_to_exit")
def test_closed_once_more_with_less_time_it_ends_sooner(opened: Opener) -> None:
    async def scenario() -> None:
        async with opened() as engine:
            async with writing(engine) as replies:
                closing = asyncio.create_task(engine.close(10 * PATIENCE, "slowly"))
                await asyncio.sleep(0)
                hurrying = asyncio.create_task(engine.close(0, "quickly"))
                with pytest.raises(EngineError, match="quickly"):
                    async for _ in replies:
                        pass
            await asyncio.gather(closing, hurrying)
            assert (await engine.wait()).code == 0

    asyncio.run(scenario())


def test_texts_become_vectors_in_their_order(opened: Opener) -> None:
    async def scenario() -> None:
        async with opened() as engine:
            texts = tuple(TextPrompt("one " * (number + 1)) for number in range(33))  # more than fit a batch
            answering = asyncio.create_task(ask(engine, "r", 20))
            several, one = await asyncio.gather(engine.embed(texts), engine.embed(texts[3:4]))
            assert (await answering).usage.completion_tokens == 20
            assert [each.n_tokens for each in several] == sorted({each.n_tokens for each in several})
            assert len({each.vector for each in several}) == len(texts)
            assert one[0].n_tokens == several[3].n_tokens
            assert (await engine.embed((TokenPrompt((5, 6, 7)),)))[0].n_tokens == 3

    asyncio.run(scenario())


def test_what_cannot_become_a_vector_is_refused(opened: Opener) -> None:
    async def scenario() -> None:
        async with opened() as engine:
            with pytest.raises(ContextExceeded) as caught:
                await engine.embed((HELLO, TokenPrompt((5,) * 600)))
            assert (caught.value.n_prompt_tokens, caught.value.n_ctx, caught.value.param) == (
                600,
                512,
                "input[1]",
            )
            with pytest.raises(InvalidInput, match="rank"):
                await engine.embed((PairPrompt("a", "b"),))
            assert len(await engine.embed((HELLO,))) == 1, "the engine is none the worse for it"

    asyncio.run(scenario())


def test_embedding_that_nobody_waits_for_any_more_ends(opened: Opener) -> None:
    async def scenario() -> None:
        async with opened() as engine:
            many = asyncio.create_task(engine.embed((TextPrompt("one two three"),) * 4_000))
            await asyncio.sleep(0)
            await engine.embed((HELLO,))  # it has begun, for they are taken in turn
            many.cancel()
            with pytest.raises(asyncio.CancelledError):
                await many
            assert len(await engine.embed((HELLO,))) == 1

    asyncio.run(scenario())


def test_an_engine_that_has_answered_nothing_yet_has_nothing_to_spare(opened: Opener) -> None:
    async def scenario() -> None:
        async with opened() as engine:
            assert await engine.spare() == 0
            assert (await ask(engine, "after")).finish_reason == "length"

    asyncio.run(scenario())


def test_messages_become_text_and_text_becomes_tokens(opened: Opener) -> None:
    async def scenario() -> None:
        async with opened() as engine:
            text = await engine.apply_template(ChatPrompt((ChatMessage("user", "good morning"),)))
            assert "user" in text
            assert "good morning" in text
            assert len(await engine.tokenize(TextPrompt("good morning"))) == 2

    asyncio.run(scenario())


def test_a_plain_text_is_told_in_tokens_and_tokens_in_bytes(opened: Opener) -> None:
    async def scenario() -> None:
        async with opened() as engine:
            tokens = await engine.tokenize(PlainText("good morning"))
            assert len(tokens) == len(await engine.pieces(tokens)) == 2
            assert await engine.tokenize(PlainText("")) == await engine.pieces(()) == ()
            many = 40_000
            assert await engine.pieces(tokens * many) == await engine.pieces(tokens) * many
            with pytest.raises(InvalidInput) as caught:
                await engine.pieces((engine.info.n_vocab,))
            assert caught.value.param == "tokens"

    asyncio.run(scenario())
