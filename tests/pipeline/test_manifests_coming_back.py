"""A model.json that comes back is known again."""

from pathlib import Path

from janfs.log.verify import verify
from tests.log.kit import by_hand
from tests.pipeline.invariants import check_at_rest
from tests.pipeline.model_json import PATH, another_binary, document, edit
from tests.pipeline.world import World, gguf


class TestWhatComesBack:
    """A model that goes away, and comes back with its model.json."""

    def test_a_generated_text_that_comes_back_as_it_was_is_generated_still(self, model: World) -> None:
        before = model.file(PATH)
        away(model)
        model.fs.rename_over("away", "models/a")
        model.come_to_rest()
        back = model.file(PATH)
        assert (back.base, back.made_from, back.owned) == (before.base, before.made_from, before.owned)
        another_binary(model)
        assert document(model)["metadata"]["author"] == "another"
        check_at_rest(model)

    def test_what_was_the_persons_in_it_is_theirs_still(self, model: World) -> None:
        edit(model, '"name": "a"', '"name": "Mine"')
        owned = model.file(PATH).owned
        away(model)
        model.fs.rename_over("away", "models/a")
        model.come_to_rest()
        assert model.file(PATH).owned == owned == ("/name",)
        another_binary(model)
        assert (document(model)["name"], document(model)["metadata"]["author"]) == ("Mine", "another")

    def test_a_second_time_too(self, model: World) -> None:
        before = model.file(PATH)
        for _ in range(2):
            away(model)
            model.fs.rename_over("away", "models/a")
            model.come_to_rest()
        assert (model.file(PATH).base, model.file(PATH).owned) == (before.base, before.owned)

    def test_a_text_that_changed_meanwhile_is_the_persons(self, model: World) -> None:
        away(model)
        model.fs.put("away/model.json", model.fs.read("away/model.json") + b" ")
        model.fs.rename_over("away", "models/a")
        model.come_to_rest()
        assert model.file(PATH).base is None

    def test_what_the_person_made_anew_is_theirs_whenever_it_comes_back(self, model: World) -> None:
        away(model)
        model.fs.put("away/model.json", b'{"name": "All mine"}')
        for _ in range(2):
            model.fs.rename_over("away", "models/a")
            model.come_to_rest()
            assert model.file(PATH).base is None
            away(model)

    def test_a_deleted_model_that_is_taken_out_of_the_trash(self, model: World) -> None:
        before = model.file(PATH)
        uid = model.model("a").uid
        model.delete("a").done.result(0)
        model.fs.rename_over(model.catalogue.models[uid].trash or "", "models/a")
        model.come_to_rest()
        assert (model.file(PATH).base, model.file(PATH).made_from) == (before.base, before.made_from)

    def test_one_whose_history_is_damaged_is_the_persons_and_holds_up_nothing(
        self, model: World, tmp_path: Path
    ) -> None:
        away(model)
        damage = "UPDATE events SET data = CAST(data || x'ff' AS TEXT) WHERE type = 'json-written'"
        by_hand(tmp_path / "log.db", damage, guarded=False)
        model.fs.put("models/b.gguf", gguf("b"))
        before = model.fs.read("away/model.json")
        model.fs.rename_over("away", "models/a")
        model.come_to_rest()
        assert model.pipeline.snapshot.failing is None
        assert (model.model("a").status, model.model("b").status) == ("ready", "ready")
        another_binary(model)
        assert model.fs.read(PATH) == before
        assert "`janfs verify`" not in (model.model("a").reason or "")
        assert verify(model.log).bad_position is not None


def away(world: World) -> None:
    """The person takes the model `a` out of the folder."""
    world.fs.rename_over("models/a", "away")
    world.come_to_rest()
    assert "a" not in world.catalogue.ids
