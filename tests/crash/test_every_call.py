"""A crash, a power cut or an error at every call to disk and database, one after another.

Whatever the call, a new start on the same disk and log ends where it would have ended without.
"""

import errno
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from janfs.errors import FolderError, LogError
from janfs.events import types as e
from janfs.pipeline.recorder import replay
from tests.crash.harness import (
    DATABASE,
    READS,
    WRITES,
    Run,
    Unseen,
    check_outcomes_last,
    crashed,
    decisive,
    folders,
    links,
    moments,
    result,
    some,
    without_fault,
)
from tests.crash.scenarios import SCENARIOS, Scenario
from tests.fakes.faults import Fault
from tests.pipeline.hands import photo

ALL = 100_000
MOST = 16  # moments of a scenario at which `make test` tries an error; `make test-long` tries all


@pytest.fixture(params=SCENARIOS)
def scenario(request: pytest.FixtureRequest) -> Scenario:
    return SCENARIOS[request.param]


def test_after_a_crash_or_a_power_cut_a_new_start_ends_as_if_nothing_had_happened(
    scenario: Scenario, every: bool, tmp_path: Path
) -> None:
    database = tmp_path / "log.db"
    names, ends = without_fault(scenario, database)
    assert "stat" in names
    recovered: set[tuple[object, ...]] = set()
    for number, when in [*(moments if every else decisive)(names), (len(names), "before")]:
        for power_cut in (False, True):
            run = crashed(scenario, database, number, when, power_cut=power_cut)
            run.world.start()
            check_outcomes_last(run)
            # The same disk and the same log recover in the same way.
            head, disk = run.world.log.head, photo(run.world.fs)
            state = (head.hash, *disk.items(), *links(run.world), *folders(run.world))
            if state not in recovered:
                recovered.add(state)
                cut = " and a power cut" if power_cut else ""
                run.check(ends, f"a crash {when} call {number} ({[*names, 'end'][number]}){cut}")
            run.world.stop()
            if not any(name in WRITES for name in names[:number]) and when == "before":
                break  # nothing is written yet that a power cut could take
    assert len(recovered) >= names.count("commit"), "each commit leaves a state of its own"


def heals(scenario: Scenario, database: Path, code_of: Callable[[str], int], most: int) -> None:
    """After an error at any call the pipeline goes on, and once the error is gone all is as it should be."""
    names, ends = without_fault(scenario, database)
    for number, when in some(moments(names), most):
        name = names[number]
        run = Run(scenario, database)
        run.calls.faults.plan[number] = Fault(code_of(name), when)
        with suppress(FolderError, LogError):
            run.act()
        failing = run.world.pipeline.snapshot.failing
        assert failing is None or name in DATABASE, f"{when} call {number} ({name}): {failing}"
        unsure = name in READS and scenario.unseen == "taken for new"
        if name in READS and code_of(name) in (errno.EACCES, errno.ENOENT):
            unsure = unsure or scenario.unseen == "left behind"
        run.check(None if unsure else ends, f"an error {when} call {number} ({name})")
        run.world.stop()


def test_after_an_error_it_goes_on_and_heals(scenario: Scenario, every: bool, tmp_path: Path) -> None:
    most = ALL if every else MOST
    heals(scenario, tmp_path / "log.db", lambda name: errno.EIO if name in READS else errno.ENOSPC, most)


@pytest.mark.long
@pytest.mark.parametrize("code", [errno.EIO, errno.EACCES, errno.EROFS, errno.EDQUOT, errno.ENOENT])
def test_after_any_error_it_goes_on_and_heals(scenario: Scenario, tmp_path: Path, code: int) -> None:
    heals(scenario, tmp_path / "log.db", lambda name: code, ALL)


def test_what_was_done_and_could_not_be_seen_is_told_once_it_can(
    scenario: Scenario, every: bool, tmp_path: Path
) -> None:
    """An error at a change of the disk, or at flushing it, and then at so many looks at what came of it."""
    database = tmp_path / "log.db"
    names, ends = without_fault(scenario, database)
    deeds = [(number, when) for number, when in moments(names) if _is_deed(names[number], when)]
    for number, when in deeds if every else some(deeds, MOST // 4):
        for looks in (1, 2, 3, 5, 9, 30) if every else (1, 6):
            run = Run(scenario, database)
            run.calls.faults = Unseen(number, when, looks)
            with suppress(FolderError, LogError):
                run.act()
            failing = run.world.pipeline.snapshot.failing
            assert failing is None, f"{when} call {number} ({names[number]}), {looks} looks: {failing}"
            unsure = scenario.unseen == "taken for new"
            what = f"an error {when} call {number} ({names[number]}), and at {looks} looks"
            run.check(None if unsure else ends, what)
            run.world.stop()


def _is_deed(name: str, when: str) -> bool:
    """Whether an error there may leave something done: after a change, or before it is flushed."""
    return (name in WRITES and when == "after") or (name == "sync_folder" and when == "before")


@pytest.mark.parametrize("name", [name for name in SCENARIOS if name.startswith("delete")])
def test_a_delete_that_was_begun_is_finished(name: str, every: bool, tmp_path: Path) -> None:
    scenario, database = SCENARIOS[name], tmp_path / "log.db"
    names, (deleted, untouched) = without_fault(scenario, database)
    for number, when in (moments if every else decisive)(names):
        run = crashed(scenario, database, number, when, power_cut=False)
        run.world.start()
        events = [item.event for item in replay(run.world.log)]
        begun = any(isinstance(event, e.MovePlanned) and event.reason == "delete" for event in events)
        run.world.come_to_rest()
        assert result(run.world) == (deleted if begun else untouched), (
            f"{when} call {number} ({names[number]})"
        )
        run.world.stop()
