"""What lies behind a link is left in place, and models made of links get folders of their own."""

import pytest

from janfs.events import types as e
from janfs.folder.filesystem import Stamp
from janfs.folder.settle import NO_STAMP
from janfs.manifest.schema import Manifest, SourceRef
from janfs.organise.links import is_bound
from janfs.organise.steps import Copy
from tests.catalogue.strategies import facts
from tests.organise.planning import World

HUB = "models/hub/models--org--repo"


@pytest.fixture
def world() -> World:
    return World()


def link(world: World, path: str, inode: int, uid: str) -> None:
    world.say(uid, e.FileDropped(path, Stamp(10, 1, inode), "../../blobs/abc", facts()))


def test_a_hub_cache_stays_and_each_model_in_it_gets_a_link(world: World) -> None:
    link(world, f"{HUB}/snapshots/c0ffee/m-q4.gguf", 7, "u1")
    link(world, f"{HUB}/snapshots/c0ffee/m-q8.gguf", 8, "u1")
    steps = world.settle()
    made = [(step.source, step.target) for step in steps if isinstance(step, Copy)]
    assert made == [
        (f"{HUB}/snapshots/c0ffee/m-q4.gguf", "models/m-q4/m-q4.gguf"),
        (f"{HUB}/snapshots/c0ffee/m-q8.gguf", "models/m-q8/m-q8.gguf"),
    ]
    assert world.folders()[f"{HUB}/snapshots/c0ffee"] == {"m-q4.gguf", "m-q8.gguf"}
    assert sorted(model.id for model in world.present()) == ["m-q4", "m-q8"]


def test_a_link_that_cannot_be_read_for_a_moment_makes_no_model_of_somebodys_tree(world: World) -> None:
    path = f"{HUB}/snapshots/aaa/m.gguf"
    refused = e.FileRefused(path, Stamp(10, 1, 7), "unreadable", "Permission denied.", "../../blobs/abc")
    world.say("u1", refused)
    assert world.settle() == []
    link(world, path, 7, "u1")
    world.settle()
    assert [model.folder for model in world.present()] == ["models/m"]
    assert world.folders()[f"{HUB}/snapshots/aaa"] == {"m.gguf"}


def test_a_link_of_a_model_that_leads_to_nothing_any_more_is_not_moved(world: World) -> None:
    uid = world.drop("models/a.gguf")
    world.settle()
    gone = "The link leads to ../lora.gguf, and nothing is there."
    world.say(uid, e.FileRefused("models/b/lora.gguf", NO_STAMP, "not_a_file", gone, "../lora.gguf"))
    assert world.settle() == []


def test_a_link_through_which_another_leads_cannot_move(world: World) -> None:
    world.say("u7", e.FileDropped("models/x/one.gguf", Stamp(10, 1, 7), "/home/user/lora.gguf", facts()))
    world.say("u8", e.FileDropped("models/y/two.gguf", Stamp(10, 1, 7), "../x/one.gguf", facts()))
    one, two = (world.catalogue.files[path] for path in ("models/x/one.gguf", "models/y/two.gguf"))
    assert is_bound(world.catalogue, one), "the other link would lead nowhere"
    assert not is_bound(world.catalogue, two)


def test_two_revisions_that_share_a_blob_are_one_model(world: World) -> None:
    link(world, f"{HUB}/snapshots/aaa/m.gguf", 7, "u1")
    link(world, f"{HUB}/snapshots/bbb/m.gguf", 7, "u2")
    world.settle()
    assert [model.folder for model in world.present()] == ["models/m"]


def test_a_persons_link_beside_a_part_is_the_model_whatever_is_looked_at_first(world: World) -> None:
    link(world, f"{HUB}/snapshots/aaa/m.gguf", 7, "u1")
    link(world, "models/mine/m.gguf", 7, "u2")
    eyes = facts(type="mmproj", projection_dim=64)
    world.say("u2", e.FileDropped("models/mine/mmproj.gguf", Stamp(10, 1, 8), None, eyes))
    world.settle()
    assert [model.folder for model in world.present()] == ["models/mine"]


def test_a_persons_link_that_its_model_json_keeps_from_being_served_is_not_the_models_own(
    world: World,
) -> None:
    link(world, "models/mine/m.gguf", 7, "u1")
    world.edit("models/mine/model.json", Manifest(engine_parameters={"llama_model_path": "other.gguf"}))
    world.settle()
    link(world, f"{HUB}/snapshots/aaa/m.gguf", 7, "u2")
    world.settle()
    assert world.model("mine").status == "missing"
    assert world.model("m").binary == "models/m/m.gguf"


def test_shards_behind_links_come_together(world: World) -> None:
    for number in (1, 2):
        said = facts(split_no=number - 1, split_count=2)
        path = f"{HUB}/snapshots/aaa/m-{number:05d}-of-00002.gguf"
        world.say("u1", e.FileDropped(path, Stamp(10, 1, number), "../../blobs/x", said))
    world.settle()
    assert world.folders()["models/m"] == {"m-00001-of-00002.gguf", "m-00002-of-00002.gguf", "model.json"}
    assert [model.status for model in world.present()] == ["ready"]


def test_a_link_that_was_removed_is_not_made_again(world: World) -> None:
    link(world, f"{HUB}/snapshots/aaa/m.gguf", 7, "u1")
    world.settle()
    for name in ("m.gguf", "model.json"):
        world.remove(f"models/m/{name}")
    world.settle()
    assert world.present() == []
    assert world.folders() == {f"{HUB}/snapshots/aaa": {"m.gguf"}}


def test_a_link_that_was_removed_stays_so_when_a_broken_file_of_its_name_comes(world: World) -> None:
    link(world, f"{HUB}/snapshots/aaa/m.gguf", 7, "u1")
    world.settle()
    uid = world.model("m").uid
    for name in ("m.gguf", "model.json"):
        world.remove(f"models/m/{name}")
    world.settle()
    world.say(uid, e.FileRefused("models/m.gguf", Stamp(3, 1, 9), "gguf_truncated", "It is cut."))
    assert not [step for step in world.settle() if isinstance(step, Copy)]


def test_a_link_to_nothing_keeps_no_folder_from_being_the_model_that_its_model_json_says(
    world: World,
) -> None:
    gone = e.FileRefused("models/a/b/a.gguf", Stamp(0, 0, 0), "not_a_file", "Nothing is there.", "../x.gguf")
    world.say("u1", gone)
    world.drop("models/a/b/m.gguf", uid="u1")
    world.edit("models/a/b/model.json", Manifest(engine_parameters={"llama_model_path": "m.gguf"}))
    world.settle()
    assert [(model.folder, model.status) for model in world.present()] == [("models/a/b", "ready")]


@pytest.mark.parametrize("folder", ["models/both", "models/nest/both"])
def test_of_two_models_in_a_folder_the_one_that_a_link_leads_to_stays(world: World, folder: str) -> None:
    for inode, name in ((5, "linked.gguf"), (6, "free.gguf")):
        world.say("u1", e.FileDropped(f"{folder}/{name}", Stamp(10, 1, inode), facts=facts()))
    world.say("u2", e.FileDropped("models/mine/x.gguf", Stamp(10, 1, 5), f"../{folder}/linked.gguf", facts()))
    world.settle()
    assert world.folders()["models/free"] == {"free.gguf", "model.json"}
    assert "linked.gguf" in world.folders()[folder], "a move would leave the link leading nowhere"
    assert world.model("mine").status == world.model("free").status == "ready"


def test_a_folder_that_became_a_model_keeps_the_file_that_a_link_leads_to(world: World) -> None:
    world.say("u1", e.FileDropped("models/both/free.gguf", Stamp(10, 1, 6), facts=facts()))
    world.say("u1", e.ModelRegistered("both", "models/both"))
    world.say("u1", e.FileDropped("models/both/linked.gguf", Stamp(10, 1, 5), facts=facts()))
    world.say("u2", e.FileDropped("models/mine/x.gguf", Stamp(10, 1, 5), "../both/linked.gguf", facts()))
    world.settle()
    assert world.folders()["models/both"] == {"linked.gguf", "model.json"}
    assert world.folders()["models/free"] == {"free.gguf", "model.json"}


def test_a_file_that_a_link_leads_to_stays_where_it_is(world: World) -> None:
    world.say("u1", e.FileDropped("models/x.gguf", Stamp(10, 1, 5), facts=facts()))
    world.say("u2", e.FileDropped("models/mine/x.gguf", Stamp(10, 1, 5), "../x.gguf", facts()))
    world.settle()
    assert world.folders() == {"models": {"x.gguf"}, "models/mine": {"x.gguf", "model.json"}}
    assert [model.id for model in world.present()] == ["mine"]


NOWHERE = Stamp(0, 0, 0)


@pytest.mark.parametrize("target", ["../models/alpha/x.gguf", "Alpha/y.gguf"])
def test_where_a_link_leads_to_nothing_no_other_model_is_put(world: World, target: str) -> None:
    gone = e.FileRefused("models/best.gguf", NOWHERE, "not_a_file", "Nothing is there.", target)
    world.say("u1", gone)
    world.drop("models/alpha.gguf")
    world.settle()
    assert [model.folder for model in world.present()] == ["models/alpha-2"], (
        "the link leads to another model"
    )


def test_a_model_that_comes_back_goes_where_links_still_lead(world: World) -> None:
    uid = world.drop("models/alpha.gguf")
    world.settle()
    for path in list(world.catalogue.files):
        world.remove(path)
    world.settle()
    gone = e.FileRefused("models/best.gguf", NOWHERE, "not_a_file", "Nothing is there.", "alpha/alpha.gguf")
    world.say("u9", gone)
    world.drop("models/alpha.gguf", uid=uid)
    world.settle()
    assert [model.folder for model in world.present()] == ["models/alpha"]


def test_a_model_json_that_names_a_file_elsewhere_gets_a_link_to_it(world: World) -> None:
    said = Manifest(sources=(SourceRef("big.gguf", "/mnt/models/big.gguf"),))
    world.edit("models/imported/model.json", said)
    steps = world.settle()
    assert [(step.source, step.target, step.how) for step in steps if isinstance(step, Copy)] == [
        ("/mnt/models/big.gguf", "models/imported/big.gguf", "symbolic-link")
    ]


def test_a_source_on_the_web_or_of_another_kind_gets_no_link(world: World) -> None:
    for number, url in enumerate(("https://x.org/a.gguf", "a.gguf", "/etc/passwd", "C:\\models\\a.gguf")):
        world.edit(f"models/m{number}/model.json", Manifest(sources=(SourceRef("a.gguf", url),)))
    assert not [step for step in world.settle() if isinstance(step, Copy)]


def test_a_link_that_could_not_be_made_is_tried_again(world: World) -> None:
    link(world, f"{HUB}/snapshots/aaa/m.gguf", 7, "u1")
    world.fails = True
    world.settle()
    assert world.present() == []
    world.fails = False
    world.settle(retry=True)
    assert world.model("m").status == "ready"
    assert world.catalogue.files[f"{HUB}/snapshots/aaa/m.gguf"].stuck is None


def test_a_link_that_a_model_json_asks_for_and_that_cannot_be_made_is_tried_once(world: World) -> None:
    world.edit(
        "models/imported/model.json", Manifest(sources=(SourceRef("big.gguf", "/mnt/models/big.gguf"),))
    )
    world.fails = True
    assert [step.how for step in world.settle() if isinstance(step, Copy)] == ["symbolic-link"]
    assert "disk is full" in (world.model("imported").reason or "")
    world.fails = False
    assert [step.how for step in world.settle(retry=True) if isinstance(step, Copy)] == ["symbolic-link"]


def test_a_file_waiting_to_be_moved_stays_once_a_link_leads_to_it(world: World) -> None:
    world.fails = True
    world.say("u1", e.FileDropped("models/x.gguf", Stamp(10, 1, 5), facts=facts()))
    world.settle()
    world.fails = False
    world.say("u2", e.FileDropped("models/mine/y.gguf", Stamp(10, 1, 5), "../x.gguf", facts()))
    world.settle(retry=True)
    assert "models/x.gguf" in world.catalogue.files
    assert {model.id: model.status for model in world.present()} == {"x": "ready", "mine": "ready"}
