"""Every model in a folder of its own, with a model.json, and what belongs to it beside it."""

import contextlib
import errno

import pytest

from janfs.availability import outsiders
from janfs.catalogue.catalogue import present_models
from janfs.folder import paths
from janfs.pipeline.root import MARKER
from tests.pipeline.invariants import check_at_rest
from tests.pipeline.refusing import Refusing
from tests.pipeline.world import World, gguf
from tests.simulation import contents


def test_a_loose_model_gets_a_folder_and_a_model_json(world: World) -> None:
    world.fs.put("models/Zephyr 7B.Q4_K_M.gguf", gguf("one"))
    world.tick()
    model = world.model("zephyr-7b.q4_k_m")
    assert model.status == "ready"
    assert model.binary == "models/zephyr-7b.q4_k_m/Zephyr 7B.Q4_K_M.gguf"
    assert world.file("models/zephyr-7b.q4_k_m/model.json").manifest is not None
    assert world.events() == [
        "file-dropped",
        "model-registered",
        "move-planned",
        "move-completed",
        "write-planned",
        "json-written",
    ]


@pytest.mark.parametrize("seconds", [-2_147_483_648, 10**17])
def test_a_file_of_any_time_becomes_a_model(world: World, seconds: int) -> None:
    world.fs.put("models/a.gguf", gguf("one"))
    world.fs.touch("models/a.gguf", seconds * 10**9)
    world.tick()
    assert (world.model("a").status, world.model("a").reason) == ("ready", None)
    assert world.file("models/a/model.json").manifest is not None
    world.restart()
    assert world.pipeline.snapshot.failing is None


def test_a_folder_in_the_place_of_a_model_json_is_its_models_reason(world: World) -> None:
    world.fs.put("models/a/model.json/notes.txt", b"mine")
    world.fs.put("models/a/a.gguf", gguf("one"))
    world.wait(5)
    assert world.model("a").status == "ready"
    assert "models/a/model.json is a folder, and is left as it is" in (world.model("a").reason or "")


def test_every_event_names_what_led_to_it(world: World) -> None:
    world.fs.put("models/a.gguf", gguf("one"))
    world.tick()
    assert [record.cause for record in world.records()] == [None, 1, 2, 3, 4, 5]
    assert {record.correlation for record in world.records()} == {1}
    assert [record.actor for record in world.records()] == ["folder"] + ["janfs"] * 5


def test_a_folder_that_holds_a_model_stays_as_it_is(world: World) -> None:
    world.fs.put("models/My Model/weights.gguf", gguf("one"))
    world.fs.put("models/My Model/README.md", b"read me")
    world.tick()
    model = world.model("my-model")
    assert (model.folder, model.status) == ("models/My Model", "ready")
    assert set(world.fs.files("models")) - {MARKER} == {
        f"models/My Model/{name}" for name in ("weights.gguf", "README.md", "model.json")
    }


def test_a_tree_is_brought_to_the_top_and_what_is_left_empty_goes_in_the_end(world: World) -> None:
    world.fs.put("models/publisher/Some-GGUF/Some-Q4.gguf", gguf("one"))
    world.fs.put("models/publisher/Some-GGUF/Some-Q8.gguf", gguf("two"))
    world.fs.put("models/publisher/Some-GGUF/README.md", b"read me")
    world.wait(1)
    assert world.fs.stat("models/publisher") is not None, "whoever copies may still be at it"
    world.wait(30)
    assert world.fs.stat("models/publisher") is None
    for name in ("some-q4", "some-q8"):
        assert world.model(name).status == "ready"
        assert world.fs.read(f"models/{name}/README.md") == b"read me"


def test_what_is_left_empty_goes_even_if_janfs_dies_before(world: World) -> None:
    world.fs.put("models/publisher/Some-GGUF/Some-Q4.gguf", gguf("one"))
    world.wait(1)
    world.restart()
    assert world.fs.stat("models/publisher") is not None, "whoever copies may still be at it"
    world.clock.advance(5.1)
    world.tick()
    assert world.fs.stat("models/publisher/Some-GGUF") is None
    world.restart()
    world.wait(6)
    assert world.fs.stat("models/publisher") is None


def test_an_empty_folder_that_cannot_be_removed_is_tried_again(stubborn: World, refusing: Refusing) -> None:
    stubborn.fs.put("models/publisher/Some-GGUF/Some-Q4.gguf", gguf("one"))
    stubborn.wait(1)
    refusing.code, refusing.calls = errno.EIO, ("remove_folder",)
    stubborn.wait(10)
    assert stubborn.fs.stat("models/publisher/Some-GGUF") is not None
    refusing.code = None
    stubborn.wait(70)
    assert stubborn.fs.stat("models/publisher") is None


def test_a_folder_is_not_judged_while_files_are_copied_into_it(world: World) -> None:
    world.fs.put("models/Some-GGUF/Some-Q4.gguf", gguf("one"))
    with contextlib.closing(world.fs.start_write("models/Some-GGUF/Some-Q8.gguf")) as writer:
        writer.write(gguf("two")[:100])
        world.tick()
        assert world.fs.stat("models/Some-GGUF/Some-Q4.gguf") is not None
        writer.write(gguf("two")[100:])
    world.wait(5)
    assert sorted(world.catalogue.folders) == ["models/some-q4", "models/some-q8"]


def test_a_copy_that_broke_off_does_not_keep_its_neighbours_waiting(world: World) -> None:
    world.fs.put("models/Some-GGUF/Some-Q8.gguf", gguf("two")[:-10])
    world.fs.put("models/Some-GGUF/Some-Q4.gguf", gguf("one"))
    world.wait(10)
    assert world.model("Some-GGUF").status == "ready"
    assert world.model("Some-GGUF").binary == "models/Some-GGUF/Some-Q4.gguf"


def test_models_do_not_wait_for_a_projector_to_share_that_broke_off(
    stubborn: World, refusing: Refusing
) -> None:
    refusing.code = errno.EACCES
    for variant in ("Q4_0", "Q8_0"):
        stubborn.fs.put(f"models/both/Alpha 7B-{variant}.gguf", contents.model("Alpha 7B", variant))
    stubborn.fs.put("models/both/mmproj.gguf", contents.projector("Alpha 7B"))
    stubborn.wait(5)
    assert stubborn.file("models/both/mmproj.gguf").stuck is not None
    stubborn.fs.put("models/both/mmproj.gguf", contents.projector("Alpha 7B")[:-64])
    refusing.code = None
    stubborn.come_to_rest()
    for name in ("alpha-7b-q4_0", "alpha-7b-q8_0"):
        assert paths.parent(stubborn.model(name).binary or "") == f"models/{name}"
    check_at_rest(stubborn)


def test_a_projector_that_is_named_comes_once_it_is_clear_which_is_meant(world: World) -> None:
    for name in ("Alpha 7B", "Beta 1B"):
        world.fs.put(f"models/{name}/model.gguf", contents.model(name, "F16"))
        world.fs.put(f"models/{name}/mmproj.gguf", contents.projector(name))
    world.fs.put("models/mine/mine.gguf", contents.model("Gamma 3B it", "F16"))
    world.fs.put("models/mine/model.json", b'{"engine_parameters": {"mmproj": "mmproj.gguf"}}')
    world.wait(5)
    assert world.fs.stat("models/mine/mmproj.gguf") is None, "two bear that name, and neither fits"
    world.fs.remove("models/Beta 1B/mmproj.gguf")
    world.wait(1)
    assert world.fs.read("models/mine/mmproj.gguf") == contents.projector("Alpha 7B"), (
        "a person's word goes first"
    )


def test_a_projector_that_is_named_and_could_not_be_copied_is_tried_again(
    stubborn: World, refusing: Refusing
) -> None:
    stubborn.fs.put("models/Alpha 7B/model.gguf", contents.model("Alpha 7B", "F16"))
    stubborn.fs.put("models/Alpha 7B/mmproj.gguf", contents.projector("Alpha 7B"))
    stubborn.fs.put("models/mine/mine.gguf", contents.model("Gamma 3B it", "F16"))
    stubborn.wait(5)
    refusing.code = errno.ENOSPC
    stubborn.fs.put("models/mine/model.json", b'{"engine_parameters": {"mmproj": "mmproj.gguf"}}')
    stubborn.wait(1)
    assert stubborn.fs.stat("models/mine/mmproj.gguf") is None
    refusing.code = None
    stubborn.wait(65)
    assert stubborn.fs.read("models/mine/mmproj.gguf") == contents.projector("Alpha 7B")
    stubborn.come_to_rest()
    check_at_rest(stubborn)


def test_a_file_that_another_of_its_name_kept_out_follows_when_that_is_gone(world: World) -> None:
    world.fs.put("models/Alpha 7B/model.gguf", contents.model("Alpha 7B", "F16"))
    for name in ("one", "two"):
        world.fs.put(f"models/nest/{name}/mmproj.gguf", contents.projector("Alpha 7B") + name.encode())
        world.wait(5)
    first, second = "models/Alpha 7B/mmproj.gguf", "models/nest/two/mmproj.gguf"
    assert "exists already" in (world.file(second).stuck or "")
    content = world.fs.read(second)
    world.wait(4000)  # so that tries are an hour apart
    world.fs.remove(first)
    world.tick()
    assert world.fs.read(first) == content, "it waits although nothing is in its way"
    world.come_to_rest()
    check_at_rest(world)


def test_what_finds_another_file_of_its_name_at_home_gets_a_folder_of_its_own(world: World) -> None:
    for variant in ("Q4_0", "Q8_0"):
        world.fs.put(f"models/nest/Alpha 7B-{variant}.gguf", contents.model("Alpha 7B", variant))
    world.fs.put("models/nest/mmproj-F16.gguf", contents.projector("Alpha 7B"))
    world.fs.put("models/alpha-7b-q8_0/Alpha 7B-Q8_0.gguf", contents.model("Alpha 7B", "F16"))
    world.tick("models/nest")  # and the other folder is not seen before the projector is there
    world.come_to_rest()
    for folder, variant in (("alpha-7b-q8_0", "F16"), ("alpha-7b-q8_0-2", "Q8_0")):
        assert world.model(folder).status == "ready"
        assert world.fs.read(world.model(folder).binary or "") == contents.model("Alpha 7B", variant)
    check_at_rest(world)


def test_a_part_that_was_kept_out_and_is_a_model_now_gets_a_folder_of_its_own(world: World) -> None:
    world.fs.put("models/alpha.gguf", contents.model("Alpha 7B", "F16"))
    world.tick()
    for folder in ("alpha", "nest"):
        world.fs.put(f"models/{folder}/lora.gguf", contents.adapter("Alpha 7B"))
        world.wait(5)
    assert "exists already" in (world.file("models/nest/lora.gguf").stuck or "")
    world.fs.put("models/nest/lora.gguf", contents.model("Beta 1B", "F16"))
    world.wait(5)
    assert (world.model("lora").status, world.model("alpha").status) == ("ready", "ready")
    check_at_rest(world)


def test_the_same_name_twice_gives_two_models(world: World) -> None:
    for content in ("one", "two", "two"):
        world.fs.put("models/a.gguf", gguf(content))
        world.tick()
    assert {m.id: m.folder for m in world.catalogue.models.values()} == {
        "a": "models/a",
        "a-2": "models/a-2",
        "a-3": "models/a-3",
    }
    assert world.fs.read("models/a/a.gguf") == gguf("one")
    assert world.fs.read("models/a-2/a.gguf") == world.fs.read("models/a-3/a.gguf") == gguf("two")


def test_names_that_give_one_id_in_one_look_give_two_models(world: World) -> None:
    for name in ("a b.gguf", "A-B.GGUF", "-a_b.gguf", "a  b.gguf"):
        world.fs.put(f"models/{name}", gguf(name))
    world.tick()
    models = list(world.catalogue.models.values())
    assert {model.id for model in models} == {"a-b", "a-b-2", "a-b-3", "a_b"}
    assert {model.status for model in models} == {"ready"}


def test_a_new_model_stays_clear_of_a_folder_that_is_being_filled(world: World) -> None:
    world.fs.put("models/a/a.gguf", gguf("slow")[:-1])
    world.fs.put("models/a.gguf", gguf("quick"))
    world.tick()
    assert world.fs.read("models/a-2/a.gguf") == gguf("quick")
    world.fs.put("models/a/a.gguf", gguf("slow"))
    world.tick()
    assert {model.folder: model.status for model in world.catalogue.models.values()} == {
        "models/a": "ready",
        "models/a-2": "ready",
    }


def test_a_model_without_its_file_is_missing_and_ready_once_it_is_back(world: World) -> None:
    world.fs.put("models/a.gguf", gguf("one"))
    world.tick()
    uid = world.model("a").uid
    world.fs.rename_over("models/a/a.gguf", "/elsewhere/a.gguf")
    world.tick()
    model = world.model("a")
    assert (model.status, model.binary) == ("missing", None)
    assert model.reason is not None
    world.fs.rename_over("/elsewhere/a.gguf", "models/a/a.gguf")
    world.tick()
    assert (world.model("a").uid, world.model("a").status) == (uid, "ready")


@pytest.mark.parametrize("back", ["models/a/a.gguf", "models/a.gguf"])
def test_a_removed_model_that_comes_back_keeps_its_history(world: World, back: str) -> None:
    world.fs.put("models/a.gguf", gguf("one"))
    world.tick()
    uid = world.model("a").uid
    world.fs.remove_tree("models/a")
    world.tick()
    assert not world.catalogue.ids
    assert world.catalogue.models[uid].removed is not None
    world.restart()
    world.fs.put(back, gguf("one"))
    world.tick()
    assert (world.model("a").uid, world.model("a").status) == (uid, "ready")
    events = [record.type for record in world.log.read(stream=uid)]
    assert events.count("model-registered") == events.count("model-restored") == 1


def test_a_removed_model_comes_back_only_once(world: World) -> None:
    world.fs.put("models/a.gguf", gguf("one"))
    world.tick()
    uid = world.model("a").uid
    world.fs.remove_tree("models/a")
    world.tick()
    world.fs.put("models/a.gguf", gguf("two"))
    world.fs.put("models/a/b.gguf", gguf("three"))
    world.tick()
    assert {m.folder: m.status for m in world.catalogue.models.values()} == {
        "models/a": "ready",
        "models/a-2": "ready",
    }
    assert [m.uid for m in world.catalogue.models.values()].count(uid) == 1


def test_a_file_that_was_refused_is_not_put_to_the_model_that_came_back_meanwhile(world: World) -> None:
    world.fs.put("models/a.gguf", gguf("one"))
    world.tick()
    world.fs.remove_tree("models/a")
    world.tick()
    world.fs.put("models/a.gguf", b"text")
    world.wait(6)
    world.fs.put("models/a/b.gguf", gguf("two"))
    world.tick()
    assert world.fs.stat("models/a/model.json") is not None, "it does not wait for what cannot be used"
    assert [outsider.path for outsider in outsiders(world.pipeline.snapshot)] == ["models/a.gguf"]
    world.fs.put("models/a.gguf", gguf("three"))
    world.tick()
    assert {m.folder: m.status for m in world.catalogue.models.values()} == {
        "models/a": "ready",
        "models/a-2": "ready",
    }


def test_what_cannot_move_in_for_a_half_copy_of_its_name_waits_for_that(world: World) -> None:
    world.fs.put("models/alpha.gguf", contents.model("Alpha 7B", "F16"))
    world.tick()
    world.fs.put("models/alpha/lora.gguf", contents.adapter("Alpha 7B")[:-64])
    world.fs.put("models/lora.gguf", contents.adapter("Alpha 7B"))
    world.come_to_rest()
    assert world.file("models/lora.gguf").stuck == "models/alpha/lora.gguf exists already."
    check_at_rest(world)


def test_of_two_revisions_one_is_a_model_though_a_model_json_holds_the_other_back(world: World) -> None:
    hub = "models/hub/models--org--repo"
    for revision, name in (("aaa", "m"), ("aaa", "other"), ("bbb", "m")):
        world.fs.put(f"{hub}/blobs/{name}", gguf(name))
        world.fs.symlink(f"{hub}/snapshots/{revision}/{name}.gguf", f"../../blobs/{name}")
    world.fs.put(f"{hub}/snapshots/aaa/model.json", b'{"name": ')
    world.come_to_rest()
    assert {model.folder: model.status for model in present_models(world.catalogue)} == {
        f"{hub}/snapshots/aaa": "invalid",
        "models/m": "ready",
    }
    check_at_rest(world)
