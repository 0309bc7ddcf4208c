"""Things that come together are sorted out alike, whichever is looked at first."""

from janfs.catalogue.catalogue import present_models
from tests.pipeline.invariants import check_at_rest
from tests.pipeline.world import World
from tests.simulation.contents import BROKEN, model, projector

ALPHA = model("Alpha 7B", "Q4_0")
HUB = "models/hub/models--org--repo"


def folders(world: World) -> dict[str, set[str]]:
    """The names of files by the folder directly below `models/`."""
    found: dict[str, set[str]] = {}
    for path in world.catalogue.files:
        found.setdefault(path.split("/")[1], set()).add(path.rpartition("/")[2])
    return found


def test_links_that_want_one_folder_get_two(world: World) -> None:
    for repo, name in (("r0", "alpha.gguf"), ("r1", "Alpha.GGUF")):
        world.fs.put(f"models/hub/{repo}/blobs/1", model("Alpha 7B", repo))
        world.fs.symlink(f"models/hub/{repo}/snapshots/c0ffee/{name}", "../../blobs/1")
    world.wait(10)
    assert {(m.folder, m.status) for m in present_models(world.catalogue)} == {
        ("models/alpha", "ready"),
        ("models/alpha-2", "ready"),
    }
    check_at_rest(world)


def test_of_links_to_the_same_content_the_first_by_path_makes_the_model(world: World) -> None:
    world.fs.put(f"{HUB}/blobs/1", ALPHA)
    world.fs.symlink(f"{HUB}/snapshots/bbb/other.gguf", "../../blobs/1")
    world.fs.symlink(f"{HUB}/snapshots/aaa/alpha.gguf", "../../blobs/1")
    world.tick(f"{HUB}/snapshots/bbb", f"{HUB}/snapshots/aaa")
    world.wait(10)
    assert [m.folder for m in present_models(world.catalogue)] == ["models/alpha"]
    world.delete("alpha")
    world.come_to_rest()
    assert not list(present_models(world.catalogue)), "deleted, it does not come back under the other name"
    check_at_rest(world)


def test_a_projector_waits_until_every_model_is_known_that_came_with_it(world: World) -> None:
    world.fs.put("models/aaa/mmproj.gguf", projector("Alpha 7B"))
    world.fs.put("models/first/first.gguf", ALPHA)
    world.fs.put(f"{HUB}/blobs/1", model("Alpha 7B", "Q8_0"))
    world.fs.symlink(f"{HUB}/snapshots/aaa/second.gguf", "../../blobs/1")
    world.wait(10)
    assert world.model("aaa").status == "part"
    assert world.fs.files("models/aaa"), "two models could claim it"
    check_at_rest(world)


def test_a_projector_that_a_model_json_names_stays_with_those_it_lies_beside(world: World) -> None:
    for variant in ("Q4_0", "Q8_0"):
        world.fs.put(f"models/both/alpha-{variant}.gguf", model("Alpha 7B", variant))
    world.fs.put("models/both/mmproj.gguf", projector("Alpha 7B"))
    world.fs.put("models/mine/alpha.gguf", model("Alpha 7B", "F16"))
    world.fs.put("models/mine/model.json", b'{"engine_parameters": {"mmproj": "mmproj.gguf"}}')
    world.wait(10)
    for folder in ("alpha-q4_0", "alpha-q8_0", "mine"):
        assert "mmproj.gguf" in folders(world)[folder]
    check_at_rest(world)


def test_a_projector_stays_beside_a_model_that_is_broken(world: World) -> None:
    world.fs.put("models/mine/mmproj.gguf", projector("Alpha 7B"))
    world.fs.put("models/mine/alpha.gguf", BROKEN[1])
    world.fs.put("models/other/alpha.gguf", ALPHA)
    world.wait(10)
    assert folders(world)["mine"] == {"mmproj.gguf", "alpha.gguf"}
    check_at_rest(world)


def test_papers_that_a_projector_leaves_behind_are_no_model(world: World) -> None:
    world.fs.put("models/vision/mmproj.gguf", projector("Alpha 7B"))
    world.fs.put("models/vision/README.md", b"Read me.")
    world.wait(10)
    assert world.model("vision").status == "part"
    world.fs.put("models/alpha.gguf", ALPHA)
    world.wait(10)
    assert [m.id for m in present_models(world.catalogue)] == ["alpha"]
    assert folders(world) == {"alpha": {"alpha.gguf", "mmproj.gguf", "model.json"}, "vision": {"README.md"}}
    check_at_rest(world)


def test_a_projector_that_two_models_name_does_not_go_to_and_fro(world: World) -> None:
    for folder in ("one", "two"):
        world.fs.put(f"models/{folder}/model.json", b'{"engine_parameters": {"mmproj": "mmproj.gguf"}}')
    world.fs.put("models/nest/mmproj.gguf", projector("Alpha 7B"))
    world.wait(10)
    assert {name for name, inside in folders(world).items() if "mmproj.gguf" in inside} == {"one", "two"}
    assert len(world.events()) < 20
    check_at_rest(world)


def test_who_names_a_projector_goes_before_whom_it_fits(world: World) -> None:
    world.fs.put("models/zeta/model.json", b'{"engine_parameters": {"mmproj": "mmproj.gguf"}}')
    world.fs.put("models/alpha/alpha.gguf", ALPHA)
    world.fs.put("models/mmproj.gguf", projector("Alpha 7B"))
    world.wait(10)
    assert folders(world)["zeta"] == {"model.json", "mmproj.gguf"}
    check_at_rest(world)


def test_a_file_that_changes_while_it_waits_to_leave_stays_its_models_own(world: World) -> None:
    for variant in ("Q4_0", "Q8_0"):
        world.fs.put(f"models/both/alpha-{variant}.gguf", model("Alpha 7B", variant))
    for variant in ("q4_0", "q8_0"):  # in the way
        world.fs.put(f"models/alpha-{variant}/alpha-{variant.upper()}.gguf", BROKEN[1])
    world.tick("models/both")
    uids = {path: file.uid for path, file in world.catalogue.files.items() if path.startswith("models/both/")}
    assert len(set(uids.values())) == 2
    for path in uids:
        world.fs.put(path, BROKEN[3])
    world.tick()
    assert {path: world.file(path).uid for path in uids} == uids
