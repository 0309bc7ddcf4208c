"""When what failed is tried again: after a minute, then after twice as long each time, an hour at most."""

from collections.abc import Iterable

FIRST, LAST = 60.0, 3600.0  # seconds


class Backoff:
    """Places where something failed, and when each is due again; times are the clock's monotonic seconds."""

    def __init__(self) -> None:
        self._due: dict[str, float] = {}
        self._delay: dict[str, float] = {}

    def note(self, place: str, *, failed: bool, now: float, at_once: bool = False) -> None:
        """Say how it stands with a place; `at_once` makes a failed one due now."""
        if not failed:
            self._due.pop(place, None)
            self._delay.pop(place, None)
            return
        delay = min(LAST, 2 * self._delay[place]) if place in self._delay else FIRST
        self._delay[place] = delay
        self._due[place] = now if at_once else now + delay

    def is_due(self, place: str, now: float) -> bool:
        """Whether a place is to be tried again now."""
        return place in self._due and self._due[place] <= now

    def due(self, now: float) -> Iterable[str]:
        """The places to be tried again now."""
        return [place for place, due in self._due.items() if due <= now]

    def next_due(self) -> float | None:
        """When the next is due; None when nothing failed."""
        return min(self._due.values(), default=None)
