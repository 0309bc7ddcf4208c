"""How fast a model writes: tokens over the last seconds. Pure; the caller has the clock."""

from collections import deque

WINDOW = 10  # seconds


class Throughput:
    """Counts tokens by the second, and forgets those before the window."""

    def __init__(self) -> None:
        self._seconds: deque[tuple[int, int]] = deque()  # when, and how many

    def add(self, tokens: int, now: float) -> None:
        """Count tokens that have been written; `now` is in seconds of a clock that does not go back."""
        second = int(now)
        if self._seconds and self._seconds[-1][0] == second:
            tokens += self._seconds.pop()[1]
        self._seconds.append((second, tokens))
        self._forget(now)

    def rate(self, now: float) -> float:
        """Tokens per second, from the first token in the window to now; 0 when there was none."""
        self._forget(now)
        if not self._seconds:
            return 0.0
        return sum(tokens for _, tokens in self._seconds) / max(1.0, now - self._seconds[0][0])

    def _forget(self, now: float) -> None:
        while self._seconds and self._seconds[0][0] < now - WINDOW:
            self._seconds.popleft()
