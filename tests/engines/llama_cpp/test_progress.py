"""A load that gets on is waited for, however slow it is; one that stands still is ended."""

import asyncio
import os
import signal
import socket
import time
from pathlib import Path

import pytest
from msgspec.structs import replace

from janfs.engines.llama_cpp import client, process
from janfs.engines.llama_cpp.client import LlamaCppEngine, start_worker
from janfs.engines.llama_cpp.incoming import Incoming
from janfs.engines.llama_cpp.process import WorkerProcess
from janfs.engines.llama_cpp.progress import doings
from janfs.engines.pool import EnginePool
from janfs.engines.protocol import EngineFact, EngineSettings, EngineStartFailed, RunSpec
from janfs.errors import EngineError, LoadFailed
from tests.engines.llama_cpp.test_memory_failure import rests


def spec_of(model: Path, name: str = "tiny") -> RunSpec:
    return RunSpec(
        model_id=name,
        uid=f"uid-{name}",
        engine="llama-cpp",
        path=str(model),
        settings=EngineSettings(ctx_len=256, n_parallel=1, cpu_threads=1),
        fingerprint="one",
    )


def test_a_worker_that_was_stopped_while_it_loads_is_ended(tiny_model: Path) -> None:
    async def scenario() -> None:
        worker = await WorkerProcess.spawn()
        os.kill(worker.pid, signal.SIGSTOP)
        with pytest.raises(
            LoadFailed, match="killed by SIGKILL: it neither computed nor read anything for 1"
        ):
            await start_worker(spec_of(tiny_model), worker, patience=1.0)
        assert not worker.alive

    asyncio.run(scenario())


def test_a_disk_that_hangs_costs_its_own_model_an_error_and_others_nothing(
    tiny_model: Path, tmp_path: Path, cooling: None
) -> None:
    os.mkfifo(tmp_path / "hangs.gguf")  # whoever opens it waits for somebody who writes
    specs = {
        "good": spec_of(tiny_model, "good"),
        "hangs": replace(spec_of(tiny_model, "hangs"), adapters=(str(tmp_path / "hangs.gguf"),)),
    }
    facts: list[EngineFact] = []

    async def record(fact: EngineFact) -> None:
        facts.append(fact)

    async def scenario() -> None:
        patience = 3600.0

        async def start(spec: RunSpec) -> LlamaCppEngine:
            return await start_worker(spec, patience=patience)

        pool = EnginePool(specs.__getitem__, record, {"llama-cpp": start})
        hanging = asyncio.create_task(pool.start("hangs"))
        assert (await pool.start("good")).n_ctx == 256
        assert not hanging.done()
        await pool.stop("uid-hangs")
        with pytest.raises(EngineError, match="stopped on request"):
            await hanging
        patience = 1.0
        with pytest.raises(LoadFailed, match="neither computed nor read") as caught:
            await pool.start("hangs")
        assert caught.value.retry_after == 1
        with pytest.raises(LoadFailed, match="next try"):
            async with pool.engine("hangs"):
                pass
        assert pool.state("uid-good").state == "running"
        await pool.close(0)

    asyncio.run(scenario())
    failed = [fact for fact in facts if isinstance(fact, EngineStartFailed)]
    assert [fact.uid for fact in failed] == ["uid-hangs"]


def test_a_load_that_gets_on_is_waited_for_however_slow_it_is(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From one look to the next it gets no further than to have done something."""
    seen: list[tuple[bytes, ...]] = []

    def look(pid: int) -> tuple[bytes, ...]:
        os.kill(pid, signal.SIGCONT)
        while (done := doings(pid)) in seen[-1:] and not rests(pid):
            time.sleep(0.001)
        os.kill(pid, signal.SIGSTOP if len(seen) < 3 * client._LOOKS else signal.SIGCONT)
        seen.append(done)
        return done

    async def scenario() -> None:
        while len(seen) <= client._LOOKS:  # it may get far before it is stopped again
            seen.clear()
            engine = await start_worker(spec_of(tiny_model), patience=1.0)
            await engine.close(0, "done")

    monkeypatch.setattr(client, "doings", look)
    asyncio.run(scenario())


def test_what_a_process_does_shows_and_what_may_not_be_read_is_left_out(tmp_path: Path) -> None:
    before = doings(os.getpid())
    Path("/proc/self/stat").read_bytes()
    assert doings(os.getpid()) != before, "a process that reads did not seem to"
    assert doings(2**22 + 1) == ()
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "stat").write_text("7 (a (b) c) S" + "".join(f" {n}" for n in range(1, 50)))
    assert doings(7, tmp_path) == (b"7", b"9", b"11", b"12", b"21")


def test_a_process_that_a_disk_does_not_let_go_of_is_not_waited_for_for_good(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(process, "_EXIT_SECONDS", 0.05)

    class Stuck:
        """An uninterruptible process, which no test can have for real."""

        pid, returncode = 7, None

        def __init__(self) -> None:
            self.stderr = asyncio.StreamReader()
            self.kills = 0

        def kill(self) -> None:
            self.kills += 1

        async def wait(self) -> int:
            await asyncio.Event().wait()
            return 0

    async def scenario() -> None:
        ours, theirs = socket.socketpair()
        connection = await asyncio.get_running_loop().create_unix_connection(Incoming, sock=ours)
        stuck = Stuck()
        end = await WorkerProcess(stuck, *connection).reap()  # type: ignore[arg-type]
        assert (end.signal, stuck.kills) == ("SIGKILL", 1)
        assert "hangs" in end.stderr_tail[-1]
        theirs.close()

    asyncio.run(scenario())
