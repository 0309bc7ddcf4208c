"""What a worker says, cut into events, and handed on as it comes."""

import asyncio
from collections.abc import Callable

from janfs.engines.llama_cpp import wire


class Incoming(asyncio.Protocol):
    """The host's end of a worker's socket. It belongs to the event loop that runs when it is made.

    Who listens is called for each event where it is read, without a task in between: a worker has something
    to say for every token, and after the weights have passed through the processor's caches detours are slow.
    """

    def __init__(self) -> None:
        self.closed = asyncio.Event()
        self._first: asyncio.Future[wire.Event | None] = asyncio.get_running_loop().create_future()
        self._hear: Callable[[wire.Event], None] = self._answer
        self._unread = bytearray()

    async def first(self) -> wire.Event | None:
        """The answer to the first command, for which nobody need listen; None if the socket closes before."""
        return await self._first

    def listen(self, hear: Callable[[wire.Event], None]) -> None:
        """Have a function called for every event after the first."""
        self._hear = hear

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        unread = self._unread
        unread += data
        while len(unread) >= wire.HEADER.size:
            end = wire.HEADER.size + wire.HEADER.unpack_from(unread)[0]
            if len(unread) < end:
                return
            frame = unread[wire.HEADER.size : end]
            del unread[:end]
            for event in wire.decode_events(frame):
                self._hear(event)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # the process' end says more
        """See `asyncio.Protocol`."""
        self._answer(None)
        self.closed.set()

    def _answer(self, event: wire.Event | None) -> None:
        if not self._first.done():  # or cancelled: nobody waits any more
            self._first.set_result(event)
