"""A root on more than one disk."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from janfs.events import types as e
from janfs.folder import paths
from janfs.organise.disk import OTHER_DISK
from janfs.pipeline.commands import Compared, Dedupe, Delete, Record, Submitted
from janfs.pipeline.recorder import Draft
from tests.fakes.disks import Disks
from tests.fakes.faults import HookedFileSystem
from tests.pipeline.invariants import check_at_rest
from tests.pipeline.world import World, gguf


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
    plans = world.pipeline._actor.plan_delete(world.catalogue, Delete("a", "api:test"))
    world.pipeline._recorder.record(plans)
    [plan] = world.catalogue.plans.values()
    world.fs.mkdir(paths.NEAR_TRASH)
    world.fs.rename_over("models/a", paths.NEAR_TRASH + plan.target.removeprefix(paths.TRASH))
    world.restart()
    assert world.events()[-1] == "model-deleted"
    assert list(world.catalogue.ids) == []


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
