"""When what failed is tried again: after a minute, then after twice as long each time, an hour at most."""

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
        elif place not in self._due:
            self._delay[place] = FIRST
            self._due[place] = now + FIRST
        if failed and at_once:
            self._due[place] = now

    def take_due(self, now: float) -> set[str]:
        """The places to be tried again now; each is due once more after twice its delay."""
        taken = {place for place, due in self._due.items() if due <= now}
        for place in taken:
            self._delay[place] = min(LAST, 2 * self._delay[place])
            self._due[place] = now + self._delay[place]
        return taken

    def next_due(self) -> float | None:
        """When the next is due; None when nothing failed."""
        return min(self._due.values(), default=None)
