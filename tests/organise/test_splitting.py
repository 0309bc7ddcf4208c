"""Folders that hold several models, and trees of folders, come apart into one folder a model."""

import pytest

from janfs.events import types as e
from janfs.folder.filesystem import Stamp
from janfs.manifest.schema import Manifest, SourceRef
from janfs.organise.steps import Copy, Policy
from tests.catalogue.strategies import facts
from tests.organise.planning import World


@pytest.fixture
def world() -> World:
    return World()


def test_several_quantisations_get_folders_of_their_own_with_what_they_share(world: World) -> None:
    for name in ("LICENSE", "README.md", "Qwen3-Q4_K_M.gguf", "Qwen3-Q8_0.gguf"):
        world.drop(f"models/Qwen3-GGUF/{name}", facts() if name.endswith("gguf") else None)
    world.settle()
    assert world.folders() == {
        "models/qwen3-q4_k_m": {"LICENSE", "README.md", "Qwen3-Q4_K_M.gguf", "model.json"},
        "models/qwen3-q8_0": {"LICENSE", "README.md", "Qwen3-Q8_0.gguf", "model.json"},
    }
    assert [model.status for model in world.present()] == ["ready", "ready"]
    assert {file.uid for file in world.catalogue.files.values()} == {m.uid for m in world.present()}


def test_another_file_of_a_name_that_left_the_folder_before_is_another_model(world: World) -> None:
    world.drop("models/mine/first.gguf")
    world.edit("models/mine/model.json", Manifest(sources=(SourceRef("first.gguf", "first.gguf"),)))
    world.settle()
    for _ in range(3):
        world.drop("models/mine/second.gguf")
        world.settle()
    assert world.folders() == {
        "models/mine": {"first.gguf", "model.json"},
        "models/second": {"second.gguf", "model.json"},
        "models/second-2": {"second.gguf", "model.json"},
        "models/second-3": {"second.gguf", "model.json"},
    }
    assert [model.status for model in world.present()] == ["ready"] * 4


def test_a_projector_beside_several_quantisations_of_its_model_goes_with_each(world: World) -> None:
    said = facts(name="Gemma 3 4B it", embedding_length=64)
    world.drop("models/gemma/gemma-q4_0.gguf", said)
    world.drop("models/gemma/gemma-q8_0.gguf", said)
    world.drop("models/gemma/mmproj-F16.gguf", facts(type="mmproj", name="Gemma 3 4b It", projection_dim=64))
    steps = world.settle()
    assert [step.how for step in steps if isinstance(step, Copy)] == ["hard-link"], "it takes no room twice"
    assert world.folders() == {
        "models/gemma-q4_0": {"gemma-q4_0.gguf", "mmproj-F16.gguf", "model.json"},
        "models/gemma-q8_0": {"gemma-q8_0.gguf", "mmproj-F16.gguf", "model.json"},
    }


def test_a_projector_of_another_model_is_not_handed_out_with_the_rest(world: World) -> None:
    world.drop("models/dump/llama.gguf", facts(name="Llama", embedding_length=128))
    world.drop("models/dump/phi.gguf", facts(name="Phi", embedding_length=32))
    world.drop("models/dump/mmproj.gguf", facts(type="mmproj", name="Gemma", projection_dim=64))
    world.settle()
    assert world.folders() == {
        "models/llama": {"llama.gguf", "model.json"},
        "models/phi": {"phi.gguf", "model.json"},
        "models/dump": {"mmproj.gguf"},
    }
    assert world.model("dump").status == "part"


def test_a_model_that_has_its_model_json_stays_and_the_other_leaves(world: World) -> None:
    uid = world.drop("models/mine/first.gguf")
    world.settle()
    world.drop("models/mine/second.gguf")
    world.drop("models/mine/README.md", None)
    world.edit("models/mine/model.json", Manifest(sources=(SourceRef("first.gguf", "first.gguf"),)))
    world.settle()
    assert world.folders() == {
        "models/mine": {"first.gguf", "model.json", "README.md"},
        "models/second": {"second.gguf", "model.json", "README.md"},
    }
    assert world.model("mine").uid == uid


def two_of_one_folder(world: World) -> None:
    """One model stays in `mine`, the other left it."""
    for name in ("first.gguf", "second.gguf"):
        world.drop(f"models/mine/{name}")
    world.edit("models/mine/model.json", Manifest(sources=(SourceRef("first.gguf", "first.gguf"),)))
    world.settle()


def test_what_is_dropped_again_into_a_folder_that_it_left_is_another_model(world: World) -> None:
    two_of_one_folder(world)
    uid = world.model("second").uid
    world.drop("models/mine/second.gguf")
    world.settle()
    assert world.folders() == {
        "models/mine": {"first.gguf", "model.json"},
        "models/second": {"second.gguf", "model.json"},
        "models/second-2": {"second.gguf", "model.json"},
    }
    assert world.model("second").uid == uid, "the one that left first stays what it is"
    assert {model.status for model in world.present()} == {"ready"}


def test_what_is_put_back_into_a_folder_that_it_left_goes_home_again(world: World) -> None:
    two_of_one_folder(world)
    uid = world.model("second").uid
    world.remove("models/second/second.gguf")
    world.settle()
    assert world.model("second").status == "missing"
    world.drop("models/mine/second.gguf")
    world.settle()
    assert world.folders() == {
        "models/mine": {"first.gguf", "model.json"},
        "models/second": {"second.gguf", "model.json"},
    }
    assert (world.model("second").uid, world.model("second").status) == (uid, "ready")


def test_a_file_that_the_model_json_names_for_another_purpose_stays(world: World) -> None:
    world.drop("models/a/big.gguf")
    world.drop("models/a/draft.gguf")
    said = Manifest(engine_parameters={"llama_model_path": "big.gguf", "draft_model": "draft.gguf"})
    world.edit("models/a/model.json", said)
    world.settle()
    assert set(world.folders()) == {"models/a"}
    assert world.model("a").binary == "models/a/big.gguf"


def test_a_model_json_that_names_none_of_several_leaves_them_and_says_what_to_do(world: World) -> None:
    world.drop("models/a/one.gguf")
    world.drop("models/a/two.gguf")
    world.edit("models/a/model.json", Manifest(name="Something"))
    world.settle()
    assert set(world.folders()) == {"models/a"}
    assert world.model("a").status == "invalid"
    assert "llama_model_path" in (world.model("a").reason or "")


def test_a_tree_of_publishers_and_models_is_brought_to_the_top(world: World) -> None:
    world.drop("models/lmstudio-community/Phi-4-GGUF/Phi-4-Q4_K_M.gguf")
    world.drop("models/lmstudio-community/Phi-4-GGUF/README.md", None)
    world.drop("models/unsloth/Qwen3/UD/Qwen3-UD-Q2_K-00001-of-00002.gguf", facts(split_no=0, split_count=2))
    world.drop("models/unsloth/Qwen3/UD/Qwen3-UD-Q2_K-00002-of-00002.gguf", facts(split_no=1, split_count=2))
    world.settle()
    assert world.folders() == {
        "models/phi-4-q4_k_m": {"Phi-4-Q4_K_M.gguf", "README.md", "model.json"},
        "models/qwen3-ud-q2_k": {
            "Qwen3-UD-Q2_K-00001-of-00002.gguf",
            "Qwen3-UD-Q2_K-00002-of-00002.gguf",
            "model.json",
        },
    }
    assert [model.status for model in world.present()] == ["ready", "ready"]


def test_a_name_that_says_nothing_takes_that_of_its_folder(world: World) -> None:
    world.drop("models/huggingface.co/tinyllama/1b/ggml-model-q4_0.gguf")
    world.settle()
    assert set(world.folders()) == {"models/1b-q4_0"}


def test_a_folder_deep_down_that_is_a_model_already_is_taken_as_it_is(world: World) -> None:
    world.drop("models/old/jan/mistral/mistral.gguf")
    world.edit("models/old/jan/mistral/model.json", Manifest(id="mistral"))
    world.settle()
    assert world.folders() == {"models/old/jan/mistral": {"mistral.gguf", "model.json"}}
    assert world.model("mistral").status == "ready"


def test_two_models_of_one_name_leave_a_tree_for_different_folders(world: World) -> None:
    world.drop("models/a/b/x.gguf")
    world.drop("models/a/c/x.gguf")
    world.settle()
    assert set(world.folders()) == {"models/x", "models/x-2"}


def test_names_that_become_one_get_different_folders(world: World) -> None:
    world.drop("models/a/X.gguf")
    world.drop("models/a/x.gguf")
    world.settle()
    assert world.folders() == {
        "models/x": {"X.gguf", "model.json"},
        "models/x-2": {"x.gguf", "model.json"},
    }


def test_what_cannot_be_shared_keeps_the_models_where_they_are(world: World) -> None:
    world.fails = True
    for name in ("README.md", "a.gguf", "b.gguf"):
        world.drop(f"models/d/{name}", facts() if name.endswith("gguf") else None)
    world.settle()
    assert world.folders() == {"models/d": {"README.md", "a.gguf", "b.gguf"}}
    assert [model.status for model in world.present()] == ["ready", "ready"], "they run from where they are"
    world.fails = False
    world.settle(retry=True)
    assert set(world.folders()) == {"models/a", "models/b"}


def test_while_files_still_come_into_a_new_folder_it_is_left_alone(world: World) -> None:
    world.drop("models/d/a.gguf")
    world.policy = Policy(arriving={"models/d"}, held={"models/d"})
    assert world.settle() == []
    world.drop("models/d/b.gguf")
    world.policy = Policy()
    world.settle()
    assert set(world.folders()) == {"models/a", "models/b"}


def test_with_organising_off_models_are_registered_where_they_lie(world: World) -> None:
    world.policy = Policy(organise=False)
    world.drop("models/loose.gguf")
    world.drop("models/several/one.gguf")
    world.drop("models/several/two.gguf")
    world.drop("models/deep/down/three.gguf")
    world.settle()
    assert world.folders() == {
        "models": {"loose.gguf"},
        "models/several": {"one.gguf", "two.gguf"},
        "models/deep/down": {"three.gguf", "model.json"},
    }
    assert sorted((m.id, m.status, m.binary) for m in world.present()) == [
        ("down", "ready", "models/deep/down/three.gguf"),
        ("loose", "ready", "models/loose.gguf"),
        ("one", "ready", "models/several/one.gguf"),
        ("two", "ready", "models/several/two.gguf"),
    ]
    world.policy = Policy()
    world.settle()
    assert set(world.folders()) == {"models/loose", "models/one", "models/two", "models/deep/down"}


# Shards.


def nested(world: World, number: int, folder: str = "models/org/repo", **stream: str) -> str:
    said = facts(split_no=number - 1, split_count=2)
    return world.drop(f"{folder}/big-{number:05d}-of-00002.gguf", said, **stream)


@pytest.mark.parametrize(("first", "second"), [(1, 2), (2, 1)])
def test_shards_stay_in_a_tree_until_the_set_is_whole_and_leave_together(
    world: World, first: int, second: int
) -> None:
    nested(world, first)
    world.drop("models/org/repo/README.md", None)
    world.settle()
    assert set(world.folders()) == {"models/org/repo"}, "the missing one would not find them"
    uid = world.model("big").uid
    assert world.model("big").status == "incomplete"
    nested(world, second, uid=uid)
    world.settle()
    assert set(world.folders()["models/big"]) == {
        *("big-00001-of-00002.gguf", "big-00002-of-00002.gguf", "README.md", "model.json")
    }
    assert [(model.uid, model.status) for model in world.present()] == [(uid, "ready")]


@pytest.mark.parametrize("name", ["lora.gguf", "big-00001-of-00002.gguf", "x-00001-of-00003.gguf"])
def test_a_part_does_not_wait_for_shards_that_lie_elsewhere_and_is_none_itself(
    world: World, name: str
) -> None:
    uid = nested(world, 2, "models/big")
    world.settle()
    said = facts(type="adapter", adapter_type="lora", name="Style", base_model="Gemma")
    world.drop(f"models/lora/{name}", said)
    world.say(uid, e.PartPaired(f"models/lora/{name}", "metadata"))
    world.settle()
    assert world.folders() == {"models/big": {"big-00002-of-00002.gguf", name}}
    assert world.model("big").reason == "Shards are missing: 00001-of-00002."


def test_a_part_does_not_take_the_place_of_its_model(world: World) -> None:
    uid = world.drop("models/style.gguf", facts(name="Gemma"))
    world.fails = True
    world.settle()
    world.fails = False
    said = facts(type="adapter", adapter_type="lora", name="Style", base_model="Gemma")
    world.drop("models/lora/style.gguf", said)
    world.say(uid, e.PartPaired("models/lora/style.gguf", "metadata"))
    assert world.step("models/lora") is None
    world.settle(retry=True)
    assert world.model("style").binary == "models/style/style.gguf"


def test_what_lies_beside_shards_that_stay_is_left_for_them_too(world: World) -> None:
    nested(world, 1)
    world.drop("models/org/repo/small.gguf")
    world.drop("models/org/repo/README.md", None)
    world.settle()
    assert world.folders() == {
        "models/org/repo": {"big-00001-of-00002.gguf", "README.md"},
        "models/small": {"small.gguf", "README.md", "model.json"},
    }


@pytest.mark.parametrize(("first", "second"), [(1, 2), (2, 1)])
def test_linked_shards_come_into_one_folder_in_whatever_order_they_come(
    world: World, first: int, second: int
) -> None:
    for number in (first, second):
        said = facts(split_no=number - 1, split_count=2)
        path = f"models/hub/snapshots/aaa/big-{number:05d}-of-00002.gguf"
        world.say("u1", e.FileDropped(path, Stamp(10, 1, number), "../../blobs/x", said))
        world.settle()
    assert [(model.folder, model.status) for model in world.present()] == [("models/big", "ready")]


def shard(world: World, number: int, count: int = 3, **stream: str) -> str:
    said = facts(split_no=number - 1, split_count=count)
    return world.drop(f"models/big-{number:05d}-of-{count:05d}.gguf", said, **stream)


def test_loose_shards_are_one_model_whose_missing_ones_are_named(world: World) -> None:
    uid = shard(world, 2)
    world.settle()
    assert world.model("big").status == "incomplete"
    assert world.model("big").reason == "Shards are missing: 00001-of-00003, 00003-of-00003."
    shard(world, 3, uid=uid)
    shard(world, 1, uid=uid)
    world.settle()
    model = world.model("big")
    assert (model.status, model.binary) == ("ready", "models/big/big-00001-of-00003.gguf")
    assert len(world.present()) == 1
    assert set(world.folders()) == {"models/big"}


def test_shards_that_lie_together_stay_so_where_their_model_has_one_of_their_name(world: World) -> None:
    uid = nested(world, 1, "models/big")
    world.settle()
    for number in (1, 2):
        nested(world, number, uid=uid)
    world.settle()
    assert {model.folder: model.status for model in world.present()} == {
        "models/big": "incomplete",
        "models/big-2": "ready",
    }


def test_a_set_of_shards_that_lies_in_two_places_is_not_ready(world: World) -> None:
    uid = shard(world, 1, 2)
    world.settle()
    world.say(uid, e.FileDropped("models/big-00002-of-00002.gguf", Stamp(1, 1, 77), facts=facts(split_no=1)))
    assert world.model("big").status == "incomplete"
