"""Pieces of an answer that come in quick succession are told as one.

Each message costs the service and the client a part of a millisecond of the processors that compute,
whatever is in it. So an answer has some thirty a second at most, which looks the same (docs/decisions/0048).
"""

import time
from collections.abc import Callable

from janfs.engines.llama_cpp.scheduler import Event
from janfs.engines.protocol import CallDelta, ReasoningDelta, Reply, TextDelta
from janfs.errors import JanfsError

GAP = 1 / 30
"""Seconds between two messages of an answer, if its tokens come faster; for so long a piece is held back."""


class Gathering:
    """Pieces that are held back until others are told with them. One thread uses it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._held: dict[str, list[Reply | JanfsError]] = {}
        self._told: dict[str, float] = {}  # when that was, for answers that have not ended
        self._asked = 0.0  # when `due` was called

    @property
    def holds(self) -> bool:
        """Whether anything is held back."""
        return bool(self._held)

    def add(self, event: Event) -> None:
        """Take what comes next of an answer."""
        held = self._held.setdefault(event.request_id, [])
        whole = _joined(held[-1], event.reply) if held else None
        if whole is None:
            held.append(event.reply)
        else:
            held[-1] = whole

    def due(self) -> list[Event]:
        """What is to be told now, after a step: the first of an answer, its end, and what the next one,
        should that take as long, would tell too late.
        """
        now = self._clock()
        soon = now + now - self._asked
        self._asked = now
        return self._tell(now, lambda request_id: soon - self._told.get(request_id, 0.0) > GAP)

    def all(self) -> list[Event]:
        """All that is held back: the next step may take long."""
        return self._tell(self._clock(), lambda _: True)

    def forget(self, request_id: str) -> None:
        """Nobody wants to hear of this one any more."""
        self._held.pop(request_id, None)
        self._told.pop(request_id, None)

    def _tell(self, now: float, is_due: Callable[[str], bool]) -> list[Event]:
        found: list[Event] = []
        for request_id, held in list(self._held.items()):
            ended = not isinstance(held[-1], TextDelta | ReasoningDelta | CallDelta)
            if ended or is_due(request_id):
                self.forget(request_id)
                found += [Event(request_id, reply) for reply in held]
                if not ended:
                    self._told[request_id] = now
        return found


def _joined(one: Reply | JanfsError, other: Reply | JanfsError) -> Reply | None:
    """Both as one piece, where they are of a kind; None where they are not."""
    match one, other:
        case TextDelta(), TextDelta():
            logprobs = one.logprobs + other.logprobs
            return TextDelta(one.text + other.text, logprobs, one.usage, one.pieces + other.pieces)
        case ReasoningDelta(), ReasoningDelta():
            return ReasoningDelta(one.text + other.text, one.usage, one.pieces + other.pieces)
        case CallDelta(index, None), CallDelta(same, None) if index == same:
            arguments = one.arguments + other.arguments
            return CallDelta(index, None, arguments, one.usage, one.pieces + other.pieces)
    return None
