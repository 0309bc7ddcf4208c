"""A crash, a power cut or an error at every call to disk and database, one after another.

Whatever the call, a new start on the same disk and log ends where it would have ended without.
"""

import errno
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Literal

import pytest
from msgspec import Struct
from sqlalchemy import Engine, event
from sqlalchemy.exc import OperationalError

from janfs.catalogue.entries import Model
from janfs.errors import FolderError, LogError
from janfs.events import types as e
from janfs.folder import paths
from janfs.pipeline.commands import Compared, Dedupe, Record, Submitted
from janfs.pipeline.recorder import Draft, replay
from tests.fakes.faults import Crash, Fault, Faults, HookedFileSystem, P, T
from tests.folder import gguf_bytes as make
from tests.pipeline.invariants import check_at_rest, check_only_janfs_moved, photo
from tests.pipeline.world import World, gguf

When = Literal["before", "during", "after"]
READS = ("stat", "list", "open", "being_written", "has_holes", "read_at", "file_stamp")
DATABASE = ("execute", "commit")
WRITES = (
    "create",
    "make_folder",
    "make_link",
    "link_file",
    "copy_file",
    "exchange",
    "rename",
    "unlink",
    "remove_folder",
)


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


class Scenario(Struct, frozen=True):
    """What was there before, what the person does, and what janfs is then asked for."""

    before: Callable[[World], None]
    person: Callable[[World], None]
    ask: Callable[[World], object] = lambda world: world.tick()
    optional: bool = False  # a request that was not answered may not have been carried out


def nothing(_: World) -> None:
    pass


def one_model(world: World) -> None:
    world.fs.put("models/a.gguf", gguf("a"))
    world.tick()
    world.clock.advance(1)


def drop_loose(world: World) -> None:
    world.fs.put("models/A b.gguf", gguf("a"))


def drop_folder(world: World) -> None:
    world.fs.put("models/nest/Mine/weights.gguf", gguf("a"))
    world.fs.put("models/nest/Mine/README.md", b"read me")


def drop_link(world: World) -> None:
    world.fs.put("/home/user/hub/blob", gguf("a"))
    world.fs.symlink("models/a.gguf", "../../hub/blob")


def drop_second(world: World) -> None:
    world.fs.put("models/a.gguf", gguf("another"))


def edit(world: World) -> None:
    world.fs.put("models/a/model.json", b'// mine\n{"name": "Mine"}')


def rename(world: World) -> None:
    world.fs.rename_over("models/a", "models/b")


def drop_shards(world: World) -> None:
    for number in (2, 1):
        extra = {"split__no": make.uint32(number - 1), "split__count": make.uint32(2)}
        world.fs.put(f"models/s-{number:05d}-of-00002.gguf", gguf("s", **extra))


def drop_quantisations(world: World) -> None:
    for quantisation in ("Q4_0", "Q8_0"):
        world.fs.put(f"models/Story/story-{quantisation}.gguf", gguf(quantisation))
    world.fs.put("models/Story/LICENSE", b"yours")


def drop_projector(world: World) -> None:
    values = {"general__type": make.text("mmproj"), "clip__projector_type": make.text("mlp")}
    world.fs.put("models/mmproj.gguf", gguf("eyes", **values))
    world.fs.put("models/a/model.json", b'{"engine_parameters": {"mmproj": "mmproj.gguf"}}')


def two_alike(world: World) -> None:
    """The models a and b with the same content, known to be the same."""
    for name in "ab":
        world.fs.put(f"models/{name}.gguf", gguf("same"))
        world.tick()
        world.clock.advance(1)
        file = world.file(f"models/{name}/{name}.gguf")
        hashed = e.FileHashed(file.path, file.stamp, "5a" * 32, "computed")
        world.pipeline.tick([], [Submitted(Record((Draft(file.uid, hashed),)))])


def share(world: World) -> None:
    copy, original = world.file("models/b/b.gguf"), world.file("models/a/a.gguf")
    pair = Compared(copy.path, copy.stamp, original.path, original.stamp)
    submitted = Submitted(Dedupe((pair,), "api:test"))
    world.pipeline.tick([], [submitted])
    submitted.done.result(0)


SCENARIOS = {
    "drop": Scenario(nothing, drop_loose),
    "drop a folder": Scenario(nothing, drop_folder),
    "drop a relative link": Scenario(nothing, drop_link),
    "drop the same name again": Scenario(one_model, drop_second),
    "edit model.json": Scenario(one_model, edit),
    "rename the folder": Scenario(one_model, rename),
    "drop shards": Scenario(nothing, drop_shards),
    "drop a folder of quantisations": Scenario(nothing, drop_quantisations),
    "drop a projector that is named": Scenario(one_model, drop_projector),
    "let a copy share": Scenario(two_alike, nothing, share, optional=True),
    "delete": Scenario(one_model, nothing, lambda world: world.delete("a").done.result(0), optional=True),
}


class Run:
    """One scenario in a world of its own."""

    def __init__(self, scenario: Scenario, database: Path) -> None:
        for path in (database, *database.parent.glob(database.name + "-*")):
            path.unlink(missing_ok=True)
        self.calls = Calls()
        self.scenario = scenario
        self.world = World(
            database,
            port=lambda fs: HookedFileSystem(fs, self.calls.on_disk),
            prepare=self.calls.prepare,
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
        check_only_janfs_moved(self.world, self.dropped, photo(self.world.fs), deleting=deleting)
        found = result(self.world)
        if wanted is not None and found not in wanted:
            different = {key for key in found if found[key] != wanted[0][key]}
            pytest.fail(f"{what}: ended with other {different}:\n{found}\nnot\n{wanted}"[:5000])


def result(world: World) -> dict[str, object]:
    """Where a world ended, but for uids, positions and ops."""
    catalogue = world.catalogue
    files = {
        path: (file.link, file.facts, file.refused, file.stuck, file.manifest, file.document)
        for path, file in catalogue.files.items()
    }
    models = sorted(repr(_anonymous(model)) for model in catalogue.models.values())
    trash = re.compile(rf"({re.escape(paths.TRASH)}/.*)-[0-9a-f]{{12}}")
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


@pytest.fixture(params=SCENARIOS)
def scenario(request: pytest.FixtureRequest) -> Scenario:
    return SCENARIOS[request.param]


def without_fault(scenario: Scenario, database: Path) -> tuple[list[str], list[dict[str, object]]]:
    """The calls that a scenario makes, and where it may end."""
    run = Run(scenario, database)
    run.act()
    run.world.come_to_rest()
    ends = [result(run.world), *([run.untouched] if scenario.optional else [])]
    run.world.stop()
    return run.calls.names, ends


def moments(names: list[str]) -> Iterator[tuple[int, When]]:
    """Before and after every call; a crash after one that only reads is one before the next."""
    for number, name in enumerate(names):
        yield number, "before"
        if name in WRITES or name == "sync_folder":
            yield number, "after"
        if name == "create":
            yield number, "during"


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


def test_after_a_crash_or_a_power_cut_a_new_start_ends_as_if_nothing_had_happened(
    scenario: Scenario, tmp_path: Path
) -> None:
    database = tmp_path / "log.db"
    names, ends = without_fault(scenario, database)
    assert {"commit", "stat"} <= set(names)
    recovered: set[tuple[object, ...]] = set()
    for number, when in [*moments(names), (len(names), "before")]:
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


def check_outcomes_last(run: Run) -> None:
    """What the log says was done is on the disk, even after a power cut."""
    for item in replay(run.world.log, run.begun):
        if isinstance(item.event, e.MoveCompleted):
            assert run.world.fs.stat(item.event.target) is not None, f"not on the disk: {item.event}"
        elif isinstance(item.event, e.JsonWritten):
            assert run.world.fs.stat(item.event.path) is not None, f"not on the disk: {item.event}"


def heals(scenario: Scenario, database: Path, code_of: Callable[[str], int]) -> None:
    """After an error at any call the pipeline goes on, and once the error is gone all is as it should be."""
    names, ends = without_fault(scenario, database)
    for number, when in moments(names):
        name = names[number]
        run = Run(scenario, database)
        run.calls.faults.plan[number] = Fault(code_of(name), when)
        with suppress(FolderError, LogError):
            run.act()
        failing = run.world.pipeline.snapshot.failing
        assert failing is None or name in DATABASE, f"{when} call {number} ({name}): {failing}"
        # Where a place cannot be seen, what was moved from it is taken for something new.
        unsure = scenario.person is rename and name in READS
        # One file that cannot be read for a moment does not keep the others of its folder waiting.
        unreadable = name in READS and code_of(name) in (errno.EACCES, errno.ENOENT)
        unsure = unsure or (unreadable and scenario.person in (drop_folder, drop_quantisations))
        run.check(None if unsure else ends, f"an error {when} call {number} ({name})")
        run.world.stop()


def test_after_an_error_it_goes_on_and_heals(scenario: Scenario, tmp_path: Path) -> None:
    heals(scenario, tmp_path / "log.db", lambda name: errno.EIO if name in READS else errno.ENOSPC)


@pytest.mark.long
@pytest.mark.parametrize("code", [errno.EIO, errno.EACCES, errno.EROFS, errno.EDQUOT, errno.ENOENT])
def test_after_any_error_it_goes_on_and_heals(scenario: Scenario, tmp_path: Path, code: int) -> None:
    heals(scenario, tmp_path / "log.db", lambda name: code)


def test_a_delete_that_was_begun_is_finished(tmp_path: Path) -> None:
    scenario, database = SCENARIOS["delete"], tmp_path / "log.db"
    names, (deleted, untouched) = without_fault(scenario, database)
    for number, when in moments(names):
        run = crashed(scenario, database, number, when, power_cut=False)
        run.world.start()
        events = [item.event for item in replay(run.world.log)]
        begun = any(isinstance(event, e.MovePlanned) and event.reason == "delete" for event in events)
        run.world.come_to_rest()
        assert result(run.world) == (deleted if begun else untouched), (
            f"{when} call {number} ({names[number]})"
        )
        run.world.stop()
