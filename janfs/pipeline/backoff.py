"""When what failed is tried again: after a while, then after twice as long each time, up to a bound."""

FIRST, LAST = 60.0, 3600.0  # seconds, where nothing else is said


class Backoff:
    """Places where something failed, and when each is due again; times are the clock's monotonic seconds."""

    def __init__(self, first: float = FIRST, last: float = LAST) -> None:
        """The second try comes after `first` seconds; `last` is the longest that any is waited for."""
        self._first = first
        self._last = last
        self._due: dict[str, float] = {}
        self._delay: dict[str, float] = {}

    def note(self, place: str, *, failed: bool, now: float, at_once: bool = False) -> None:
        """Say how it stands with a place; `at_once` makes a failed one due now."""
        if not failed:
            self._due.pop(place, None)
            self._delay.pop(place, None)
        elif place not in self._due:
            self._delay[place] = self._first
            self._due[place] = now + self._first
        if failed and at_once:
            self._due[place] = now

    def hint(self, place: str, now: float) -> None:
        """Make a place due where something was seen to change, if it waits for another try.

        What is seen so soon after a try that it may have come of that makes nothing due.
        """
        tried = self._due.get(place, now) - self._delay.get(place, 0.0)
        if now - tried >= self._first:
            self._due[place] = now

    def take_due(self, now: float) -> set[str]:
        """The places to be tried again now; each is due once more after twice its delay."""
        taken = {place for place, due in self._due.items() if due <= now}
        for place in taken:
            self._delay[place] = min(self._last, 2 * self._delay[place])
            self._due[place] = now + self._delay[place]
        return taken

    def tried(self, place: str, now: float) -> None:
        """Count a place's delay from `now`, when a try of it ended: one may take longer than the delay."""
        if place in self._due:
            self._due[place] = now + self._delay[place]

    def next_due(self) -> float | None:
        """When the next is due; None when nothing failed."""
        return min(self._due.values(), default=None)
