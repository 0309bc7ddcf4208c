"""Loads that fail for lack of memory, told from those that fail for another reason."""

import asyncio
import os
import resource
import signal
from pathlib import Path

import pytest

from janfs.engines.llama_cpp.client import LlamaCppEngine, start_worker
from janfs.engines.llama_cpp.grammar import STACK
from janfs.engines.llama_cpp.memory_failure import died, told
from janfs.engines.llama_cpp.process import WorkerProcess
from janfs.engines.pool import EnginePool
from janfs.engines.protocol import (
    EngineExit,
    EngineFact,
    EngineSettings,
    EngineStartFailed,
    ModelShape,
    RunSpec,
)
from janfs.errors import InvalidInput, LoadFailed, OutOfMemory


def spec_of(model: Path, context: int) -> RunSpec:
    return RunSpec(
        model_id="tiny",
        uid="uid",
        engine="llama-cpp",
        path=str(model),
        settings=EngineSettings(ctx_len=context, n_parallel=1, cpu_threads=1),
        fingerprint="one",
        shape=ModelShape(weights=100_000),  # which says nothing of what a context takes
        lowerable=frozenset({"ctx_len"}),
    )


def rests(pid: int) -> bool:
    """Whether a process waits to be told something, and not for a processor or a disk."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "S"


async def start_in_a_small_machine(spec: RunSpec) -> LlamaCppEngine:
    """A worker that may take 480 MB more than it has when it has imported everything.

    And what the thread that is begun with a model takes of its address space: its stack, and as much again.
    """
    worker = await WorkerProcess.spawn()
    before, size = -1, 0
    while size != before or size < 100 << 20 or not rests(worker.pid):
        await asyncio.sleep(0.2)
        pages = Path(f"/proc/{worker.pid}/statm").read_text().split()[0]
        before, size = size, int(pages) * resource.getpagesize()
    most = size + (480 << 20) + 2 * STACK
    resource.prlimit(worker.pid, resource.RLIMIT_AS, (most, most))
    return await start_worker(spec, worker)


def test_a_context_for_which_there_is_no_memory_is_made_with_half_the_tokens(tiny_model: Path) -> None:
    facts: list[EngineFact] = []

    async def record(fact: EngineFact) -> None:
        facts.append(fact)

    async def scenario() -> None:
        spec = spec_of(tiny_model, 1 << 19)
        pool = EnginePool(lambda _: spec, record, {"llama-cpp": start_in_a_small_machine})
        info = await pool.start("tiny")
        assert info.n_ctx == 1 << 18
        assert pool.state("uid").lowered == {"ctx_len": 1 << 18}
        await pool.close(0)

    asyncio.run(scenario())
    assert isinstance(facts[0], EngineStartFailed)
    assert "failed to allocate" in facts[0].reason
    assert "once more with ctx_len 262144" in facts[0].reason


@pytest.mark.parametrize(
    ("counts", "kind", "words"),
    [
        ((7, 8), OutOfMemory, "SIGKILL, as processes are when the machine runs out"),
        ((None, None), OutOfMemory, "SIGKILL, as processes are when the machine runs out"),
        ((7, 7), LoadFailed, "SIGKILL, by somebody and not by the kernel for lack of memory"),
    ],
)
def test_a_worker_that_is_killed_while_it_loads_was_short_of_memory_unless_the_kernel_killed_none(
    tiny_model: Path, counts: tuple[int | None, int | None], kind: type[LoadFailed], words: str
) -> None:
    async def scenario() -> None:
        worker, asked = await WorkerProcess.spawn(), iter(counts)
        os.kill(worker.pid, signal.SIGSTOP)
        spec = spec_of(tiny_model, 256)
        loading = asyncio.create_task(start_worker(spec, worker, kills=lambda: next(asked)))
        await asyncio.sleep(0.1)
        os.kill(worker.pid, signal.SIGKILL)
        with pytest.raises(LoadFailed, match=words) as caught:
            await loading
        assert type(caught.value) is kind

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("end", "by_us", "kind"),
    [
        (EngineExit(code=None, signal="SIGKILL"), False, OutOfMemory),
        (EngineExit(code=None, signal="SIGKILL", stderr_tail=("it stood still",)), True, LoadFailed),
        (
            EngineExit(code=None, signal="SIGABRT", stderr_tail=("what():  std::bad_alloc",)),
            False,
            OutOfMemory,
        ),
        (EngineExit(code=1, signal=None, stderr_tail=("MemoryError",)), False, OutOfMemory),
        (EngineExit(code=None, signal="SIGSEGV"), False, LoadFailed),
    ],
)
def test_how_a_worker_ended_says_whether_it_lacked_memory(
    end: EngineExit, by_us: bool, kind: type[LoadFailed]
) -> None:
    assert type(died(end, by_us=by_us, before=None, after=None)) is kind


def test_words_of_lacking_memory_count_whoever_killed() -> None:
    end = EngineExit(code=None, signal="SIGKILL", stderr_tail=("failed to allocate buffer",))
    assert type(died(end, by_us=False, before=7, after=7)) is OutOfMemory


def test_what_a_worker_told_says_whether_it_lacked_memory() -> None:
    assert type(told(LoadFailed("unable to allocate CPU buffer"))) is OutOfMemory
    for error in (LoadFailed("invalid magic"), InvalidInput("failed to allocate")):
        assert told(error) is error
