"""One scenario in a world of its own, with a crash, a power cut or an error at a chosen call."""

import errno
import re
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Literal

import pytest
from sqlalchemy import Engine, event
from sqlalchemy.exc import OperationalError

from janfs.catalogue.entries import Model
from janfs.events import types as e
from janfs.folder import paths
from janfs.pipeline.recorder import replay
from tests.crash.scenarios import Scenario
from tests.fakes.disks import Disks
from tests.fakes.faults import Crash, Fault, Faults, HookedFileSystem, P, T
from tests.pipeline.hands import check_only_janfs_moved, photo
from tests.pipeline.invariants import check_at_rest
from tests.pipeline.world import World

When = Literal["before", "during", "after"]
READS = ("stat", "list", "open", "being_written", "is_mount_point", "has_holes", "read_at", "file_stamp")
DATABASE = ("execute", "commit")
WRITES = (
    "create",
    "make_folder",
    "make_link",
    "link_file",
    "copy_file",
    "exchange",
    "set_aside",
    "rename",
    "unlink",
    "remove_folder",
)


class Unseen(Faults):
    """One call fails, and after it so many of those that look."""

    def __init__(self, number: int, when: When, looks: int) -> None:
        super().__init__({number: Fault(errno.EIO, when)})
        self._number, self._left = number, looks

    def __call__(self, name: str, perform: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        if len(self.calls) > self._number and name in READS and self._left:
            self._left -= 1
            self.plan[len(self.calls)] = Fault(errno.EIO)
        return super().__call__(name, perform, *args, **kwargs)


class Calls:
    """Every call to disk and database while armed, in one count; `faults` says what happens at which."""

    def __init__(self) -> None:
        self.faults = Faults()
        self.armed = False

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.faults.calls]

    def on_disk(self, name: str, perform: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.faults(name, perform, *args, **kwargs) if self.armed else perform(*args, **kwargs)

    def on_database(self, name: str) -> None:
        if not self.armed:
            return
        try:
            self.faults(name, lambda: None)
        except OSError as error:
            raise OperationalError(name, {}, sqlite3.OperationalError("database or disk is full")) from error

    def prepare(self, engine: Engine) -> None:
        """Listen to what the log's writer does; a crash after a commit is one before the next call."""
        event.listen(engine, "before_cursor_execute", lambda *_: self.on_database("execute"))
        event.listen(engine, "commit", lambda *_: self.on_database("commit"))


class Run:
    """One scenario in a world of its own."""

    def __init__(self, scenario: Scenario, database: Path) -> None:
        for path in (database, *database.parent.glob(database.name + "-*")):
            path.unlink(missing_ok=True)
        self.calls = Calls()
        self.disks = Disks(*scenario.mounts)
        self.scenario = scenario
        self.world = World(
            database,
            port=lambda fs: HookedFileSystem(HookedFileSystem(fs, self.disks), self.calls.on_disk),
            prepare=self.calls.prepare,
            exchanges=scenario.exchanges,
        )
        self.world.tick()
        scenario.before(self.world)
        self.untouched = result(self.world)
        self.begun = self.world.log.head.position
        scenario.person(self.world)
        for folder in folders(self.world):  # a power cut takes nothing away that was there before
            self.world.fs.sync_folder(folder)
        self.dropped = photo(self.world.fs)

    def act(self) -> None:
        """Let janfs do what is to be done, and fail where it should."""
        self.calls.armed = True
        try:
            self.scenario.ask(self.world)
        finally:
            self.calls.armed = False

    def check(self, wanted: list[dict[str, object]] | None, what: str) -> None:
        """The world is whole, nothing is lost, and it is as wanted, if only one end is right."""
        self.world.come_to_rest()
        check_at_rest(self.world)
        deleting = self.scenario.optional
        now = photo(self.world.fs)
        check_only_janfs_moved(self.world, self.begun, self.dropped, now, deleting=deleting)
        found = result(self.world)
        if wanted is not None and found not in wanted:
            different = {key for key in found if found[key] != wanted[0][key]}
            pytest.fail(f"{what}: ended with other {different}:\n{found}\nnot\n{wanted}"[:5000])


def result(world: World) -> dict[str, object]:
    """Where a world ended, but for uids, positions and ops."""
    catalogue = world.catalogue
    files = {
        path: (file.link, file.facts, file.refused, file.stuck, file.manifest, file.document)
        for path, file in [*catalogue.files.items(), *catalogue.engine_files.items()]
    }
    models = sorted(repr(_anonymous(model)) for model in catalogue.models.values())
    trash = re.compile(
        rf"((?:{re.escape(paths.TRASH)}|{re.escape(paths.name(paths.NEAR_TRASH))})/.*)-[0-9a-f]{{12}}"
    )
    disk = {trash.sub(r"\1", path): content for path, content in world.fs.files().items()}
    return {"files": files, "models": models, "disk": disk}


def _anonymous(model: Model) -> tuple[object, ...]:
    lost = (model.removed is not None, model.trash is not None)
    return (
        model.id,
        model.folder,
        model.status,
        model.reason,
        model.binary,
        model.aliases,
        model.loose,
        lost,
    )


def folders(world: World) -> list[str]:
    """Every folder below the root, the root first."""
    found = [""]
    for folder in found:
        for name, stat in world.fs.list(folder).items():
            if stat.is_dir and stat.link is None:
                found.append(f"{folder}/{name}" if folder else name)
    return found


def links(world: World) -> list[tuple[str, str | None]]:
    """Every symbolic link, and where it leads."""
    return [
        (f"{folder}/{name}", stat.link)
        for folder in folders(world)
        for name, stat in world.fs.list(folder).items()
        if stat.link is not None
    ]


def without_fault(scenario: Scenario, database: Path) -> tuple[list[str], list[dict[str, object]]]:
    """The calls that a scenario makes, and where it may end."""
    run = Run(scenario, database)
    run.act()
    run.world.come_to_rest()
    ends = [result(run.world), *([run.untouched] if scenario.optional else [])]
    run.world.stop()
    return run.calls.names, ends


def moments(names: list[str]) -> list[tuple[int, When]]:
    """Before and after every call; a call that only reads leaves nothing to come after."""
    found: list[tuple[int, When]] = []
    for number, name in enumerate(names):
        found.append((number, "before"))
        if name in WRITES or name == "sync_folder":
            found.append((number, "after"))
        if name == "create":
            found.append((number, "during"))
    return found


def decisive(names: list[str]) -> list[tuple[int, When]]:
    """The moments between which disk and log differ: a crash at any other is one at the next of these."""
    lasting = (*WRITES, "sync_folder", "commit")
    return [(n, when) for n, when in moments(names) if when != "after" and names[n] in lasting]


def some(found: list[T], most: int) -> list[T]:
    """All of them if they are few, else so many of them, evenly."""
    step = max(1.0, len(found) / most)
    return [found[int(number * step)] for number in range(int(len(found) / step))]


def crashed(scenario: Scenario, database: Path, number: int, when: When, *, power_cut: bool) -> Run:
    """A world whose janfs died at that call, or after the last; a new one is about to start."""
    run = Run(scenario, database)
    run.calls.faults.plan[number] = Fault(when=when)
    with suppress(Crash):
        run.act()
    assert len(run.calls.names) <= number + 1, "the same calls in every run"
    run.world.stop()
    if power_cut:
        run.world.fs.power_cut()
    return run


def check_outcomes_last(run: Run) -> None:
    """What the log says was done is on the disk, even after a power cut."""
    for item in replay(run.world.log, run.begun):
        if isinstance(item.event, e.MoveCompleted):
            assert run.world.fs.stat(item.event.target) is not None, f"not on the disk: {item.event}"
        elif isinstance(item.event, e.JsonWritten):
            assert run.world.fs.stat(item.event.path) is not None, f"not on the disk: {item.event}"
