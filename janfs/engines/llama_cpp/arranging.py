"""One KV cache for all requests or a part for each: which of them suits those that run. Pure.

With one cache for all a token looks at the cells of all others, if only to see that they are masked, which
costs requests with nothing in common a tenth of a step or so. With a part for each, what they have in common
lies there for each of them, and none is longer than its part (docs/decisions/0045).
"""

from collections.abc import Sequence
from typing import NamedTuple

LEAST_SHARED = 0.6
"""Of all tokens: where so many are another's too, one cache for all is better (docs/decisions/0045)."""
MOST_APART = 0.5
"""And with fewer than these a part for each."""
_USUAL = 200  # tokens of an answer
_PAYS_AFTER = 10  # so many times as long as it takes, where it saves a tenth
_LEAST_PATIENCE = 0.3  # seconds: what a change costs is not known before the first one
_MOST_PATIENCE = 600.0
_LONGEST_REST = 60.0


class Wants(NamedTuple):
    """A request: how many tokens it has, may have at its end, and has in common with an older one."""

    length: int
    most: int
    common: int


def suits(wants: Sequence[Wants], part: int) -> bool | None:
    """Whether requests are better off with one cache for all than with a `part` for each; None: with either.

    Each should have a quarter of the part left for what it still writes, if it may write so much. What they
    share is looked at as it will be in the middle of an answer as usual.
    """
    if any(min(each.most, each.length + part // 4) > part for each in wants):
        return True
    if len(wants) < 2:
        return None
    midway = sum(each.length + min(each.most - each.length, _USUAL) // 2 for each in wants)
    shared = sum(each.common for each in wants) / midway
    if shared >= LEAST_SHARED:
        return True
    return False if shared < MOST_APART else None


class Arranging:
    """Decides step by step. One cache for all is how it begins, and comes back as soon as it is better.

    A `part` for each comes when those who are better off with it have lost as much as a change costs; and
    later each time that it was not worth it.
    """

    def __init__(self, part: int) -> None:
        self.part = part
        self._patience = _LEAST_PATIENCE
        self._apart_for = 0.0  # seconds computed for those who are better off with it, since the last change
        self._suited: bool | None = None
        self._rest = 0.0  # seconds to be computed before one cache for all is asked for again
        self._last_rest = 0.0

    def wanted(self, unified: bool, wants: Sequence[Wants]) -> bool:
        """Whether the next step is to have one cache for all, where the last one had it or not."""
        self._suited = suits(wants, self.part)
        if self._suited is None:
            return unified
        if self._rest > 0 and not any(each.length > self.part for each in wants):
            return unified
        if self._suited and unified:
            self._apart_for = 0.0
        return self._suited or (unified and self._apart_for < self._patience)

    def computed(self, seconds: float) -> None:
        """Take note of a step."""
        self._rest -= seconds
        if self._suited is False:
            self._apart_for += seconds

    def changed(self, unified: bool, seconds: float) -> None:
        """Take note of a change, and how long it took."""
        least = _PAYS_AFTER * seconds
        if unified and self._apart_for < 2 * least:
            self.put_off()
        elif unified:
            self._patience /= 2
        self._patience = max(self._patience, least)
        self._apart_for = self._rest = self._last_rest = 0.0

    def refused(self, seconds: float) -> None:
        """Take note that there was no memory for one cache, and how long it took to find out.

        It is asked for again, but ever more rarely, as it may cost those who run what they have computed;
        unless somebody is longer than a part, and cannot do without.
        """
        self._rest = self._last_rest = min(_LONGEST_REST, max(2 * self._last_rest, _PAYS_AFTER * seconds))

    def put_off(self) -> None:
        """Be twice as patient from now on."""
        self._patience = min(_MOST_PATIENCE, 2 * self._patience)
        self._apart_for = 0.0
