"""What is behind a link is somebody else's: it is served, and never moved or written."""

import errno

import pytest

from janfs.catalogue.catalogue import present_models
from janfs.configuration import configure
from janfs.errors import OthersInside
from tests.pipeline.invariants import check_at_rest
from tests.pipeline.refusing import Refusing
from tests.pipeline.world import World, gguf
from tests.simulation import contents


def test_a_model_is_not_put_behind_a_linked_folder_that_has_its_name(world: World) -> None:
    world.fs.put("/home/user/mine/notes.txt", b"mine")
    world.fs.symlink("models/a", "/home/user/mine")
    world.tick()
    world.fs.put("models/a.gguf", gguf("one"))
    world.come_to_rest()
    assert (world.model("a-2").status, world.model("a-2").folder) == ("ready", "models/a-2")
    assert world.fs.files("/home/user/mine") == {"/home/user/mine/notes.txt": b"mine"}
    check_at_rest(world)


def test_a_move_that_was_planned_does_not_follow_a_folder_that_became_a_link(
    stubborn: World, refusing: Refusing
) -> None:
    refusing.code = errno.EIO
    stubborn.fs.put("models/a.gguf", gguf("one"))
    stubborn.tick()
    stubborn.fs.mkdir("/home/user/mine")
    stubborn.fs.symlink("models/a", "/home/user/mine")
    refusing.code = None
    stubborn.come_to_rest()
    assert (stubborn.model("a").status, stubborn.model("a").folder) == ("ready", "models/a-2")
    assert stubborn.fs.list("/home/user/mine") == {}
    check_at_rest(stubborn)


def test_relative_links_lead_to_their_target_from_the_new_place(world: World) -> None:
    world.fs.put("/home/user/hub/blob", gguf("blob"))
    world.fs.put("models/shared/weights.bin", gguf("inside"))
    world.fs.symlink("models/out.gguf", "../../hub/blob")
    world.fs.symlink("models/in.gguf", "shared/weights.bin")
    world.fs.symlink("models/absolute.gguf", "/home/user/hub/blob")
    world.tick()
    for name, content in (("out", "blob"), ("in", "inside"), ("absolute", "blob")):
        model = world.model(name)
        assert (model.status, model.binary) == ("ready", f"models/{name}/{name}.gguf")
        assert world.fs.read(f"models/{name}/{name}.gguf") == gguf(content)
    assert world.fs.read("/home/user/hub/blob") == gguf("blob"), "what a link leads to is never moved"
    assert world.fs.read("models/shared/weights.bin") == gguf("inside")


def test_what_a_link_kept_in_place_is_organised_once_the_link_is_gone(world: World) -> None:
    world.fs.put("models/a.gguf", gguf("one"))
    world.fs.symlink("models/mine/b.gguf", "../a.gguf")
    world.tick()
    assert [m.folder for m in present_models(world.catalogue)] == ["models/mine"]
    world.fs.remove("models/mine/b.gguf")
    world.tick()
    assert world.model("a").binary == "models/a/a.gguf"
    check_at_rest(world)


def test_a_model_of_links_that_was_deleted_stays_deleted(world: World) -> None:
    world.fs.put("models/hub/blobs/abc", gguf("one"))
    world.fs.symlink("models/hub/snapshots/c0ffee/a.gguf", "../../blobs/abc")
    world.tick()
    assert world.model("a").status == "ready"
    world.delete("a")
    world.wait(6)
    assert not list(present_models(world.catalogue))
    check_at_rest(world)


def test_what_a_model_left_in_its_old_folder_follows_it_to_a_new_one(world: World) -> None:
    hub = "models/hub/models--org--repo"
    world.fs.put(f"{hub}/blobs/{'1' * 64}", gguf("a"))
    world.fs.symlink(f"{hub}/snapshots/aaa/m.gguf", f"../../blobs/{'1' * 64}")
    world.wait(4)
    assert world.model("m").folder == "models/m"
    world.fs.unlink(f"{hub}/snapshots/aaa/m.gguf")
    world.fs.put(f"{hub}/snapshots/aaa/m.gguf", gguf("b"))
    world.fs.unlink("models/m/m.gguf")
    world.tick("")
    world.come_to_rest()
    [model] = present_models(world.catalogue)
    there = sorted(world.fs.list(model.folder))
    assert there == ["m.gguf", "model.json"], "its model.json stayed behind"
    check_at_rest(world)


def test_two_models_of_which_one_is_linked_to_keep_the_link_whole(world: World) -> None:
    """A folder with two names of one file, a third lying loose, and a link in a tree to the first."""
    world.fs.put("models/two/one.gguf", gguf("one"))
    world.fs.hard_link("models/two/one.gguf", "models/two/other.gguf")
    world.fs.hard_link("models/two/one.gguf", "models/third.gguf")
    world.fs.symlink("models/nest/deep/link.gguf", "../../two/one.gguf")
    world.wait(10)
    assert world.fs.read("models/nest/deep/link.gguf") == gguf("one")
    assert world.model("link").status == "ready"
    check_at_rest(world)


def test_a_projector_that_a_link_keeps_where_it_lies_is_used_from_there_by_the_model_that_names_it(
    world: World,
) -> None:
    world.fs.put("models/mmproj-F16.gguf", contents.projector("Alpha 7B"))
    world.fs.symlink("models/eyes/eyes.gguf", "../../models/mmproj-F16.gguf")
    world.come_to_rest()
    world.fs.put("models/a/model.json", b'{"engine_parameters": {"mmproj": "mmproj-F16.gguf"}}')
    world.fs.put("models/a/a.gguf", contents.model("Beta 1B", "Q4_0"))
    world.come_to_rest()
    projector = configure(world.catalogue, world.model("a")).projector
    assert projector is not None
    assert projector.path == "models/mmproj-F16.gguf"
    assert (world.model("a").status, world.model("a").reason) == ("ready", None)
    check_at_rest(world)


@pytest.fixture
def lent(world: World) -> World:
    """A model whose shards stay in a folder below a model.json, for a link leads to one of them."""
    world.fs.put("models/tree/model.json", b"{}")
    for number in (1, 2):
        shard = contents.shard("Alpha 7B", number, 2)
        world.fs.put(f"models/tree/deep/big-{number:05d}-of-00002.gguf", shard)
    world.fs.symlink("models/mine/mine.gguf", "../tree/deep/big-00001-of-00002.gguf")
    world.come_to_rest()
    served = "models/tree/deep/big-00001-of-00002.gguf"
    assert (world.model("big").status, world.model("big").binary) == ("ready", served)
    assert world.model("tree").status == "missing"
    return world


def test_nobody_is_told_to_delete_a_folder_in_which_another_model_lies(lent: World) -> None:
    assert lent.model("tree").reason == (
        "The model file is not in the folder. Put it back, or delete the model.json there."
    )
    lent.fs.remove("models/tree/model.json")
    lent.come_to_rest()
    found = {model.id: model.status for model in present_models(lent.catalogue)}
    assert found == {"mine": "ready", "big": "ready"}, "only what was to go is gone"


def test_a_folder_in_which_files_of_another_model_lie_is_not_deleted(lent: World) -> None:
    with pytest.raises(OthersInside, match=r"models/tree: big\."):
        lent.delete("tree").done.result(0)
    assert lent.fs.stat("models/tree/deep/big-00002-of-00002.gguf") is not None, "it is served from there"
    assert lent.model("big").status == "ready"
