"""Every model in a folder of its own, with a model.json; what fails is said, and tried again."""

import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from janfs.availability import outsiders
from janfs.catalogue.catalogue import present_models
from janfs.folder import paths
from janfs.pipeline.root import MARKER
from tests.fakes.faults import HookedFileSystem, P, T
from tests.pipeline.invariants import check_at_rest
from tests.pipeline.world import World, gguf
from tests.simulation import contents

MUTATIONS = (
    *("create", "make_folder", "make_link", "link_file", "copy_file"),
    *("rename", "unlink", "remove_folder", "sync_folder"),
)


class Refusing:
    """A disk that refuses some calls."""

    def __init__(self) -> None:
        self.code: int | None = None
        self.calls: tuple[str, ...] = MUTATIONS

    def __call__(self, name: str, perform: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        if self.code is not None and name in self.calls:
            raise OSError(self.code, os.strerror(self.code), *args[:1])
        return perform(*args, **kwargs)


@pytest.fixture
def refusing() -> Refusing:
    return Refusing()


@pytest.fixture
def stubborn(tmp_path: Path, refusing: Refusing) -> Iterator[World]:
    world = World(tmp_path / "stubborn.db", port=lambda fs: HookedFileSystem(fs, refusing))
    world.tick()
    yield world
    world.stop()


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


def test_what_cannot_move_in_for_a_half_copy_of_its_name_waits_for_that(world: World) -> None:
    world.fs.put("models/alpha.gguf", contents.model("Alpha 7B", "F16"))
    world.tick()
    world.fs.put("models/alpha/lora.gguf", contents.adapter("Alpha 7B")[:-64])
    world.fs.put("models/lora.gguf", contents.adapter("Alpha 7B"))
    world.come_to_rest()
    assert world.file("models/lora.gguf").stuck == "models/alpha/lora.gguf exists already."
    check_at_rest(world)


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


@pytest.mark.parametrize(
    ("code", "words"),
    [(errno.EACCES, "Permission denied"), (errno.EROFS, "read-only"), (errno.ENOSPC, "disk is full")],
)
def test_what_cannot_be_moved_is_served_from_where_it_lies_and_tried_again(
    stubborn: World, refusing: Refusing, code: int, words: str
) -> None:
    refusing.code = code
    stubborn.fs.put("models/a.gguf", gguf("one"))
    stubborn.tick()
    model = stubborn.model("a")
    assert (model.status, model.binary) == ("ready", "models/a.gguf")
    assert model.reason is not None
    assert words in model.reason
    assert stubborn.fs.read("models/a.gguf") == gguf("one")
    refusing.code = None
    stubborn.wait(50)
    assert stubborn.model("a").binary == "models/a.gguf", "not before its time"
    stubborn.wait(20)
    model = stubborn.model("a")
    assert (model.status, model.reason, model.binary) == ("ready", None, "models/a/a.gguf")
    assert stubborn.fs.stat("models/a/model.json") is not None


def test_what_is_dropped_beside_models_that_cannot_be_moved_leaves_them_as_they_are(
    stubborn: World, refusing: Refusing
) -> None:
    refusing.code = errno.EROFS
    for name in ("q4", "q5"):
        stubborn.fs.put(f"models/several/{name}.gguf", gguf(name))
    stubborn.wait(5)
    stubborn.fs.put("models/several/q6.gguf", gguf("q6"))
    stubborn.fs.put("models/several/README.md", b"of them all")
    stubborn.wait(5)
    assert {model.binary: model.status for model in present_models(stubborn.catalogue)} == {
        f"models/several/{name}.gguf": "ready" for name in ("q4", "q5", "q6")
    }
    refusing.code = None
    stubborn.wait(200)
    for model in present_models(stubborn.catalogue):
        assert stubborn.fs.stat(f"{model.folder}/README.md") is not None, (
            f"{model.id} went without its papers"
        )


def test_what_could_not_be_moved_is_not_tried_again_while_it_is_written_anew(
    stubborn: World, refusing: Refusing
) -> None:
    refusing.code = errno.EACCES
    for name in ("q4", "q5"):
        stubborn.fs.put(f"models/several/{name}.gguf", gguf(name))
    stubborn.wait(5)
    refusing.code = None
    stubborn.fs.put("models/several/q4.gguf", gguf("newer")[:-10])
    position = stubborn.log.head.position
    stubborn.wait(4000)
    assert "move-failed" not in stubborn.events(position), "it is not the file any more that is known"
    assert stubborn.model("q5").binary == "models/q5/q5.gguf", "its neighbour need not wait"
    stubborn.fs.put("models/several/q4.gguf", gguf("newer"))
    stubborn.wait(4000)
    assert stubborn.model("q4").binary == "models/q4/q4.gguf"


def test_a_model_json_with_another_name_is_said_to_stay_once(world: World) -> None:
    world.fs.put("models/a.gguf", gguf("one"))
    world.wait(1)
    world.fs.hard_link("models/a/model.json", "models/kept.json")
    world.fs.put("models/a/a.gguf", gguf("another"))
    world.wait(1)
    assert "has another name too" in (world.model("a").reason or "")
    position = world.log.head.position
    world.restart()
    world.wait(4000)
    assert not world.events(position), "it cannot be replaced as long as it has two names"
    world.fs.remove("models/kept.json")
    world.wait(4000)
    assert world.events(position) == ["file-removed", "write-planned", "json-written"]


def test_a_model_json_with_another_name_that_needs_no_change_any_more_says_nothing_of_it(
    world: World,
) -> None:
    world.fs.put("models/alpha/alpha.gguf", contents.model("Alpha 7B", "F16"))
    world.wait(1)
    world.fs.hard_link("models/alpha/model.json", "models/kept.json")
    world.fs.put("models/alpha/mmproj.gguf", contents.projector("Alpha 7B"))
    world.wait(1)
    assert "has another name too" in (world.model("alpha").reason or "")
    world.fs.remove("models/alpha/mmproj.gguf")
    world.wait(4000)
    assert (world.model("alpha").status, world.model("alpha").reason) == ("ready", None)
    check_at_rest(world)


def test_tries_get_rarer(stubborn: World, refusing: Refusing) -> None:
    refusing.code = errno.EROFS
    refusing.calls = ("make_folder",)
    stubborn.fs.put("models/a.gguf", gguf("one"))
    stubborn.tick()
    tries = []
    for _ in range(24):
        position = stubborn.log.head.position
        stubborn.wait(3600)
        tries.append(stubborn.events(position).count("move-failed"))
    assert tries[0] <= 6, "1, 3, 7, 15, 31 minutes"
    assert set(tries[4:]) <= {0, 1, 2}, f"once an hour in the end: {tries}"
    assert any(tries[4:])


def test_a_model_json_that_cannot_be_written_is_said_and_written_later(
    stubborn: World, refusing: Refusing
) -> None:
    refusing.code, refusing.calls = errno.ENOSPC, ("create",)
    stubborn.fs.put("models/a.gguf", gguf("one"))
    stubborn.tick()
    model = stubborn.model("a")
    assert model.status == "ready"
    assert model.reason is not None
    assert "disk is full" in model.reason
    stubborn.fs.put("models/a/README.md", b"anything else that changes beside it")
    stubborn.tick()
    assert stubborn.model("a").reason == model.reason
    refusing.code = None
    stubborn.wait(70)
    assert stubborn.model("a").reason is None
    assert stubborn.fs.stat("models/a/model.json") is not None


def test_a_model_json_that_needs_no_change_any_more_does_not_go_on_saying_what_failed(
    stubborn: World, refusing: Refusing
) -> None:
    stubborn.fs.put("models/alpha/alpha.gguf", contents.model("Alpha 7B", "F16"))
    stubborn.wait(1)
    refusing.code = errno.EIO
    stubborn.fs.put("models/alpha/mmproj.gguf", contents.projector("Alpha 7B"))
    stubborn.wait(1)
    assert "could not be written" in (stubborn.model("alpha").reason or "")
    stubborn.fs.remove("models/alpha/mmproj.gguf")
    stubborn.wait(1)
    refusing.code = None
    stubborn.come_to_rest()
    assert (stubborn.model("alpha").status, stubborn.model("alpha").reason) == ("ready", None)
    check_at_rest(stubborn)


def test_nothing_is_left_of_a_write_that_could_not_even_be_undone(
    stubborn: World, refusing: Refusing
) -> None:
    refusing.code, refusing.calls = errno.EIO, ("rename", "unlink")
    stubborn.fs.put("models/a/a.gguf", gguf("one"))
    stubborn.tick()
    assert any(path.endswith(".tmp") for path in stubborn.fs.files())
    stubborn.fs.put("models/a/model.json", b"{}")
    refusing.code = None
    stubborn.tick("")
    assert not [path for path in stubborn.fs.files() if path.endswith(".tmp")]


def test_a_model_json_that_someone_else_wrote_meanwhile_settles_it(
    stubborn: World, refusing: Refusing
) -> None:
    refusing.code, refusing.calls = errno.ENOSPC, ("create",)
    stubborn.fs.put("models/a/a.gguf", gguf("one"))
    stubborn.tick()
    stubborn.fs.put("models/a/model.json", b'{"name": "Mine"}')
    stubborn.wait(1)
    assert stubborn.model("a").reason is None
    position = stubborn.log.head.position
    stubborn.wait(4000)
    assert not stubborn.events(position)
    assert stubborn.fs.read("models/a/model.json") == b'{"name": "Mine"}'


def test_a_loose_model_makes_room_when_its_folder_is_taken(stubborn: World, refusing: Refusing) -> None:
    refusing.code = errno.EACCES
    stubborn.fs.put("models/a.gguf", gguf("loose"))
    stubborn.tick()
    uid = stubborn.model("a").uid
    stubborn.fs.put("models/a/a.gguf", gguf("another"))
    stubborn.tick()
    refusing.code = None
    stubborn.wait(4000)
    assert {m.folder: (m.uid == uid, m.status) for m in stubborn.catalogue.models.values()} == {
        "models/a": (False, "ready"),
        "models/a-2": (True, "ready"),
    }
    assert stubborn.model("a").uid != uid, "a folder that bears the name goes before an alias"
    assert stubborn.model("a-2").aliases == ("a",)


@pytest.mark.parametrize("call", MUTATIONS)
def test_whatever_call_fails_the_pipeline_goes_on_and_heals(
    stubborn: World, refusing: Refusing, call: str
) -> None:
    refusing.code, refusing.calls = errno.EIO, (call,)
    stubborn.fs.put("models/a.gguf", gguf("one"))
    stubborn.fs.put("blobs/b.gguf", gguf("two"))
    stubborn.fs.symlink("models/b.gguf", "../blobs/b.gguf")
    stubborn.tick()
    stubborn.tick("")
    assert stubborn.pipeline.snapshot.failing is None
    assert stubborn.model("a").status == "ready"
    refusing.code = None
    stubborn.wait(4000)
    assert (stubborn.model("a").status, stubborn.model("a").reason) == ("ready", None)
    assert (stubborn.model("b").status, stubborn.model("b").reason) == ("ready", None)
    left = [path for path in stubborn.fs.files() if paths.name(path).endswith(".tmp")]
    assert not left


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
