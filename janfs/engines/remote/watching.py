"""Looking after servers elsewhere: whether one that is down is back, and one of several still up."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from janfs.engines.remote.upstream import Upstream

FIRST = 0.5  # seconds until a server that is down is looked at again; then twice as long each time
LONGEST = 30.0
EVERY = 15.0  # seconds between looks at one that is up, where there are others to turn to
_IDLE = 600.0  # seconds without a request after which it is left alone


class Watch:
    """A task for each server that has to be looked after; `look` finds out how one is, and says so to it."""

    def __init__(self, look: Callable[[Upstream], Awaitable[object]]) -> None:
        self._look = look
        self._tasks: dict[Upstream, asyncio.Task[None]] = {}
        self._failing: dict[Upstream, asyncio.Event] = {}

    def over(self, upstream: Upstream) -> None:
        """Look after a server: it is down, or one of several."""
        if upstream in self._tasks:
            if upstream.state == "down":
                self._failing[upstream].set()
            return
        self._failing[upstream] = asyncio.Event()
        task = asyncio.create_task(self._keep(upstream), name=f"watch {upstream.address.base}")
        self._tasks[upstream] = task
        task.add_done_callback(lambda _: self._ended(upstream))

    def forget(self, upstream: Upstream) -> None:
        """A server that is none of an engine's any more."""
        task = self._tasks.get(upstream)
        if task is not None:
            task.cancel()

    async def aclose(self) -> None:
        """Stop looking."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _keep(self, upstream: Upstream) -> None:
        failing, delay = self._failing[upstream], FIRST
        while time.monotonic() - upstream.used < _IDLE and (upstream.state == "down" or not upstream.alone):
            if upstream.state == "down":
                await asyncio.sleep(delay)
                delay = min(LONGEST, 2 * delay)
            else:
                delay = FIRST
                await _first_of(failing, EVERY)
            failing.clear()
            await self._look(upstream)

    def _ended(self, upstream: Upstream) -> None:
        del self._tasks[upstream], self._failing[upstream]


async def _first_of(event: asyncio.Event, seconds: float) -> None:
    """Wait for an event, but not for longer."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
