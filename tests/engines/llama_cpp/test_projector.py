"""Images, through a real worker with a projector of noise."""

import asyncio
import io
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from PIL import Image as Pillow

from janfs.engines.llama_cpp.client import LlamaCppEngine, start_worker
from janfs.engines.protocol import (
    ChatMessage,
    ChatPrompt,
    EngineSettings,
    Finished,
    GenerateRequest,
    Image,
    RunSpec,
    SamplingParams,
    TextDelta,
    TextPrompt,
)
from janfs.errors import InvalidInput, LoadFailed
from tests.engines.tiny_model import write_tiny_model_with_a_window, write_tiny_model_with_mrope
from tests.engines.tiny_projector import (
    ROWS,
    png,
    write_tiny_gemma_projector,
    write_tiny_projector,
    write_tiny_qwen_projector,
)
from tests.support.patience import PATIENCE

RED, BLUE = png(255, 0, 0), png(0, 0, 255)


def asking(*images: bytes, text: str = "What is this?") -> ChatPrompt:
    seen = tuple(
        Image(len(text), data, f"messages[0].content[{number}]") for number, data in enumerate(images)
    )
    return ChatPrompt((ChatMessage("user", f"{text} Tell me.", images=seen),))


def differ(one: list[float], other: list[float]) -> bool:
    """Whether two answers were not equally likely, beyond what another order of sums explains."""
    return len(one) != len(other) or any(abs(a - b) > 1e-3 for a, b in zip(one, other, strict=True))


class Looking:
    """A worker that sees."""

    def __init__(self, engine: LlamaCppEngine) -> None:
        self.engine = engine

    async def likely(self, prompt: ChatPrompt) -> list[float]:
        """How likely each token of the answer was."""
        sampling = SamplingParams(temperature=0, max_tokens=4, logprobs=0)
        request = GenerateRequest(request_id="l", prompt=prompt, sampling=sampling)
        replies = [reply async for reply in self.engine.generate(request)]
        told = [reply for reply in replies if isinstance(reply, TextDelta | Finished)]
        return [token.logprob for reply in told for token in reply.logprobs]

    async def answer(self, prompt: Any, *, cached: bool = True, **sampling: Any) -> tuple[str, Finished]:
        params = SamplingParams(temperature=0, max_tokens=12, **sampling)
        request = GenerateRequest(request_id="i", prompt=prompt, sampling=params, cache_prompt=cached)
        *deltas, end = [reply async for reply in self.engine.generate(request)]
        assert isinstance(end, Finished)
        return "".join(delta.text for delta in deltas if isinstance(delta, TextDelta)), end


@pytest.fixture(scope="module")
def spec(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> RunSpec:
    return RunSpec(
        model_id="tiny",
        uid="uid-tiny",
        engine="llama-cpp",
        path=str(tiny_model),
        settings=EngineSettings(ctx_len=512, n_parallel=3, n_batch=64, cpu_threads=1),
        fingerprint="one",
        projector=str(write_tiny_projector(tmp_path_factory.mktemp("projector") / "mmproj.gguf")),
    )


def looking(spec: RunSpec, scenario: Callable[[Looking], Awaitable[None]]) -> None:
    async def run() -> None:
        engine = await start_worker(spec)
        try:
            async with asyncio.timeout(PATIENCE):
                await scenario(Looking(engine))
        finally:
            await engine.close(0, "the test is over")

    asyncio.run(run())


def test_an_answer_depends_on_the_image_and_is_the_same_for_the_same_image(spec: RunSpec) -> None:
    async def scenario(it: Looking) -> None:
        red, end = await it.answer(asking(RED))
        _, plain = await it.answer(asking())
        assert end.usage.prompt_tokens == plain.usage.prompt_tokens + ROWS
        again, known = await it.answer(asking(RED))
        assert again == red
        assert known.usage.cached_tokens == known.usage.prompt_tokens - 1, "the image was not shared"
        fresh, unknown = await it.answer(asking(RED), cached=False)
        assert (fresh, unknown.usage.cached_tokens) == (red, 0)
        different = [asking(RED), asking(BLUE), asking(), asking(RED, BLUE), asking(BLUE, RED)]
        seen = [await it.likely(prompt) for prompt in different]
        for number, one in enumerate(seen):
            assert not differ(one, await it.likely(different[number])), f"{number} is answered anew"
            for other in range(number):
                assert differ(one, seen[other]), f"{number} is answered as {other} is"

    looking(spec, scenario)


@pytest.mark.parametrize("kind", ["two dimensions", "at once"])
def test_an_image_is_seen_with_a_projector_of_another_kind(spec: RunSpec, tmp_path: Path, kind: str) -> None:
    model, projector = tmp_path / "model.gguf", tmp_path / "mmproj.gguf"
    if kind == "at once":
        write_tiny_model_with_a_window(model)
        write_tiny_gemma_projector(projector)
    else:
        write_tiny_model_with_mrope(model)
        write_tiny_qwen_projector(projector)

    async def scenario(it: Looking) -> None:
        red, _ = await it.answer(asking(RED, BLUE))
        again, known = await it.answer(asking(RED, BLUE))
        assert (again, known.usage.cached_tokens) == (red, known.usage.prompt_tokens - 1)
        assert differ(await it.likely(asking(RED, BLUE)), await it.likely(asking(BLUE, RED)))

    looking(replace(spec, path=str(model), projector=str(projector)), scenario)


def test_an_image_bigger_than_a_batch_is_computed_in_pieces_to_the_same_end(spec: RunSpec) -> None:
    answers = []
    for n_batch in (3, 64):
        small = replace(spec, settings=replace(spec.settings, n_batch=n_batch))

        async def scenario(it: Looking) -> None:
            answers.append((await it.answer(asking(RED, BLUE)))[0])

        looking(small, scenario)
    assert answers[0] == answers[1]


def test_an_image_is_the_same_whatever_kind_of_file_it_comes_in(spec: RunSpec) -> None:
    async def scenario(it: Looking) -> None:
        file = io.BytesIO()
        Pillow.open(io.BytesIO(RED)).save(file, "WEBP", lossless=True)
        red, _ = await it.answer(asking(RED))
        again, known = await it.answer(asking(file.getvalue()))
        assert (again, known.usage.cached_tokens) == (red, known.usage.prompt_tokens - 1)
        with pytest.raises(InvalidInput) as caught:
            await it.answer(asking(RED, file.getvalue()[:30]))
        assert caught.value.param == "messages[0].content[1]"

    looking(spec, scenario)


def test_others_go_on_beside_an_image_as_if_there_were_none(spec: RunSpec) -> None:
    async def scenario(it: Looking) -> None:
        prompt = TextPrompt("once upon a time")
        alone, _ = await it.answer(prompt)
        seen, _ = await it.answer(asking(RED))
        prompts = (prompt, asking(RED), prompt, asking(BLUE), prompt)
        together = await asyncio.gather(*map(it.answer, prompts))
        assert [together[number][0] for number in (0, 2, 4)] == [alone] * 3
        assert together[1][0] == seen

    # A cache in full: a near tie would fall now this way and now that, by who is beside it.
    exact = replace(spec.settings, cache_type="f32", flash_attn="off")
    looking(replace(spec, settings=exact), scenario)


@pytest.mark.parametrize("data", [b"", b"nonsense", RED[:40], b"RIFF\x00\x00\x00\x00WAVEfmt "])
def test_what_is_no_image_is_refused_by_its_place_and_the_worker_goes_on(spec: RunSpec, data: bytes) -> None:
    async def scenario(it: Looking) -> None:
        with pytest.raises(InvalidInput) as caught:
            await it.answer(asking(RED, data))
        assert caught.value.param == "messages[0].content[1]"
        assert (await it.answer(asking(RED)))[0]

    looking(spec, scenario)


def test_a_model_without_a_projector_says_that_it_sees_nothing(spec: RunSpec) -> None:
    async def scenario(it: Looking) -> None:
        with pytest.raises(InvalidInput, match="no projector") as caught:
            await it.answer(asking(RED))
        assert caught.value.param == "messages[0].content[0]"

    looking(replace(spec, projector=None), scenario)


def test_a_projector_for_another_model_keeps_it_from_being_loaded(spec: RunSpec, tmp_path: Path) -> None:
    wide = write_tiny_projector(tmp_path / "wide.gguf", n_embd=96)

    async def scenario() -> None:
        with pytest.raises(LoadFailed, match=r"projector wide\.gguf"):
            await start_worker(replace(spec, projector=str(wide)))

    asyncio.run(scenario())


def test_an_images_tokens_are_counted_and_repeat_penalties_pass_over_them(spec: RunSpec) -> None:
    async def scenario(it: Looking) -> None:
        with_image = await it.engine.tokenize(asking(RED))
        assert len(with_image) == len(await it.engine.tokenize(asking())) + ROWS
        assert (await it.answer(asking(RED), repeat_penalty=1.3, repeat_last_n=-1))[0]

    looking(spec, scenario)
