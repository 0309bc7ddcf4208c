"""One random tree, changed by the person and by us independently, and then brought to rest.

Whatever both did, organising ends, loses no content, overwrites nothing, breaks no link that a person made,
finishes what was planned, has nothing to do when it is done again, and ends alike in whatever order.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from random import Random

import pytest

from janfs.catalogue.catalogue import present_models
from janfs.events import types as e
from janfs.folder import paths
from tests.fakes.clock import FakeClock
from tests.fakes.faults import Crash, Fault, Faults, HookedFileSystem
from tests.fakes.filesystem import FakeFileSystem
from tests.pipeline.hands import Photo, photo
from tests.simulation.organisation import Organisation
from tests.simulation.person import ELSEWHERE, Person, Rearranger
from tests.simulation.seeds import parts, run_seeds

FAT = 2 * 10**9  # ns: the step of its time stamps
MOST_EVENTS = 60  # of ours for each file; a bound that only a defect reaches
EndState = Counter[tuple[object, ...]]


class Case:
    """A tree, what both sides did to it, and what it came to."""

    def __init__(self, seed: int, order: Random | None) -> None:
        """The same seed gives the same tree and the same person, in whatever order we work."""
        clock = FakeClock()
        self.fs = FakeFileSystem(clock, folds=seed % 4 == 1, granularity_ns=(1, FAT)[seed % 3 == 1])
        self.fs.mkdir(paths.MODELS)
        self.fs.put("/home/user/big.gguf", b"")
        self.fs.mkdir(ELSEWHERE)
        self.faults = Faults()
        self.ours = Organisation(HookedFileSystem(self.fs, self.faults), clock, None)
        random = Random(seed)
        self.perturb((Rearranger if seed % 5 == 0 else Person)(self.fs, random), random)
        self.ours.use(order)

    def perturb(self, person: Person, random: Random) -> None:
        for _ in range(random.choice((1, 2, 2, 3, 4))):
            person.drop()
        for _ in range(random.choice((0, 1, 1, 2))):
            self.organise_in_part(random)
            for _ in range(random.choice((0, 1, 2, 3))):
                person.act()
            if random.random() < 0.3:
                with suppress(Crash):  # what is on disk now was not seen yet
                    self.ours.organiser.work()

    def organise_in_part(self, random: Random) -> None:
        """Some of our work; the process may die before, in or after any call."""
        if random.random() < 0.7:
            at = len(self.faults.calls) + random.randrange(120)
            self.faults.plan = {at: Fault(when=random.choice(("before", "during", "after")))}
        with suppress(Crash):
            self.ours.settle()
        self.faults.plan = {}
        self.ours.start()

    def come_to_rest(self) -> None:
        before = self.not_ours()
        links = led_to(self.fs) & {inode for inode, _ in before.values()}
        # A link that was made while a move was under way leads to where its file was.
        links -= {plan.stamp.inode for plan in self.ours.catalogue.plans.values() if plan.stamp is not None}
        position, elsewhere = self.ours.catalogue.position, self.fs.files(ELSEWHERE)
        self.ours.settle()
        assert self.fs.files(ELSEWHERE) == elsewhere, "something was changed behind a linked folder"
        check_nothing_lost(self.fs, self.without_merged(before), photo(self.fs), links)
        self.ours.check_plans()
        most = MOST_EVENTS * (len(self.ours.catalogue.files) + 2)
        assert self.ours.catalogue.position - position < most, "so much for so little"
        self.check_second_run()

    def check_second_run(self) -> None:
        """Neither this process nor the next finds anything to do."""
        before, position = photo(self.fs), self.ours.catalogue.position
        for restart in (False, True):
            stuck = self.is_stuck
            if restart:
                self.ours.start()
            self.ours.settle()
            if restart and (stuck or self.is_stuck):
                return  # a new process tries once more, and may have another place by now
            more = self.ours.recorder.events[position:]
            assert not more, f"{'a restart' if restart else 'a second run'} found more to do: {more}"
            assert photo(self.fs) == before, "a second run changed the disk"

    def not_ours(self) -> Photo:
        """Every file but the model.json that we generated, and may bring up to date."""
        ours = {event.sha256 for event in self.ours.recorder.events if isinstance(event, e.WritePlanned)}
        found = photo(self.fs).items()
        return {path: file for path, file in found if hashlib.sha256(file[1]).hexdigest() not in ours}

    def without_merged(self, files: Photo) -> Photo:
        """The files but the model.json that were brought up to date since, a person's words in them kept."""
        plans = [event for event in self.ours.recorder.events if isinstance(event, e.WritePlanned)]
        merged = {event.replaces for event in plans}
        return {path: f for path, f in files.items() if hashlib.sha256(f[1]).hexdigest() not in merged}

    @property
    def is_stuck(self) -> bool:
        """Whether something could not go where it should, or be written; it is tried again, if rarely."""
        catalogue = self.ours.catalogue
        return any(each.stuck for each in (*catalogue.files.values(), *catalogue.models.values()))

    def end_state(self) -> EndState:
        """What lies together, and what is made of it; names that we chose are left out, for two models may
        want the same one."""
        catalogue = self.ours.catalogue
        by_folder: dict[str, list[tuple[object, ...]]] = {}
        for path, file in catalogue.files.items():
            if file.base is not None and file.base == file.document:
                what: object = "written by us"
            elif file.refused is not None:
                what = file.refused.code
            else:
                what = hashlib.sha256(self.fs.read(path)).hexdigest()
            item = (paths.name(path), what, file.link is not None, file.stuck is not None)
            by_folder.setdefault(paths.parent(path), []).append(item)
        models = {model.folder: model for model in present_models(catalogue)}
        state: EndState = Counter()
        for folder in by_folder.keys() | models.keys():
            model = models.get(folder)
            kind = None if model is None else (model.status, paths.name(model.binary or ""))
            nested = paths.parent(folder) if folder != paths.MODELS else ""
            state[nested, kind, tuple(sorted(by_folder.get(folder, []), key=str))] += 1
        return state


def led_to(fs: FakeFileSystem) -> set[int]:
    """The inodes that links below `models/` lead to."""
    found = set()
    for path in Person(fs, Random(0)).files():
        stat = fs.stat(path)
        if stat is not None and stat.link is not None and stat.stamp is not None:
            found.add(stat.stamp.inode)
    return found


def check_nothing_lost(
    fs: FakeFileSystem,
    before: Photo,
    after: Photo,
    links: set[int],
) -> None:
    """Every file is there with its content, under some name, and every link still leads to it."""
    kept = set(after.values())
    lost = {path for path, file in before.items() if not is_temporary(path) and file not in kept}
    assert not lost, f"lost or overwritten: {sorted(lost)}"
    broken = links - led_to(fs)
    ends = [path for path, (inode, _) in before.items() if inode in broken]
    assert not broken, f"links lead nowhere now that led to {ends}"


def is_temporary(path: str) -> bool:
    return paths.name(path).startswith(paths.TEMP_PREFIX)


def check(seed: int) -> None:
    plain = Case(seed, None)
    plain.come_to_rest()
    shuffled = Case(seed, Random(~seed))
    shuffled.come_to_rest()
    if plain.is_stuck or shuffled.is_stuck:
        return  # of two files of one name that go to one model, the first gets there
    one, other = plain.end_state(), shuffled.end_state()
    assert one == other, f"the order makes a difference: {difference(one, other)}"


def difference(one: EndState, other: EndState) -> str:
    def lines(state: EndState) -> Iterable[str]:
        return (f"\n  {item}" for item in sorted(state.elements(), key=str))

    return f"in ours{''.join(lines(one - other))}\n in another{''.join(lines(other - one))}"


@pytest.mark.parametrize("seeds", parts(range(2_000), 50), ids=str)  # a file of few tests is begun last
def test_a_tree_changed_from_both_sides_comes_to_rest_in_any_order(seeds: range) -> None:
    run_seeds(check, seeds)


@pytest.mark.long
def test_many_trees_changed_from_both_sides_come_to_rest_in_any_order() -> None:
    run_seeds(check, range(2_000, 102_000))
