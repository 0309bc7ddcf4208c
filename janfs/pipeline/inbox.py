"""The one queue into the pipeline: hints and commands, taken in handfuls."""

import queue
from enum import Enum

from msgspec import Struct

from janfs.clock import Clock
from janfs.pipeline.commands import Submitted

GATHER = 0.01  # seconds without another hint, before those gathered are looked at
GATHER_AT_MOST = 0.1  # seconds that hints are gathered for, however many come


class _Nothing(Enum):
    """That the inbox is empty; None in it means stop."""

    NOTHING = "nothing"


class Handful(Struct):
    """What was in the inbox."""

    hints: set[str]
    commands: list[Submitted]
    stopping: bool = False


class Inbox:
    """Filled by any thread, emptied by the pipeline's."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._items: queue.SimpleQueue[str | Submitted | None] = queue.SimpleQueue()

    def put(self, item: str | Submitted | None) -> None:
        """Add a hint, a command, or None to stop."""
        self._items.put(item)

    def gather(self, patience: float) -> Handful:
        """Everything that is there; waits `patience` seconds for the first, and a moment for more hints."""
        found = Handful(set(), [])
        item = self._take(patience)
        until = self._clock.monotonic() + GATHER_AT_MOST
        while item is not _Nothing.NOTHING:
            if item is None:
                found.stopping = True
                break
            if isinstance(item, Submitted):
                found.commands.append(item)
            else:
                found.hints.add(item)
            if self._clock.monotonic() >= until:
                break
            item = self._take(GATHER if found.hints else 0.0)
        return found

    def _take(self, patience: float) -> str | Submitted | _Nothing | None:
        try:
            return self._items.get(timeout=patience) if patience > 0 else self._items.get_nowait()
        except queue.Empty:
            return _Nothing.NOTHING
