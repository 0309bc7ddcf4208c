"""What a write could not clear up is gone in the end, wherever its folder went; what is a person's is not."""

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from janfs.errors import FolderError
from janfs.folder import paths
from janfs.manifest.patch import Patch
from janfs.pipeline.commands import Edit, Submitted
from tests.fakes.disks import Disks
from tests.fakes.faults import HookedFileSystem, P, T
from tests.pipeline.hands import is_temporary
from tests.pipeline.invariants import check_at_rest
from tests.pipeline.world import World, gguf

OP = "0123456789abcdef" * 2
ALIKE = (f".janfs-{OP[1:]}.tmp", f".janfs-{OP}.tmp.gguf", f".janfs-{OP.upper()}.tmp", ".janfs-notes.tmp")


class Failing:
    """A disk that makes new files, says that it could not, and then removes none."""

    def __init__(self) -> None:
        self.on = False

    def __call__(self, name: str, perform: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        if self.on and name == "unlink":
            raise OSError(errno.EIO, os.strerror(errno.EIO), args[0])
        done = perform(*args, **kwargs)
        if self.on and name == "create":
            raise OSError(errno.EIO, os.strerror(errno.EIO), args[0])
        return done


@pytest.fixture
def failing() -> Failing:
    return Failing()


@pytest.fixture
def disks() -> Disks:
    return Disks()


@pytest.fixture
def world(tmp_path: Path, failing: Failing, disks: Disks) -> Iterator[World]:
    found = World(tmp_path / "log.db", port=lambda fs: HookedFileSystem(HookedFileSystem(fs, disks), failing))
    found.tick()
    found.fs.put("models/a.gguf", gguf("a"))
    found.tick()
    yield found
    found.stop()


def deleted_with_a_leftover(world: World, failing: Failing) -> str:
    """A model.json could not be written, nor the new text be removed; then the model was deleted. Where the
    text lies."""
    failing.on = True
    edit = Submitted(Edit("a", Patch({("name",): "Ours"}), "api:test"))
    world.pipeline.tick([], [edit])
    with pytest.raises(FolderError):
        edit.done.result(0)
    failing.on = False
    world.delete("a").done.result(0)
    [left] = temporaries(world)
    return left


def temporaries(world: World) -> list[str]:
    return [path for path in world.fs.files() if is_temporary(path)]


@pytest.mark.parametrize("mounts", [(), (paths.MODELS,)], ids=["in the root", "on a disk of its own"])
def test_what_went_to_the_trash_with_its_folder_is_cleared_up(
    world: World, failing: Failing, disks: Disks, mounts: tuple[str, ...]
) -> None:
    disks.mounts = list(mounts)
    left = deleted_with_a_leftover(world, failing)
    assert "trash/" in left, "the folder did not go to the trash"
    world.wait(61)
    assert temporaries(world) == []
    assert len(world.fs.files(paths.parent(left))) == 2, "more than what was ours is gone"
    check_at_rest(world)


def test_so_it_is_after_a_restart_and_when_the_disk_was_not_ready(world: World, failing: Failing) -> None:
    left = deleted_with_a_leftover(world, failing)
    failing.on = True
    world.restart()
    assert temporaries(world) == [left]
    failing.on = False
    world.wait(61)
    assert temporaries(world) == []


def test_a_file_that_was_set_aside_gets_its_name_back_in_the_trash(world: World) -> None:
    world.delete("a").done.result(0)
    [trash] = world.fs.list(paths.TRASH)
    lying = f"{paths.TRASH}/{trash}/a.gguf"
    world.fs.rename_over(lying, paths.aside(lying, OP))
    world.restart()
    assert world.fs.read(lying) == gguf("a")


@pytest.mark.parametrize("hint", ["models/a/a.gguf", ""])
def test_a_model_file_that_was_left_aside_is_not_missed_and_gets_its_name_back(
    world: World, hint: str
) -> None:
    path, before = "models/a/a.gguf", world.events()
    world.fs.rename_over(path, paths.aside(path, OP))
    world.tick(hint)
    assert (world.events(), world.fs.read(path)) == (before, gguf("a")), "it was taken for removed"
    check_at_rest(world)


@pytest.mark.parametrize("at", ["models/a", paths.TRASH, f"{paths.TRASH}/mine"])
@pytest.mark.parametrize("name", ALIKE)
def test_what_only_looks_alike_stays(world: World, at: str, name: str) -> None:
    path = paths.join(at, name)
    world.fs.put(path, b"mine")
    for _ in range(2):
        world.restart()
        world.wait(61)
    assert world.fs.read(path) == b"mine"


def test_nothing_behind_a_link_in_the_trash_is_touched(world: World) -> None:
    path = f"/home/user/elsewhere/.janfs-{OP}.tmp"
    world.fs.put(path, b"of another root")
    world.fs.mkdir(paths.TRASH)
    world.fs.symlink(f"{paths.TRASH}/link", "/home/user/elsewhere")
    world.restart()
    world.wait(61)
    assert world.fs.read(path) == b"of another root"
