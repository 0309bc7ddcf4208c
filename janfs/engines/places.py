"""The places for loaded models: who has one, who waits for one, and who has to go."""

import asyncio
from collections.abc import Iterator

from janfs.engines.instance import Instance, Phase


class Places:
    """At most `places` models are held at once. Newcomers are served in the order they came.

    An idle model makes room, the longest unused first; one that loads, stops or is busy is never taken away.
    When all stay busy for `patience` seconds, the longest unused one takes no more requests and goes when its
    last has ended, so that nobody waits for good.
    """

    def __init__(self, places: int, patience: float) -> None:
        self._places = places
        self._patience = patience
        self._instances: set[Instance] = set()
        self._turn = asyncio.Lock()  # fair: it wakes waiters in their order
        self._changed = asyncio.Event()  # wakes the one who has the turn

    def __iter__(self) -> Iterator[Instance]:
        return iter(tuple(self._instances))

    def add(self, instance: Instance) -> None:
        self._instances.add(instance)

    def remove(self, instance: Instance) -> None:
        self._instances.discard(instance)
        self.look_again()

    def look_again(self) -> None:
        """Something has changed: a model is idle, or gone."""
        self._changed.set()

    async def take(self, newcomer: Instance) -> None:
        """Wait for a place, and begin to load in it."""
        async with self._turn:
            while self._taken() >= self._places:
                self._changed.clear()
                leaving = self._in(Phase.STOPPING)
                idle = [each for each in self._in(Phase.RUNNING) if each.refs == 0]
                if idle and all(each.refs for each in leaving):  # one at a time
                    _evict(idle, newcomer)
                try:
                    async with asyncio.timeout(self._patience):
                        await self._changed.wait()
                except TimeoutError:
                    busy = self._in(Phase.RUNNING)
                    if busy and not leaving:
                        _evict(busy, newcomer)
            newcomer.enter(Phase.LOADING)

    def _taken(self) -> int:
        """Places taken. One that is being replaced has left its place to its successor, within bounds."""
        held = [each for each in self._instances if each.phase is not Phase.WAITING]
        replaced = sum(each.replaced for each in held)
        return len(held) - min(replaced, self._places)

    def _in(self, phase: Phase) -> list[Instance]:
        return [each for each in self._instances if each.phase is phase]


def _evict(candidates: list[Instance], newcomer: Instance) -> None:
    oldest = min(candidates, key=lambda each: each.last_used)
    oldest.drain(f"room was needed for '{newcomer.model_id}'")
