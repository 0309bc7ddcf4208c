"""Deleting through janfs: into the trash, and only what was meant."""

import pytest

from janfs.errors import FolderError, ModelNotFound, OthersInside
from tests.pipeline.world import World, gguf


def test_a_deleted_model_lies_in_the_trash_whole(world: World) -> None:
    world.fs.put("models/a.gguf", gguf("one"))
    world.fs.put("models/a/notes/README.md", b"in a folder below")
    world.tick()
    uid, before = world.model("a").uid, world.fs.files("models/a")
    done = world.delete("a").done
    assert done.result(0) == world.log.head.position
    removed = world.catalogue.models[uid]
    assert removed.trash is not None
    assert removed.trash.startswith(".janfs/trash/a-")
    assert world.fs.stat("models/a") is None
    after = world.fs.files(removed.trash)
    assert {path.removeprefix(removed.trash): content for path, content in after.items()} == {
        path.removeprefix("models/a"): content for path, content in before.items()
    }
    assert not world.catalogue.files
    assert [r.type for r in world.records() if r.actor == "api:test"] == ["move-planned"]


def test_a_deleted_model_that_is_dropped_again_is_the_same_model(world: World) -> None:
    world.fs.put("models/a.gguf", gguf("one"))
    world.tick()
    uid = world.model("a").uid
    world.delete("a")
    world.fs.put("models/a.gguf", gguf("one"))
    world.tick()
    assert (world.model("a").uid, world.model("a").status, world.model("a").trash) == (uid, "ready", None)
    world.delete("a")
    assert len(world.fs.list(".janfs/trash")) == 2, "the trash keeps both"


def test_a_model_that_still_lies_loose_can_be_deleted(world: World) -> None:
    world.fs.read_only = True
    world.fs.put("models/a.gguf", gguf("one"))
    world.tick()
    world.fs.read_only = False
    world.delete("a").done.result(0)
    assert world.fs.stat("models/a.gguf") is None
    assert gguf("one") in world.fs.files(".janfs/trash").values()
    assert not world.catalogue.files


def test_a_delete_that_fails_says_why_and_leaves_everything(world: World) -> None:
    world.fs.put("models/a.gguf", gguf("one"))
    world.tick()
    before = world.fs.files()
    world.fs.read_only = True
    with pytest.raises(FolderError, match="read-only"):
        world.delete("a").done.result(0)
    assert world.fs.files() == before
    assert world.model("a").status == "ready"
    assert not world.catalogue.plans


def test_a_folder_with_other_models_inside_is_not_deleted_with_them(world: World) -> None:
    world.fs.put("models/outer/outer.gguf", gguf("one"))
    world.fs.put("models/outer/inner/inner.gguf", gguf("two"))
    world.fs.put("models/outer/inner/model.json", b"{}")  # so it is one, and stays
    world.tick()
    with pytest.raises(OthersInside, match="models/outer/inner"):
        world.delete("outer").done.result(0)
    world.delete("inner").done.result(0)
    world.delete("outer").done.result(0)
    assert not world.catalogue.ids


def test_a_folder_with_another_model_arriving_inside_is_not_deleted_with_it(world: World) -> None:
    world.fs.put("models/outer/outer.gguf", gguf("one"))
    world.tick()
    writer = world.fs.start_write("models/outer/sub/new.gguf")
    writer.write(gguf("two")[:-10])
    world.tick()
    with pytest.raises(OthersInside, match=r"models/outer/sub/new\.gguf, which is arriving"):
        world.delete("outer").done.result(0)
    writer.write(gguf("two")[-10:])
    writer.close()
    world.wait(5)
    world.delete("outer").done.result(0)
    assert world.model("new").status == "ready"


def test_a_model_in_whose_folder_a_file_is_arriving_is_deleted(world: World) -> None:
    world.fs.put("models/a/a.gguf", gguf("one"))
    world.tick()
    world.fs.start_write("models/a/a.gguf").write(gguf("two")[:-10])
    world.tick("models/a/a.gguf")
    assert list(world.pipeline.snapshot.arrivals) == ["models/a/a.gguf"]
    world.delete("a").done.result(0)
    assert not world.catalogue.ids


def test_what_is_not_there_cannot_be_deleted(world: World) -> None:
    with pytest.raises(ModelNotFound):
        world.delete("nobody").done.result(0)


def test_nothing_is_deleted_while_the_folder_is_away(world: World) -> None:
    world.fs.put("models/a.gguf", gguf("one"))
    world.tick()
    world.fs.rename_over("models", "/away")
    world.tick("")
    with pytest.raises(FolderError, match="not there"):
        world.delete("a").done.result(0)
    world.fs.rename_over("/away", "models")
    world.wait(2)
    assert world.model("a").status == "ready", "and nothing of it is done later"
