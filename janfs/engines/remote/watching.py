"""Looking after servers elsewhere: whether one that is down is back, and one of several still up."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

from msgspec import Struct

from janfs.engines.remote.model import Key
from janfs.engines.remote.pieces import Piece
from janfs.engines.remote.upstream import Upstream, named
from janfs.errors import UpstreamError


class Pace(Struct, frozen=True):
    """How often servers are looked at, in seconds.

    One that is down after `first`, then after twice as long each time, up to `longest`; one that is up
    `every` so often, the only one of an engine only while a request runs there. It has `patience` to answer.
    One that was not asked for `idle` is left alone.
    """

    first: float = 0.5
    longest: float = 30.0
    every: float = 15.0
    patience: float = 10.0
    idle: float = 600.0


DEFAULT_PACE = Pace()


class Watch:
    """A task for each server that has to be looked after; `look` finds out how one is, and says so to it."""

    def __init__(self, look: Callable[[Upstream], Awaitable[object]], pace: Pace) -> None:
        self._look = look
        self._pace = pace
        self._tasks: dict[Upstream, asyncio.Task[None]] = {}
        self._failing: dict[Upstream, asyncio.Event] = {}

    def over(self, upstream: Upstream) -> None:
        """Look after a server: it is down, or asked for something."""
        if upstream in self._tasks:
            if upstream.state == "down":
                self._failing[upstream].set()
            return
        self._failing[upstream] = asyncio.Event()
        task = asyncio.create_task(self._keep(upstream), name=f"watch {upstream.address.base}")
        self._tasks[upstream] = task
        task.add_done_callback(lambda _: self._ended(upstream))

    def forget(self, upstream: Upstream) -> None:
        """A server that is none of an engine's any more: it is left alone, unless a request waits there."""
        upstream.dropped = True
        task = self._tasks.get(upstream)
        if task is not None and not upstream.active:
            task.cancel()

    async def aclose(self) -> None:
        """Stop looking."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _keep(self, upstream: Upstream) -> None:
        failing, delay = self._failing[upstream], self._pace.first
        while self._is_wanted(upstream):
            if upstream.state == "down":
                await asyncio.sleep(delay)
                delay = min(self._pace.longest, 2 * delay)
            else:
                delay = self._pace.first
                await _first_of(failing, self._pace.every)
            failing.clear()
            if self._is_wanted(upstream):
                await self._look(upstream)

    def _is_wanted(self, upstream: Upstream) -> bool:
        if upstream.active > 0:
            return upstream.state == "down" or upstream.engine.health_checks
        if upstream.dropped:
            return False
        idle = time.monotonic() - upstream.wanted > self._pace.idle
        return not idle and (
            upstream.state == "down" or (upstream.engine.health_checks and not upstream.alone)
        )

    def _ended(self, upstream: Upstream) -> None:
        del self._tasks[upstream], self._failing[upstream]


async def unless_gone(
    upstream: Upstream, key: Key | None, pieces: AsyncGenerator[Piece], patience: float | None
) -> AsyncGenerator[Piece]:
    """The pieces of an answer; `UpstreamError` if its server is found gone before there is any word of it.

    A process that hangs, or a machine without power, keeps its connections. There must be a word within
    `patience` seconds, if that is given.
    """
    lost = asyncio.ensure_future(upstream.lost())
    until = None if patience is None else time.monotonic() + patience
    watched = True
    try:
        async with aclosing(pieces):
            while True:
                coming = anext(pieces, None)
                piece = await (_or_lost(coming, lost, until) if watched else coming)
                if piece is None:
                    return
                watched = watched and not piece.told
                yield piece
    except _SilentError as error:
        said = "it does not answer any more" if lost.done() else f"it said nothing for {patience:g} seconds"
        silent = UpstreamError(
            said, status=504, kind="upstream_timeout", elsewhere=not upstream.alone, broken=True
        )
        raise named(upstream, key, silent) from error
    finally:
        lost.cancel()


class _SilentError(Exception):
    """There is no word of an answer, and none is waited for any more."""


async def _or_lost(
    coming: Awaitable[Piece | None], lost: "asyncio.Future[None]", until: float | None
) -> Piece | None:
    piece = asyncio.ensure_future(coming)
    left = None if until is None else max(0.0, until - time.monotonic())
    try:
        await asyncio.wait((piece, lost), timeout=left, return_when=asyncio.FIRST_COMPLETED)
        if piece.done():
            return piece.result()
        raise _SilentError
    finally:
        piece.cancel()
        await asyncio.wait((piece,))


async def _first_of(event: asyncio.Event, seconds: float) -> None:
    """Wait for an event, but not for longer."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
