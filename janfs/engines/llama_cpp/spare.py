"""Starting workers ahead of time: a process that has everything imported waits for the next model."""

import asyncio
import contextlib

import structlog

from janfs.engines.llama_cpp.client import LlamaCppEngine, start_worker
from janfs.engines.llama_cpp.process import WorkerProcess
from janfs.engines.protocol import RunSpec

_log = structlog.get_logger()

_AFTER = 1.0  # seconds in which a load, and the request that it is for, have the machine to themselves


class SpareWorkers:
    """Starts workers: an `EngineFactory`. One process is kept in advance, from `prepare` until `close`.

    Python and its libraries take a fifth of a second, a third of what a small model's first answer takes.
    The spare one holds 45 MB, most of them shared with other workers, and no processor.
    """

    def __init__(self, after: float = _AFTER) -> None:
        self._after = after
        self._spare: WorkerProcess | None = None
        self._making: asyncio.Task[None] | None = None

    async def __call__(self, spec: RunSpec) -> LlamaCppEngine:
        """See `start_worker`."""
        waiting, self._spare = self._spare, None
        if waiting is not None and not waiting.alive:
            await waiting.reap()
            waiting = None
        try:
            return await start_worker(spec, waiting)
        finally:
            if self._making is not None:
                self.prepare()

    @property
    def spare(self) -> int | None:
        """The pid of the process that waits."""
        return self._spare.pid if self._spare is not None else None

    def prepare(self) -> None:
        """Have a spare process soon, if there is none."""
        if self._making is None or self._making.done():
            self._making = asyncio.create_task(self._make(), name="spare worker")

    async def close(self) -> None:
        """End the spare process, and make no more."""
        making, self._making = self._making, None
        if making is not None:
            making.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await making
        spare, self._spare = self._spare, None
        if spare is not None:
            await spare.reap()

    async def _make(self) -> None:
        await asyncio.sleep(self._after)
        if self._spare is not None:
            return
        try:
            self._spare = await WorkerProcess.spawn()
        except OSError as error:  # the next load says it to somebody who can do something about it
            _log.warning("no spare worker", reason=str(error))
