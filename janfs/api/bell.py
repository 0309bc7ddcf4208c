"""Wakes whoever waits for something new, from whichever thread it comes."""

import asyncio


class Bell:
    """Every ring wakes all who wait. Belongs to one event loop; `ring_from_thread` is for the others."""

    def __init__(self) -> None:
        self._next = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def attach(self) -> None:
        """From now on other threads may ring. Call it in the event loop."""
        self._loop = asyncio.get_running_loop()

    def detach(self) -> None:
        """From now on rings of other threads lead nowhere."""
        self._loop = None

    def next_ring(self) -> asyncio.Event:
        """What is set by the next ring, and by no earlier one."""
        return self._next

    def ring(self) -> None:
        """Wake all who wait."""
        rung, self._next = self._next, asyncio.Event()
        rung.set()

    def ring_from_thread(self) -> None:
        """Have the loop ring soon."""
        loop = self._loop
        if loop is not None:
            loop.call_soon_threadsafe(self.ring)
