"""A folder that is away is not a folder that was emptied."""

import errno
import json
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

import pytest

from janfs.availability import availability_of
from janfs.folder import paths
from janfs.listing import ModelList
from janfs.pipeline.root import MARKER, why_unavailable
from janfs.views import stopped
from tests.fakes.faults import Fault, Faults, HookedFileSystem
from tests.fakes.filesystem import FakeFileSystem
from tests.pipeline.world import World, gguf

P = ParamSpec("P")
T = TypeVar("T")


@pytest.fixture
def filled(world: World) -> World:
    for name in ("a", "b"):
        world.fs.put(f"models/{name}.gguf", gguf(name))
    world.tick()
    return world


@pytest.mark.parametrize("mount_point", [True, False], ids=["empty", "absent"])
def test_an_unmounted_folder_takes_no_model_away(filled: World, mount_point: bool) -> None:
    models, position = dict(filled.catalogue.models), filled.log.head.position
    filled.fs.rename_over("models", "/away")
    if mount_point:
        filled.fs.mkdir("models")
    filled.wait(120)
    assert filled.catalogue.root.reason
    assert dict(filled.catalogue.models) == models
    filled.restart()
    assert dict(filled.catalogue.models) == models
    if mount_point:
        filled.fs.remove_tree("models")
    filled.fs.rename_over("/away", "models")
    filled.hints.clear()
    filled.wait(2)
    assert filled.catalogue.root.available, "found by itself within a second"
    assert dict(filled.catalogue.models) == models
    assert filled.events(position) == ["root-unavailable", "root-returned"]


@pytest.mark.parametrize("mount_point", [True, False], ids=["empty", "absent"])
def test_a_folder_that_goes_while_we_look_takes_no_model_away(tmp_path: Path, mount_point: bool) -> None:
    class Going(Faults):
        """It is unmounted between the look at its marker and the look at what is in it."""

        going = False

        def __call__(self, name, perform, /, *args, **kwargs):  # type: ignore[no-untyped-def]
            if self.going and name == "list":
                self.going = False
                world.fs.rename_over("models", "/away")
                if mount_point:
                    world.fs.mkdir("models")
            return super().__call__(name, perform, *args, **kwargs)

    going = Going()
    world = World(tmp_path / "log.db", port=lambda fs: HookedFileSystem(fs, going))
    world.fs.put("models/a.gguf", gguf("a"))
    world.tick()
    position = world.log.head.position
    going.going = True
    world.tick("")
    assert not going.going, "it never looked"
    assert world.events(position) == ["root-unavailable"]
    if mount_point:
        world.fs.remove_tree("models")
    world.fs.rename_over("/away", "models")
    world.wait(2)
    assert world.events(position) == ["root-unavailable", "root-returned"]
    assert world.model("a").status == "ready"
    world.stop()


def test_a_folder_that_nobody_may_look_into_takes_no_model_away_and_serves_none(tmp_path: Path) -> None:
    closed = False

    def hook(name: str, perform: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        path = str(args[0]) if args else ""
        if closed and (path.startswith("models/") or (name == "list" and path == "models")):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return perform(*args, **kwargs)

    world = World(tmp_path / "log.db", port=lambda fs: HookedFileSystem(fs, hook))
    world.fs.put("models/a.gguf", gguf("a"))
    world.come_to_rest()
    position = world.log.head.position
    closed = True
    world.wait(120)
    now = availability_of(world.pipeline.snapshot, world.model("a"))
    assert (now.status, now.reason) == ("root-unavailable", "models/ cannot be read: Permission denied.")
    closed = False
    world.wait(2)
    assert availability_of(world.pipeline.snapshot, world.model("a")).status == "ready"
    assert world.events(position) == ["root-unavailable", "root-returned"]
    world.stop()


@pytest.mark.parametrize("restart", [False, True])
def test_one_folder_that_nobody_may_look_into_keeps_its_models_and_serves_none(
    tmp_path: Path, restart: bool
) -> None:
    closed: tuple[str, ...] = ("models/new", "models/deep/down", "models/lost+found")

    def hook(name: str, perform: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        path = str(args[0]) if args else ""
        if any(path.startswith(f"{each}/") or (name == "list" and path == each) for each in closed):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return perform(*args, **kwargs)

    def listed() -> dict[str, tuple[str, str | None]]:
        told = json.loads(ModelList().encode(world.pipeline.snapshot, stopped))["data"]
        return {each["id"]: (each["status"], each.get("reason")) for each in told}

    def shut(folder: str) -> tuple[str, str]:
        words = "Let the user that runs janfs read and enter it; nothing in it is forgotten meanwhile."
        return "invalid", f"{folder} cannot be looked into: Permission denied. {words}"

    world = World(tmp_path / "log.db", port=lambda fs: HookedFileSystem(fs, hook))
    for path in ("models/a.gguf", "models/b.gguf", "models/new/c.gguf", "models/deep/down/d.gguf"):
        world.fs.put(path, gguf(path))
    world.fs.mkdir("models/lost+found")
    world.come_to_rest()
    ready, position = ("ready", None), world.log.head.position
    new, down = shut("models/new"), shut("models/deep/down")
    assert listed() == {"a": ready, "b": ready, "down": down, "new": new}, "what nobody may see is listed"
    closed = (*closed, "models/a")
    if restart:
        world.restart()
    world.tick("models/a")
    assert listed() == {"a": shut("models/a"), "b": ready, "down": down, "new": new}
    assert availability_of(world.pipeline.snapshot, world.model("a")).status == "invalid"
    world.wait(120)
    assert not world.events(position), "nothing is concluded from what cannot be seen"
    closed = ("models/lost+found",)
    world.tick("models/a")
    assert listed()["a"] == ready
    world.wait(61)
    assert set(listed().values()) == {ready}
    assert set(listed()) == {"a", "b", "new", "d"}
    world.stop()


def test_what_changed_while_it_was_away_is_found_when_it_returns(filled: World) -> None:
    filled.fs.rename_over("models", "/away")
    filled.tick("")
    filled.fs.remove_tree("/away/a")
    filled.fs.put("/away/c.gguf", gguf("c"))
    filled.fs.rename_over("/away", "models")
    filled.wait(2)
    assert set(filled.catalogue.ids) == {"b", "c"}


def test_a_folder_that_was_emptied_by_hand_is_empty(filled: World) -> None:
    for name in ("a", "b"):
        filled.fs.remove_tree(f"models/{name}")
    filled.tick()
    assert filled.catalogue.root.available
    assert not filled.catalogue.ids


def test_a_folder_without_its_marker_is_believed_once_someone_says_so(filled: World) -> None:
    for name in ("a", "b"):
        filled.fs.remove_tree(f"models/{name}")
    filled.fs.remove(MARKER)
    filled.tick()
    assert filled.catalogue.root.reason is not None
    assert MARKER in filled.catalogue.root.reason
    assert set(filled.catalogue.ids) == {"a", "b"}
    filled.fs.put(MARKER, b"")
    filled.wait(2)
    assert not filled.catalogue.ids


def test_a_marker_that_went_astray_is_put_back(filled: World) -> None:
    filled.fs.remove(MARKER)
    filled.wait(61)
    assert filled.catalogue.root.available
    assert filled.fs.stat(MARKER) is not None


def test_a_folder_that_may_only_be_read_needs_no_marker(world: World) -> None:
    world.fs.remove(MARKER)
    world.fs.read_only = True
    world.fs.put("models/a/a.gguf", gguf("a"))
    world.fs.put("models/a/model.json", b"{}")
    world.wait(61)
    assert world.catalogue.root.available
    assert world.model("a").status == "ready"


def test_the_marker_appears_whole_or_not_at_all() -> None:
    fs, full = FakeFileSystem(), Faults()
    fs.mkdir(paths.MODELS)
    full.plan[3] = Fault(errno.ENOSPC, "during")  # the first three only look
    for _ in range(2):
        assert why_unavailable(HookedFileSystem(fs, full), ()) is None
    assert full.calls[3][0] == "create"
    assert fs.read(MARKER).endswith(b"Leave it in place.\n")
    assert list(fs.list(paths.MODELS)) == [paths.name(MARKER)]


def test_a_disk_that_cannot_rename_without_overwriting_gets_its_marker_and_nothing_else() -> None:
    def hook(name: str, perform: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        if name == "rename":
            raise OSError(errno.EOPNOTSUPP, "Operation not supported")
        return perform(*args, **kwargs)

    fs = FakeFileSystem()
    fs.mkdir(paths.MODELS)
    assert why_unavailable(HookedFileSystem(fs, hook), ()) is None
    assert list(fs.list(paths.MODELS)) == [paths.name(MARKER)]


def test_a_folder_without_a_marker_that_holds_what_is_known_in_another_spelling_is_there() -> None:
    fs = FakeFileSystem(folds=True)
    fs.put("models/STORY/story.gguf", gguf("one"))
    assert why_unavailable(fs, ["models/gone.gguf", "models/story/story.gguf"]) is None
    fs.remove(MARKER)
    assert why_unavailable(fs, ["models/gone.gguf"]) is not None


def test_an_empty_folder_is_not_asked_for_every_file_that_should_be_there() -> None:
    fs, calls = FakeFileSystem(), Faults()
    fs.mkdir(paths.MODELS)
    known = [f"models/{number}.gguf" for number in range(1000)]
    assert why_unavailable(HookedFileSystem(fs, calls), known) is not None
    assert len(calls.calls) < 10, "an unmounted disk is asked once a second"


def test_why_nothing_can_be_seen_is_said_as_it_is_now(filled: World) -> None:
    filled.fs.rename_over("models", "/away")
    filled.tick("")
    assert filled.catalogue.root.reason == "The folder models/ is not there."
    filled.fs.put("models/new.gguf", gguf("new"))
    filled.wait(120)
    assert "as when its disk is not mounted" in str(filled.catalogue.root.reason)
    assert f"create the file {MARKER}" in str(filled.catalogue.root.reason)
    assert filled.events().count("root-unavailable") == 2, "it is said once for each reason"


def test_without_its_log_nothing_is_done_until_that_is_back(world: World, tmp_path: Path) -> None:
    world.fs.put("models/a.gguf", gguf("a"))
    world.tick()
    [database] = tmp_path.glob("*.db")
    database.rename(tmp_path / "aside")
    world.wait(61)
    assert "Put it back" in str(world.pipeline.snapshot.failing), "it is not noticed while nothing happens"
    world.fs.put("models/b.gguf", gguf("b"))
    world.wait(5)
    assert world.fs.stat("models/b.gguf") is not None, "it was moved, and nobody would know why"
    assert world.model("a").status == "ready"
    (tmp_path / "aside").rename(database)
    world.wait(61)
    assert world.pipeline.snapshot.failing is None
    assert world.model("b").binary == "models/b/b.gguf"
