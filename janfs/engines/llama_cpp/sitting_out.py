"""Half of the time for those whose tokens are chosen quickly, whoever else takes long over theirs. Pure."""

from collections.abc import Sequence

SLOW = 0.1  # seconds for the choice of a token; 0.03 were the most that a sound grammar took


class SittingOut:
    """Has requests whose choices are slow sit out for as long as these took, while others compute."""

    def __init__(self) -> None:
        self._owed = 0.0  # seconds that are the others' now

    def share(self, missing: Sequence[int], slow: Sequence[bool]) -> list[int]:
        """How many tokens each request may compute now, of what it is `missing`: none if it sits out.

        `slow` are those whose last choice was.
        """
        others = [0 if sits_out else each for each, sits_out in zip(missing, slow, strict=True)]
        if self._owed > 0 and any(others):
            return others
        self._owed = 0.0  # those who are alone owe nothing to whoever comes later
        return list(missing)

    def computed(self, seconds: float) -> None:
        """A step took so long, choices left out."""
        self._owed -= seconds

    def chose(self, seconds: float) -> bool:
        """A choice took so long; whether that is slow."""
        slow = seconds > SLOW
        self._owed += seconds if slow else 0
        return slow
