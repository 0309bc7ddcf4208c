"""The process of a worker, seen from the host: its socket, its last words, and its certain end."""

import asyncio
import os
import signal
import socket
import sys
from collections import deque
from pathlib import Path
from typing import Self

import structlog

import janfs
from janfs.engines.llama_cpp import wire
from janfs.engines.llama_cpp.incoming import Incoming
from janfs.engines.llama_cpp.waiting import waiting_policy
from janfs.engines.protocol import EngineExit

_log = structlog.get_logger()

_STDERR_LINES = 20  # the last lines that are kept to explain a crash
_EXIT_SECONDS = 5.0  # how long a worker whose socket is closed may take to end, and one that was killed


class WorkerProcess:
    """A worker process with its socket and the tail of its stderr."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        socket_: asyncio.Transport,
        incoming: Incoming,
    ) -> None:
        self._process = process
        self._socket = socket_
        self.incoming = incoming
        self.killed = False  # by us
        self._lines: deque[str] = deque(maxlen=_STDERR_LINES)
        self._stderr = asyncio.ensure_future(self._keep_stderr())

    @classmethod
    async def spawn(cls) -> Self:
        ours, theirs = socket.socketpair()
        loop = asyncio.get_running_loop()
        transport, incoming = await loop.create_unix_connection(Incoming, sock=ours)
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
                env=worker_environment(),
            )
        except BaseException:
            transport.close()
            raise
        finally:
            theirs.close()
        return cls(process, transport, incoming)

    def send(self, command: wire.Command | wire.Load) -> None:
        """Queue a command; without effect when the worker is gone, as its end says enough."""
        frame = wire.encode_command(command)
        if not self._socket.is_closing():
            self._socket.write(frame)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Asked of the kernel, as the event loop hears of an end a moment later."""
        if self._process.returncode is not None:
            return False
        try:
            return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
        except ChildProcessError:
            return False

    def hang_up(self) -> None:
        """Close the socket, at which the worker ends by itself.

        What it has not been sent yet it need not know, and one that is stopped would never take it.
        """
        self._socket.abort()

    def kill(self, reason: str | None = None) -> None:
        """End the process at once. The reason stands below the last lines that it wrote."""
        if reason is not None:
            self._lines.append(reason)
        self._kill()
        self.hang_up()

    async def reap(self) -> EngineExit:
        """Wait for the end of the process, and see to it.

        One that a disk does not let go of takes the signal and dies when it does, which nobody waits for.
        """
        self.hang_up()
        code = await self._ended(_EXIT_SECONDS)
        if code is None:
            self._kill()
            code = await self._ended(_EXIT_SECONDS)
        if code is None:
            self._stderr.cancel()
            self._lines.append("it does not end yet: something it reads from or writes to hangs")
            code = -signal.SIGKILL
        else:
            await self._stderr
        tail = tuple(self._lines)
        if code < 0:
            return EngineExit(code=None, signal=_named(-code), stderr_tail=tail)
        return EngineExit(code=code, signal=None, stderr_tail=tail)

    def _kill(self) -> None:
        if self._process.returncode is None:
            self.killed = True
            self._process.kill()

    async def _ended(self, seconds: float) -> int | None:
        """How the process ended; None if it has not after so long."""
        try:
            async with asyncio.timeout(seconds):
                return await self._process.wait()
        except TimeoutError:
            return None

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


def _named(number: int) -> str:
    """A signal as people know it; most of the real-time ones have only numbers."""
    return signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"


def worker_environment() -> dict[str, str]:
    """That of a worker: ours, and janfs found where it is: `-P` leaves the working directory out."""
    paths = [str(Path(janfs.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    found = {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
    return {**os.environ, **waiting_policy(os.environ), **found}
