"""The host's side of a worker: has it load a model, hands it requests, and hands back what it says."""

import asyncio
import os
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager

import msgspec

from janfs.engines.llama_cpp import memory_failure, wire
from janfs.engines.llama_cpp.oom_kills import oom_kills
from janfs.engines.llama_cpp.process import WorkerProcess
from janfs.engines.llama_cpp.progress import doings
from janfs.engines.protocol import (
    ChatPrompt,
    Embeddable,
    Embedding,
    EngineExit,
    EngineInfo,
    Finished,
    GenerateRequest,
    PlainText,
    Prompt,
    Reply,
    RunSpec,
    describe_exit,
)
from janfs.errors import EngineError, JanfsError, LoadFailed, WorkerCrashed

PATIENCE = 30.0  # seconds without a sign of life; a machine that swaps may take some
_SPELLED_AT_ONCE = 2**16  # tokens; between them others are heard
_LOOKS = 4  # in that time, at a process that loads


class LlamaCppEngine:
    """A worker with its model loaded: an `Engine`. Made by `start_worker`."""

    def __init__(self, process: WorkerProcess, info: EngineInfo, patience: float = PATIENCE) -> None:
        self.info = info
        self._patience = patience
        self._process = process
        self._calls: dict[str, asyncio.Queue[wire.Event | JanfsError]] = {}
        self._commands = 0
        self._sharing = 1
        self._closed: EngineError | None = None  # why no more is taken
        self._worn = asyncio.Event()
        self._unused = asyncio.Event()
        self._unused.set()
        self._sign_of_life = asyncio.Event()
        self._watching = asyncio.ensure_future(self._watch())
        self._exit = asyncio.ensure_future(self._end())
        process.incoming.listen(self._hear)

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[Reply]:
        """See `Engine.generate`."""
        with self._listening(wire.Generate(self._new_id(), request)) as call:
            while not call.ended:
                event = await call.next()
                assert isinstance(event, wire.Answer)
                call.ended = isinstance(event.reply, Finished)
                yield event.reply

    async def embed(self, inputs: tuple[Embeddable, ...]) -> tuple[Embedding, ...]:
        """See `Engine.embed`."""
        found: list[Embedding] = []
        with self._listening(wire.Embed(self._new_id(), inputs)) as call:
            while len(found) < len(inputs):
                event = await call.next()
                assert isinstance(event, wire.Vectors)
                found += event.embeddings
            call.ended = True
        return tuple(found)

    async def tokenize(self, prompt: Prompt | PlainText, *, to_answer: bool = False) -> tuple[int, ...]:
        """See `Engine.tokenize`."""
        event = await self._ask(wire.Tokenize(self._new_id(), prompt, to_answer))
        assert isinstance(event, wire.Tokens)
        return event.tokens

    async def pieces(self, tokens: tuple[int, ...]) -> tuple[bytes, ...]:
        """See `Engine.pieces`."""
        found: list[bytes] = []
        for begin in range(0, len(tokens), _SPELLED_AT_ONCE):
            event = await self._ask(wire.Spell(self._new_id(), tokens[begin : begin + _SPELLED_AT_ONCE]))
            assert isinstance(event, wire.Pieces)
            found += event.pieces
        return tuple(found)

    async def apply_template(self, prompt: ChatPrompt) -> str:
        """See `Engine.apply_template`."""
        event = await self._ask(wire.ApplyTemplate(self._new_id(), prompt))
        assert isinstance(event, wire.Rendered)
        return event.text

    async def spare(self) -> int:
        """See `Engine.spare`."""
        event = await self._ask(wire.Spare(self._new_id()))
        assert isinstance(event, wire.Spared)
        return event.nbytes

    def share(self, engines: int) -> None:
        """See `Engine.share`."""
        if engines != self._sharing:
            self._sharing = engines
            self._process.send(wire.Share(engines))

    async def worn(self) -> None:
        """See `Engine.worn`."""
        await self._worn.wait()

    async def wait(self) -> EngineExit:
        """See `Engine.wait`."""
        return await asyncio.shield(self._exit)

    async def close(self, grace: float, reason: str) -> None:
        """See `Engine.close`. Returns when the process is gone."""
        self._closed = self._closed or EngineError(reason)  # one that died did so, whatever comes after
        try:
            async with asyncio.timeout(grace):
                await self._unused.wait()
        except TimeoutError:
            self._fail_all(EngineError(reason))
        self._process.hang_up()
        await self.wait()

    def _hear(self, event: wire.Event) -> None:
        """Hand an event to its call."""
        self._sign_of_life.set()
        if isinstance(event, wire.Worn):
            self._worn.set()
        call = self._calls.get(event.id) if not isinstance(event, wire.Ready) else None
        if call is not None:  # None: cancelled while this was on its way
            call.put_nowait(event)

    async def _end(self) -> EngineExit:
        """Wait for the worker's end, and end the calls with it."""
        await self._process.incoming.closed.wait()
        self._watching.cancel()
        end = await self._process.reap()
        crashed = WorkerCrashed(f"The engine {describe_exit(end)}")
        self._closed = self._closed or crashed
        self._fail_all(crashed)
        return end

    async def _watch(self) -> None:
        """End a process that gives no sign of life while somebody waits for it: stopped, or stuck for good.

        Its reader answers at once, however long a step takes, so that one that computes is never ended.
        """
        while True:
            await asyncio.sleep(self._patience / 4)
            if not self._calls:
                continue
            self._sign_of_life.clear()
            self._process.send(wire.Ping())
            try:
                async with asyncio.timeout(self._patience):
                    await self._sign_of_life.wait()
            except TimeoutError:
                self._process.kill(f"it gave no sign of life for {self._patience:g} seconds, and was ended")
                return

    def _call(self, command: wire.Command) -> "asyncio.Queue[wire.Event | JanfsError]":
        if self._closed is not None:
            raise self._closed
        self._process.send(command)
        self._unused.clear()
        events = self._calls[command.id] = asyncio.Queue()
        return events

    async def _ask(self, command: wire.Command) -> wire.Event:
        events = self._call(command)
        try:
            return await _next(events)
        finally:
            self._forget(command.id)

    @contextmanager
    def _listening(self, command: wire.Command) -> "Iterator[_Call]":
        """A command with what the worker says to it. Left before that has ended, the worker is told."""
        call = _Call(self._call(command))
        try:
            yield call
        finally:
            self._forget(command.id)
            if not call.ended:
                self._process.send(wire.Cancel(command.id))

    def _forget(self, call_id: str) -> None:
        del self._calls[call_id]
        if not self._calls:
            self._unused.set()

    def _fail_all(self, error: JanfsError) -> None:
        for call in self._calls.values():
            call.put_nowait(error)

    def _new_id(self) -> str:
        """Never used before: late events of a cancelled request must not reach another one."""
        self._commands += 1
        return str(self._commands)


class _Call:
    """What the worker says to a command, event by event; `ended` once nothing more is to come."""

    def __init__(self, events: "asyncio.Queue[wire.Event | JanfsError]") -> None:
        self.ended = False
        self._events = events

    async def next(self) -> wire.Event:
        """The next event. Raises the error that ended the call."""
        try:
            return await _next(self._events)
        except JanfsError:
            self.ended = True
            raise


async def start_worker(
    spec: RunSpec,
    waiting: WorkerProcess | None = None,
    *,
    patience: float = PATIENCE,
    kills: Callable[[], int | None] = oom_kills,
) -> LlamaCppEngine:
    """Have a process load a model: one that is `waiting`, or a new one. An `EngineFactory`.

    One that neither computes nor reads for `patience` seconds while it loads is ended, and one that gives no
    sign of life for as long later on. Raises `LoadFailed`, or `OutOfMemory` if that is why; `kills` counts
    the processes that the kernel has killed for it.
    """
    began, before = time.monotonic(), kills()
    try:
        process = waiting or await WorkerProcess.spawn()
    except OSError as error:
        raise LoadFailed(f"No process could be started: {error}.") from error
    watching = asyncio.create_task(_watch_load(process, patience))
    try:
        adapters = tuple(map(os.fsencode, spec.adapters))
        projector = os.fsencode(spec.projector) if spec.projector is not None else None
        process.send(wire.Load(os.fsencode(spec.path), spec.settings, adapters, projector))
        event = await process.incoming.first()
        if isinstance(event, wire.Ready):
            seconds = time.monotonic() - began  # all that a person waits for, not only the worker's part
            info = msgspec.structs.replace(event.info, load_seconds=seconds)
            return LlamaCppEngine(process, info, patience)
        if isinstance(event, wire.Failure):
            raise memory_failure.told(wire.error_of(event))
        end = await process.reap()
        raise memory_failure.died(end, by_us=process.killed, before=before, after=kills())
    except BaseException:  # also when cancelled: nobody else will end it
        process.kill()
        await process.reap()
        raise
    finally:
        watching.cancel()


async def _watch_load(process: WorkerProcess, patience: float) -> None:
    """End a process that stands still while it loads: it was stopped, or its disk hangs."""
    seen: tuple[bytes, ...] = ()
    still = 0
    while still < _LOOKS:
        await asyncio.sleep(patience / _LOOKS)
        now = doings(process.pid)
        seen, still = now, still + 1 if now == seen else 0
    process.kill(f"it neither computed nor read anything for {patience:g} seconds, and was ended")


async def _next(events: "asyncio.Queue[wire.Event | JanfsError]") -> wire.Event:
    event = await events.get()
    if isinstance(event, wire.Failure):
        raise wire.error_of(event)
    if isinstance(event, JanfsError):
        raise event
    return event
