"""A root on more than one disk."""

import errno
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from janfs.catalogue.catalogue import present_models
from janfs.errors import CannotRevert, FolderError
from janfs.events import types as e
from janfs.folder import paths
from janfs.organise.disk import OTHER_DISK
from janfs.pipeline import trash
from janfs.pipeline.commands import Compared, Dedupe, Delete, Pair, Record, Revert, Submitted
from janfs.pipeline.recorder import Draft
from tests.fakes.disks import Disks
from tests.fakes.faults import HookedFileSystem, P, T
from tests.folder import gguf_bytes as make
from tests.pipeline.invariants import check_at_rest, check_files, check_log
from tests.pipeline.world import CountedIds, World, gguf


@pytest.fixture
def disks() -> Disks:
    return Disks()


@pytest.fixture
def world(tmp_path: Path, disks: Disks) -> Iterator[World]:
    found = World(tmp_path / "log.db", port=lambda fs: HookedFileSystem(fs, disks))
    found.tick()
    yield found
    found.stop()


def test_what_is_deleted_goes_to_a_trash_on_its_own_disk(world: World, disks: Disks) -> None:
    disks.mounts = [paths.MODELS]
    world.fs.put("models/a.gguf", gguf("a"))
    world.tick()
    world.delete("a").done.result(0)
    [trash] = world.fs.list(paths.NEAR_TRASH)
    assert world.fs.read(f"{paths.NEAR_TRASH}/{trash}/a.gguf") == gguf("a")
    deleted = next(record for record in world.records() if record.type == "model-deleted")
    assert f"{paths.NEAR_TRASH}/{trash}" in deleted.data, "the log does not say where it is"
    world.come_to_rest()
    check_at_rest(world)
    assert list(world.catalogue.ids) == []


def test_a_delete_that_died_after_the_move_is_finished(world: World, disks: Disks) -> None:
    disks.mounts = [paths.MODELS]
    world.fs.put("models/a.gguf", gguf("a"))
    world.tick()
    plans = trash.plan_delete(world.fs, CountedIds(), world.catalogue, Delete("a", "api:test"))
    world.pipeline._recorder.record(plans)
    [plan] = world.catalogue.plans.values()
    world.fs.mkdir(paths.NEAR_TRASH)
    world.fs.rename_over("models/a", paths.NEAR_TRASH + plan.target.removeprefix(paths.TRASH))
    world.restart()
    assert world.events()[-1] == "model-deleted"
    assert list(world.catalogue.ids) == []


ON_A_MOUNTED_DISK = {
    "in a folder of its own": ["models/usb/deep/story.gguf", "models/usb/deep/model.json"],
    "at its top": ["models/usb/story.gguf"],
    "in a tree": ["models/usb/deep/er/story.gguf"],
}


@pytest.mark.parametrize("files", ON_A_MOUNTED_DISK.values(), ids=ON_A_MOUNTED_DISK)
def test_a_model_on_a_disk_inside_goes_to_a_trash_there_and_comes_back(
    world: World, disks: Disks, files: list[str]
) -> None:
    disks.mounts = ["models/usb"]
    for path in files:
        world.fs.put(path, gguf("story") if path.endswith(".gguf") else b'{"name": "Mine"}')
    world.fs.put("models/usb/photo.jpg", b"mine")
    world.come_to_rest()
    [model] = present_models(world.catalogue)
    before, then = world.fs.files(), world.catalogue.position
    world.delete(model.id).done.result(0)
    in_trash = {path: what for path, what in world.fs.files().items() if ".janfs-trash/" in path}
    assert list(world.catalogue.ids) == []
    assert gguf("story") in in_trash.values()
    assert all(path.startswith("models/usb/.janfs-trash/") for path in in_trash), "it left its disk"
    world.come_to_rest()
    check_at_rest(world)
    assert world.fs.read("models/usb/photo.jpg") == b"mine"
    revert(world, model.uid, then)
    world.come_to_rest()
    assert world.fs.files() == before
    back = world.model(model.id)
    assert (back.uid, back.status, back.binary) == (model.uid, "ready", model.binary)
    check_log(world)
    check_files(world)


def test_a_model_with_files_on_two_disks_goes_to_two_trashes_and_comes_back(
    world: World, disks: Disks
) -> None:
    disks.mounts = ["models/usb"]
    eyes = gguf("eyes", general__type=make.text("mmproj"), clip__projector_type=make.text("mlp"))
    world.fs.put("models/a.gguf", gguf("a"))
    world.fs.put("models/usb/deep/mmproj.gguf", eyes)
    world.come_to_rest()
    world.pipeline.tick([], [Submitted(Pair("mmproj.gguf", "a", "api:test"))])
    world.come_to_rest()
    model = world.model("a")
    before, then = world.fs.files(), world.catalogue.position
    assert world.file("models/usb/deep/mmproj.gguf").uid == model.uid
    world.delete(model.id).done.result(0)
    assert len(world.fs.list(paths.TRASH)) == len(world.fs.list("models/usb/.janfs-trash")) == 1
    revert(world, model.uid, then)
    world.come_to_rest()
    assert world.fs.files() == before
    back = world.model(model.id)
    assert (back.uid, back.folder, back.status) == (model.uid, model.folder, "ready")
    assert world.file("models/usb/deep/mmproj.gguf").uid == model.uid


def test_what_cannot_be_put_back_to_where_it_lay_is_said(world: World, disks: Disks) -> None:
    disks.mounts = ["models/usb"]
    world.fs.put("models/usb/story.gguf", gguf("story"))
    world.come_to_rest()
    model, then = world.model("usb"), world.catalogue.position
    world.delete("usb").done.result(0)
    world.fs.mkdir("models/usb/story.gguf")
    with pytest.raises(CannotRevert, match="something else is there now"):
        revert(world, model.uid, then)
    world.fs.remove_tree("models/usb/.janfs-trash")
    with pytest.raises(CannotRevert, match="no longer in the trash"):
        revert(world, model.uid, then)


def test_a_delete_that_could_be_done_in_part_only_is_not_said_to_be_done(world: World, disks: Disks) -> None:
    disks.mounts = ["models/usb"]
    for name, content in shards():
        world.fs.put(f"models/usb/{name}", content)
    world.come_to_rest()
    [model] = present_models(world.catalogue)
    disks.mounts = ["models/usb", "models/usb/.janfs-trash"]  # and so nothing can be moved there
    with pytest.raises(FolderError):
        world.delete(model.id).done.result(0)
    world.come_to_rest()
    assert world.model(model.id).status == "ready"
    assert "model-deleted" not in world.events()


@pytest.mark.parametrize("again", [False, True], ids=["reverted at once", "deleted then"])
@pytest.mark.parametrize("kept", ["story.gguf", "model.json"])
def test_what_a_delete_took_that_was_not_finished_comes_back(tmp_path: Path, kept: str, again: bool) -> None:
    disks, refusing = Disks("models/usb"), True

    def hook(name: str, perform: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        if refusing and name == "rename" and args[0] == f"models/usb/{kept}":
            raise OSError(errno.EIO, "Input/output error")
        return perform(*args, **kwargs)

    world = World(tmp_path / "other.db", port=lambda fs: HookedFileSystem(HookedFileSystem(fs, disks), hook))
    world.tick()
    world.fs.put("models/usb/story.gguf", gguf("story"))
    world.come_to_rest()
    model, then, before = world.model("usb"), world.catalogue.position, in_view(world)
    with pytest.raises(FolderError):
        world.delete("usb").done.result(0)
    assert any("/.janfs-trash/" in path for path in world.fs.files("models/usb")), "nothing was taken"
    refusing = False
    if again:
        world.delete("usb").done.result(0)
        world.come_to_rest()
        assert not list(present_models(world.catalogue))
    revert(world, model.uid, then)
    world.come_to_rest()
    assert in_view(world) == before
    assert (world.model("usb").uid, world.model("usb").status) == (model.uid, "ready")
    check_at_rest(world)
    world.stop()


def test_what_a_person_took_out_of_the_trash_is_not_missed_by_the_next_delete(tmp_path: Path) -> None:
    disks, refusing = Disks("models/usb"), True

    def hook(name: str, perform: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        if refusing and name == "rename" and args[0] == "models/usb/model.json":
            raise OSError(errno.EIO, "Input/output error")
        return perform(*args, **kwargs)

    world = World(tmp_path / "other.db", port=lambda fs: HookedFileSystem(HookedFileSystem(fs, disks), hook))
    world.tick()
    world.fs.put("models/usb/story.gguf", gguf("story"))
    world.come_to_rest()
    model, then = world.model("usb"), world.catalogue.position
    with pytest.raises(FolderError):
        world.delete("usb").done.result(0)
    [(taken, _)] = world.model("usb").apart
    refusing = False
    world.fs.rename_over(taken, "/home/user/elsewhere/story.gguf")
    world.tick()
    world.delete("usb").done.result(0)
    assert [origin for _, origin in world.catalogue.models[model.uid].apart] == ["models/usb/model.json"]
    revert(world, model.uid, then)
    assert world.fs.stat("models/usb/model.json") is not None
    world.come_to_rest()
    check_at_rest(world)
    world.stop()


def in_view(world: World) -> dict[str, bytes]:
    return {path: what for path, what in world.fs.files("models/usb").items() if "/.janfs" not in path}


def shards() -> list[tuple[str, bytes]]:
    extra = [{"split__no": make.uint32(number), "split__count": make.uint32(2)} for number in range(2)]
    return [(f"s-{number + 1:05d}-of-00002.gguf", gguf("s", **extra[number])) for number in range(2)]


def revert(world: World, uid: str, to: int) -> None:
    submitted = Submitted(Revert(uid, to, "api:test"))
    world.pipeline.tick([], [submitted])
    submitted.done.result(0)


def test_a_model_on_another_disk_is_served_from_where_it_is_and_nobody_insists(
    world: World, disks: Disks
) -> None:
    disks.mounts = ["models/usb"]
    world.fs.put("models/usb/deep/story.gguf", gguf("a"))
    world.wait(4)
    model = world.model("story")
    assert (model.status, model.binary) == ("ready", "models/usb/deep/story.gguf")
    assert OTHER_DISK in (model.reason or "")
    tried = world.events().count("move-planned")
    world.come_to_rest()
    assert world.events().count("move-planned") == tried, "it is tried again and again"
    disks.mounts = []
    world.restart()
    world.wait(1)
    assert world.model("story").binary == "models/story/story.gguf"


def test_copies_on_two_disks_cannot_share_and_say_so(world: World, disks: Disks) -> None:
    for name in "ab":
        world.fs.put(f"models/{name}.gguf", gguf("same"))
        world.tick()
    disks.mounts = ["models/b"]
    copy, original = world.file("models/b/b.gguf"), world.file("models/a/a.gguf")
    pair = Compared(copy.path, copy.stamp, original.path, original.stamp)
    hashed = [Draft(f.uid, e.FileHashed(f.path, f.stamp, "5a" * 32, "computed")) for f in (copy, original)]
    for command in (Record(tuple(hashed)), Dedupe((pair,), "user")):
        world.pipeline.tick([], [Submitted(command)])
    assert world.events()[-1] == "copy-failed"
    assert world.fs.read("models/b/b.gguf") == gguf("same")
    assert world.model("b").status == "ready"
