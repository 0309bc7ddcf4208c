"""The one way into the pipeline: hints and commands, taken in handfuls. Both are bounded."""

import threading

from msgspec import Struct

from janfs.clock import Clock
from janfs.errors import Busy
from janfs.pipeline.commands import Submitted

GATHER = 0.01  # seconds without another hint, before those gathered are looked at
GATHER_AT_MOST = 0.1  # seconds that hints are gathered for, however many come
MOST_HINTS = 1_000  # more than these are one hint at everything
MOST_COMMANDS = 10_000


class Handful(Struct):
    """What was in the inbox."""

    hints: set[str]
    commands: list[Submitted]
    stopping: bool = False


class Inbox:
    """Filled by any thread, emptied by the pipeline's."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._found = Handful(set(), [])
        self._hinted = False

    def hint(self, path: str) -> None:
        """Add a hint; `""` is everything."""
        with self._changed:
            self._hinted = True
            self._found.hints.add(path)
            if len(self._found.hints) > MOST_HINTS:
                self._found.hints = {""}
            self._changed.notify()

    def submit(self, command: Submitted) -> None:
        """Add a command. Raises `Busy` when too many wait already."""
        with self._changed:
            if len(self._found.commands) >= MOST_COMMANDS:
                raise Busy("Too much is waiting to be recorded; the disk may be slow. Try again.")
            self._found.commands.append(command)
            self._changed.notify()

    def stop(self) -> None:
        """Say that nothing more will come."""
        with self._changed:
            self._found.stopping = True
            self._changed.notify()

    def gather(self, patience: float) -> Handful:
        """Everything that is there; waits `patience` seconds for the first, and a moment for more hints."""
        with self._changed:
            if self._is_empty():
                self._changed.wait(patience)
            until = self._clock.monotonic() + GATHER_AT_MOST
            count = 0
            while count < len(self._found.hints) and self._clock.monotonic() < until:
                count = len(self._found.hints)
                if self._found.commands or self._found.stopping:
                    break
                self._changed.wait(GATHER)
            found, self._found = self._found, Handful(set(), [])
        return found

    def later(self) -> set[str]:
        """The hints that came since; waits a moment for the first, unless nobody ever gave one."""
        with self._changed:
            if self._hinted and not self._found.hints:
                self._changed.wait(GATHER)
            hints, self._found.hints = self._found.hints, set()
        return hints

    def _is_empty(self) -> bool:
        return not (self._found.hints or self._found.commands or self._found.stopping)
