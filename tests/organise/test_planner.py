"""What is decided about a place, from nothing but the catalogue."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from janfs.catalogue.catalogue import Catalogue
from janfs.catalogue.fold import Recorded, fold
from janfs.events import types as e
from janfs.folder import paths
from janfs.folder.filesystem import Stamp
from janfs.folder.gguf import GgufFacts
from janfs.manifest.generate import digest
from janfs.manifest.schema import Manifest
from janfs.organise.homes import home_of
from janfs.organise.planner import next_step
from janfs.organise.steps import Decide, Generate, Move
from tests.catalogue.strategies import facts, histories
from tests.organise.planning import MODEL, World


@pytest.fixture
def world() -> World:
    return World()


SCHEMA = "../../.janfs/schemas/model.json"


def test_a_loose_file_is_registered_moved_in_and_described(world: World) -> None:
    uid = world.drop("models/Zephyr 7B.Q4_K_M.gguf")
    home = "models/zephyr-7b.q4_k_m"
    stamp = world.catalogue.files["models/Zephyr 7B.Q4_K_M.gguf"].stamp
    loose, inside = "models/Zephyr 7B.Q4_K_M.gguf", f"{home}/Zephyr 7B.Q4_K_M.gguf"
    registered = e.ModelRegistered("zephyr-7b.q4_k_m", home, loose)
    assert world.settle() == [
        Decide(((uid, registered),), 1),
        Move(uid, loose, inside, stamp, 2),
        Generate(
            uid,
            f"{home}/model.json",
            ("Zephyr 7B.Q4_K_M.gguf",),
            stamp.size,
            stamp,
            MODEL,
            4,
            made_from=digest(
                "zephyr-7b.q4_k_m", ["Zephyr 7B.Q4_K_M.gguf"], stamp.size, MODEL, None, schema=SCHEMA
            ),
        ),
    ]
    assert world.catalogue.models[uid].status == "ready"
    assert world.folders() == {home: {"Zephyr 7B.Q4_K_M.gguf", "model.json"}}


def test_a_folder_with_a_model_is_left_as_it_is_and_described(world: World) -> None:
    uid = world.drop("models/My Model/some name.gguf")
    steps = world.settle()
    assert [type(step) for step in steps] == [Decide, Generate]
    assert steps[0] == Decide(((uid, e.ModelRegistered("my-model", "models/My Model")),), 1)
    assert world.folders() == {"models/My Model": {"some name.gguf", "model.json"}}


def test_a_folder_with_a_model_json_needs_nothing_written(world: World) -> None:
    world.drop("models/a/model.json")
    world.drop("models/a/x.gguf")
    assert [type(step) for step in world.settle()] == [Decide]


def test_a_model_json_alone_is_a_model_that_is_missing(world: World) -> None:
    uid = world.drop("models/a/model.json")
    assert world.settle() == [Decide(((uid, e.ModelRegistered("a", "models/a")),), 1)]
    assert world.catalogue.models[uid].status == "missing"


@pytest.mark.parametrize("path", ["models/a/readme.md", "models/readme.md"])
def test_other_files_are_nobodys_business(world: World, path: str) -> None:
    world.drop(path, None)
    assert world.settle() == []


def test_a_file_that_was_refused_or_cannot_be_read_stays_where_it_is(world: World) -> None:
    world.drop("models/x.gguf", None)
    world.say("u9", e.FileRefused("models/y.gguf", Stamp(1, 1, 1), "gguf_invalid", "The magic is not GGUF."))
    assert world.settle() == []


def test_different_files_of_the_same_name_get_folders_of_their_own(world: World) -> None:
    world.drop("models/x.gguf")
    world.settle()
    world.drop("models/X.gguf")
    world.drop("models/x.GGUF")
    world.settle()
    assert set(world.folders()) == {"models/x", "models/x-2", "models/x-3"}


def test_a_name_that_a_model_once_had_is_not_given_to_another(world: World) -> None:
    uid = world.drop("models/a/x.gguf")
    world.settle()
    for name in ("x.gguf", "model.json"):
        world.say(uid, e.FileMoved(f"models/a/{name}", f"models/b/{name}", Stamp(1, 1, 1)))
    world.say(uid, e.ModelRenamed("b", "models/b", "a"))
    assert home_of(world.catalogue, "a.gguf") == "models/a-2"


def test_a_folder_that_holds_something_else_is_not_moved_into(world: World) -> None:
    world.drop("models/x/notes.txt", None)
    assert home_of(world.catalogue, "x.gguf") == "models/x-2"


def test_a_file_that_bears_the_name_of_the_folder_is_in_the_way(world: World) -> None:
    """`models/x` is a file: a folder of that name cannot be made."""
    world.drop("models/x", None)
    assert home_of(world.catalogue, "x.gguf") == "models/x-2"


def test_shards_are_described_by_their_first_with_the_size_of_all(world: World) -> None:
    for number in (1, 0, 2):
        said = facts(split_no=number, split_count=3)
        world.drop(f"models/big/big-0000{number + 1}-of-00003.gguf", said)
    (_, generate) = world.settle()
    assert isinstance(generate, Generate)
    assert generate.file_names == tuple(f"big-0000{n}-of-00003.gguf" for n in (1, 2, 3))
    assert generate.size == sum(file.stamp.size for file in world.catalogue.files.values()) - 2
    assert generate.stamp == world.catalogue.files["models/big/big-00001-of-00003.gguf"].stamp


def test_what_lies_beside_a_model_is_not_counted_as_part_of_it(world: World) -> None:
    world.drop("models/a/x.gguf")
    world.drop("models/a/mmproj.gguf", facts(type="mmproj"))
    generate = world.settle()[-1]
    assert isinstance(generate, Generate)
    assert generate.file_names == ("x.gguf",)


def test_an_emptied_folder_removes_its_model_which_comes_back_as_itself(world: World) -> None:
    uid = world.drop("models/a/x.gguf")
    world.settle()
    for path in list(world.catalogue.files):
        world.remove(path)
    (removed,) = world.settle()
    assert removed == Decide(((uid, e.ModelRemoved("Nothing is left in its folder.")),), 6)
    assert world.drop("models/a/y.gguf") == uid, "its place remembers it"
    assert [type(step) for step in world.settle()] == [Decide, Generate]
    model = world.catalogue.models[uid]
    assert (model.removed, model.id, model.binary) == (None, "a", "models/a/y.gguf")


def test_a_model_whose_file_was_taken_out_of_its_folder_comes_back_as_itself(world: World) -> None:
    uid = world.drop("models/a/x.gguf")
    world.settle()
    world.remove("models/a/model.json")
    world.say(uid, e.FileMoved("models/a/x.gguf", "models/x.gguf", Stamp(1, 1, 1)))
    world.settle()
    model = world.catalogue.models[uid]
    assert (model.removed, model.status) == (None, "ready")
    assert world.folders() == {model.folder: {"x.gguf", "model.json"}}


def test_what_failed_is_tried_again_only_when_asked(world: World) -> None:
    world.fails = True
    world.drop("models/x.gguf")
    world.drop("models/a/y.gguf")
    world.settle()
    assert world.step("models/x.gguf") is None
    assert world.step("models/a") is None
    assert world.catalogue.files["models/x.gguf"].stuck == "The disk is full."
    assert isinstance(world.step("models/x.gguf", retry=True), Move)
    assert isinstance(world.step("models/a", retry=True), Generate)


@pytest.mark.parametrize("place", ["models", "models/nest"])
@pytest.mark.parametrize("name", ["x.gguf", "X.gguf"])
def test_a_second_file_of_a_name_that_a_model_has_at_home_becomes_another_model(
    world: World, place: str, name: str
) -> None:
    uid = world.drop("models/x.gguf")
    world.settle()
    world.drop(f"{place}/{name}", uid=uid)
    steps = world.settle()
    assert world.folders() == {"models/x": {"x.gguf", "model.json"}, "models/x-2": {name, "model.json"}}
    assert {model.id: model.status for model in world.present()} == {"x": "ready", "x-2": "ready"}
    assert world.model("x").uid == uid
    assert len(steps) == 3, f"it was tried in vain: {steps}"


def test_it_does_so_too_after_it_was_tried_in_vain_or_where_the_file_at_home_is_broken(world: World) -> None:
    uid = world.drop("models/x.gguf")
    world.settle()
    world.drop("models/nest/x.gguf", uid=uid)
    world.say(uid, e.MoveFailed("op", "models/nest/x.gguf", "models/x/x.gguf", "organise", "It is there."))
    world.say(uid, e.FileRefused("models/x/x.gguf", Stamp(1, 1, 1), "gguf_invalid", "It is none."))
    world.settle()
    assert (world.model("x").status, world.model("x-2").status) == ("invalid", "ready")
    assert world.model("x-2").binary == "models/x-2/x.gguf"


def test_a_link_of_a_name_that_its_model_has_at_home_is_moved_into_a_folder_of_its_own(world: World) -> None:
    uid = world.drop("models/x.gguf")
    world.settle()
    world.say(uid, e.FileDropped("models/x.gguf", Stamp(3, 3, 33), "/elsewhere/x.gguf", MODEL))
    world.settle()
    assert set(world.folders()) == {"models/x", "models/x-2"}
    assert world.model("x").loose is None


def test_a_name_that_says_nothing_gets_a_number_and_not_the_name_of_the_whole_folder(world: World) -> None:
    uid = world.drop("models/model.gguf")
    world.settle()
    world.drop("models/model.gguf", uid=uid)
    world.settle()
    assert set(world.folders()) == {"models/model", "models/model-2"}


def test_a_part_that_has_another_in_its_way_is_tried_again_once_that_is_gone(world: World) -> None:
    said = facts(type="adapter", adapter_type="lora")
    uid = world.drop("models/x.gguf")
    world.settle()
    world.drop("models/x/lora.gguf", said)
    world.drop("models/nest/lora.gguf", said, uid=uid)
    world.settle()
    assert world.catalogue.files["models/nest/lora.gguf"].stuck == "Something of that name exists already."
    assert world.step("models/nest", retry=True) is None, "it would fail again, and the log would grow"
    world.remove("models/x/lora.gguf")
    assert isinstance(world.step("models/nest", retry=True), Move)


def test_a_model_goes_elsewhere_when_a_folder_comes_that_some_disks_take_for_its_own(world: World) -> None:
    world.fails = True
    world.drop("models/alpha.gguf")
    world.settle()
    assert world.model("alpha").folder == "models/alpha"
    world.drop("models/ALPHA/other.gguf")
    world.fails = False
    world.settle(retry=True)
    assert set(world.folders()) == {"models/alpha-2", "models/ALPHA"}


# Whatever is dropped, wherever.

some_paths = st.sampled_from(
    [
        *(f"models/{name}" for name in ("x.gguf", "X.gguf", "x.GGUF", "a.gguf", "con.gguf", "x", "notes.md")),
        *(
            f"models/{f}/{n}"
            for f in ("a", "x", "A b", "a/b")
            for n in ("x.gguf", "y.gguf", "model.json", "n.md")
        ),
    ]
)
some_facts = st.sampled_from([MODEL, None, facts(type="mmproj"), facts(split_no=0, split_count=2)])
drops = st.lists(st.tuples(some_paths, some_facts), max_size=8, unique_by=lambda drop: drop[0])


def contents(world: World) -> Counter[int]:
    files = world.catalogue.files.values()
    return Counter(file.stamp.inode for file in files if not paths.is_manifest(file.path))


def models_in(world: World) -> set[int]:
    files = world.catalogue.files.values()
    return {file.stamp.inode for file in files if file.facts is not None and file.facts.type == "model"}


@settings(max_examples=150, deadline=None)
@given(drops, st.booleans(), st.data())
def test_organising_ends_and_loses_nothing(
    dropped: list[tuple[str, GgufFacts | None]], one_by_one: bool, data: st.DataObject
) -> None:
    world = World()
    for path, said in dropped:
        if path not in world.catalogue.files:
            world.drop(path, said if paths.is_binary(path) else None)
        if one_by_one:
            world.settle()
    before = contents(world)
    steps = world.settle()
    after = contents(world)
    assert set(after) == set(before), "a file was lost"
    doubled = [inode for inode, count in after.items() if count > 1 and inode in models_in(world)]
    assert not doubled, "a model was doubled"
    assert world.settle() == [], "a second time there is nothing to do"
    assert not world.catalogue.plans
    assert len(steps) <= 12 * len(dropped)
    for file in world.catalogue.files.values():
        loose = paths.parent(file.path) == paths.MODELS and paths.is_binary(file.path)
        if loose and file.facts is not None and file.facts.type == "model":
            assert file.stuck is not None, f"{file.path} still lies loose, and nothing says why"
    present = [model for model in world.catalogue.models.values() if model.removed is None]
    assert len({model.folder for model in present}) == len(present), "two models share a folder"
    assert len({model.id for model in present}) == len(present), "two models share an id"
    assert all(world.catalogue.folders[model.folder] == model.uid for model in present)
    gone = data.draw(st.sampled_from(sorted(world.catalogue.files))) if world.catalogue.files else None
    if gone is not None:
        world.remove(gone)
        world.settle()
        assert gone not in world.catalogue.files or paths.is_manifest(gone)


@settings(max_examples=150, deadline=None)
@given(histories, st.booleans())
def test_every_catalogue_has_an_answer_for_every_place(history: list[Recorded], retry: bool) -> None:
    catalogue, _ = fold(Catalogue(), history)
    places = {*map(paths.place, catalogue.files), *catalogue.folders, *catalogue.graves, "models/nowhere"}
    for place in places:
        first = next_step(catalogue, place, retry=retry)
        assert first == next_step(catalogue, place, retry=retry)
        if isinstance(first, Decide):
            assert 1 <= first.cause <= catalogue.position
        if isinstance(first, Generate):
            assert not any(paths.is_manifest(path) for path in catalogue.children[place])


def test_no_model_json_is_made_while_one_is_on_its_way() -> None:
    world = World()
    uid = world.drop("models/mine/a.gguf")
    world.say(uid, e.ModelRegistered("mine", "models/mine"))
    world.say(uid, e.JsonEdited("models/old/model.json", Stamp(2, 2, 99), "ab", Manifest()))
    assert not isinstance(world.step("models/mine"), Generate)


def test_what_could_not_be_written_is_tried_in_the_new_folder_of_a_renamed_model() -> None:
    world = World()
    uid = world.drop("models/mine/a.gguf")
    world.say(
        uid, e.ModelRegistered("mine", "models/mine"), e.WriteFailed("op", "models/mine/model.json", "No.")
    )
    assert world.step("models/mine") is None
    world.say(
        uid,
        e.FileMoved(
            "models/mine/a.gguf", "models/yours/a.gguf", world.catalogue.files["models/mine/a.gguf"].stamp
        ),
    )
    world.say(uid, e.ModelRenamed("yours", "models/yours", "mine"))
    assert isinstance(world.step("models/yours"), Generate)


class TestAnew:
    """A generated model.json, once what it was made from is not what it was."""

    @pytest.fixture
    def settled(self, world: World) -> World:
        world.drop("models/a.gguf")
        world.settle()
        assert world.settle() == [], "what is up to date is left alone"
        return world

    def change(self, world: World) -> None:
        file = world.catalogue.files["models/a/a.gguf"]
        stamp = Stamp(999, 9, file.stamp.inode)
        world.say(file.uid, e.FileChanged(file.path, stamp, facts=facts(author="another")))

    def test_it_is_generated_again_once(self, settled: World) -> None:
        self.change(settled)
        steps = settled.settle()
        assert [(step.anew, step.size) for step in steps if isinstance(step, Generate)] == [(True, 999)]

    def test_an_edited_one_too_for_what_is_not_the_person_s(self, settled: World) -> None:
        settled.edit("models/a/model.json", Manifest(name="Mine"))
        assert settled.settle() == []
        self.change(settled)
        assert any(isinstance(step, Generate) for step in settled.settle())

    def test_a_person_s_own_is_never_added_to(self, world: World) -> None:
        world.drop("models/a/model.json", None)
        world.drop("models/a/a.gguf")
        world.settle()
        self.change(world)
        assert world.settle() == []

    def test_one_that_cannot_be_read_is_left_alone_until_it_can(self, settled: World) -> None:
        path = "models/a/model.json"
        uid = settled.catalogue.files[path].uid
        settled.say(uid, e.JsonRejected(path, Stamp(3, 3, 3), "ef", "A comma is missing.", 1, 2))
        self.change(settled)
        assert settled.settle() == []
        settled.edit(path, Manifest())
        assert any(isinstance(step, Generate) for step in settled.settle())

    def test_one_that_could_not_be_written_is_tried_again_only_when_it_is_time(self, settled: World) -> None:
        path = "models/a/model.json"
        self.change(settled)
        settled.say(settled.catalogue.files[path].uid, e.WriteFailed("op", path, "It is read-only."))
        assert settled.step("models/a") is None
        assert isinstance(settled.step("models/a", retry=True), Generate)


@pytest.mark.parametrize(("brought", "stays"), [(["b.gguf"], "a"), (["b.gguf", "model.json"], "b")])
def test_two_models_that_came_to_live_in_one_folder_get_one_each(
    world: World, brought: list[str], stays: str
) -> None:
    ours = world.drop("models/a.gguf", uid="ua")
    registered = world.step("models/a.gguf")
    assert registered is not None
    world.carry_out(registered)
    move = world.step("models/a.gguf")
    assert isinstance(move, Move)
    for name in brought:
        world.drop(f"models/b/{name}", uid="ub")
    world.say("ub", e.ModelRegistered("b", "models/b"))
    for name in brought:  # while nobody knows whether ours has come
        stamp = world.catalogue.files[f"models/b/{name}"].stamp
        world.say("ub", e.FileMoved(f"models/b/{name}", f"models/a/{name}", stamp))
    world.say("ub", e.ModelRenamed("a-2", "models/a", "b"))
    world.carry_out(move)
    world.settle()
    by_binary = {paths.name(model.binary or ""): model for model in world.present()}
    assert {name: model.uid for name, model in by_binary.items()} == {"a.gguf": ours, "b.gguf": "ub"}
    assert by_binary[f"{stays}.gguf"].folder == "models/a"
    assert len({model.folder for model in world.present()}) == 2, "both live in one folder"
    for model in world.present():
        assert paths.parent(model.binary or "") == model.folder, "a model's file is left behind"
        assert paths.join(model.folder, "model.json") in world.catalogue.files
