"""The pipeline: one thread, one queue, one tick at a time."""

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future

import structlog

from janfs.catalogue.catalogue import Catalogue, Key
from janfs.clock import Clock, Ids
from janfs.errors import FolderError, JanfsError, LogError
from janfs.events import types as e
from janfs.folder import paths
from janfs.folder.filesystem import FileSystem
from janfs.log.store import EventLog
from janfs.organise import planner
from janfs.pipeline import root
from janfs.pipeline.actor import Actor
from janfs.pipeline.backoff import Backoff
from janfs.pipeline.commands import Command, Delete, Look, Record, Submitted
from janfs.pipeline.inbox import Inbox
from janfs.pipeline.observer import FOLDER, Observer
from janfs.pipeline.recorder import Draft, Recorder
from janfs.pipeline.snapshot import Snapshot

FULL_LOOK_EVERY = 60.0  # seconds
MANY_HINTS = 64  # more than these are one look at everything
BATCH = 256  # places that are worked on before others see what was done
ROUNDS = 10_000  # rounds a tick; a bound that only a defect reaches

ROOT_STREAM = "root"

_log = structlog.get_logger()


class Pipeline:
    """Owns the log and the folder. Only `submit`, `hint` and `snapshot` are for other threads."""

    def __init__(self, fs: FileSystem, log: EventLog, clock: Clock, ids: Ids) -> None:
        self._fs = fs
        self._clock = clock
        self._recorder = Recorder(log)
        self._observer = Observer(fs, clock, ids)
        self._actor = Actor(fs, log, ids)
        self._inbox = Inbox(clock)
        self._dirty: set[str] = set()
        self._backoff = Backoff()
        self._next_full_look = clock.monotonic()
        self._listeners: list[Callable[[Snapshot], None]] = []
        self._caught_up = False
        self._index((key for key in _every_key(self.catalogue)), retry=True)
        self.snapshot = Snapshot(self.catalogue)

    @property
    def catalogue(self) -> Catalogue:
        """The catalogue as it is now; for the pipeline's own thread."""
        return self._recorder.catalogue

    # --- for other threads ---

    def hint(self, path: str) -> None:
        """Say that something may have changed at or below `path`; `""` is everything."""
        self._inbox.put(path)

    def submit(self, command: Command) -> Future[int]:
        """Ask for something; the future gives the log's position once it is done, or a `JanfsError`."""
        submitted = Submitted(command)
        self._inbox.put(submitted)
        return submitted.done

    def on_publish(self, listener: Callable[[Snapshot], None]) -> None:
        """Call `listener` in the pipeline's thread whenever there is a new snapshot."""
        self._listeners.append(listener)

    def stop(self) -> None:
        """End `run` once it has done what it was asked before."""
        self._inbox.put(None)

    def run(self) -> None:
        """Tick until stopped."""
        while True:
            found = self._inbox.gather(self._patience())
            self.tick(found.hints, found.commands)
            if found.stopping:
                return

    # --- one tick ---

    def tick(self, hints: Iterable[str] = (), commands: Iterable[Submitted] = ()) -> None:
        """Look, record, plan, act and publish, until there is nothing left to do."""
        commands = list(commands)
        try:
            self._tick(set(hints), commands)
        except LogError as error:
            self._observer.forget()
            self._next_full_look = self._clock.monotonic() + 1.0
            _fail(commands, error)
            self._publish(failing=error.detail)
        except Exception as error:  # noqa: BLE001
            # The thread must outlive a defect: what is served goes on being served, and says what is wrong.
            _log.exception("pipeline-failed", position=self.catalogue.position)
            self._observer.forget()
            self._next_full_look = self._clock.monotonic() + 5.0
            _fail(commands, error)
            self._publish(failing=f"A defect in janfs: {error!r}. The log has the details.")

    def _tick(self, hints: set[str], commands: list[Submitted]) -> None:
        self._finish_plans()
        everything = self._clock.monotonic() >= self._next_full_look or "" in hints
        everything = everything or any(isinstance(item.command, Look) for item in commands)
        self._look(everything, hints)
        for item in commands:
            self._obey(item)
        self._dirty.update(self._backoff.due(self._clock.monotonic()))
        self._work()
        self._publish()
        for item in commands:
            if not item.done.done():
                item.done.set_result(self.catalogue.position)

    def _look(self, everything: bool, hints: set[str]) -> None:
        hints |= set(self._observer.due())
        if everything or len(hints) > MANY_HINTS:
            hints = {""}
        if not hints or not self._root_is_there(hints):
            return
        observation = self._observer.look(self.catalogue, hints)
        self._record(observation.drafts, observation.documents)
        if everything:
            self._caught_up = True
            self._next_full_look = self._clock.monotonic() + FULL_LOOK_EVERY

    def _root_is_there(self, hints: set[str]) -> bool:
        known = self.catalogue.root
        reason = root.why_unavailable(self._fs, self.catalogue.files)
        if reason is not None:
            if known.available:
                self._record([Draft(ROOT_STREAM, e.RootUnavailable(reason), FOLDER)])
            self._next_full_look = self._clock.monotonic() + 1.0
            return False
        if not known.available:
            self._record([Draft(ROOT_STREAM, e.RootReturned(), FOLDER)])
            hints.add("")
        return True

    def _obey(self, item: Submitted) -> None:
        command = item.command
        try:
            if isinstance(command, Record):
                self._record(list(command.drafts))
            elif isinstance(command, Delete):
                self._record(self._actor.plan_delete(self.catalogue, command))
                for event in self._finish_plans():
                    if isinstance(event, e.MoveFailed) and event.reason == "delete":
                        raise FolderError(event.error)
        except LogError:
            raise
        except JanfsError as error:
            item.done.set_exception(error)

    # --- planning and acting ---

    def _work(self) -> None:
        for _ in range(ROUNDS):
            if not self._dirty or not self.catalogue.root.available:
                return
            places = sorted(self._dirty)[:BATCH]
            self._dirty.difference_update(places)
            self._round(places)
            if self._dirty and len(places) == BATCH:
                self._publish()
        raise RuntimeError("planning does not come to an end")

    def _round(self, places: list[str]) -> None:
        now = self._clock.monotonic()
        decisions: list[Draft] = []
        intents: list[Draft] = []
        documents: dict[str, bytes] = {}
        claimed: set[str] = set()
        for place in places:
            retry = self._backoff.is_due(place, now)
            step = planner.next_step(self.catalogue, place, retry=retry)
            if isinstance(step, planner.Decide):
                if self._claims(step, claimed):
                    self._dirty.add(place)
                else:
                    decisions += [Draft(step.uid, event, cause=step.cause) for event in step.events]
                    self._dirty.add(place)
            elif step is not None:
                intents.append(self._actor.intent(step, self.catalogue, documents))
        self._record(decisions)
        self._record(intents, documents)
        self._finish_plans()

    def _claims(self, step: planner.Decide, claimed: set[str]) -> bool:
        """Whether another decision of this round wants the same folder or id; then this one waits."""
        wanted = {
            name
            for event in step.events
            if isinstance(event, e.ModelRegistered | e.ModelRestored)
            for name in (event.folder, event.id)
        }
        if wanted & claimed:
            return True
        claimed |= wanted
        return False

    def _finish_plans(self) -> list[e.Event]:
        """Carry out every plan without an outcome: those just made, and those of before a crash."""
        if not self.catalogue.plans or not self.catalogue.root.available:
            return []
        plans = sorted(self.catalogue.plans.values(), key=lambda plan: plan.position)
        outcomes = [draft for plan in plans for draft in self._actor.carry_out(self.catalogue, plan)]
        self._record(outcomes)
        return [draft.event for draft in outcomes]

    # --- recording and publishing ---

    def _record(self, drafts: list[Draft], documents: dict[str, bytes] | None = None) -> None:
        records, touched = self._recorder.record(drafts, documents)
        for record in records:
            model = self.catalogue.models.get(record.stream)
            name = model.id if model is not None else record.stream
            _log.info(record.type, position=record.position, model=name, actor=record.actor)
        self._index(touched)

    def _index(self, keys: Iterable[Key], *, retry: bool = False) -> None:
        """Note which places want looking at by the planner, and which of them are stuck."""
        paths_touched: list[str] = []
        for kind, name in keys:
            if kind == "file":
                paths_touched.append(name)
                file = self.catalogue.files.get(name)
                self._note_place(paths.place(name), file is not None and file.stuck is not None, retry)
            elif kind == "model":
                model = self.catalogue.models[name]
                self._note_place(model.folder, model.stuck is not None, retry)
        self._observer.index(self.catalogue, paths_touched)

    def _note_place(self, place: str, stuck: bool, retry: bool) -> None:
        self._dirty.add(place)
        self._backoff.note(place, failed=stuck, now=self._clock.monotonic(), at_once=retry)

    def _publish(self, failing: str | None = None) -> None:
        self.snapshot = Snapshot(self.catalogue, self._observer.arrivals, self._caught_up, failing)
        for listener in self._listeners:
            listener(self.snapshot)

    def _patience(self) -> float:
        """Seconds until something is due by itself."""
        due = [self._next_full_look, self._observer.next_due, self._backoff.next_due()]
        return max(0.0, min(at for at in due if at is not None) - self._clock.monotonic())


def start_thread(pipeline: Pipeline) -> threading.Thread:
    """Run a pipeline in a thread of its own."""
    thread = threading.Thread(target=pipeline.run, name="pipeline", daemon=True)
    thread.start()
    return thread


def _every_key(catalogue: Catalogue) -> Iterable[Key]:
    yield from (("file", path) for path in catalogue.files)
    yield from (("model", uid) for uid in catalogue.models)


def _fail(commands: Iterable[Submitted], error: Exception) -> None:
    for item in commands:
        if not item.done.done():
            item.done.set_exception(error)
