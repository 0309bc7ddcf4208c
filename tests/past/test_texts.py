"""What became of a model.json, as the log of a real pipeline has it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from janfs.errors import ModelNotFound, NotFound
from janfs.log.records import NewRecord
from janfs.past import models, reasons, texts
from janfs.past.moments import AsOf
from janfs.pipeline.commands import Revert, Submitted
from tests.folder import gguf_bytes as make
from tests.pipeline.world import World, gguf, only_errors_logged

MANIFEST = "models/x/model.json"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A root with the model x, organised."""
    with only_errors_logged():
        world = World(tmp_path / "log.db")
        world.fs.put("models/x.gguf", gguf("x"))
        world.come_to_rest()
        yield world
        world.stop()


def edit(world: World, **changes: Any) -> int:
    """Change settings in the file; the position after it."""
    written = json.loads(world.fs.read(MANIFEST))
    world.fs.put(MANIFEST, json.dumps(written | changes, indent=2).encode())
    world.come_to_rest()
    return world.catalogue.position


def test_the_last_change_is_what_a_diff_without_moments_tells(world: World) -> None:
    edit(world, name="First")
    edit(world, name="Second")
    found = texts.diff(world.log, world.catalogue, "x")
    assert [(c.path, c.kind, c.old, c.new) for c in found.changes] == [
        (("name",), "changed", "First", "Second")
    ]
    assert '-  "name": "First"' in found.text
    assert '+  "name": "Second"' in found.text


def test_any_two_moments_can_be_compared(world: World) -> None:
    start = world.catalogue.position
    first = edit(world, name="First")
    second = edit(world, name="Second", assets=["a"])
    found = texts.diff(world.log, world.catalogue, "x", start, second)
    assert [(c.path, c.new) for c in found.changes] == [(("name",), "Second"), (("assets",), ["a"])]
    back = texts.diff(world.log, world.catalogue, "x", second, first)
    assert [(c.path, c.new) for c in back.changes] == [(("name",), "First"), (("assets",), [])]
    assert texts.diff(world.log, world.catalogue, "x", first, first).text == ""
    whole = texts.diff(world.log, world.catalogue, "x", 0)
    assert {change.kind for change in whole.changes} == {"added"}
    assert whole.before is None


def test_a_text_that_cannot_be_read_changes_lines_but_no_setting(world: World) -> None:
    world.fs.put(MANIFEST, b'{"name": ')
    world.come_to_rest()
    found = texts.diff(world.log, world.catalogue, "x")
    assert found.changes == []
    assert '+{"name": ' in found.text
    assert found.after is not None
    assert found.after.problem is not None


def test_blame_names_who_set_each_setting(world: World) -> None:
    position = edit(world, name="Mine")
    leaves = {leaf.path: leaf for leaf in texts.blame_of(world.log, world.catalogue, "x").leaves}
    mine, ours = leaves["name",], leaves["engine",]
    assert (mine.actor, mine.value, mine.position) == ("folder", "Mine", position)
    assert (ours.actor, ours.type) == ("janfs", "json-written")
    assert leaves.keys() >= {("model_parameters", "temperature"), ("metadata", "size")}


def test_blame_names_the_key_of_the_header_that_a_setting_was_made_from(tmp_path: Path) -> None:
    world = World(tmp_path / "other.db")
    world.fs.put("models/x.gguf", gguf("x", llama__context_length=make.uint32(2048)))
    world.come_to_rest()
    leaves = {leaf.path: leaf for leaf in texts.blame_of(world.log, world.catalogue, "x").leaves}
    assert leaves["engine_parameters", "ctx_len"].header == "llama.context_length"
    assert leaves["engine",].header is None
    edit(world, engine_parameters={"ctx_len": 512})
    leaves = {leaf.path: leaf for leaf in texts.blame_of(world.log, world.catalogue, "x").leaves}
    assert leaves["engine_parameters", "ctx_len"].header is None
    world.stop()


def test_an_event_that_cannot_be_read_is_left_out(world: World) -> None:
    edit(world, name="First")
    odd = NewRecord(
        stream=world.model("x").uid, type="json-edited", schema=1, data='{"path":1}', actor="folder"
    )
    world.log.append([odd])
    found = texts.diff(world.log, world.catalogue, "x")
    assert [change.new for change in found.changes] == ["First"]
    assert why(world, "x")[0] == "json-edited"


def test_a_text_that_was_moved_in_from_another_model_is_known(world: World) -> None:
    world.fs.put("models/y.gguf", gguf("y"))
    world.come_to_rest()
    before = world.fs.read(MANIFEST)
    world.fs.remove("models/y/model.json")
    world.fs.rename_over(MANIFEST, "models/y/model.json")
    world.tick()
    versions = texts.versions_of(world.log, world.model("y").uid)
    assert texts.text_of(world.log, versions[-1]) == before


def test_a_model_is_shown_as_it_was(world: World) -> None:
    text = world.fs.read(MANIFEST).decode()
    then = world.catalogue.position
    edit(world, name="Later")
    world.fs.rename_over("models/x", "models/z")
    world.come_to_rest()
    past = AsOf(world.log).at(then)
    for name in ("x", "z", world.model("z").uid):
        view = models.model_at(world.log, world.catalogue, past, name)
        assert (view.id, view.at, view.model_json) == ("x", then, text)
    with pytest.raises(NotFound, match="no model 'x' at position 0"):
        models.model_at(world.log, world.catalogue, AsOf(world.log).at(0), "x")


def test_the_list_is_that_of_then(world: World) -> None:
    then = world.catalogue.position
    world.delete("x").done.result(0)
    past = AsOf(world.log)
    ids = [entry["id"] for entry in json.loads(models.models_at(past.at(then)))["data"]]
    assert ids == ["x"]
    assert json.loads(models.models_at(past.at(world.catalogue.position)))["data"] == []


def why(world: World, subject: str) -> list[str]:
    return [reason.type for reason in reasons.why(world.log, world.pipeline.snapshot, subject).reasons]


def test_a_file_is_explained_from_its_last_event_to_its_first(world: World) -> None:
    assert why(world, "models/x/x.gguf") == ["move-completed", "model-registered", "file-dropped"]
    assert why(world, MANIFEST)[0] == "json-written"
    assert why(world, MANIFEST)[-1] == "file-dropped"


def test_a_file_that_is_gone_is_explained_too(world: World) -> None:
    assert why(world, "models/x.gguf")[0] == "move-completed"
    world.fs.remove("models/x/x.gguf")
    world.come_to_rest()
    assert why(world, "models/x/x.gguf") == ["file-removed"]
    world.delete("x").done.result(0)
    assert why(world, MANIFEST)[0] == "move-completed", "it went to the trash with its folder"


def test_a_model_is_explained_by_id_uid_and_folder(world: World) -> None:
    uid = world.model("x").uid
    for subject in ("x", uid, "models/x"):
        assert why(world, subject)[0] == "json-written"
    world.delete("x").done.result(0)
    assert why(world, "x")[0] == "model-deleted"


def test_what_the_log_never_heard_of_is_said_to_be_unknown(world: World) -> None:
    with pytest.raises(NotFound, match="knows nothing of"):
        reasons.why(world.log, world.pipeline.snapshot, "models/nope.gguf")
    with pytest.raises(ModelNotFound):
        texts.diff(world.log, world.catalogue, "nope")


def test_a_model_out_of_the_trash_is_explained_by_who_brought_it_back(world: World) -> None:
    then = world.catalogue.position
    world.delete("x").done.result(0)
    submitted = Submitted(Revert("x", then, "cli:ann"))
    world.pipeline.tick([], [submitted])
    submitted.done.result(0)
    world.come_to_rest()
    for subject in ("x", "models/x/x.gguf"):
        first = reasons.why(world.log, world.pipeline.snapshot, subject).reasons[0]
        assert (first.type, first.actor) == ("move-completed", "cli:ann"), "it came by itself, it says"
        assert "out of the trash" in first.words
    world.fs.remove("models/x/x.gguf")
    world.come_to_rest()
    world.fs.put("models/x/x.gguf", gguf("another"))
    world.come_to_rest()
    assert why(world, "models/x/x.gguf") == ["file-dropped"]
