"""What a disk refuses is said, leaves the rest alone, and is tried again, ever more rarely."""

import errno

import pytest

from janfs.catalogue.catalogue import present_models
from janfs.folder import paths
from tests.pipeline.invariants import check_at_rest
from tests.pipeline.refusing import MUTATIONS, Refusing
from tests.pipeline.world import World, gguf
from tests.simulation import contents


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
