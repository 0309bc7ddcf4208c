"""The worker process, seen from the host: how it loads and ends, and what it remembers."""

import asyncio
import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path

import msgspec
import pytest

from janfs.engines.llama_cpp.ahead import LULL
from janfs.engines.llama_cpp.client import start_worker
from janfs.engines.llama_cpp.waiting import waiting_policy
from janfs.engines.protocol import (
    ChatMessage,
    ChatPrompt,
    Engine,
    Finished,
    GenerateRequest,
    PairPrompt,
    PlainText,
    RunSpec,
    SamplingParams,
    TextDelta,
    TextPrompt,
    TokenPrompt,
)
from janfs.errors import ContextExceeded, EngineError, InvalidInput, LoadFailed
from tests.engines.llama_cpp.working import GREEDY, alive, child_pids, run_tiny, spec_for, wait_for_end
from tests.engines.tiny_model import write_tiny_adapter
from tests.support.bert import Bert, rank_of
from tests.support.patience import PATIENCE


def test_where_caching_is_off_every_prompt_is_computed_whole(tiny_model: Path) -> None:
    async def cached(engine: Engine) -> int:
        ends = []
        for number in range(2):
            request = GenerateRequest(request_id=str(number), prompt=TextPrompt("a" * 50), sampling=GREEDY)
            ends += [reply async for reply in engine.generate(request) if isinstance(reply, Finished)]
        return ends[-1].usage.cached_tokens

    async def some(engine: Engine) -> None:
        assert await cached(engine) == 50

    async def none(engine: Engine) -> None:
        assert await cached(engine) == 0

    run_tiny(tiny_model, some)
    run_tiny(tiny_model, none, caching_enabled=False)


def test_what_comes_fast_is_told_together_and_counted(tiny_model: Path) -> None:
    async def scenario(engine: Engine) -> None:
        sampling = SamplingParams(temperature=0.0, max_tokens=400, ignore_eos=True)
        request = GenerateRequest(request_id="one", prompt=TextPrompt("a" * 50), sampling=sampling)
        replies = [reply async for reply in engine.generate(request)]
        *pieces, end = replies
        assert isinstance(end, Finished)
        assert all(isinstance(each, TextDelta) for each in pieces)
        told = sum(each.pieces for each in pieces if isinstance(each, TextDelta))
        assert told <= end.usage.completion_tokens == 400
        assert len(pieces) < told, "no two pieces came together, of a model that takes a millisecond for each"

    run_tiny(tiny_model, scenario, ctx_len=512)


def test_in_a_lull_what_has_ended_is_copied_before_anybody_needs_its_room(tiny_model: Path) -> None:
    async def scenario(engine: Engine) -> None:
        request = GenerateRequest(request_id="one", prompt=TextPrompt("a" * 50), sampling=GREEDY)
        lull = 2 * LULL
        for _ in range(5):
            assert [reply async for reply in engine.generate(request)]
            await asyncio.sleep(lull)
            if await engine.spare():  # which gives copies up, and tells how large they were
                await asyncio.sleep(lull)
                assert await engine.spare() == 0, "what was given up for others was copied again"
                return
            lull *= 3
        pytest.fail(f"nothing was copied in a lull of {lull / 3:.1f} seconds")

    run_tiny(tiny_model, scenario)


def test_a_chat_that_had_to_make_room_comes_back_from_its_copy_until_that_is_given_up(
    tiny_model: Path,
) -> None:
    async def scenario(engine: Engine) -> None:
        async def told(word: str) -> tuple[str, int]:
            """An answer to a long prompt, and how much of that was known."""
            request = GenerateRequest(request_id=word, prompt=TextPrompt(word * 400), sampling=GREEDY)
            *deltas, end = [reply async for reply in engine.generate(request)]
            assert isinstance(end, Finished)
            return "".join(
                each.text for each in deltas if isinstance(each, TextDelta)
            ), end.usage.cached_tokens

        first, known = await told("a")
        assert known == 0
        assert (await told("b"))[1] == 1, "what begins every text"
        assert await told("a") == (first, 400), "it was not copied when the other took its cells"
        assert await engine.spare() > 400 * 64
        assert await engine.spare() == 0
        assert (await told("b"))[1] < 400, "its copy was given up, and it had made room"

    run_tiny(tiny_model, scenario)


@pytest.mark.parametrize("kv_unified", [True, False], ids=["one cache for all", "a cache for each"])
@pytest.mark.parametrize("kind", ["tiny_model", "windowed_model", "recurrent_model"])
def test_whatever_the_memory_answers_do_not_depend_on_who_else_asks(
    kind: str, kv_unified: bool, request: pytest.FixtureRequest
) -> None:
    """Few cells for many requests that begin alike: prefixes are shared, given up and computed again."""
    prompts = [(1, *range(3, 3 + shared), *range(100 + n, 140 + n)) for n in range(3) for shared in (30, 80)]

    async def answer(engine: Engine, prompt: tuple[int, ...]) -> str:
        sampling = SamplingParams(temperature=0, max_tokens=24, ignore_eos=True)
        asked = GenerateRequest(request_id="r", prompt=TokenPrompt(prompt), sampling=sampling)
        return "".join([r.text async for r in engine.generate(asked) if isinstance(r, TextDelta)])

    async def scenario(engine: Engine) -> None:
        alone = [await answer(engine, prompt) for prompt in prompts]
        for _ in range(3):
            assert await asyncio.gather(*(answer(engine, prompt) for prompt in prompts)) == alone

    run_tiny(request.getfixturevalue(kind), scenario, ctx_len=256, n_parallel=4, kv_unified=kv_unified)


WORDS = "word tree house water king book light river stone night bread horse glass wind hand fire snow"


@pytest.mark.model
def test_a_long_prompt_that_nobody_waits_for_is_given_up_in_the_middle_of_its_decode(
    sample_spec: Callable[..., RunSpec],
) -> None:
    async def known(engine: Engine, word: str, after: float) -> int | None:
        """How many tokens are known of a prompt whose request was cancelled `after` seconds; None where
        this machine came to it too late to tell.
        """
        long = GenerateRequest(request_id="long", prompt=TextPrompt(f"{word} " * 1900))
        gone = asyncio.create_task(anext(engine.generate(long)))
        asked = time.monotonic()
        await asyncio.sleep(after)
        gone.cancel()
        await asyncio.wait([gone])
        if time.monotonic() - asked > after + 0.5:
            return None
        begun = GenerateRequest(request_id="short", prompt=TextPrompt(f"{word} " * 50), sampling=GREEDY)
        async with aclosing(engine.generate(begun)) as replies:
            return [r.usage.cached_tokens async for r in replies if isinstance(r, Finished)][-1]

    async def scenario() -> None:
        engine = await start_worker(sample_spec(n_parallel=1, n_batch=2048))
        try:
            words = iter(WORDS.split())  # each once, since a prompt that was computed is known
            for after in (0.0005, 0.003, 0.01, 0.1, 0.5):
                while (found := await known(engine, next(words), after)) is None:
                    pass
                assert found == 0, f"after {after} s it was computed to its end"
        finally:
            await engine.close(0, "over")

    # The whole prompt is one decode here, which takes this model 5 seconds and more on one thread.
    asyncio.run(scenario())


def test_a_plain_text_is_told_as_it_is_and_its_tokens_are_its_bytes(tiny_model: Path) -> None:
    async def scenario(engine: Engine) -> None:
        text = "é<s>"
        tokens = await engine.tokenize(PlainText(text))
        assert await engine.pieces(tokens) == (b"\xc3", b"\xa9", b"<s>")
        assert await engine.tokenize(PlainText(text, whole=True)) == (1, *tokens)
        plain = await engine.tokenize(PlainText(text, special=False))
        assert b"".join(await engine.pieces(plain)) == text.encode()
        assert 1 not in plain

    run_tiny(tiny_model, scenario)


def test_the_beginning_token_is_put_in_front_once(tiny_model: Path) -> None:
    async def scenario(engine: Engine) -> None:
        assert (await engine.tokenize(TextPrompt("a")))[0] == 1
        assert await engine.tokenize(TextPrompt("<s>a")) == await engine.tokenize(TextPrompt("a"))
        assert await engine.tokenize(TextPrompt("")) == (1,)

    run_tiny(tiny_model, scenario)


def test_the_settings_template_wins_and_its_turn_ends_the_answer(templated_model: Path) -> None:
    message = ChatPrompt((ChatMessage("user", "hi"),))

    async def with_file(engine: Engine) -> None:
        assert await engine.apply_template(message) == "a template"

    async def with_settings(engine: Engine) -> None:
        assert await engine.apply_template(message) == "Q: hi A:"

    run_tiny(templated_model, with_file)
    run_tiny(templated_model, with_settings, prompt_template="Q: {prompt} A:")


def test_a_name_that_is_not_unicode_is_loaded_all_the_same(tiny_model: Path, tmp_path: Path) -> None:
    odd = tmp_path / os.fsdecode(b"caf\xe9.gguf")
    odd.write_bytes(tiny_model.read_bytes())

    async def scenario(engine: Engine) -> None:
        assert engine.info.n_ctx == 512

    run_tiny(odd, scenario)


def test_a_worker_is_told_how_its_threads_are_to_wait(tiny_model: Path) -> None:
    async def scenario(engine: Engine) -> None:
        environment = Path(f"/proc/{engine.info.pid}/environ").read_bytes().split(b"\0")
        found = dict(each.decode().partition("=")[::2] for each in environment if each)
        assert waiting_policy(os.environ).items() <= found.items()
        assert {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & set(found)

    run_tiny(tiny_model, scenario)


@pytest.mark.skipif("OMP_WAIT_POLICY" not in waiting_policy({}), reason="this kernel counts no waiting")
def test_a_workers_threads_sleep_soon_while_others_want_the_cores(tiny_model: Path) -> None:
    async def scenario(engine: Engine) -> None:
        tasks = Path(f"/proc/{engine.info.pid}/task")
        alone = len(list(tasks.iterdir()))
        others = [subprocess.Popen(["sh", "-c", "while :; do :; done"]) for _ in range(2 * os.cpu_count())]
        try:
            until = time.monotonic() + PATIENCE
            while len(list(tasks.iterdir())) <= alone + os.cpu_count():
                assert time.monotonic() < until, "no second team of threads came"
                async for _ in engine.generate(long):
                    pass
        finally:
            for other in others:
                other.kill()
                other.wait()

    sampling = SamplingParams(temperature=0, max_tokens=3000, ignore_eos=True)
    long = GenerateRequest(request_id="1", prompt=TextPrompt("a"), sampling=sampling)
    run_tiny(tiny_model, scenario, ctx_len=4096, cpu_threads=2)


def test_a_model_that_makes_vectors_does_not_write(ranking_model: Path, noise_bert: Bert) -> None:
    async def scenario(engine: Engine) -> None:
        with pytest.raises(InvalidInput, match="cannot write"):
            await anext(engine.generate(GenerateRequest(request_id="r", prompt=TextPrompt("hi"))))
        (one,) = await engine.embed((PairPrompt("what is it?", "a cat."),))
        assert struct.unpack("<f", one.vector)[0] == pytest.approx(
            rank_of(noise_bert, "what is it?", "a cat."), abs=2e-3
        )
        with pytest.raises(ContextExceeded) as caught:
            await engine.embed((PairPrompt("what is it?", "a cat " * 40),))
        assert caught.value.param == "documents[0]"
        with pytest.raises(InvalidInput, match="/v1/rerank"):
            await engine.embed((TextPrompt("a cat."),))

    run_tiny(ranking_model, scenario)


def test_a_model_that_writes_makes_vectors_only_if_it_is_told_to(tiny_model: Path) -> None:
    async def refused(engine: Engine) -> None:
        with pytest.raises(InvalidInput, match='"embedding": true'):
            await engine.embed((TextPrompt("a cat."),))
        with pytest.raises(InvalidInput, match="no head that ranks"):
            await engine.embed((PairPrompt("a", "b"),))

    async def unpooled(engine: Engine) -> None:
        with pytest.raises(InvalidInput, match="pooling is none"):
            await engine.embed((TextPrompt("a cat."),))

    run_tiny(tiny_model, refused)
    run_tiny(tiny_model, unpooled, embedding=True, pooling="none")


def test_adapters_are_applied_and_one_that_does_not_fit_is_named(tiny_model: Path, tmp_path: Path) -> None:
    async def answer(*adapters: Path) -> str:
        spec = msgspec.structs.replace(spec_for(tiny_model), adapters=tuple(map(str, adapters)))
        engine = await start_worker(spec)
        request = GenerateRequest(request_id="r", prompt=TextPrompt("once"), sampling=GREEDY)
        found = [reply async for reply in engine.generate(request)]
        await engine.close(0, "answered")
        return "".join(reply.text for reply in found if isinstance(reply, TextDelta))

    style = write_tiny_adapter(tmp_path / "style.gguf")
    assert asyncio.run(answer(style)) != asyncio.run(answer())
    with pytest.raises(LoadFailed, match=r"wide\.gguf cannot be applied"):
        asyncio.run(answer(write_tiny_adapter(tmp_path / "wide.gguf", width=128)))


def test_a_file_that_cannot_be_loaded_says_why(tmp_path: Path) -> None:
    path = tmp_path / "noise.gguf"
    path.write_bytes(b"noise" * 100)
    with pytest.raises(LoadFailed, match="invalid magic"):
        asyncio.run(start_worker(spec_for(path)))
    with pytest.raises(LoadFailed, match="does not exist"):
        asyncio.run(start_worker(spec_for(tmp_path / "none.gguf")))


def test_text_that_is_not_unicode_is_refused_and_costs_nobody_else(tiny_model: Path) -> None:
    async def scenario(engine: Engine) -> None:
        with pytest.raises(InvalidInput, match="surrogate"):
            await engine.tokenize(TextPrompt("\ud800"))
        assert await engine.tokenize(TextPrompt("a"))

    run_tiny(tiny_model, scenario)


HOST = """
import asyncio, sys
from janfs.engines.llama_cpp.client import start_worker
from tests.engines.llama_cpp.working import spec_for

async def main():
    engine = await start_worker(spec_for(sys.argv[1]))
    print(engine.info.pid, flush=True)
    await asyncio.sleep(3600)

asyncio.run(main())
"""


def test_a_worker_does_not_outlive_a_host_that_was_killed(tiny_model: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOST, str(tiny_model)], stdout=subprocess.PIPE) as host:
        assert host.stdout is not None
        pid = int(host.stdout.readline())
        assert alive(pid)
        host.kill()
    wait_for_end(pid)


def test_a_worker_whose_host_is_dead_already_ends_at_once() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "janfs.engines.llama_cpp.worker", "0", "999999999"],
        timeout=PATIENCE,
        check=False,
    )
    assert ended.returncode == 0


def test_ctrl_c_is_left_to_the_host(tiny_model: Path) -> None:
    async def scenario(engine: Engine) -> None:
        os.kill(engine.info.pid, signal.SIGINT)
        assert await engine.tokenize(TextPrompt("a"))

    run_tiny(tiny_model, scenario)


@pytest.mark.model
def test_cancelling_a_load_ends_its_process(sample_model: Path) -> None:
    async def scenario() -> None:
        before = child_pids()
        loading = asyncio.create_task(start_worker(spec_for(sample_model)))
        while not (children := child_pids() - before):
            await asyncio.sleep(0.01)
        loading.cancel()
        await asyncio.wait([loading])
        assert loading.cancelled()
        assert not any(alive(pid) for pid in children)

    asyncio.run(scenario())


def test_after_close_the_process_is_gone_and_the_engine_says_why(tiny_model: Path) -> None:
    async def scenario() -> None:
        engine = await start_worker(spec_for(tiny_model))
        await engine.close(0, "unloaded by a test")
        assert not alive(engine.info.pid)
        with pytest.raises(EngineError, match="unloaded by a test"):
            await engine.tokenize(TextPrompt("a"))

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("janfs.engines.llama_cpp.worker", {"litestar", "sqlalchemy", "alembic", "asyncio"}),
        ("janfs.engines.llama_cpp.client", {"llama_cpp", "numpy", "jinja2"}),
    ],
)
def test_neither_side_imports_what_is_for_the_other(module: str, unwanted: set[str]) -> None:
    code = f"import {module}, sys; print(*sorted(name.split('.')[0] for name in sys.modules))"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not unwanted & set(ended.stdout.split())
