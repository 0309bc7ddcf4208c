"""What was planned and has no outcome yet: done now, after a crash, or once the disk can be looked at."""

from collections import Counter
from collections.abc import Callable, Iterable

import structlog

from janfs.catalogue.catalogue import Catalogue
from janfs.errors import Unseen
from janfs.events import types as e
from janfs.folder import paths
from janfs.folder.filesystem import FileSystem
from janfs.pipeline import trash
from janfs.pipeline.actor import Actor
from janfs.pipeline.recorder import Draft, Recorder

_log = structlog.get_logger()


class Plans:
    """Carries out the catalogue's plans, and records their outcomes."""

    def __init__(
        self, fs: FileSystem, recorder: Recorder, actor: Actor, moved: Callable[[Iterable[str]], None]
    ) -> None:
        """`moved` hears where organising moved files away from."""
        self._fs = fs
        self._recorder = recorder
        self._actor = actor
        self._moved = moved
        self._since = 0  # what was planned up to here was begun before this tick
        self.unseen: set[str] = set()  # streams of what was begun, and cannot be seen now

    @property
    def _catalogue(self) -> Catalogue:
        return self._recorder.catalogue

    def take_up(self) -> None:
        """Go on with what has no outcome: after a crash, or because the disk could not be looked at."""
        self._since = self._catalogue.position
        self.finish(again=True)

    def finish(self, *, again: bool = False) -> list[e.Event]:
        """Carry out every plan without an outcome, those that were tried in this tick only `again`.

        Where it cannot be seen what became of one, none of its model's has an outcome yet, as after a crash.
        Where an event is parked it may be the outcome; such a plan waits until it can be applied.
        """
        if not self._catalogue.plans or not self._catalogue.root.available:
            return []
        known = [plan for plan in self._catalogue.plans.values() if plan.uid not in self._catalogue.parked]
        unseen = set() if again else set(self.unseen)
        outcomes: list[Draft] = []
        together = Counter(plan.uid for plan in known)  # what is done by several is begun with the first
        for plan in sorted(known, key=lambda plan: plan.position):
            if plan.uid in unseen:
                continue
            begun = plan.position <= self._since or together[plan.uid] > 1
            try:
                outcomes += self._actor.carry_out(self._catalogue, plan, begun=begun)
                outcomes += trash.conclude(self._fs, self._catalogue, plan, outcomes)
            except Unseen as error:
                if plan.uid not in self.unseen:
                    _log.warning("outcome-unseen", path=plan.target, reason=error.detail)
                unseen.add(plan.uid)
                outcomes = [draft for draft in outcomes if draft.stream != plan.uid]
        self.unseen = unseen
        self._recorder.record(outcomes)
        done = [draft.event for draft in outcomes if isinstance(draft.event, e.MoveCompleted)]
        self._moved(event.source for event in done if event.reason == "organise")
        return [draft.event for draft in outcomes]

    def settled(self, places: set[str]) -> set[str]:
        """The places at which nothing is planned that has no outcome yet."""
        plans = self._catalogue.plans.values()
        ends = [path for plan in plans for path in (plan.source, plan.target) if path is not None]
        return places.difference(ends, map(paths.place, ends)) if ends else places
