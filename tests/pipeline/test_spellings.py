"""Disks that take several spellings for one name, and names that only differ so."""

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from janfs.catalogue.catalogue import present_models
from janfs.folder import paths
from janfs.pipeline.root import MARKER
from tests.fakes.faults import HookedFileSystem, P, T
from tests.pipeline.invariants import check_at_rest
from tests.pipeline.world import World, gguf
from tests.simulation import contents


@pytest.fixture
def folding(tmp_path: Path) -> Iterator[World]:
    found = World(tmp_path / "log.db", folds=True)
    found.tick()
    yield found
    found.stop()


@given(st.text())
def test_folding_a_folded_name_changes_nothing(name: str) -> None:
    assert paths.folded(paths.folded(name)) == paths.folded(name)
    assert paths.folded(name.upper().lower()) == paths.folded(name.upper().lower().lower())


def test_case_and_unicode_form_make_no_difference() -> None:
    assert paths.folded("Modèle.GGUF") == paths.folded("MODE\u0300LE.gguf")
    assert paths.folded("STRASSE") == paths.folded("straße")
    assert paths.folded("a") != paths.folded("b")


def test_a_new_model_gets_no_name_that_differs_in_case_only(world: World) -> None:
    world.fs.put("models/Story/weights.gguf", gguf("one"))
    world.wait(4)
    world.fs.put("models/story.gguf", gguf("two"))
    world.wait(1)
    assert sorted(world.catalogue.folders) == ["models/Story", "models/story-2"]
    world.fs.remove_tree("models/Story")
    world.wait(1)
    world.fs.put("models/story.gguf", gguf("three"))
    world.wait(1)
    assert "models/story" in world.catalogue.folders, "a name stays taken by what is gone"
    world.come_to_rest()
    check_at_rest(world)


def test_a_file_keeps_its_name_though_the_disk_fails_when_it_is_told_of_by_another(tmp_path: Path) -> None:
    failing: list[str] = []

    def hook(name: str, perform: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        if name in failing:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return perform(*args, **kwargs)

    world = World(tmp_path / "log.db", port=lambda fs: HookedFileSystem(fs, hook), folds=True)
    world.fs.put("models/first.gguf", gguf("one"))  # the disk is known to fold by what lies there
    world.tick()
    world.fs.put("models/Alpha.GGUF", gguf("two"))
    failing.append("list")
    world.tick("models/alpha.gguf")
    failing.clear()
    world.come_to_rest()
    assert world.fs.files("models/alpha").keys() == {"models/alpha/Alpha.GGUF", "models/alpha/model.json"}
    check_at_rest(world)
    world.stop()


def test_what_a_folding_disk_takes_for_a_parts_name_keeps_it_out_until_it_is_gone(folding: World) -> None:
    folding.fs.put("models/alpha.gguf", contents.model("Alpha 7B", "F16"))
    folding.wait(1)
    folding.fs.put("models/ALPHA.gguf", contents.adapter("Alpha 7B"))
    folding.come_to_rest()
    assert folding.file("models/ALPHA.gguf").stuck == "models/alpha/ALPHA.gguf exists already."
    before = folding.log.head.position
    folding.stop()
    folding.start()
    folding.come_to_rest()
    assert folding.log.head.position == before, "it was tried in vain again"
    folding.fs.remove("models/alpha/alpha.gguf")
    folding.wait(1)
    assert "models/alpha/ALPHA.gguf" in folding.catalogue.files


def test_what_went_to_a_folder_that_nobody_told_of_yet_leaves_it_again(folding: World) -> None:
    folding.fs.put("models/ALPHA/beta.gguf", contents.model("Beta 1B", "F16"))
    folding.fs.put("models/alpha.gguf", contents.model("Alpha 7B", "F16"))
    folding.tick("models/alpha.gguf")
    assert "models/ALPHA/alpha.gguf" in folding.fs.files(), "it was not taken for the folder of that name"
    folding.come_to_rest()
    check_at_rest(folding)
    models = list(present_models(folding.catalogue))
    assert {paths.name(model.binary or "") for model in models} == {"alpha.gguf", "beta.gguf"}
    assert {model.status for model in models} == {"ready"}
    assert len({model.folder for model in models}) == 2


def test_on_a_folding_disk_a_drop_is_organised_as_anywhere(folding: World) -> None:
    folding.fs.put("models/Story.GGUF", gguf("one"))
    folding.wait(1)
    assert folding.model("story").binary == "models/story/Story.GGUF"
    folding.fs.put("models/STORY.gguf", gguf("two"))
    folding.wait(1)
    assert folding.model("story-2").status == "ready"
    folding.come_to_rest()
    check_at_rest(folding)


@pytest.mark.parametrize("told", [["models/Story", "models/STORY"], ["models/STORY"], ["models/Story"], [""]])
def test_a_folder_that_only_changes_its_case_is_renamed(folding: World, told: list[str]) -> None:
    folding.fs.put("models/Story/weights.gguf", gguf("one"))
    folding.wait(4)
    uid = folding.model("Story").uid
    before = folding.log.head.position
    folding.fs.rename_over("models/Story", "models/STORY")
    folding.tick(*told)
    folding.come_to_rest()
    assert folding.model("STORY").uid == uid
    assert folding.model("Story").uid == uid, "the old id does not answer any more"
    assert "file-dropped" not in folding.events(before)
    assert "file-removed" not in folding.events(before)
    check_at_rest(folding)


@pytest.mark.parametrize("holds", ["nothing", "a half copy", "what is no model", "what is ignored"])
@pytest.mark.parametrize("folds", [False, True])
def test_a_folder_that_is_there_keeps_its_name_to_itself_in_every_spelling(
    tmp_path: Path, holds: str, folds: bool
) -> None:
    world = World(tmp_path / "log.db", folds=folds)
    world.tick()
    world.fs.mkdir("models/STORY")
    content = {"a half copy": gguf("one")[:-9], "what is no model": b"", "what is ignored": b"half"}
    if holds in content:
        name = "weights.gguf" if holds != "what is ignored" else "weights.gguf.part"
        world.fs.put(f"models/STORY/{name}", content[holds])
    world.tick()
    there = sorted(world.fs.list("models/STORY"))
    world.fs.put("models/story.gguf", gguf("two"))
    world.come_to_rest()
    assert world.model("story-2").binary == "models/story-2/story.gguf"
    assert sorted(world.fs.list("models/STORY")) == there, "something was put into a person's folder"
    world.fs.remove_tree("models/STORY")
    world.tick()
    world.fs.put("models/story.gguf", gguf("three"))
    world.come_to_rest()
    assert world.model("story").folder == "models/story", "a name stays taken by what is gone"
    check_at_rest(world)
    world.stop()


def test_a_model_that_waits_for_a_disk_gets_another_name_when_its_own_is_taken_in_another_spelling(
    folding: World,
) -> None:
    folding.fs.read_only = True
    folding.fs.put("models/story.gguf", gguf("one"))
    folding.tick()
    assert folding.model("story").loose == "models/story.gguf"
    folding.fs.mkdir("models/STORY")
    folding.fs.read_only = False
    folding.come_to_rest()
    assert folding.model("story").folder == "models/story-2", "it was put into a person's folder"
    assert folding.fs.list("models/STORY") == {}
    check_at_rest(folding)


def test_two_spellings_of_a_folder_are_one_folder_even_without_our_marker(folding: World) -> None:
    folding.fs.put("models/STORY/story.gguf", gguf("one"))
    folding.fs.remove(MARKER)
    folding.fs.read_only = True  # so that it is not put back
    folding.restart()
    folding.tick("models/story/story.gguf", "models/STORY/STORY.GGUF")
    assert list(folding.catalogue.files) == ["models/STORY/story.gguf"]
    assert [model.folder for model in present_models(folding.catalogue)] == ["models/STORY"]


def test_an_old_spelling_in_a_hint_makes_no_second_file(folding: World) -> None:
    folding.fs.put("models/Story/weights.gguf", gguf("one"))
    folding.wait(4)
    before = folding.log.head.position
    folding.tick("models/story/WEIGHTS.gguf", "models/STORY", "models/Story/Weights.gguf")
    assert folding.events(before) == []
