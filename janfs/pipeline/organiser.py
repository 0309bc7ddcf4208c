"""Planning and acting: decisions into the log, then deeds on disk, each with its intent and its outcome."""

from collections.abc import Callable, Container, Iterable, Mapping

from janfs.catalogue.catalogue import Catalogue, Key, files_in, present_models
from janfs.catalogue.entries import File, Model
from janfs.catalogue.groups import is_part
from janfs.clock import Clock
from janfs.events import types as e
from janfs.folder import paths
from janfs.organise import links, pairing, planner
from janfs.organise.disk import OTHER_DISK
from janfs.organise.homes import in_the_way
from janfs.organise.steps import Copy, Decide, Generate, Move, Policy, is_pairing
from janfs.pipeline import moves
from janfs.pipeline.actor import Actor
from janfs.pipeline.backoff import Backoff
from janfs.pipeline.emptied import Emptied
from janfs.pipeline.plans import Plans
from janfs.pipeline.recorder import Draft, Recorder
from janfs.pipeline.snapshot import Arrival

BATCH = 256  # places that are worked on before others see what was done
HOLD = 3.0  # seconds that a new folder is left alone after a file in it grew
REST = 300.0  # seconds that a file stays out of its folder: what is copied there now would overwrite it
ROUNDS = 10_000  # a bound that only a defect reaches

INTENTS = e.MovePlanned | e.CopyPlanned | e.WritePlanned
FAILURES = e.MoveFailed | e.CopyFailed | e.WriteFailed


class Organiser:
    """Brings every place that was touched to where the planner has nothing more to say."""

    def __init__(
        self,
        recorder: Recorder,
        actor: Actor,
        clock: Clock,
        arriving: Callable[[], Mapping[str, Arrival]],
        taken: Callable[[], Container[str]],
        *,
        plans: Plans,
        publish: Callable[[], None],
        emptied: Emptied,
        enough: Callable[[], bool] = lambda: False,
        organise: bool = True,
    ) -> None:
        """`taken` are the names in `models/` that no new folder can have; `enough` says, between two rounds,
        that the rest is to be left to the next start.
        """
        self._recorder = recorder
        self._actor = actor
        self._plans = plans
        self._clock = clock
        self._arriving = arriving
        self._taken = taken
        self._publish = publish
        self._enough = enough
        self._organise = organise
        self._held: set[str] = set()  # places to look at again: what arrives may go without trace
        self._parts: set[str] = set()  # places of parts that wait for a model, or of a model for its part
        self._keeps: dict[str, set[str]] = {}  # by file: places that are as they should be while it is there
        self._resting: dict[str, float] = {}  # files taken out of a folder, and until when they stay
        self._emptied = emptied
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
        soon = self._clock.monotonic() + HOLD / 4 if self._held else None
        due = (self._backoff.next_due(), self._emptied.next_due, soon, *self._resting.values())
        return min((at for at in due if at is not None), default=None)

    def doubt(self) -> None:
        """Look at every place again, and try at once what failed before."""
        places = {paths.place(path) for path in self._catalogue.files}
        places |= {model.folder for model in present_models(self._catalogue)}
        self._dirty |= places
        if any(each.stuck for each in (*self._catalogue.files.values(), *self._catalogue.models.values())):
            for place in places:
                self._note_place(place, at_once=True)

    def work_once(self) -> None:
        """Organise everything now, even if organising is off."""
        before, self._organise = self._organise, True
        self._resting.clear()
        try:
            self.doubt()
            self.work()
        finally:
            self._organise = before

    def seen(self, drafts: Iterable[Draft]) -> None:
        """Let what someone just took out of a model's folder rest where it lies now."""
        out = moves.taken_out(self._catalogue, drafts)
        self._resting |= dict.fromkeys(out, self._clock.monotonic() + REST)

    def work(self) -> None:
        """Plan and act until nothing is left to do."""
        now = self._clock.monotonic()
        retry = self._backoff.take_due(now)
        rested = [path for path, until in self._resting.items() if until <= now]
        self._resting = {path: self._resting[path] for path in self._resting.keys() - rested}
        self._dirty.update(retry, self._held, map(paths.place, rested))
        self._held.clear()
        late: set[str] = set()  # places of parts, whose models are known only when all else is done
        for _ in range(ROUNDS):
            dirty, parts = self._plans.settled(self._dirty), self._plans.settled(late)
            if not (dirty or parts) or not self._catalogue.root.available or self._enough():
                break
            last = not dirty
            places = sorted(dirty or parts)[:BATCH]
            self._dirty.difference_update(places)
            late.difference_update(places)
            self._parts.difference_update(places)
            late |= self._round(places, retry, last=last)
            if self._dirty and len(places) == BATCH:
                self._publish()
        else:
            raise RuntimeError("planning does not come to an end")
        self._dirty |= late
        if self._catalogue.root.available:
            self._emptied.work()

    def _round(self, places: list[str], retry: set[str], *, last: bool) -> set[str]:
        """One step of each place; those in `retry` try once more what failed.

        Gives the places where a part is to join a model: they wait until that is all that is `last` to do.
        """
        late: set[str] = set()
        decisions: list[Draft] = []
        intents: list[Draft] = []
        acting: dict[str, str] = {}
        documents: dict[str, bytes] = {}
        claimed: set[str] = set()
        policy = self._policy()
        for place in places:
            step = planner.next_step(self._catalogue, place, policy, retry=place in retry)
            if isinstance(step, Decide):
                if not last and is_pairing(step):
                    late.add(place)
                    continue
                self._dirty.add(place)
                if _claim(step, claimed):
                    decisions += [Draft(uid, event, cause=step.cause) for uid, event in step.events]
                continue
            if place in policy.held or paths.join(place, paths.MANIFEST) in policy.unfinished:
                self._held.add(place)
            if step is None and pairing.is_waiting(self._catalogue, place, self._files_at(place)):
                self._parts.add(place)
            if step is None:
                self._note_keepers(place)
                continue
            self._dirty.add(place)
            if place in retry and self._actor.is_in_vain(self._catalogue, step, self._arriving()):
                retry.discard(place)
                continue
            if not _places(step) & claimed:
                claimed |= _places(step)
                drafts = self._actor.intent(step, self._catalogue, documents)
                acting |= {draft.event.op: place for draft in drafts if isinstance(draft.event, INTENTS)}
                intents += drafts
        self._recorder.record(decisions)
        self._recorder.record(intents, documents)
        # What fails again is left to the next try; what does not is followed by what else was stuck there.
        failed = {event.op for event in self._plans.finish() if isinstance(event, FAILURES)}
        retry.difference_update(place for op, place in acting.items() if op in failed)
        return late

    def _note_keepers(self, place: str) -> None:
        """Remember what keeps files at a place where they are: links to them, and others of their name."""
        for file in self._files_at(place):
            for path in (*links.others(self._catalogue, file), *in_the_way(self._catalogue, file)):
                self._keeps.setdefault(path, set()).add(place)

    def _policy(self) -> Policy:
        """What is arriving now, and where it came so lately that more of the same may follow."""
        arrivals = self._arriving()
        now = self._clock.monotonic()
        held = {paths.parent(path) for path, arrival in arrivals.items() if now - arrival.since < HOLD}
        folders = {paths.parent(path) for path in arrivals}
        return Policy(self._organise, folders, held, self._taken(), arrivals, self._resting)

    def _note(self, touched: Iterable[Key]) -> None:
        for kind, name in touched:
            if kind == "file":
                self._note_place(paths.place(name))
                for place in self._keeps.pop(name, ()):
                    self._note_place(place, at_once=True)
                file = self._catalogue.files.get(name)
                if file is not None and is_part(file):
                    for model in pairing.naming(self._catalogue, paths.shown_name(name)):
                        self._note_place(model.folder)
            elif kind == "model":
                self._note_place(self._catalogue.models[name].folder)
                # Its folder may be another one now; what it has elsewhere follows, or others' turn comes.
                owned = self._catalogue.owned.get(name) or ()
                kept = (self._keeps.pop(path, ()) for path in owned)
                self._dirty.update(map(paths.place, owned), self._parts, *kept)

    def _files_at(self, place: str) -> list[File]:
        loose = self._catalogue.files.get(place)
        return files_in(self._catalogue, place) if loose is None else [loose]

    def _note_place(self, place: str, *, at_once: bool = False) -> None:
        self._dirty.add(place)
        found: list[File | Model] = [*self._files_at(place)]
        model = self._catalogue.models.get(self._catalogue.folders.get(place) or "")
        if model is not None:
            found += (*pairing.named_elsewhere(self._catalogue, model), model)
        stuck = next((each.stuck for each in found if each.stuck is not None), None)
        # What lies on another disk does so for good; after the next start it is tried once more.
        failed = stuck is not None and (at_once or not stuck.endswith(OTHER_DISK))
        self._backoff.note(place, failed=failed, now=self._clock.monotonic(), at_once=at_once)


def _places(step: Move | Copy | Generate) -> set[str]:
    """What no other deed of the same round may touch: where it goes, and of a link, what it leads to and the
    folder, which was free for one model alone.
    """
    if isinstance(step, Generate):
        return {step.path}
    shared = isinstance(step, Copy) and step.how == "symbolic-link" and step.stamp is not None
    if not shared or step.stamp is None:
        return {step.target}
    return {step.target, paths.parent(step.target), f"inode {step.stamp.inode}"}


def _claim(step: Decide, claimed: set[str]) -> bool:
    """Claim the folder and id, the part or the copy of a decision; False when another of this round did."""
    wanted = {
        name
        for _, event in step.events
        if isinstance(event, e.ModelRegistered | e.ModelRestored | e.ModelRenamed)
        for name in (event.folder, event.id)
    }
    wanted |= {event.path for _, event in step.events if isinstance(event, e.PartPaired | e.DuplicateFound)}
    if wanted & claimed:
        return False
    claimed |= wanted
    return True
