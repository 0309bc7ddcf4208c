"""A model.json that is not written, and what is said of it."""

from pathlib import Path
from typing import Any

import pytest

from janfs.catalogue.catalogue import Catalogue
from janfs.catalogue.entries import Plan
from janfs.errors import ManifestError
from janfs.manifest import generate
from janfs.manifest.patch import Patch
from janfs.pipeline import manifests
from janfs.pipeline.actor import Actor
from janfs.pipeline.commands import Edit, Submitted
from janfs.pipeline.recorder import Draft
from tests.log.kit import by_hand
from tests.pipeline.invariants import check_at_rest
from tests.pipeline.model_json import PATH, another_binary, document
from tests.pipeline.world import World, gguf


class TestWhatIsLeftAlone:
    def test_a_file_that_cannot_be_read_until_it_is_mended(self, model: World) -> None:
        broken = model.fs.read(PATH).replace(b'"name": "a",', b'"name": "Mine" "x",')
        model.fs.put(PATH, broken)
        model.wait(1)
        another_binary(model)
        assert model.fs.read(PATH) == broken
        problem = model.file(PATH).refused
        assert problem is not None
        assert (problem.line, problem.column) != (0, 0)
        model.fs.put(PATH, broken.replace(b'"Mine" "x"', b'"Mine"'))
        model.wait(1)
        assert document(model)["name"] == "Mine"
        assert document(model)["metadata"]["author"] == "another"

    def test_a_read_only_file_until_it_is_writable(self, model: World) -> None:
        before = model.fs.read(PATH)
        model.fs.chmod(PATH, 0o444)
        another_binary(model)
        assert model.fs.read(PATH) == before
        assert "read-only" in (model.model("a").reason or "")
        model.fs.chmod(PATH, 0o600)
        model.come_to_rest()
        assert document(model)["metadata"]["author"] == "another"
        assert model.fs.mode(PATH) == 0o600
        check_at_rest(model)

    def test_a_file_with_a_second_name(self, model: World) -> None:
        model.fs.hard_link(PATH, "/home/user/backup.json")
        before = model.fs.read(PATH)
        another_binary(model)
        assert model.fs.read(PATH) == before == model.fs.read("/home/user/backup.json")

    def test_a_file_that_is_being_edited(self, model: World) -> None:
        writer = model.fs.start_write(PATH, truncate=False)
        another_binary(model)
        assert "author" not in document(model)["metadata"]
        text = model.fs.read(PATH).replace(b'"name": "a"', b'"name": "M"')
        writer.write(text)
        writer.close()
        model.wait(70)
        assert (document(model)["name"], document(model)["metadata"]["author"]) == ("M", "another")
        check_at_rest(model)

    @pytest.mark.parametrize("end", ["written", "removed"])
    def test_a_place_where_somebody_writes_the_first_one(self, world: World, end: str) -> None:
        """Theirs is waited for without a word in the log. If it goes again, ours takes the place."""
        writer = world.fs.start_write(PATH)
        writer.write(b'{"name": ')
        world.fs.put("models/a/a.gguf", gguf("a"))
        world.wait(4000)
        world.restart()
        world.wait(70)
        assert world.model("a").reason is None
        assert not {"write-planned", "write-failed"} & set(world.events())
        if end == "removed":
            world.fs.remove(PATH)
        else:
            writer.write(b'"Mine"}')
        writer.close()
        world.wait(70)
        assert document(world)["name"] == ("Mine" if end == "written" else "a")
        check_at_rest(world)


def test_one_that_could_not_be_read_back_is_its_models_reason_and_no_others(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(*, model_id: str, **facts: Any) -> dict[str, Any]:
        made = generate.generate(model_id=model_id, **facts)
        return made | {"created": -1} if model_id == "a" else made

    with monkeypatch.context() as patched:
        patched.setattr(manifests, "generate", wrong)
        for name in ("a", "b"):
            world.fs.put(f"models/{name}.gguf", gguf(name))
        world.tick()
        world.restart()
    assert world.pipeline.snapshot.failing is None
    assert "created must be a number" in (world.model("a").reason or "")
    assert (world.model("b").status, world.model("b").reason) == ("ready", None)
    assert world.fs.stat(PATH) is None, "nothing was written"
    world.come_to_rest()
    assert (world.model("a").status, world.model("a").reason) == ("ready", None)
    check_at_rest(world)


def test_a_change_to_one_whose_text_is_lost_is_refused_alone(
    model: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    submitted = Submitted(Edit("a", Patch({("name",): "Mine"}), "api:test"))
    monkeypatch.setattr(model.log, "document", lambda _: None)
    model.pipeline.tick([], [submitted])
    with pytest.raises(ManifestError, match="is not in the log"):
        submitted.done.result(0)
    assert model.pipeline.snapshot.failing is None


@pytest.mark.parametrize("damaged", ["x'ff'", "x'7b'", "CAST(replace(content, 'name', 'nane') AS BLOB)"])
def test_one_whose_generated_text_is_damaged_in_the_log_holds_up_no_other(
    model: World, tmp_path: Path, damaged: str
) -> None:
    base = model.file(PATH).base
    change = f"UPDATE documents SET content = {damaged} WHERE sha256 = '{base}'"
    by_hand(tmp_path / "log.db", change, guarded=False)
    mine = model.fs.read(PATH).replace(b'"name": "a"', b'"name": "Mine"')
    model.fs.put(PATH, mine)
    model.come_to_rest()
    model.fs.put("models/b.gguf", gguf("b"))
    another_binary(model)
    model.come_to_rest()
    assert model.pipeline.snapshot.failing is None
    assert (model.model("a").status, model.model("b").status) == ("ready", "ready")
    assert model.fs.read(PATH) == mine


def test_a_change_that_was_planned_before_its_event_was_damaged_is_made(model: World, tmp_path: Path) -> None:
    model.pipeline.tick([], [])
    change = Submitted(Edit("a", Patch({("name",): "Mine"}), "api:test"))
    carry_out = Actor.carry_out

    def damaged(self: Actor, catalogue: Catalogue, plan: Plan, *, begun: bool) -> list[Draft]:
        damage = f"UPDATE events SET data = CAST(data || x'ff' AS TEXT) WHERE position = {plan.position}"
        by_hand(tmp_path / "log.db", damage, guarded=False)
        return carry_out(self, catalogue, plan, begun=begun)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Actor, "carry_out", damaged)
        model.pipeline.tick([], [change])
    model.come_to_rest()
    assert model.pipeline.snapshot.failing is None
    assert document(model)["name"] == "Mine"
