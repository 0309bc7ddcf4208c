"""The host's side of a worker: starts the process, speaks with it, and makes sure that it ends."""

import asyncio
import os
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import AsyncGenerator
from pathlib import Path

import msgspec
import structlog

import janfs
from janfs.engines.llama_cpp import wire
from janfs.engines.llama_cpp.cores import waiting_policy
from janfs.engines.protocol import (
    ChatMessage,
    EngineExit,
    EngineInfo,
    Finished,
    GenerateRequest,
    Prompt,
    Reply,
    RunSpec,
    describe_exit,
)
from janfs.errors import EngineError, JanfsError, LoadFailed, WorkerCrashed

_log = structlog.get_logger()

_STDERR_LINES = 20  # the last lines that are kept to explain a crash
_EXIT_SECONDS = 5.0  # how long a worker whose socket is closed may take to end


class LlamaCppEngine:
    """A worker with its model loaded: an `Engine`. Made by `start_worker`."""

    def __init__(self, process: "_Process", info: EngineInfo) -> None:
        self.info = info
        self._process = process
        self._calls: dict[str, asyncio.Queue[wire.Event | JanfsError]] = {}
        self._commands = 0
        self._closed: str | None = None  # why no more is taken
        self._unused = asyncio.Event()
        self._unused.set()
        self._exit = asyncio.ensure_future(self._receive())

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[Reply]:
        """See `Engine.generate`."""
        command = wire.Generate(self._new_id(), request)
        events = self._call(command)
        ended = False
        try:
            while True:
                match await _next(events):
                    case wire.Answer(_, reply):
                        ended = isinstance(reply, Finished)
                        yield reply
                        if ended:
                            return
        except JanfsError:
            ended = True
            raise
        finally:
            self._forget(command.id)
            if not ended:
                self._process.send(wire.Cancel(command.id))

    async def tokenize(self, prompt: Prompt) -> tuple[int, ...]:
        """See `Engine.tokenize`."""
        event = await self._ask(wire.Tokenize(self._new_id(), prompt))
        assert isinstance(event, wire.Tokens)
        return event.tokens

    async def apply_template(self, messages: tuple[ChatMessage, ...]) -> str:
        """See `Engine.apply_template`."""
        event = await self._ask(wire.ApplyTemplate(self._new_id(), messages))
        assert isinstance(event, wire.Rendered)
        return event.text

    async def wait(self) -> EngineExit:
        """See `Engine.wait`."""
        return await asyncio.shield(self._exit)

    async def close(self, grace: float, reason: str) -> None:
        """See `Engine.close`. Returns when the process is gone."""
        self._closed = reason
        try:
            async with asyncio.timeout(grace):
                await self._unused.wait()
        except TimeoutError:
            self._fail_all(EngineError(reason))
        self._process.hang_up()
        await self.wait()

    async def _receive(self) -> EngineExit:
        """Hand events to their calls until the worker's end, then end the calls."""
        async for event in self._process.events():
            call = self._calls.get(event.id) if not isinstance(event, wire.Ready) else None
            if call is not None:  # None: cancelled while this was on its way
                call.put_nowait(event)
        end = await self._process.reap()
        self._closed = self._closed or f"The engine {describe_exit(end)}"
        self._fail_all(WorkerCrashed(f"The engine {describe_exit(end)}"))
        return end

    def _call(self, command: wire.Command) -> "asyncio.Queue[wire.Event | JanfsError]":
        if self._closed is not None:
            raise EngineError(self._closed)
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


async def start_worker(spec: RunSpec) -> LlamaCppEngine:
    """Start a process and have it load a model: an `EngineFactory`. Raises `LoadFailed`."""
    began = time.monotonic()
    try:
        process = await _Process.spawn()
    except OSError as error:
        raise LoadFailed(f"No process could be started: {error}.") from error
    try:
        adapters = tuple(map(os.fsencode, spec.adapters))
        process.send(wire.Load(os.fsencode(spec.path), spec.settings, adapters))
        async for event in process.events():
            if isinstance(event, wire.Ready):
                seconds = time.monotonic() - began  # all that a person waits for, not only the worker's part
                return LlamaCppEngine(process, msgspec.structs.replace(event.info, load_seconds=seconds))
            if isinstance(event, wire.Failure):
                raise wire.error_of(event)
        raise LoadFailed(f"While loading, the engine {describe_exit(await process.reap())}")
    except BaseException:  # also when cancelled: nobody else will end it
        process.kill()
        await process.reap()
        raise


class _Process:
    """A worker process with its socket and the tail of its stderr."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._process = process
        self._reader = reader
        self._writer = writer
        self._lines: deque[str] = deque(maxlen=_STDERR_LINES)
        self._stderr = asyncio.ensure_future(self._keep_stderr())

    @classmethod
    async def spawn(cls) -> "_Process":
        ours, theirs = socket.socketpair()
        reader, writer = await asyncio.open_unix_connection(sock=ours)
        try:
            # The last await before the process has an owner: cancelled in here, asyncio ends it.
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",  # what lies in the working directory is not to be imported
                *("-m", "janfs.engines.llama_cpp.worker", str(theirs.fileno()), str(os.getpid())),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
                pass_fds=(theirs.fileno(),),
                env=_environment(),
            )
        except BaseException:
            writer.close()
            raise
        finally:
            theirs.close()
        return cls(process, reader, writer)

    def send(self, command: wire.Command | wire.Load) -> None:
        """Queue a command; without effect when the worker is gone, as its end says enough."""
        frame = wire.encode_command(command)
        if not self._writer.is_closing():
            self._writer.write(frame)

    async def events(self) -> AsyncGenerator[wire.Event]:
        """Events until the worker ends or closes its socket."""
        try:
            while True:
                header = await self._reader.readexactly(wire.HEADER.size)
                payload = await self._reader.readexactly(wire.HEADER.unpack(header)[0])
                for event in wire.decode_events(payload):
                    yield event
        except (asyncio.IncompleteReadError, ConnectionResetError):
            return

    def hang_up(self) -> None:
        """Close the socket, at which the worker ends by itself."""
        self._writer.close()

    def kill(self) -> None:
        if self._process.returncode is None:
            self._process.kill()
        self.hang_up()

    async def reap(self) -> EngineExit:
        """Wait for the end of the process, and see to it."""
        self.hang_up()
        try:
            async with asyncio.timeout(_EXIT_SECONDS):
                code = await self._process.wait()
        except TimeoutError:
            self._process.kill()
            code = await self._process.wait()
        await self._stderr
        tail = tuple(self._lines)
        if code < 0:
            return EngineExit(code=None, signal=signal.Signals(-code).name, stderr_tail=tail)
        return EngineExit(code=code, signal=None, stderr_tail=tail)

    async def _keep_stderr(self) -> None:
        stderr = self._process.stderr
        assert stderr is not None
        rest = b""
        while part := await stderr.read(2**14):
            *lines, rest = (rest[-(2**14) :] + part).split(b"\n")
            for line in lines:
                self._keep_line(line)
        self._keep_line(rest)

    def _keep_line(self, line: bytes) -> None:
        if text := line.decode("utf-8", "replace").strip():
            self._lines.append(text)
            _log.debug("llama.cpp", pid=self._process.pid, line=text)


def _environment() -> dict[str, str]:
    """Ours, and janfs found where it is: `-P` leaves the working directory out."""
    paths = [str(Path(janfs.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    found = {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
    return {**os.environ, **waiting_policy(os.environ), **found}


async def _next(events: "asyncio.Queue[wire.Event | JanfsError]") -> wire.Event:
    event = await events.get()
    if isinstance(event, wire.Failure):
        raise wire.error_of(event)
    if isinstance(event, JanfsError):
        raise event
    return event
