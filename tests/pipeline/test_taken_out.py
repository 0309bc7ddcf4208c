"""What people take out of a model's folder comes back, unless something else is in its place."""

from pathlib import Path

import pytest

from janfs.catalogue.catalogue import present_models
from janfs.clock import random_id
from janfs.pipeline.commands import Organise, Submitted
from janfs.pipeline.loop import Pipeline
from janfs.pipeline.organiser import REST
from tests.pipeline.invariants import check_at_rest
from tests.pipeline.world import World, gguf
from tests.simulation import contents


def test_a_file_taken_out_of_its_folder_leaves_a_model_without_a_file(world: World) -> None:
    world.fs.put("models/a/a.gguf", gguf("one"))
    world.fs.put("models/b/model.json", b"{}")
    world.tick()
    world.fs.rename_over("models/a/a.gguf", "models/b/a.gguf")
    world.tick()
    left = world.model("a")
    assert (left.status, left.binary) == ("missing", None)
    assert world.model("b").status == "ready"


@pytest.mark.parametrize("name", ["a.gguf", "b.gguf"], ids=["as it was called", "renamed"])
@pytest.mark.parametrize("away", [False, True], ids=["watched", "away"])
@pytest.mark.parametrize("alone", [False, True], ids=["model.json left", "folder removed"])
def test_weights_that_someone_took_out_of_their_folder_to_lie_loose_come_back(
    world: World, name: str, away: bool, alone: bool
) -> None:
    world.fs.put("models/a.gguf", gguf("one"))
    world.tick()
    uid = world.model("a").uid
    if away:
        world.stop()
    world.fs.rename_over("models/a/a.gguf", f"models/{name}")
    if alone:
        world.fs.remove_tree("models/a")
    if away:
        world.start()
    world.tick()
    for path in (f"models/{name}", f"models/a/{name}"):
        assert [each.uid for each in present_models(world.catalogue)] == [uid], "there is another, or a ghost"
        assert (world.model("a").status, world.model("a").binary) == ("ready", path)
        world.wait(REST)
    world.come_to_rest()
    check_at_rest(world)


@pytest.mark.parametrize("pause", [0.0, 0.5, 60.0, REST - 1])
def test_weights_that_someone_took_out_to_copy_others_into_their_folder_are_not_overwritten(
    world: World, pause: float
) -> None:
    world.fs.put("models/a/a.gguf", gguf("one"))
    world.tick()
    world.fs.rename_over("models/a/a.gguf", "models/a.gguf")
    world.wait(pause)
    world.fs.put("models/a/a.gguf", gguf("two"))
    world.come_to_rest()
    assert world.fs.read("models/a/a.gguf") == gguf("two")
    assert world.fs.read("models/a-2/a.gguf") == gguf("one")
    check_at_rest(world)


@pytest.mark.parametrize("manifest", [None, b'{"name": "Mine"}'], ids=["ours", "edited"])
@pytest.mark.parametrize("renamed", [False, True], ids=["as it was called", "renamed"])
def test_weights_in_whose_place_someone_put_others_are_a_model_of_their_own(
    world: World, manifest: bytes | None, renamed: bool
) -> None:
    world.fs.put("models/a/a.gguf", gguf("one"))
    world.tick()
    uid = world.model("a").uid
    if manifest is not None:
        world.fs.put("models/a/model.json", manifest)
    old, new = ("old.gguf", "a.gguf") if renamed else ("a.gguf", "newer.gguf")
    world.fs.rename_over("models/a/a.gguf", f"models/{old}")
    world.tick()
    world.fs.put(f"models/a/{new}", gguf("two"))
    world.come_to_rest()
    assert {(each.status, each.binary) for each in present_models(world.catalogue)} == {
        ("ready", f"models/a/{new}"),
        ("ready", f"models/old/{old}" if renamed else f"models/a-2/{old}"),
    }
    assert world.model("a").uid == uid
    check_at_rest(world)


def test_weights_that_a_model_json_names_come_back_to_others_beside_it(world: World) -> None:
    world.fs.put("models/a/a.gguf", gguf("one"))
    world.fs.put("models/a/model.json", b'{"engine_parameters": {"llama_model_path": "a.gguf"}}')
    world.tick()
    world.fs.rename_over("models/a/a.gguf", "models/a.gguf")
    world.tick()
    world.fs.put("models/a/draft.gguf", gguf("two"))
    world.come_to_rest()
    assert world.model("a").binary == "models/a/a.gguf"


def test_a_projector_that_someone_took_out_to_copy_another_into_its_folder_is_not_overwritten(
    world: World,
) -> None:
    old, new = contents.projector("Alpha 7B"), contents.projector("Alpha 7B") + bytes(32)
    world.fs.put("models/a/a.gguf", contents.model("Alpha 7B", "Q4_0"))
    world.fs.put("models/a/mmproj.gguf", old)
    world.tick()
    world.fs.rename_over("models/a/mmproj.gguf", "models/mmproj.gguf")
    world.wait(60)
    world.fs.put("models/a/mmproj.gguf", new)
    world.come_to_rest()
    assert world.fs.read("models/a/mmproj.gguf") == new
    assert world.fs.read("models/mmproj.gguf") == old
    check_at_rest(world)


def test_a_projector_that_someone_took_out_comes_back(world: World) -> None:
    world.fs.put("models/a/a.gguf", contents.model("Alpha 7B", "Q4_0"))
    world.fs.put("models/a/mmproj.gguf", contents.projector("Alpha 7B"))
    world.tick()
    world.fs.rename_over("models/a/mmproj.gguf", "models/mmproj.gguf")
    world.wait(REST + 10)
    assert "mmproj.gguf" in world.fs.list("models/a")
    assert world.model("a").reason is None
    check_at_rest(world)


def test_weights_that_someone_took_out_come_back_at_once_when_asked_to(world: World) -> None:
    world.fs.put("models/a/a.gguf", gguf("one"))
    world.tick()
    world.fs.rename_over("models/a/a.gguf", "models/a.gguf")
    world.tick()
    world.pipeline.tick([], [Submitted(Organise())])
    assert world.model("a").binary == "models/a/a.gguf"


def test_weights_come_back_because_someone_took_them_out(world: World) -> None:
    world.fs.put("models/a/a.gguf", gguf("one"))
    world.tick()
    position = world.log.head.position
    world.fs.rename_over("models/a/a.gguf", "models/a.gguf")
    world.wait(REST + 10)
    moved, planned, completed = world.records(position)
    assert [each.type for each in (moved, planned, completed)] == [
        "file-moved",
        "move-planned",
        "move-completed",
    ]
    assert (planned.cause, completed.cause) == (moved.position, planned.position)


def test_shards_that_someone_took_out_of_their_folder_come_back_all_of_them(world: World) -> None:
    names = [f"big-{number:05d}-of-00003.gguf" for number in (1, 2, 3)]
    for number, name in enumerate(names, 1):
        world.fs.put(f"models/{name}", contents.shard("Alpha 7B", number, 3))
    world.tick()
    uid = world.model("big").uid
    for moved in (names[1:2], names):
        for name in moved:
            world.fs.rename_over(f"models/big/{name}", f"models/{name}")
        world.tick()
        assert world.model("big").status == "ready"
        world.wait(REST + 10)
        assert [(model.uid, model.status) for model in present_models(world.catalogue)] == [(uid, "ready")]
        assert {*names} < {*world.fs.list("models/big")}
    check_at_rest(world)


def test_weights_stay_loose_where_nothing_is_moved_and_are_served_from_there(tmp_path: Path) -> None:
    world = World(tmp_path / "other.db")
    world.pipeline = Pipeline(world.fs, world.log, world.clock, random_id, organise=False)
    world.fs.put("models/a/a.gguf", gguf("one"))
    world.tick()
    uid = world.model("a").uid
    world.fs.rename_over("models/a/a.gguf", "models/a.gguf")
    world.tick()
    assert [(model.uid, model.binary) for model in present_models(world.catalogue)] == [
        (uid, "models/a.gguf")
    ]
    world.stop()


def test_one_of_two_models_in_a_folder_that_someone_takes_out_becomes_one_of_its_own(world: World) -> None:
    world.fs.put("models/both/model.json", b"{}")
    for name in "ab":
        world.fs.put(f"models/both/{name}.gguf", gguf(name))
    world.tick()
    assert world.model("both").status == "invalid", "a model.json that names neither was not heeded"
    world.fs.rename_over("models/both/b.gguf", "models/b.gguf")
    world.tick()
    assert world.model("both").binary == "models/both/a.gguf"
    assert world.model("b").binary == "models/b/b.gguf"
