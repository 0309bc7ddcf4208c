"""Whatever stops a plan, at every call: nothing is lost, and it can be finished."""

import errno

import pytest

from janfs.errors import FolderError, Unseen
from janfs.organise import executor, replacing, sharing
from tests.fakes.faults import Crash, Fault, Faults, HookedFileSystem
from tests.organise.hands import Fake, Make, in_steps, stamp
from tests.organise.plans import CONTENT, JSON, MANIFEST, SOURCE, TARGET, TRASH, WRITE, move_plan


class Scenario:
    """A root as it is before a plan, the plan, and carrying it out."""

    def __init__(self, kind: str, make: Make) -> None:
        self.hands = make()
        self.kind = kind
        match kind:
            case "move":
                self.hands.put(SOURCE, CONTENT)
            case "move a second name":
                self.hands.put(SOURCE, CONTENT)
                self.hands.hard_link(SOURCE, TARGET)
            case "move a link":
                self.hands.put("blobs/1", CONTENT)
                self.hands.symlink(SOURCE, "../blobs/1")
            case "delete":
                self.hands.put(TARGET, CONTENT)
            case "write":
                self.hands.mkdir("models/x")
            case "replace":
                self.hands.put(MANIFEST, CONTENT)
            case "share":
                self.hands.put(SOURCE, CONTENT)
                self.hands.put(TARGET, CONTENT)
                self.copy = stamp(self.hands.port, TARGET)
        self.plan = {"delete": TRASH, "write": WRITE, "replace": WRITE}.get(kind) or move_plan(
            self.hands.port
        )
        if isinstance(self.hands, Fake):  # what was there before is on the disk for good
            for folder in [path for path, what in self.hands.tree().items() if what is None]:
                self.hands.sync_folder(folder)

    def run(self, faults: Faults | None = None) -> object:
        fs = self.hands.port if faults is None else HookedFileSystem(self.hands.port, faults)
        if self.kind == "write":
            return executor.write(fs, self.plan, JSON)
        if self.kind == "replace":
            return replacing.replace(fs, self.plan, JSON, CONTENT)
        if self.kind == "share":
            return sharing.share(fs, self.plan, self.copy)
        return executor.move(fs, self.plan)

    def tree(self) -> dict[str, bytes | str | None]:
        """What is there; of two files that are one, the second says so."""
        found, fs = self.hands.tree(), self.hands.port
        if self.kind == "share" and TARGET in found and stamp(fs, SOURCE) == stamp(fs, TARGET):
            found[TARGET] = "a second name"
        return found


KINDS = ["move", "move a second name", "move a link", "delete", "write", "replace", "share"]


def calls(kind: str, make: Make) -> list[str]:
    faults = Faults()
    Scenario(kind, make).run(faults)
    return [name for name, _ in faults.calls]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("when", ["before", "during", "after"])
def test_after_a_crash_at_any_call_it_is_finished(make: Make, kind: str, when: str) -> None:
    done = Scenario(kind, make)
    done.run()
    for number, name in enumerate(calls(kind, make)):
        stopped = Scenario(kind, make)
        with pytest.raises(Crash):
            stopped.run(Faults({number: Fault(when=when)}))  # type: ignore[arg-type]
        stopped.run()
        assert stopped.tree() == done.tree(), f"{when} call {number}, {name}"
        stopped.run()
        assert stopped.tree() == done.tree(), "a second time must change nothing"


@pytest.mark.parametrize("make", [Fake, in_steps])
@pytest.mark.parametrize("kind", KINDS)
def test_what_was_reported_done_survives_a_power_cut(kind: str, make: Make) -> None:
    """Whether it was done at once, or finished after a crash at any call."""
    done = Scenario(kind, make)
    done.run()
    for number, name in enumerate(["none", *calls(kind, make)]):
        scenario = Scenario(kind, make)
        if number:
            with pytest.raises(Crash):
                scenario.run(Faults({number - 1: Fault(when="after")}))
        scenario.run()
        assert isinstance(scenario.hands, Fake)
        scenario.hands.power_cut()
        assert scenario.tree() == done.tree(), f"crashed after call {number - 1}, {name}"


@pytest.mark.parametrize("make", [Fake, in_steps])
@pytest.mark.parametrize("kind", KINDS)
def test_a_power_cut_at_any_call_loses_nothing_and_it_is_finished(kind: str, make: Make) -> None:
    done = Scenario(kind, make)
    done.run()
    for number, name in enumerate(calls(kind, make)):
        scenario = Scenario(kind, make)
        with pytest.raises(Crash):
            scenario.run(Faults({number: Fault(when="after")}))
        assert isinstance(scenario.hands, Fake)
        scenario.hands.power_cut()
        left = scenario.tree().values()
        assert kind == "write" or CONTENT in left or (kind, JSON) in {("replace", each) for each in left}
        scenario.run()
        assert scenario.tree() == done.tree(), f"cut after call {number}, {name}"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.EACCES, "Permission denied"),
        (errno.EPERM, "not permitted"),
        (errno.EROFS, "read-only"),
        (errno.ENOSPC, "disk is full"),
        (errno.EXDEV, "another disk"),
        (errno.EIO, "Input/output error"),
    ],
)
def test_an_error_at_any_call_is_told_and_undone(make: Make, kind: str, code: int, words: str) -> None:
    done = Scenario(kind, make)
    before = Scenario(kind, make).tree()
    done.run()
    for number, name in enumerate(calls(kind, make)):
        failed = Scenario(kind, make)
        told = "gives no file a second name" if (name, code) == ("link_file", errno.EPERM) else words
        with pytest.raises((FolderError, Unseen), match=told):
            failed.run(Faults({number: Fault(code)}))
        after = failed.tree()
        assert after in (before, done.tree()), f"half done after {code} at call {number}, {name}"
        failed.run()
        assert failed.tree() == done.tree(), f"cannot be tried again after {number}, {name}"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("when", ["before", "after"])
def test_what_could_not_be_looked_at_has_not_been_changed(make: Make, kind: str, when: str) -> None:
    """So that a first try that says so was none: see `_settled`."""
    before = Scenario(kind, make).tree()
    for number, name in enumerate(calls(kind, make)):
        failed = Scenario(kind, make)
        try:
            failed.run(Faults({number: Fault(errno.EIO, when)}))  # type: ignore[arg-type]
        except Unseen:
            assert failed.tree() == before, f"changed, and not seen, at {number}, {name}"
        except FolderError:
            continue


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
def test_a_disk_that_fails_for_good_is_told_and_loses_nothing(make: Make, kind: str, code: int) -> None:
    """From some call on, every call fails: cleaning up fails too, and the first error is the one told."""
    for number, name in enumerate(calls(kind, make)):
        failed = Scenario(kind, make)
        with pytest.raises((FolderError, Unseen)):
            failed.run(Faults({later: Fault(code) for later in range(number, number + 50)}))
        left = failed.tree().values()
        lost = CONTENT not in left and (kind != "replace" or JSON not in left)
        assert kind == "write" or not lost, f"lost at {number}, {name}"
        failed.run()


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_for_a_call_that_was_done_all_the_same_loses_nothing(make: Make, kind: str) -> None:
    """As NFS reports it when an answer got lost and the call is sent twice."""
    done = Scenario(kind, make)
    done.run()
    for number, name in enumerate(calls(kind, make)):
        failed = Scenario(kind, make)
        with pytest.raises((FolderError, Unseen)):
            failed.run(Faults({number: Fault(errno.EIO, "after")}))
        failed.run()
        assert failed.tree() == done.tree(), f"cannot be finished after {number}, {name}"


def test_a_disk_that_is_really_full_or_read_only_is_told() -> None:
    hands = Fake()
    hands.put(SOURCE, CONTENT)
    plan = move_plan(hands.port)
    hands.read_only = True
    before = hands.tree()
    with pytest.raises(FolderError, match=f"{SOURCE} could not become {TARGET}: .*read-only"):
        executor.move(hands, plan)
    with pytest.raises(FolderError, match=f"^{WRITE.target} could not be written: .*read-only"):
        executor.write(hands, WRITE, JSON)
    assert hands.tree() == before
