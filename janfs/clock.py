"""Time and identity as ports, so that a simulation can own them."""

import time
import uuid
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Where time comes from."""

    def now(self) -> datetime:
        """The time of day, in UTC; it may jump."""
        ...

    def monotonic(self) -> float:
        """Seconds since some moment; it never goes back."""
        ...


class SystemClock:
    """The machine's clocks."""

    def now(self) -> datetime:
        """See `Clock.now`."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """See `Clock.monotonic`."""
        return time.monotonic()


class Ids(Protocol):
    """Where new identities come from."""

    def __call__(self) -> str:
        """An identity that was never given before."""
        ...


def random_id() -> str:
    """128 random bits in hexadecimal."""
    return uuid.uuid4().hex


def timestamp(moment: datetime) -> str:
    """A moment as the log writes it: UTC, ISO 8601, microseconds, always the same length."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
