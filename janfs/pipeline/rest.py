"""When nothing happens, the log comes to rest: all of it in its database, nothing in the write-ahead log."""

import structlog

from janfs.clock import Clock
from janfs.errors import LogError
from janfs.log.store import EventLog

QUIET = 1.0  # seconds without an event
AT_MOST = 60.0  # seconds until the next try, where somebody reads on and on

_log = structlog.get_logger()


class Rest:
    """Sees to it that what was recorded is checkpointed soon, and never while more is recorded."""

    def __init__(self, log: EventLog, clock: Clock) -> None:
        self._log = log
        self._clock = clock
        self._position: int | None = None  # of the end of the log when it was last looked at
        self._pause = QUIET
        self._due: float | None = None
        self._told: str | None = None  # why the last try failed

    @property
    def wait(self) -> float:
        """Seconds until there may be something to do."""
        return float("inf") if self._due is None else max(0.0, self._due - self._clock.monotonic())

    def work(self) -> None:
        """Checkpoint if the time has come."""
        position, now = self._log.head.position, self._clock.monotonic()
        if position != self._position:
            self._position, self._pause, self._due = position, QUIET, now + QUIET
        elif self._due is not None and now >= self._due:
            self._pause = min(2 * self._pause, AT_MOST)
            self._due = None if self._is_checkpointed() else now + self._pause

    def _is_checkpointed(self) -> bool:
        try:
            done = self._log.checkpoint()
        except LogError as error:
            if error.detail != self._told:
                _log.warning("log-not-checkpointed", reason=error.detail, next=f"again in {self._pause:g} s")
            self._told = error.detail
            return False
        self._told = None
        return done
