"""A janfs that fails at an event of an old log serves all the rest, and leaves alone what it is about."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from janfs.catalogue import fold as module
from janfs.catalogue import rows
from janfs.catalogue.fold import Recorded
from janfs.errors import FolderError
from janfs.events import types as e
from janfs.log import projections
from janfs.log.records import NewRecord
from janfs.manifest.patch import Patch
from janfs.pipeline.commands import Edit, Submitted
from janfs.pipeline.recorder import compare, rebuild, restore
from tests.log.kit import by_hand
from tests.pipeline.world import World, gguf


def fails_at(monkeypatch: pytest.MonkeyPatch, kind: type, uid: str) -> None:
    """A handler with a defect that shows in one stream only."""
    real: Callable[..., None] = module._HANDLERS[kind]

    def handler(draft: Any, item: Recorded, event: Any) -> None:
        if item.stream == uid:
            raise LookupError("a defect of the new release")
        real(draft, item, event)

    monkeypatch.setattr(module, "_HANDLERS", {**module._HANDLERS, kind: handler})


def settled(world: World) -> World:
    for name in ("good", "bad"):
        world.fs.put(f"models/{name}.gguf", gguf(name))
    world.come_to_rest()
    return world


@pytest.mark.parametrize("kind", [e.JsonWritten, e.FileDropped, e.ModelRegistered, e.MoveCompleted])
def test_an_upgrade_that_fails_at_an_event_marks_its_model_and_serves_the_others(
    world: World, monkeypatch: pytest.MonkeyPatch, kind: type
) -> None:
    settled(world)
    uid, disk = world.model("bad").uid, world.fs.files()
    before = world.catalogue
    with monkeypatch.context() as upgrade:
        fails_at(upgrade, kind, uid)
        upgrade.setattr("janfs.pipeline.recorder.VERSION", module.VERSION + 1)
        world.stop()
        world.start()
        assert world.catalogue.parked[uid].count == 1
        assert world.model("good").status == "ready"
        bad = world.catalogue.models.get(uid)
        if kind is not e.ModelRegistered:
            assert bad is not None
            assert bad.status == "invalid"
            assert f"Event {world.catalogue.parked[uid].position} ({e.type_name(kind)})" in (bad.reason or "")
        world.come_to_rest()
        assert world.fs.files() == disk, "something was done on disk about what is not known whole"
        assert compare(world.log).difference is None
        assert [parked.uid for parked in compare(world.log).parked] == [uid]
        world.fs.put("models/new.gguf", gguf("new"))
        world.come_to_rest()
        assert world.model("new").status == "ready", "the service does not run on"
    world.restart()
    world.come_to_rest()
    assert not world.catalogue.parked, "the mended release did not pick up what was parked"
    assert world.catalogue.models[uid].status == "ready"
    assert world.model("good") == before.models[before.ids["good"]]
    assert rebuild(world.log) == world.catalogue


def test_a_rebuild_that_is_cut_off_leaves_the_old_catalogue(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    settled(world)
    real = projections.save

    def cut(connection: Any, name: str, at: Any, changed: Any) -> None:
        real(connection, name, at, dict(list(changed.items())[:2]))
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(projections, "save", cut)
        with pytest.raises(KeyboardInterrupt):
            restore(world.log)
    assert compare(world.log).difference is None, "half of the new catalogue took the old one's place"
    assert dict(rows.to_rows(restore(world.log))) == dict(rows.to_rows(world.catalogue))


def test_a_new_version_of_the_fold_replaces_the_projection_without_touching_the_disk(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    settled(world)
    disk, position = world.fs.files(), world.log.head.position
    calls: list[str] = []
    world.fs.on_change = calls.append
    monkeypatch.setattr("janfs.pipeline.recorder.VERSION", module.VERSION + 1)
    world.stop()
    world.start()
    assert (world.fs.files(), world.log.head.position, calls) == (disk, position, [])
    with world.log.query() as connection:
        at = projections.checkpoint(connection, "catalogue")
    assert at is not None
    assert (at.version, at.position) == (module.VERSION + 1, position)


def test_an_event_whose_data_is_no_text_any_more_is_parked(world: World, tmp_path: Path) -> None:
    settled(world)
    uid, head = world.model("bad").uid, world.log.head.position
    which = f"stream = '{uid}' AND type = 'model-registered'"
    by_hand(tmp_path / "log.db", f"UPDATE events SET data = CAST(x'ff' AS TEXT) WHERE {which}", guarded=False)
    catalogue = rebuild(world.log, head)
    assert list(catalogue.parked) == [uid]
    assert "good" in catalogue.ids


def test_an_event_whose_data_no_longer_fits_is_parked(world: World) -> None:
    settled(world)
    uid = world.model("bad").uid
    world.log.append([NewRecord(stream=uid, type="json-edited", schema=1, data='{"odd":1}', actor="x")])
    world.restart()
    assert world.catalogue.models[uid].status == "invalid"
    assert "does not fit its type" in (world.catalogue.models[uid].reason or "")
    assert world.model("good").status == "ready"


@pytest.mark.parametrize(
    "kind", [e.FileDropped, e.ModelRegistered, e.MovePlanned, e.MoveCompleted, e.WritePlanned, e.JsonWritten]
)
def test_a_new_event_that_cannot_be_applied_is_parked_once_and_all_else_goes_on(
    world: World, monkeypatch: pytest.MonkeyPatch, kind: type
) -> None:
    with monkeypatch.context() as release:
        fails_for(release, kind, "bad")
        settled(world)
        assert world.pipeline.snapshot.failing is None
        assert world.model("good").status == "ready"
        (parked,) = world.catalogue.parked.values()
        assert (parked.type, parked.count) == (e.type_name(kind), 1)
        if kind in (e.MoveCompleted, e.WritePlanned, e.JsonWritten):
            bad = world.catalogue.models[parked.uid]
            assert bad.status == "invalid"
            assert f"Event {parked.position} ({parked.type}) cannot be applied" in (bad.reason or "")
        position = world.log.head.position
        for path in world.fs.files("models"):
            if "bad" in path:
                world.fs.touch(path)
        world.come_to_rest()
        world.restart()
        world.come_to_rest()
        assert not world.events(position), "what is parked was recorded again"
        world.fs.put("models/new.gguf", gguf("new"))
        world.come_to_rest()
        assert world.model("new").status == "ready"
        assert compare(world.log).difference is None
    world.restart()
    world.come_to_rest()
    assert not world.catalogue.parked
    assert world.model("bad").status == "ready", "the mended release did not go on"
    assert rebuild(world.log) == world.catalogue


def test_who_asks_for_something_about_a_parked_model_is_told(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    settled(world)
    uid, text = world.model("bad").uid, world.fs.read("models/bad/model.json")
    fails_at(monkeypatch, e.WritePlanned, uid)
    for name in ("first", "second"):
        asked = Submitted(Edit("bad", Patch({("name",): name}), "api:test"))
        world.pipeline.tick([], [asked])
        with pytest.raises(FolderError, match="cannot be applied by this janfs"):
            asked.done.result(0)
    assert world.fs.read("models/bad/model.json") == text
    assert world.catalogue.parked[uid].count == 1, "the second was recorded too"


def fails_for(monkeypatch: pytest.MonkeyPatch, kind: type, name: str) -> None:
    """A handler with a defect that shows where an event says a name."""
    real: Callable[..., None] = module._HANDLERS[kind]

    def handler(draft: Any, item: Recorded, event: Any) -> None:
        if name in repr(event):
            raise LookupError("a defect of the new release")
        real(draft, item, event)

    monkeypatch.setattr(module, "_HANDLERS", {**module._HANDLERS, kind: handler})
