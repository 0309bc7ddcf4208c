"""Shards of one model, in whatever order and place they come."""

import errno

import pytest

from janfs.catalogue.catalogue import present_models
from tests.pipeline.invariants import check_at_rest
from tests.pipeline.refusing import Refusing
from tests.pipeline.world import World, gguf
from tests.simulation import contents


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 1, 2)])
def test_shards_that_come_one_by_one_into_a_tree_are_one_model(world: World, order: tuple[int, ...]) -> None:
    for number in order:
        assert not world.catalogue.models or world.model("big").status == "incomplete"
        path = f"models/org/repo/big-{number:05d}-of-00003.gguf"
        world.fs.put(path, contents.shard("Alpha 7B", number, 3))
        world.wait(60)
    assert [(model.folder, model.status) for model in present_models(world.catalogue)] == [
        ("models/big", "ready")
    ]
    check_at_rest(world)


def test_of_shards_that_wait_a_model_json_that_cannot_be_read_is_said_first(world: World) -> None:
    world.fs.put("models/org/repo/big-00001-of-00003.gguf", contents.shard("Alpha 7B", 1, 3))
    world.wait(5)
    world.fs.put("models/big-00003-of-00003.gguf", contents.shard("Alpha 7B", 3, 3))
    world.wait(5)
    assert "models/big/big-00003-of-00003.gguf" in world.catalogue.files
    world.fs.put("models/big/model.json", b'{"name": ')
    world.come_to_rest()
    assert world.model("big").status == "invalid"
    check_at_rest(world)
    world.fs.remove("models/big/model.json")
    world.wait(5)
    assert world.model("big").reason == "Shards are missing: 00002-of-00003."


@pytest.mark.parametrize("linked", [1, 2])
@pytest.mark.parametrize("place", ["models/publisher/repo", "models"])
def test_a_link_to_one_shard_of_a_set_keeps_it_where_it_is_and_not_from_being_served(
    world: World, place: str, linked: int
) -> None:
    names = [f"big-{number:05d}-of-00002.gguf" for number in (1, 2)]
    world.fs.symlink(
        f"models/here/{names[linked - 1]}", f"..{place.removeprefix('models')}/{names[linked - 1]}"
    )
    for number, name in enumerate(names, 1):
        world.fs.put(f"{place}/{name}", contents.shard("Alpha 7B", number, 2))
    world.come_to_rest()
    assert world.model("here").status == "incomplete"
    assert (world.model("big").status, world.model("big").binary) == ("ready", f"{place}/{names[0]}")
    check_at_rest(world)
    world.fs.remove_tree("models/here")
    world.come_to_rest()
    assert world.model("big").binary == f"models/big/{names[0]}"
    assert world.fs.stat(f"models/big/{names[1]}") is not None
    check_at_rest(world)


def test_a_set_of_shards_is_not_kept_from_being_ready_by_another_shard_of_a_name(world: World) -> None:
    world.fs.put("models/mine/big-00002-of-00002.gguf", contents.shard("Alpha 7B", 2, 2))
    world.wait(10)
    for number in (1, 2):
        world.fs.put(f"models/big-{number:05d}-of-00002.gguf", contents.shard("Alpha 7B", number, 2))
    world.wait(10)
    assert world.model("mine").status == "ready"
    check_at_rest(world)


def test_shards_that_could_not_be_read_at_first_are_of_their_set_once_they_can(
    stubborn: World, refusing: Refusing
) -> None:
    shards = [f"models/big-{number:05d}-of-00003.gguf" for number in (1, 2, 3)]
    stubborn.fs.put(shards[0], gguf("one"))
    stubborn.tick()
    refusing.code, refusing.calls = errno.EACCES, ("open",)
    for path in shards[1:]:
        stubborn.fs.put(path, gguf(path))
    stubborn.tick()
    assert [stubborn.file(path).refused is not None for path in shards[1:]] == [True, True]
    refusing.code = None
    stubborn.tick("")
    assert {model.folder: model.status for model in present_models(stubborn.catalogue)} == {
        "models/big": "ready"
    }


def test_shards_come_to_those_at_home_though_a_link_leads_there(world: World) -> None:
    shards = [f"big-{number:05d}-of-00003.gguf" for number in (1, 2, 3)]
    for name in shards[:2]:
        world.fs.put(f"models/{name}", gguf(name))
    world.tick()
    world.fs.symlink("models/mine/mine.gguf", f"../../models/big/{shards[0]}")
    world.tick()
    world.fs.put(f"models/{shards[2]}", gguf(shards[2]))
    world.tick()
    assert (world.model("big").status, world.model("big").loose) == ("ready", None)


def test_a_shard_dropped_again_where_a_person_took_it_in_is_of_another_set(
    stubborn: World, refusing: Refusing
) -> None:
    shards = [f"big-{number:05d}-of-00002.gguf" for number in (1, 2)]
    refusing.code = errno.EACCES
    for name in shards:
        stubborn.fs.put(f"models/{name}", gguf(name))
    stubborn.tick()
    refusing.code = None
    for name in shards:
        stubborn.fs.rename_over(f"models/{name}", f"models/big/{name}")
    stubborn.fs.put(f"models/{shards[1]}", gguf("another"))
    stubborn.come_to_rest()
    assert {model.folder: model.status for model in present_models(stubborn.catalogue)} == {
        "models/big": "ready",
        "models/big-2": "incomplete",
    }
    assert stubborn.fs.read(f"models/big-2/{shards[1]}") == gguf("another")
    check_at_rest(stubborn)


@pytest.mark.parametrize("comes_home", ["mmproj.gguf", "big-00003-of-00003.gguf"])
def test_what_is_put_where_shards_that_wait_were_to_go_keeps_them_apart_and_not_both_from_being_served(
    world: World, comes_home: str
) -> None:
    shards = [contents.shard("Alpha 7B", number, 3) for number in (1, 2, 3)]
    here, there, last = (f"big-{number:05d}-of-00003.gguf" for number in (1, 2, 3))
    world.fs.put(f"models/org/repo/{here}", shards[0])
    world.wait(5)
    world.fs.put(f"models/{comes_home}", shards[2] if comes_home == last else contents.projector("Alpha 7B"))
    world.wait(5)
    assert comes_home in world.fs.list("models/big")
    world.fs.put("models/big/other.gguf", contents.model("Alpha 7B", "Q4_0"))
    world.come_to_rest()
    assert (world.model("big").status, world.model("big").binary) == ("ready", "models/big/other.gguf")
    assert world.model("big-2").status == "incomplete"
    check_at_rest(world)
    world.fs.put(f"models/org/repo/{there}", shards[1])
    world.fs.put(f"models/org/repo/{last}", shards[2])
    world.come_to_rest()
    assert (world.model("big-2").status, world.model("big-2").binary) == ("ready", f"models/big-2/{here}")
    check_at_rest(world)


@pytest.mark.parametrize("beside", [[], ["other.gguf"]])
@pytest.mark.parametrize("place", ["models/org/repo", "models/repo"])
def test_a_shard_that_was_broken_while_the_next_was_copied_is_of_their_set_once_it_is_whole(
    world: World, place: str, beside: list[str]
) -> None:
    shards = [f"{place}/big-{number:05d}-of-00003.gguf" for number in (1, 2, 3)]
    for name in beside:
        world.fs.put(f"{place}/{name}", gguf(name))
    second = contents.shard("Alpha 7B", 2, 3)
    writer = world.fs.start_write(shards[1], len(second))
    world.fs.put(shards[0], b"text")
    for part in (second[:100], second[100:200], second[200:]):
        world.wait(2)
        writer.write(part)
    assert world.file(shards[0]).refused is not None
    assert shards[1] not in world.catalogue.files
    writer.close()
    world.wait(10)
    check_at_rest(world)
    world.fs.put(shards[0], contents.shard("Alpha 7B", 1, 3))
    world.wait(10)
    world.fs.put(shards[2], contents.shard("Alpha 7B", 3, 3))
    world.come_to_rest()
    found = list(present_models(world.catalogue))
    assert [model.status for model in found] == ["ready"] * (1 + len(beside))
    check_at_rest(world)


@pytest.mark.parametrize("removed", ["", "models/ALPHA/big-00001-of-00003.gguf"])
def test_a_shard_to_come_sends_no_folder_on_that_is_called_almost_like_another(
    world: World, removed: str
) -> None:
    world.fs.put("models/alpha/alpha.gguf", contents.model("Alpha 7B", "Q4_0"))
    for number in (1, 2):
        world.fs.put(f"models/ALPHA/big-{number:05d}-of-00003.gguf", contents.shard("Gamma 3B it", number, 3))
    world.come_to_rest()
    world.fs.put("models/big-00003-of-00003.gguf", contents.shard("Gamma 3B it", 3, 3))
    world.fs.put("models/ALPHA/model.json", b'{"name": "Mine"}')
    if removed:
        world.fs.put("models/ALPHA/beta.Q4_0.gguf", contents.model("Beta 1B", "Q4_0"))
        world.fs.remove(removed)
    world.come_to_rest()
    served = "models/ALPHA/beta.Q4_0.gguf" if removed else "models/ALPHA/big-00001-of-00003.gguf"
    assert (world.model("ALPHA").status, world.model("ALPHA").binary) == ("ready", served)
    assert world.file("models/ALPHA/model.json").uid == world.model("ALPHA").uid, "it says how that is served"
    found = {model.folder: model.status for model in present_models(world.catalogue)}
    rest = {"models/big": "incomplete"} if removed else {}
    assert found == {"models/alpha": "ready", "models/ALPHA": "ready", **rest}, "all is listed, as what it is"
    check_at_rest(world)


def test_a_model_json_beside_shards_that_wait_is_theirs_and_goes_with_them(world: World) -> None:
    shards = [f"models/org/repo/big-{number:05d}-of-00002.gguf" for number in (1, 2)]
    world.fs.put(shards[0], contents.shard("Alpha 7B", 1, 2))
    world.wait(10)
    world.fs.put("models/org/repo/model.json", b'{"name": "Mine"}')
    world.wait(10)
    assert [(model.id, model.status) for model in present_models(world.catalogue)] == [("big", "incomplete")]
    world.fs.put(shards[1], contents.shard("Alpha 7B", 2, 2))
    world.come_to_rest()
    assert [(model.id, model.status) for model in present_models(world.catalogue)] == [("big", "ready")]
    assert world.fs.read("models/big/model.json") == b'{"name": "Mine"}'
    assert world.file("models/big/model.json").uid == world.model("big").uid
    check_at_rest(world)


def test_a_model_json_beside_two_sets_that_wait_is_of_neither(world: World) -> None:
    for name in ("big", "small"):
        world.fs.put(f"models/org/repo/{name}-00001-of-00002.gguf", contents.shard("Alpha 7B", 1, 2))
    world.wait(10)
    world.fs.put("models/org/repo/model.json", b'{"name": "Mine"}')
    world.come_to_rest()
    found = {model.id: model.status for model in present_models(world.catalogue)}
    assert found == {"big": "incomplete", "small": "incomplete", "repo": "missing"}
    check_at_rest(world)
