"""Looking, planning and acting on a fake disk, without a database: cheap enough for many thousand cases."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random

from janfs.catalogue.catalogue import Catalogue, Key
from janfs.catalogue.fold import Recorded, fold
from janfs.events import types as e
from janfs.folder.filesystem import FileSystem
from janfs.log.records import Record
from janfs.log.store import EventLog
from janfs.pipeline.actor import Actor
from janfs.pipeline.emptied import Emptied
from janfs.pipeline.observer import Observer
from janfs.pipeline.organiser import Organiser
from janfs.pipeline.plans import Plans
from janfs.pipeline.recorder import Draft, Recorder
from tests.fakes.clock import FakeClock
from tests.pipeline.hands import INTENTS, OUTCOMES
from tests.pipeline.world import CountedIds

MOST_LOOKS = 12  # until nothing more is found
PAUSE = 6.0  # seconds between two looks: longer than anything waits that is not written any more


class MemoryRecorder(Recorder):
    """Events folded as they come, and kept in a list; documents in a dictionary."""

    def __init__(self, clock: FakeClock) -> None:  # no database: nothing is loaded
        self.catalogue = Catalogue()
        self.events: list[e.Event] = []
        self.drafts: list[Draft] = []
        self.documents: dict[str, bytes] = {}
        self.rounds = 0
        self._clock = clock
        self._listeners: list[Callable[[frozenset[Key]], None]] = []

    def record(self, drafts: Sequence[Draft], documents: Mapping[str, bytes] | None = None) -> list[Record]:
        self.documents |= documents or {}
        position = self.catalogue.position
        at = self._clock.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        items = [Recorded(position + n, draft.stream, at, draft.event) for n, draft in enumerate(drafts, 1)]
        self.catalogue, touched = fold(self.catalogue, items)
        self.events += [item.event for item in items]
        self.drafts += drafts
        for listener in self._listeners:
            listener(touched)
        return []

    def forget_listeners(self) -> None:
        """Their process ended."""
        self._listeners.clear()


class MemoryLog(EventLog):
    """As much of a log as an `Actor` asks for: the texts that are to be written, and who planned what."""

    def __init__(self, recorder: MemoryRecorder) -> None:
        self._recorder = recorder

    def document(self, sha256: str) -> bytes | None:
        return self._recorder.documents.get(sha256)

    def read_hashed(self, after: int = 0, page: int = 1) -> Iterator[tuple[Draft, bytes]]:  # type: ignore[override]
        return ((draft, b"") for draft in self._recorder.drafts[after : after + page])


class ShuffledOrganiser(Organiser):
    """Works on the places of a round in any order, and sometimes not on all of them at once."""

    order: Random | None = None

    def _round(self, places: list[str], retry: set[str], *, last: bool) -> set[str]:
        if self.order is None:
            return super()._round(places, retry, last=last)
        places = self.order.sample(places, len(places))
        size = self.order.choice((1, 2, len(places)))
        late: set[str] = set()
        for start in range(0, len(places), size):
            late |= super()._round(places[start : start + size], retry, last=last)
        return late


class Organisation:
    """What keeps the folder in order, process after process, on one disk and one history."""

    def __init__(self, fs: FileSystem, clock: FakeClock, order: Random | None = None) -> None:
        """With `order` places are worked on in a random order; without, in the product's."""
        self._fs = fs
        self._clock = clock
        self._order = order
        self._ids = CountedIds()
        self.recorder = MemoryRecorder(clock)
        self.start()

    @property
    def catalogue(self) -> Catalogue:
        """What is known now."""
        return self.recorder.catalogue

    def start(self) -> None:
        """Begin as a new process does, knowing no more than the history."""
        recorder = self.recorder
        recorder.forget_listeners()
        self.observer = Observer(self._fs, self._clock, self._ids, recorder.catalogue)
        recorder.on_touched(lambda touched: self.observer.index(recorder.catalogue, touched))
        moved = [event.source for event in recorder.events if isinstance(event, e.MoveCompleted)]
        actor = Actor(self._fs, MemoryLog(recorder), self._ids)
        emptied = Emptied(self._fs, self._clock, moved)
        self.plans = Plans(self._fs, recorder, actor, self._clock, moved=emptied.note)
        self.organiser = ShuffledOrganiser(
            recorder,
            actor,
            self._clock,
            lambda: self.observer.arrivals,
            lambda: self.observer.taken,
            plans=self.plans,
            publish=lambda: None,
            emptied=emptied,
        )
        self.organiser.order = self._order

    def use(self, order: Random | None) -> None:
        """Work on places in a random order from now on, or in the product's."""
        self._order = self.organiser.order = order

    def look(self) -> None:
        """Finish what was planned, and record what is different on disk."""
        self.plans.take_up({""})
        observation = self.observer.look(self.catalogue, [""])
        self.recorder.record(observation.drafts, observation.documents)

    def settle(self) -> int:
        """Look and work until nothing is left to do; how many looks it took. Fails when it does not end."""
        quiet = 0
        for looks in range(1, MOST_LOOKS + 1):
            before = self.catalogue.position
            self._clock.advance(PAUSE)
            self.look()
            self.organiser.work()
            quiet = quiet + 1 if self.catalogue.position == before else 0
            if quiet == 2:  # folders that are empty now go with the second
                return looks
        raise AssertionError(f"after {MOST_LOOKS} looks there is still more: {self.recorder.events[-3:]}")

    def check_plans(self) -> None:
        """Every plan has exactly one outcome."""
        assert not self.catalogue.plans, f"plans without an outcome: {self.catalogue.plans}"
        planned = Counter(event.op for event in self.recorder.events if isinstance(event, INTENTS))
        done = Counter(event.op for event in self.recorder.events if isinstance(event, OUTCOMES))
        assert planned == done, "not every plan has exactly one outcome"
