"""Planning and acting: decisions into the log, then deeds on disk, each with its intent and its outcome."""

from collections.abc import Callable, Iterable

from janfs.catalogue.catalogue import Catalogue, Key
from janfs.clock import Clock
from janfs.events import types as e
from janfs.folder import paths
from janfs.organise import planner
from janfs.pipeline.actor import Actor
from janfs.pipeline.backoff import Backoff
from janfs.pipeline.recorder import Draft, Recorder

BATCH = 256  # places that are worked on before others see what was done
ROUNDS = 10_000  # a bound that only a defect reaches


class Organiser:
    """Brings every place that was touched to where the planner has nothing more to say."""

    def __init__(
        self,
        recorder: Recorder,
        actor: Actor,
        clock: Clock,
        arriving: Callable[[], Iterable[str]],
        publish: Callable[[], None],
    ) -> None:
        self._recorder = recorder
        self._actor = actor
        self._clock = clock
        self._arriving = arriving
        self._publish = publish
        self._dirty: set[str] = set()
        self._backoff = Backoff()
        recorder.on_touched(self._note)
        self.doubt()

    @property
    def _catalogue(self) -> Catalogue:
        return self._recorder.catalogue

    @property
    def next_due(self) -> float | None:
        """When something that failed is to be tried again, in the clock's monotonic seconds."""
        return self._backoff.next_due()

    def doubt(self) -> None:
        """Look at every place again, and try at once what failed before."""
        places = {paths.place(path) for path in self._catalogue.files}
        places |= {model.folder for model in self._catalogue.models.values() if model.removed is None}
        for place in places:
            self._note_place(place, at_once=True)

    def work(self) -> None:
        """Plan and act until nothing is left to do."""
        retry = self._backoff.take_due(self._clock.monotonic())
        self._dirty.update(retry)
        for _ in range(ROUNDS):
            if not self._dirty or not self._catalogue.root.available:
                return
            places = sorted(self._dirty)[:BATCH]
            self._dirty.difference_update(places)
            self._round(places, retry)
            if self._dirty and len(places) == BATCH:
                self._publish()
        raise RuntimeError("planning does not come to an end")

    def finish_plans(self) -> list[e.Event]:
        """Carry out every plan without an outcome: those just made, and those of before a crash."""
        if not self._catalogue.plans or not self._catalogue.root.available:
            return []
        plans = sorted(self._catalogue.plans.values(), key=lambda plan: plan.position)
        outcomes = [draft for plan in plans for draft in self._actor.carry_out(self._catalogue, plan)]
        self._recorder.record(outcomes)
        return [draft.event for draft in outcomes]

    def _round(self, places: list[str], retry: set[str]) -> None:
        """One step of each place; those in `retry` try once more what failed."""
        decisions: list[Draft] = []
        intents: list[Draft] = []
        documents: dict[str, bytes] = {}
        claimed: set[str] = set()
        arriving = {paths.parent(path) for path in self._arriving()}
        for place in places:
            step = planner.next_step(self._catalogue, place, retry=place in retry, arriving=arriving)
            if isinstance(step, planner.Decide):
                self._dirty.add(place)
                if _claim(step, claimed):
                    decisions += [Draft(step.uid, event, cause=step.cause) for event in step.events]
                continue
            retry.discard(place)
            if step is not None:
                intents.append(self._actor.intent(step, self._catalogue, documents))
        self._recorder.record(decisions)
        self._recorder.record(intents, documents)
        self.finish_plans()

    def _note(self, touched: Iterable[Key]) -> None:
        for kind, name in touched:
            if kind == "file":
                self._note_place(paths.place(name))
            elif kind == "model":
                self._note_place(self._catalogue.models[name].folder)

    def _note_place(self, place: str, *, at_once: bool = False) -> None:
        self._dirty.add(place)
        loose = self._catalogue.files.get(place)
        uid = self._catalogue.folders.get(place)
        stuck = loose.stuck if loose is not None else None
        if uid is not None:
            stuck = self._catalogue.models[uid].stuck
        now = self._clock.monotonic()
        self._backoff.note(place, failed=stuck is not None, now=now, at_once=at_once)


def _claim(step: planner.Decide, claimed: set[str]) -> bool:
    """Claim the folder and id that a decision gives; False when another of this round has them already."""
    wanted = {
        name
        for event in step.events
        if isinstance(event, e.ModelRegistered | e.ModelRestored | e.ModelRenamed)
        for name in (event.folder, event.id)
    }
    if wanted & claimed:
        return False
    claimed |= wanted
    return True
