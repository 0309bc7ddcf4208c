"""What was planned and has no outcome yet: done now, after a crash, or once the disk can be looked at."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping

import structlog

from janfs.catalogue.catalogue import Catalogue
from janfs.catalogue.entries import Plan
from janfs.clock import Clock
from janfs.errors import Unseen
from janfs.events import types as e
from janfs.folder import paths
from janfs.folder.filesystem import FileSystem
from janfs.pipeline import trash
from janfs.pipeline.actor import Actor
from janfs.pipeline.backoff import Backoff
from janfs.pipeline.recorder import Draft, Recorder
from janfs.pipeline.snapshot import Unsettled

SOON, LATEST = 0.75, 60.0  # seconds until a disk that did not show what came of something is asked again

_log = structlog.get_logger()


class Plans:
    """Carries out the catalogue's plans, and records their outcomes."""

    def __init__(
        self,
        fs: FileSystem,
        recorder: Recorder,
        actor: Actor,
        clock: Clock,
        *,
        moved: Callable[[Iterable[str]], None],
        leaving: Callable[[], bool] = lambda: False,
    ) -> None:
        """`moved` hears where organising moved files away from. While we are `leaving`, a disk that did not
        show what came of something is not asked again: it may take long to answer, and the next start asks.
        """
        self._fs = fs
        self._recorder = recorder
        self._actor = actor
        self._clock = clock
        self._moved = moved
        self._leaving = leaving
        self._since = 0  # what was planned up to here was begun before this tick
        self._unsettled: dict[str, Unsettled] = {}
        self._backoff = Backoff(SOON, LATEST)

    @property
    def _catalogue(self) -> Catalogue:
        return self._recorder.catalogue

    @property
    def unsettled(self) -> Mapping[str, Unsettled]:
        """What was begun, and the disk does not show what came of it: of each model the first, by its uid."""
        return self._unsettled

    @property
    def next_due(self) -> float | None:
        """When the disk is to be asked again, in the clock's monotonic seconds."""
        return self._backoff.next_due() if self._catalogue.root.available else None

    def take_up(self, hints: Collection[str]) -> None:
        """Go on with what has no outcome: after a crash, or where the disk could not be looked at and is to
        be asked again, because it is time or something changed at one of `hints`; `""` is everywhere.
        """
        self._since = self._catalogue.position
        if not self._catalogue.root.available:
            return
        now = self._clock.monotonic()
        for uid, each in self._unsettled.items():
            if any(_is_touched(each.plan, hint) for hint in hints):
                self._backoff.hint(uid, now)
        self._carry_out(self._unsettled.keys() - self._backoff.take_due(now))

    def finish(self) -> list[e.Event]:
        """Carry out every plan without an outcome, but for those of models that wait for the disk."""
        return self._carry_out(set(self._unsettled)) if self._catalogue.root.available else []

    def _carry_out(self, waiting: set[str]) -> list[e.Event]:
        """Carry out every plan without an outcome, but for those of the models that are `waiting`.

        Where it cannot be seen what became of one, none of its model's has an outcome yet, as after a crash.
        Where an event is parked it may be the outcome; such a plan waits until it can be applied.
        """
        known = [plan for plan in self._catalogue.plans.values() if plan.uid not in self._catalogue.parked]
        together = Counter(plan.uid for plan in known)  # what is done by several is begun with the first
        unsettled = {uid: each for uid, each in self._unsettled.items() if uid in waiting & together.keys()}
        outcomes: list[Draft] = []
        for plan in sorted(known, key=lambda plan: plan.position):
            if plan.uid in unsettled:
                continue
            begun = plan.position <= self._since or together[plan.uid] > 1
            problem = self._try(plan, outcomes, begun=begun)
            if problem is not None:
                unsettled[plan.uid] = problem
                outcomes = [draft for draft in outcomes if draft.stream != plan.uid]
        self._note(unsettled, waiting)
        self._recorder.record(outcomes)
        done = [draft.event for draft in outcomes if isinstance(draft.event, e.MoveCompleted)]
        self._moved(event.source for event in done if event.reason == "organise")
        return [draft.event for draft in outcomes]

    def _try(self, plan: Plan, outcomes: list[Draft], *, begun: bool) -> Unsettled | None:
        """Carry out a plan and add what came of it to `outcomes`; or say why that cannot be seen."""
        before = self._unsettled.get(plan.uid)
        if before is not None and self._leaving():
            return before
        try:
            outcomes += self._actor.carry_out(self._catalogue, plan, begun=begun)
            outcomes += trash.conclude(self._fs, self._catalogue, plan, outcomes)
        except Unseen as error:
            if before is None:
                _log.warning("outcome-unseen", path=plan.target, reason=error.detail)
            return Unsettled(plan, _in_words(error))
        return None

    def _note(self, unsettled: dict[str, Unsettled], waiting: set[str]) -> None:
        now = self._clock.monotonic()
        for uid in {*self._unsettled, *unsettled}:
            self._backoff.note(uid, failed=uid in unsettled, now=now)
            if uid not in waiting:
                self._backoff.tried(uid, now)
        self._unsettled = unsettled

    def settled(self, places: set[str]) -> set[str]:
        """The places at which nothing is planned that has no outcome yet."""
        plans = self._catalogue.plans.values()
        ends = [path for plan in plans for path in plan.ends]
        return places.difference(ends, map(paths.place, ends)) if ends else places


def _is_touched(plan: Plan, hint: str) -> bool:
    """Whether what changed at a hint, or below it, may be what a plan is about."""
    return hint == "" or any(
        paths.is_inside(end, hint) or paths.is_inside(hint, paths.place(end)) for end in plan.ends
    )


def _in_words(error: Unseen) -> str:
    return (
        f"{error.detail.removesuffix('.')}. The disk does not show whether that was done all the same, so "
        "that nothing more is done with it until it does; it is asked again within a minute. See what is "
        "wrong with the disk: `dmesg` has its errors."
    )
