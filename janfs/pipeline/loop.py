"""The pipeline: one thread, one queue, one tick at a time."""

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from types import MappingProxyType

import structlog

from janfs.catalogue.catalogue import Catalogue
from janfs.clock import Clock, Ids
from janfs.errors import LogError, PipelineFailed
from janfs.events import types as e
from janfs.folder.filesystem import FileSystem
from janfs.log.store import EventLog
from janfs.pipeline import root
from janfs.pipeline.actor import Actor
from janfs.pipeline.commands import Command, Look, Organise, Submitted
from janfs.pipeline.emptied import Emptied, left_lately
from janfs.pipeline.engine_files import EngineFiles
from janfs.pipeline.inbox import Inbox
from janfs.pipeline.manifests import Manifests
from janfs.pipeline.observer import Observer
from janfs.pipeline.orders import Orders
from janfs.pipeline.organiser import Organiser
from janfs.pipeline.plans import Plans
from janfs.pipeline.recorder import Recorder
from janfs.pipeline.rest import Rest
from janfs.pipeline.snapshot import Snapshot

FULL_LOOK_EVERY = 60.0  # seconds
MANY_HINTS = 64  # more than these are one look at everything
LAST_WORK = 2.0  # seconds of organising after the word to stop
_SOON = 10.0  # seconds; what is due later than this need not be waited for
LATE_HINTS = 3  # times that one look takes up what it is told of while it goes on

_MISSED = (e.FileRemoved, e.JsonRemoved)
_log = structlog.get_logger()


class Pipeline:
    """Owns the log and the folder. Only `submit`, `hint` and `snapshot` are for other threads."""

    def __init__(
        self,
        fs: FileSystem,
        log: EventLog,
        clock: Clock,
        ids: Ids,
        *,
        organise: bool = True,
        engine_files: Mapping[str, bytes] = MappingProxyType({}),
    ) -> None:
        """With `organise` off nothing is moved; models are registered where they lie.

        Of the `engine_files`, texts by path, each is written once for an engine that never had one.
        """
        self._fs = fs
        self._clock = clock
        self._inbox = Inbox(clock)
        self._recorder = Recorder(log)
        self._observer = Observer(fs, clock, ids, self.catalogue)
        self._recorder.on_touched(lambda touched: self._observer.index(self.catalogue, touched))
        self._actor = Actor(fs, log, ids)
        self._work_until: float | None = None
        self._manifests = Manifests(log, ids)
        emptied = Emptied(fs, clock, left_lately(log))
        self._plans = Plans(
            fs,
            self._recorder,
            self._actor,
            clock,
            moved=emptied.note,
            leaving=lambda: self._work_until is not None,
        )
        self._organiser = Organiser(
            self._recorder,
            self._actor,
            clock,
            lambda: self._observer.arrivals,
            lambda: self._observer.taken,
            plans=self._plans,
            publish=self._publish,
            emptied=emptied,
            enough=lambda: self._work_until is not None and clock.monotonic() > self._work_until,
            organise=organise,
        )
        self._orders = Orders(
            fs=fs,
            log=log,
            ids=ids,
            recorder=self._recorder,
            actor=self._actor,
            plans=self._plans,
            organiser=self._organiser,
            look=lambda path: self._look(False, {path}),
            arriving=lambda: self._observer.arrivals,
        )
        self._engine_files = EngineFiles(engine_files, fs, self._recorder, clock, ids)
        self._rest = Rest(log, clock)
        self._next_full_look = clock.monotonic()
        self._listeners: list[Callable[[Snapshot], None]] = []
        self._caught_up = False
        self._failures = 0  # since all could be looked at and recorded; more than a few are not counted
        self.snapshot = Snapshot(self.catalogue)

    @property
    def catalogue(self) -> Catalogue:
        """The catalogue as it is now; for the pipeline's own thread."""
        return self._recorder.catalogue

    def hint(self, path: str) -> None:
        """Say that something may have changed at or below `path`; `""` is everything."""
        self._inbox.hint(path)

    def submit(self, command: Command) -> Future[int]:
        """Ask for something; the future gives the log's position once it is done, or an error.

        Raises `Busy` when too much is waiting already.
        """
        submitted = Submitted(command)
        self._inbox.submit(submitted)
        return submitted.done

    def on_publish(self, listener: Callable[[Snapshot], None]) -> None:
        """Call `listener` in the pipeline's thread whenever there is a new snapshot."""
        self._listeners.append(listener)

    def stop(self) -> None:
        """End `run` once it has done what it was asked before."""
        self.wind_down()
        self._inbox.stop()

    def wind_down(self) -> None:
        """Leave what is not organised soon to the next start."""
        self._work_until = self._clock.monotonic() + LAST_WORK

    def run(self) -> None:
        """Tick until stopped."""
        while True:
            found = self._inbox.gather(min(self._patience(), self._rest.wait))
            self.tick(found.hints, found.commands)
            self._rest.work()
            if found.stopping:
                return

    def settle(self, limit: float, sleep: Callable[[float], None]) -> None:
        """Without a thread of its own: tick until nothing more is due soon, for `limit` seconds at most."""
        until = self._clock.monotonic() + limit
        self.tick()
        while (wait := self._patience()) < _SOON and self._clock.monotonic() < until:
            sleep(min(wait, until - self._clock.monotonic()))
            self.tick()

    def tick(self, hints: Iterable[str] = (), commands: Iterable[Submitted] = ()) -> None:
        """Look, record, plan, act and publish, until there is nothing left to do."""
        commands = list(commands)
        try:
            self._tick(set(hints), commands)
        except LogError as error:
            self._recover(commands, error.detail, error)
        except Exception as error:  # noqa: BLE001 - the thread must outlive a defect
            # What is served goes on being served, and says what is wrong.
            failing = f"A defect in janfs: {error!r}. Its log says more."
            if failing != self.snapshot.failing:
                _log.exception("pipeline-failed", position=self.catalogue.position)
            self._recover(commands, failing)

    def _recover(self, commands: list[Submitted], failing: str, error: LogError | None = None) -> None:
        """Trust nothing noted on the way, and look at everything again; later each time that fails."""
        self._observer.forget()
        self._organiser.doubt()
        delay = min(2.0**self._failures, FULL_LOOK_EVERY)
        self._next_full_look = self._clock.monotonic() + delay
        self._failures = min(self._failures + 1, 10)
        for item in commands:
            item.answer(error or PipelineFailed(retry_after=delay))
        self._publish(failing)

    def _tick(self, hints: set[str], commands: list[Submitted]) -> None:
        self._recorder.log.check_place()
        everything = self._clock.monotonic() >= self._next_full_look or "" in hints
        everything = everything or any(isinstance(item.command, Look | Organise) for item in commands)
        self._plans.take_up({""} if everything else hints)
        looked = self._look(everything, hints)
        self._orders.obey(commands)
        self._caught_up = self._caught_up or (everything and looked)
        if self._caught_up:
            self._engine_files.work(self._plans.finish, self._observer.arrivals)
        self._organiser.work()
        if everything and looked:
            self._failures = 0
        self._publish()
        for item in commands:
            item.answer(self.catalogue.position)

    def _look(self, everything: bool, hints: set[str]) -> bool:
        """Record what is different; whether there was anything to look at, and it could be seen."""
        again, late = True, LATE_HINTS
        while again:
            hints |= set(self._observer.due())
            if everything or len(hints) > MANY_HINTS:
                hints = {""}
            if not hints or not self._root_is_there(hints):
                return False
            observation = self._observer.look(self.catalogue, sorted(hints))
            misses = any(isinstance(each.event, _MISSED) for each in observation.drafts)
            if misses and not self._root_is_there(hints):
                self._observer.forget()  # it went while we looked
                return False
            # What is missing may have been renamed meanwhile, to where nobody looked: look there, too.
            later = self._inbox.later() if misses and late and not observation.look_again else set()
            seen = [each for each in observation.drafts if not (later and isinstance(each.event, _MISSED))]
            seen = [each for each in seen if not self._recorder.is_parked(each)]
            drafts = self._manifests.told(self.catalogue, seen, observation.documents)
            self._recorder.record(drafts, observation.documents)
            self._organiser.seen(drafts)
            self._actor.sweep(observation.temporaries, self.catalogue.plans.values())
            hints, late = hints | later, late - bool(later)
            again = bool(later) or (observation.look_again and bool(drafts))
        if everything:
            self._next_full_look = self._clock.monotonic() + FULL_LOOK_EVERY
        return True

    def _root_is_there(self, hints: set[str]) -> bool:
        before = self.catalogue.root
        if not root.look(self._fs, self._recorder):
            self._next_full_look = self._clock.monotonic() + 1.0
            return False
        if self.catalogue.root.available and not before.available:
            hints.add("")
            self._plans.take_up(hints)
        return True

    def _publish(self, failing: str | None = None) -> None:
        seen = (self._observer.arrivals, self._observer.taken, self._plans.unsettled)
        self.snapshot = Snapshot(self.catalogue, *seen, self._caught_up, failing, self._observer.closed)
        for listener in self._listeners:
            listener(self.snapshot)

    def _patience(self) -> float:
        """Seconds until something is due by itself; while the pipeline fails, a look at everything is."""
        due: list[float | None] = [self._next_full_look]
        if self.snapshot.failing is None:
            due += [self._observer.next_due, self._organiser.next_due]
            due += [self._engine_files.next_due, self._plans.next_due]
        return max(0.0, min(at for at in due if at is not None) - self._clock.monotonic())
