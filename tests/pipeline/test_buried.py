"""What comes to the place of a deleted model: that model again, or another one of its name."""

import errno
import hashlib

import pytest

from janfs.catalogue.entries import Model
from janfs.errors import CannotRevert
from janfs.pipeline.commands import Revert, Submitted
from tests.pipeline.refusing import Refusing
from tests.pipeline.world import TENSOR, World, gguf


@pytest.fixture
def deleted(world: World) -> Model:
    """The model x, which lies in the trash."""
    return bury(world)


def bury(world: World) -> Model:
    world.fs.put("models/x.gguf", gguf("x"))
    world.come_to_rest()
    world.fs.put("models/x/model.json", b'{"name": "Mine"}')
    world.come_to_rest()
    uid = world.model("x").uid
    world.delete("x").done.result(0)
    return world.catalogue.models[uid]


def lying(deleted: Model, name: str = "x.gguf") -> str:
    return f"{deleted.trash}/{name}"


def is_back(world: World, deleted: Model) -> bool:
    world.come_to_rest()
    return world.model("x").uid == deleted.uid


def test_other_weights_of_its_name_are_another_model_and_it_can_still_be_brought_back(
    world: World, deleted: Model
) -> None:
    world.fs.put("models/x.gguf", gguf("another"))
    assert not is_back(world, deleted)
    then = next(record.position for record in world.records() if record.type == "json-edited")
    submitted = Submitted(Revert(deleted.uid, then, "api:me"))
    world.pipeline.tick([], [submitted])
    submitted.done.result(0)
    world.come_to_rest()
    assert world.fs.read("models/x/x.gguf") == gguf("another")
    assert world.fs.read("models/x-2/x.gguf") == gguf("x")
    assert world.fs.read("models/x-2/model.json") == b'{"name": "Mine"}'
    assert world.model("x-2").uid == deleted.uid


def test_who_reverts_the_other_model_to_a_moment_before_it_is_led_to_the_deleted_one(
    world: World, deleted: Model
) -> None:
    world.fs.put("models/x.gguf", gguf("another"))
    world.come_to_rest()
    submitted = Submitted(Revert("x", deleted.position, "api:me"))
    world.pipeline.tick([], [submitted])
    with pytest.raises(
        CannotRevert, match=f"into the trash: revert it by its uid, {deleted.uid}, unless that was emptied"
    ):
        submitted.done.result(0)


@pytest.mark.parametrize("name", ["x.gguf", "X.GGUF"])
def test_the_same_weights_are_the_same_model_whatever_its_model_json_says(
    world: World, deleted: Model, name: str
) -> None:
    world.fs.put("models/x/model.json", b'{"name": "Mine again"}')
    world.fs.put(f"models/x/{name}", gguf("x"))
    assert is_back(world, deleted)


def test_other_weights_with_its_model_json_are_another_model(world: World, deleted: Model) -> None:
    world.fs.put("models/x/x.gguf", gguf("another"))
    world.fs.put("models/x/model.json", world.fs.read(lying(deleted, "model.json")))
    assert not is_back(world, deleted)


def test_other_weights_beside_a_part_of_it_are_another_model(world: World, deleted: Model) -> None:
    world.fs.put("models/x/a.gguf", gguf("x"))
    world.fs.put("models/x/b.gguf", gguf("another"))
    world.come_to_rest()
    assert deleted.uid not in world.catalogue.ids.values()


def test_weights_that_differ_behind_the_same_header_are_another_model(world: World, deleted: Model) -> None:
    trained = gguf("x")[:-TENSOR] + hashlib.sha256(b"trained").digest() * (TENSOR // 32)
    assert len(trained) == len(gguf("x"))
    world.fs.put("models/x.gguf", trained)
    assert not is_back(world, deleted)


def test_a_copy_of_it_is_known_by_its_model_json_while_its_weights_are_still_being_written(
    world: World, deleted: Model
) -> None:
    world.fs.put("models/x/model.json", world.fs.read(lying(deleted, "model.json")))
    writer = world.fs.start_write("models/x/x.gguf")
    writer.write(gguf("x")[:50])
    world.come_to_rest()
    writer.write(gguf("x")[50:])
    writer.close()
    assert is_back(world, deleted)


def test_a_model_json_alone_that_is_not_its_own_is_another_models(world: World, deleted: Model) -> None:
    world.fs.put("models/x/README.md", b"of something else")
    world.fs.put("models/x/model.json", b'{"name": "Another"}')
    assert not is_back(world, deleted)


def test_what_was_taken_out_of_the_trash_is_the_same_model(world: World, deleted: Model) -> None:
    world.fs.rename_over(deleted.trash or "", "models/x")
    assert is_back(world, deleted)


@pytest.mark.parametrize("emptied", ["", "x.gguf"])
def test_once_its_weights_are_gone_from_the_trash_whatever_has_its_name_is_the_same_model(
    world: World, deleted: Model, emptied: str
) -> None:
    world.fs.remove_tree(lying(deleted, emptied) if emptied else deleted.trash or "")
    world.fs.put("models/x.gguf", gguf("another"))
    assert is_back(world, deleted)


def test_a_model_that_was_removed_by_hand_is_the_same_with_other_weights(world: World) -> None:
    world.fs.put("models/x.gguf", gguf("x"))
    world.come_to_rest()
    before = world.model("x")
    world.fs.remove_tree("models/x")
    world.come_to_rest()
    world.fs.put("models/x.gguf", gguf("another"))
    assert is_back(world, before)


def test_where_the_trash_cannot_be_looked_into_it_is_another_model(
    stubborn: World, refusing: Refusing
) -> None:
    deleted = bury(stubborn)
    stubborn.fs.put("models/x.gguf", gguf("x"))
    refusing.code, refusing.calls = errno.EIO, ("list",)
    stubborn.tick("models/x.gguf")
    refusing.code = None
    assert not is_back(stubborn, deleted)
