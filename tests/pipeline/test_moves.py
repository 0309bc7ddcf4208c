"""What people rename stays what it was."""

import errno
import inspect
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from janfs.catalogue.catalogue import find_model, present_models
from tests.fakes.faults import HookedFileSystem, P, T
from tests.pipeline.invariants import check_at_rest
from tests.pipeline.world import World, gguf


def test_a_renamed_folder_keeps_its_model_and_the_old_id_leads_to_it(world: World) -> None:
    world.fs.put("models/old.gguf", gguf("one"))
    world.tick()
    uid = world.model("old").uid
    position = world.log.head.position
    world.fs.rename_over("models/old", "models/New Name")
    world.tick()
    model = world.model("new-name")
    assert (model.uid, model.folder, model.aliases) == (uid, "models/New Name", ("old",))
    assert world.model("old") == model
    renamed = ["file-moved", "file-moved", "model-renamed"]
    assert world.events(position) == [*renamed, "write-planned", "json-written"], "the id in it is another"
    world.restart()
    assert world.model("old") == model


def test_a_folder_renamed_while_we_were_away_keeps_its_model(world: World) -> None:
    world.fs.put("models/old.gguf", gguf("one"))
    world.tick()
    uid = world.model("old").uid
    world.stop()
    world.fs.rename_over("models/old", "models/nest/new")
    world.start()
    world.tick()
    assert world.model("new").uid == uid
    assert world.model("old").uid == uid


def test_a_folder_renamed_back_is_as_before(world: World) -> None:
    world.fs.put("models/a.gguf", gguf("one"))
    world.tick()
    uid = world.model("a").uid
    for source, target in (("models/a", "models/b"), ("models/b", "models/a")):
        world.fs.rename_over(source, target)
        world.tick()
    assert world.model("a").uid == world.model("b").uid == uid
    assert world.model("a").id == "a"


def test_a_folder_renamed_to_where_a_removed_model_was_stays_itself(world: World) -> None:
    for name in ("a", "b"):
        world.fs.put(f"models/{name}.gguf", gguf(name))
    world.tick()
    uid = world.model("a").uid
    world.fs.remove_tree("models/b")
    world.tick()
    world.fs.rename_over("models/a", "models/b")
    world.tick()
    assert world.model("b").uid == uid
    assert world.model("a").uid == uid, "the old id is an alias"


def test_a_folder_with_a_touched_model_json_is_still_the_same_when_renamed(world: World) -> None:
    world.fs.put("models/a/model.json", b'{"name": "Alone"}')
    world.tick()
    uid = world.model("a").uid
    world.clock.advance(1)
    world.fs.touch("models/a/model.json")
    world.tick()
    world.fs.rename_over("models/a", "models/b")
    world.tick()
    assert world.model("b").uid == uid
    assert "json-removed" not in world.events()


def test_something_new_where_a_renamed_folder_was_is_another_model(world: World) -> None:
    world.fs.put("models/a/a.gguf", gguf("one"))
    world.tick()
    uid = world.model("a").uid
    world.fs.rename_over("models/a", "models/b")
    world.fs.put("models/a/other.gguf", gguf("two"))
    world.tick()
    assert world.model("b").uid == uid
    other = world.model("a")
    assert (other.uid != uid, other.id, other.folder) == (True, "a", "models/a"), "the alias was in its way"
    assert (world.model("b").status, other.status) == ("ready", "ready")


def test_two_folders_that_change_their_names_one_after_another_have_them_as_ids(world: World) -> None:
    for name in ("a", "b"):
        world.fs.put(f"models/{name}/x.gguf", gguf(name))
    world.tick()
    uids = {name: world.model(name).uid for name in ("a", "b")}
    for source, target in (("a", "aside"), ("b", "a"), ("aside", "b")):
        world.fs.rename_over(f"models/{source}", f"models/{target}")
        world.tick()
    assert {name: world.model(name).uid for name in ("a", "b")} == {"a": uids["b"], "b": uids["a"]}
    assert {model.id for model in world.catalogue.models.values()} == {"a", "b"}


def test_two_folders_renamed_to_one_name_in_two_places_get_two_ids(world: World) -> None:
    for name in ("a", "b"):
        world.fs.put(f"models/{name}/x.gguf", gguf(name))
    world.tick()
    world.fs.rename_over("models/a", "models/one/same")
    world.fs.rename_over("models/b", "models/two/same")
    world.tick()
    assert {model.id for model in world.catalogue.models.values()} == {"same", "same-2"}


def test_a_copy_of_a_models_weights_that_lies_loose_is_another_model(world: World) -> None:
    world.fs.put("models/a/a.gguf", gguf("one"))
    world.tick()
    world.fs.put("models/a.gguf", gguf("one"))
    world.tick()
    assert {model.id for model in present_models(world.catalogue)} == {"a", "a-2"}


def test_a_loose_file_that_someone_moved_into_a_folder_takes_its_model_along(world: World) -> None:
    world.fs.read_only = True
    world.fs.put("models/a.gguf", gguf("one"))
    world.tick()
    uid = world.model("a").uid
    world.fs.rename_over("models/a.gguf", "models/mine/a.gguf")
    world.tick()
    model = world.model("mine")
    assert (model.uid, model.status, model.loose) == (uid, "ready", None)
    assert world.model("a") == model


def test_a_loose_file_that_was_renamed_is_still_served(world: World) -> None:
    world.fs.read_only = True
    world.fs.put("models/a.gguf", gguf("one"))
    world.tick()
    world.fs.rename_over("models/a.gguf", "models/b.gguf")
    world.tick()
    model = world.model("a")
    assert (model.status, model.binary) == ("ready", "models/b.gguf")
    world.fs.read_only = False
    world.wait(61)
    assert world.model("a").binary == "models/a/b.gguf"


def test_a_file_under_a_name_of_another_kind_is_another_thing(world: World) -> None:
    world.fs.put("models/a/a.gguf", gguf("one"))
    world.tick()
    world.fs.rename_over("models/a/a.gguf", "models/a/a.bin")
    world.tick()
    assert world.model("a").status == "missing"
    assert world.file("models/a/a.bin").facts is None
    world.fs.rename_over("models/a/a.bin", "models/a/a.gguf")
    world.tick()
    assert world.model("a").status == "ready"


def test_a_second_name_of_one_file_is_a_file_of_its_own(world: World) -> None:
    world.fs.put("models/a/a.gguf", gguf("one"))
    world.tick()
    world.fs.hard_link("models/a/a.gguf", "models/b.gguf")
    world.tick()
    assert (world.model("a").status, world.model("b").status) == ("ready", "ready")
    assert world.model("b").binary == "models/b/b.gguf"
    world.fs.remove("models/a/a.gguf")
    world.tick()
    assert (world.model("a").status, world.model("b").status) == ("missing", "ready")


def test_a_file_over_another_changes_the_one_and_removes_the_other(world: World) -> None:
    for name in ("a", "b"):
        world.fs.put(f"models/{name}/x.gguf", gguf(name))
    world.tick()
    world.fs.rename_over("models/b/x.gguf", "models/a/x.gguf")
    world.tick()
    assert world.model("a").status == "ready"
    facts = world.file("models/a/x.gguf").facts
    assert facts is not None
    assert facts.name == "b"
    assert world.model("b").status == "missing"
    assert find_model(world.catalogue, "b") is not None


def test_models_that_were_yet_to_leave_a_folder_stay_themselves_when_it_is_renamed(tmp_path: Path) -> None:
    stuck = False

    def hook(name: str, perform: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        if stuck and name in ("rename", "copy_file"):
            raise OSError(errno.EACCES, "Permission denied")
        return perform(*args, **kwargs)

    world = World(tmp_path / "other.db", port=lambda fs: HookedFileSystem(fs, hook))
    world.tick()
    stuck = True
    for name in ("q4", "q8", "LICENSE"):
        world.fs.put(f"models/both/{name}.gguf" if name != "LICENSE" else "models/both/LICENSE", gguf(name))
    world.wait(4)
    before = {model.id: model.uid for model in present_models(world.catalogue)}
    assert set(before) == {"q4", "q8"}, "nothing was yet to leave"
    world.fs.rename_over("models/both", "models/together")
    world.tick()
    stuck = False
    world.come_to_rest()
    assert {model.id: model.uid for model in present_models(world.catalogue)} == before
    for name in before:
        assert sorted(world.fs.list(f"models/{name}")) == ["LICENSE", "model.json", f"{name}.gguf"]
    check_at_rest(world)
    world.stop()


@pytest.mark.parametrize("names", [("a", "b"), ("same", "same")])
@pytest.mark.parametrize("away", [False, True], ids=["watched", "away"])
def test_two_folders_that_change_names_keep_their_models(
    world: World, names: tuple[str, str], away: bool
) -> None:
    for folder, name in zip("ab", names, strict=True):
        world.fs.put(f"models/{folder}/{name}.gguf", gguf(folder))
        world.fs.put(f"models/{folder}/notes.txt", folder.encode())
    world.come_to_rest()
    world.fs.put("models/a/model.json", b'{"name": "Mine"}')
    world.come_to_rest()
    first, second, position = world.model("a"), world.model("b"), world.log.head.position
    if away:
        world.stop()
    swap(world)
    if away:
        world.start()
    world.tick()
    assert [name for name in world.events(position) if "-" in name and "write" not in name][:2] == [
        "model-swapped",
        "model-swapped",
    ]
    assert not {"file-moved", "file-changed", "file-removed"} & set(world.events(position))
    assert (world.model("a").uid, world.model("b").uid) == (second.uid, first.uid)
    assert world.model("b").binary == f"models/b/{names[0]}.gguf"
    assert world.file("models/b/notes.txt").uid == first.uid
    assert world.fs.read("models/b/model.json") == b'{"name": "Mine"}'
    world.come_to_rest()
    check_at_rest(world)
    swap(world)
    world.tick()
    assert (world.model("a").uid, world.model("b").uid) == (first.uid, second.uid)
    check_at_rest(world)


@pytest.mark.parametrize("to", ["bca", "cab", "bcda", "badc", "dcab"])
@pytest.mark.parametrize("told", ["everything", "one folder"])
def test_folders_that_change_names_in_a_ring_keep_their_models(world: World, to: str, told: str) -> None:
    names = sorted(to)
    for name in names:
        world.fs.put(f"models/{name}/m.gguf", gguf(name))
    world.come_to_rest()
    uids, position = {name: world.model(name).uid for name in names}, world.log.head.position
    for name in names:
        world.fs.rename_over(f"models/{name}", f"/tmp/{name}")
    for name, place in zip(names, to, strict=True):
        world.fs.rename_over(f"/tmp/{name}", f"models/{place}")
    world.hints.clear()
    world.tick("" if told == "everything" else "models/a")
    world.come_to_rest()
    assert {name: world.model(place).uid for name, place in zip(names, to, strict=True)} == uids
    assert {model.folder: model.id for model in present_models(world.catalogue)} == {
        f"models/{name}": name for name in names
    }
    assert not {"file-moved", "file-changed", "file-removed", "model-registered"} & set(
        world.events(position)
    )
    assert all(world.fs.read(f"models/{p}/m.gguf") == gguf(n) for n, p in zip(names, to, strict=True))
    check_at_rest(world)


@pytest.mark.parametrize("length", [2, 3, 4])
@pytest.mark.parametrize("told", ["everything", "as it was renamed"])
@pytest.mark.parametrize("name", ["m", "own"])
def test_folders_that_are_renamed_one_after_another_each_to_the_one_before_keep_their_models(
    world: World, length: int, told: str, name: str
) -> None:
    letters = "abcde"[: length + 1]
    for folder in letters[:-1]:
        world.fs.put(f"models/{folder}/{'m' if name == 'm' else folder}.gguf", gguf(folder))
    world.come_to_rest()
    uids, position = {folder: world.model(folder).uid for folder in letters[:-1]}, world.log.head.position
    for folder, place in reversed(list(pairwise(letters))):
        world.fs.rename_over(f"models/{folder}", f"models/{place}")
    if told == "everything":
        world.hints.clear()
    world.tick(*([""] if told == "everything" else []))
    world.come_to_rest()
    now = {model.uid: (model.folder, model.id) for model in present_models(world.catalogue)}
    assert now == {uids[folder]: (f"models/{place}", place) for folder, place in pairwise(letters)}
    assert not {"file-changed", "file-removed", "model-registered", "model-removed", "json-edited"} & set(
        world.events(position)
    )
    check_at_rest(world)


@pytest.mark.parametrize("told", ["everything", "as it happened"])
@pytest.mark.parametrize("names", [("a", "b", "c"), ("m", "m", "m")], ids=["own names", "one name"])
@pytest.mark.parametrize("to", ["b", "bc"], ids=["one", "and the next"])
@pytest.mark.parametrize("away", [False, True], ids=["watched", "away"])
def test_a_folder_renamed_to_that_of_a_model_that_was_just_removed_keeps_its_model(
    world: World, to: str, names: tuple[str, str, str], told: str, away: bool
) -> None:
    moved = "ab"[: len(to)]
    for folder, name in zip("abc", names, strict=True):
        world.fs.put(f"models/{folder}/{name}.gguf", gguf(folder))
        world.fs.put(f"models/{folder}/notes of {folder}.txt", folder.encode())
    world.come_to_rest()
    uids, position = {folder: world.model(folder).uid for folder in "abc"}, world.log.head.position
    if away:
        world.stop()
    for path in world.fs.list(f"models/{to[-1]}"):
        world.fs.remove(f"models/{to[-1]}/{path}")
    world.fs.remove_folder(f"models/{to[-1]}")
    for folder, place in reversed(list(zip(moved, to, strict=True))):
        world.fs.rename_over(f"models/{folder}", f"models/{place}")
    if away:
        world.start()
    elif told == "everything":
        world.hints.clear()
    world.tick(*([""] if told == "everything" else []))
    world.come_to_rest()
    for folder, place in zip(moved, to, strict=True):
        assert world.model(place).uid == uids[folder], f"{folder} lost its history on the way to {place}"
        assert folder in world.model(place).aliases or folder in to
        assert world.file(f"models/{place}/notes of {folder}.txt").uid == uids[folder]
    assert world.catalogue.models[uids[to[-1]]].removed is not None
    assert world.events(position).count("model-removed") == 1
    assert not {"file-changed", "model-registered", "json-edited"} & set(world.events(position))
    check_at_rest(world)


def test_what_is_left_of_a_model_keeps_it_though_anothers_files_were_moved_over_its_own(
    world: World,
) -> None:
    for folder in "ab":
        world.fs.put(f"models/{folder}/m.gguf", gguf(folder))
        world.fs.put(f"models/{folder}/notes of {folder}.txt", folder.encode())
    world.come_to_rest()
    second = world.model("b").uid
    for path in world.fs.list("models/a"):
        world.fs.rename_over(f"models/a/{path}", f"models/b/{path}")
    world.come_to_rest()
    assert world.model("b").uid == second
    assert world.file("models/b/notes of b.txt").uid == second
    check_at_rest(world)


def test_any_number_of_folders_may_be_renamed_one_after_another(world: World) -> None:
    """Each look sees one of them; Python calls itself no more often than its limit says, which is lowered."""
    count, limit = 100, sys.getrecursionlimit()
    for number in range(count):
        world.fs.put(f"models/m{number}/m.gguf", gguf(str(number)))
    world.come_to_rest()
    uids = [world.model(f"m{number}").uid for number in range(count)]
    for number in reversed(range(count)):
        world.fs.rename_over(f"models/m{number}", f"models/m{number + 1}")
    world.hints.clear()
    sys.setrecursionlimit(len(inspect.stack()) + count)
    try:
        world.tick("")
    finally:
        sys.setrecursionlimit(limit)
    assert world.pipeline.snapshot.failing is None
    assert [world.model(f"m{number + 1}").uid for number in range(count)] == uids


def test_two_folders_of_which_one_changed_too_keep_their_ids_and_not_their_models(world: World) -> None:
    for folder in "ab":
        world.fs.put(f"models/{folder}/m.gguf", gguf(folder))
    world.come_to_rest()
    swap(world)
    world.fs.put("models/a/m.gguf", gguf("another"))
    world.come_to_rest()
    assert "model-swapped" not in world.events(), "that it is the same is not certain"
    assert sorted(world.catalogue.ids) == ["a", "b"]
    check_at_rest(world)


def test_two_names_of_one_file_are_no_folders_that_changed_names(world: World) -> None:
    world.fs.put("models/a/m.gguf", gguf("a"))
    world.fs.hard_link("models/a/m.gguf", "models/b/m.gguf")
    world.come_to_rest()
    world.fs.touch("models/a/m.gguf")
    world.come_to_rest()
    assert "model-swapped" not in world.events()
    check_at_rest(world)


def swap(world: World) -> None:
    world.fs.rename_over("models/a", "/tmp/aside")
    world.fs.rename_over("models/b", "models/a")
    world.fs.rename_over("/tmp/aside", "models/b")


def test_a_folder_that_cannot_be_seen_is_not_renamed_with_the_first_file_that_leaves_it(
    tmp_path: Path,
) -> None:
    hidden = False

    def hook(name: str, perform: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        if hidden and name == "list" and args[0] == "models/mine":
            raise OSError(errno.EIO, "Input/output error")
        return perform(*args, **kwargs)

    world = World(tmp_path / "other.db", port=lambda fs: HookedFileSystem(fs, hook))
    world.fs.put("models/mine/a.gguf", gguf("a"))
    world.fs.put("models/mine/README.md", b"Read me.")
    world.tick("")
    hidden = True
    world.fs.rename_over("models/mine/README.md", "models/other/README.md")
    world.tick("models/mine/README.md", "models/other/README.md")
    hidden = False
    world.come_to_rest()
    assert (world.model("mine").folder, world.model("mine").status) == ("models/mine", "ready")
    assert "model-renamed" not in world.events()
    check_at_rest(world)


@pytest.mark.parametrize("told", ["", "models/first"], ids=["everything", "as it happened"])
def test_a_folder_that_is_renamed_during_a_look_keeps_its_model(tmp_path: Path, told: str) -> None:
    """The look has gone past its new place, or was not told of it, when it comes to the old one."""

    def hook(name: str, perform: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        nonlocal armed
        if armed and name == "list" and args[0] == "models/first":
            armed = False
            world.fs.rename_over("models/first", "models/second")
            world.pipeline.hint("models/second")
        return perform(*args, **kwargs)

    armed = False
    world = World(tmp_path / "other.db", port=lambda fs: HookedFileSystem(fs, hook))
    world.fs.put("models/first/m.gguf", gguf("m"))
    world.come_to_rest()
    uid, position, armed = world.model("first").uid, world.log.head.position, True
    world.hints.clear()
    world.tick(told)
    assert not armed, "it was not looked at"
    assert (world.model("second").uid, world.model("second").aliases) == (uid, ("first",))
    assert not {"file-removed", "json-removed", "model-removed"} & set(world.events(position))
    world.stop()


def test_what_is_really_gone_is_not_waited_for_while_hints_keep_coming(world: World) -> None:
    world.fs.put("models/first/m.gguf", gguf("m"))
    world.come_to_rest()
    world.fs.remove_tree("models/first")
    world.pipeline.hint("models/elsewhere")
    world.tick()
    assert not world.catalogue.ids
