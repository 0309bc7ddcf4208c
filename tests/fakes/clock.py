"""A `janfs.clock.Clock` that moves only when a test moves it."""

from datetime import UTC, datetime, timedelta

_NS = 1_000_000_000


class FakeClock:
    """Monotonic and wall time that advance together, in whole nanoseconds, from a fixed start."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._start = start
        self._elapsed_ns = 0
        self._jumped_ns = 0

    def monotonic(self) -> float:
        """Seconds since the clock was made."""
        return self._elapsed_ns / _NS

    def now(self) -> datetime:
        """The wall time, UTC."""
        return self._start + timedelta(microseconds=(self._elapsed_ns + self._jumped_ns) // 1000)

    def time_ns(self) -> int:
        """The wall time as a file system stamps it: nanoseconds since the epoch."""
        return int(self._start.timestamp()) * _NS + self._elapsed_ns + self._jumped_ns

    def advance(self, seconds: float) -> None:
        """Let time pass; it never runs backwards."""
        if seconds < 0:
            raise ValueError(f"time does not run backwards: {seconds} s")
        self._elapsed_ns += round(seconds * _NS)

    def jump(self, seconds: float) -> None:
        """Set the wall time forward or back, as a person or NTP does; monotonic time does not notice."""
        self._jumped_ns += round(seconds * _NS)
