"""Projectors and adapters go to the one model that they were made for; otherwise they wait and say so."""

import pytest

from janfs.events import types as e
from janfs.manifest.schema import Manifest
from janfs.organise.steps import Copy, Decide
from tests.catalogue.strategies import facts
from tests.organise.planning import World

VISION = facts(type="mmproj", name="Gemma 3 4b It", projection_dim=64)
GEMMA = facts(name="Gemma 3 4B it", embedding_length=64)
LORA = facts(type="adapter", adapter_type="lora", name="My style", base_model="Gemma 3 4B")


@pytest.fixture
def world() -> World:
    return World()


@pytest.mark.parametrize("projector_first", [True, False])
def test_a_projector_goes_to_its_model_whichever_comes_first(world: World, projector_first: bool) -> None:
    drops = [("models/mmproj-F16.gguf", VISION), ("models/gemma-3.gguf", GEMMA)]
    for path, said in drops if projector_first else drops[::-1]:
        world.drop(path, said)
        world.settle()
    assert world.folders() == {"models/gemma-3": {"gemma-3.gguf", "mmproj-F16.gguf", "model.json"}}
    assert [model.status for model in world.present()] == ["ready"]


def test_a_projector_in_a_folder_of_its_own_finds_its_model_too(world: World) -> None:
    world.drop("models/somewhere/mmproj.gguf", VISION)
    world.settle()
    assert world.model("somewhere").status == "part"
    world.drop("models/gemma-3.gguf", GEMMA)
    world.settle()
    assert world.folders() == {"models/gemma-3": {"gemma-3.gguf", "mmproj.gguf", "model.json"}}
    assert [model.id for model in world.present()] == ["gemma-3"]


def test_two_models_that_could_claim_a_projector_leave_it_waiting_until_one_is_named(world: World) -> None:
    world.drop("models/gemma-q4.gguf", GEMMA)
    world.drop("models/gemma-q8.gguf", GEMMA)
    world.drop("models/mmproj.gguf", VISION)
    world.settle()
    assert "mmproj.gguf" in world.folders()["models"], "it waits"
    world.edit("models/gemma-q8/model.json", Manifest(engine_parameters={"mmproj": "mmproj.gguf"}))
    world.settle()
    assert world.folders()["models/gemma-q8"] == {"gemma-q8.gguf", "mmproj.gguf", "model.json"}
    assert "models" not in world.folders()


def test_a_projector_that_two_models_name_is_given_to_both(world: World) -> None:
    for name in ("q4", "q8"):
        world.drop(f"models/gemma-{name}.gguf", GEMMA)
        world.settle()
        said = Manifest(engine_parameters={"mmproj": "mmproj.gguf"})
        world.edit(f"models/gemma-{name}/model.json", said)
    world.drop("models/mmproj.gguf", VISION)
    world.settle()
    for name in ("q4", "q8"):
        assert "mmproj.gguf" in world.folders()[f"models/gemma-{name}"]


def test_of_several_projectors_of_a_name_a_model_gets_the_one_that_fits(world: World) -> None:
    for name, width in (("Alpha", 32), ("Gemma 3 4B it", 64)):
        for path, kind in ((f"models/{name}/m.gguf", "model"), (f"models/{name}/mmproj.gguf", "mmproj")):
            world.drop(path, facts(name=name, type=kind, embedding_length=width, projection_dim=width))
    world.drop("models/mine/gemma.gguf", GEMMA)
    world.edit("models/mine/model.json", Manifest(engine_parameters={"mmproj": "mmproj.gguf"}))
    steps = world.settle()
    copied = [step.source for step in steps if isinstance(step, Copy)]
    assert copied == ["models/Gemma 3 4B it/mmproj.gguf"], "the other one only has the same name"


def test_a_projector_beside_the_model_json_that_names_it_is_no_other_models(world: World) -> None:
    world.drop("models/gemma/gemma.gguf", GEMMA)
    world.drop("models/gemma/mmproj.gguf", VISION)
    world.settle()
    world.drop("models/mine/mmproj.gguf", VISION)
    world.settle()
    mine = world.catalogue.files["models/mine/mmproj.gguf"]
    assert mine.uid == world.model("gemma").uid
    assert mine.stuck is not None
    world.edit("models/mine/model.json", Manifest(engine_parameters={"mmproj": "mmproj.gguf"}))
    assert not [step for step in world.settle() if isinstance(step, Copy)]
    assert world.catalogue.files["models/mine/mmproj.gguf"].uid == world.model("mine").uid


@pytest.mark.parametrize(
    "said",
    [
        facts(name="Gemma 3 4B it", embedding_length=128),
        facts(name="Llama 3 8B", embedding_length=64),
        facts(embedding_length=64),
    ],
    ids=["of another width", "of another name", "without a name"],
)
def test_a_projector_is_never_given_to_a_model_by_a_guess(world: World, said: object) -> None:
    world.drop("models/other.gguf", said)  # type: ignore[arg-type]
    world.drop("models/mmproj.gguf", VISION)
    world.settle()
    assert world.folders()["models"] == {"mmproj.gguf"}


def test_an_adapter_goes_to_its_base(world: World) -> None:
    world.drop("models/style.gguf", LORA)
    world.drop("models/gemma-3.gguf", GEMMA)
    world.settle()
    assert world.folders() == {"models/gemma-3": {"gemma-3.gguf", "style.gguf", "model.json"}}


def test_an_adapter_for_another_architecture_waits(world: World) -> None:
    world.drop("models/style.gguf", facts(type="adapter", base_model="Gemma 3 4B", name="x"))
    world.drop("models/gemma-3.gguf", facts(name="Gemma 3 4B it", file_type=1))
    steps = world.settle()
    paired = [event for step in steps if isinstance(step, Decide) for _, event in step.events]
    assert any(isinstance(event, e.PartPaired) for event in paired), "the same architecture fits"
