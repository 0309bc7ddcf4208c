"""A key in a model.json."""

import pytest

from janfs.errors import CannotRevert, InvalidInput
from janfs.manifest.leaves import REMOVED
from janfs.manifest.patch import Patch
from janfs.pipeline.commands import Edit, Revert
from tests.pipeline.invariants import check_at_rest
from tests.pipeline.model_json import PATH, another_binary, ask, document_with_comments, edit
from tests.pipeline.world import World


class TestSecrets:
    """A key in a model.json stays there, and nowhere else."""

    @pytest.fixture
    def keyed(self, model: World) -> World:
        edit(
            model, '"engine_parameters": {}', '"engine_parameters": {\n    "api_key": "gsk-mine" // mine\n  }'
        )
        return model

    def test_it_is_in_nothing_that_is_recorded_or_shown(self, keyed: World) -> None:
        assert b"gsk-mine" in keyed.fs.read(PATH)
        with keyed.log.query() as connection:
            for table, column in (("events", "data"), ("documents", "content"), ("projected", "value")):
                for (found,) in connection.exec_driver_sql(f"SELECT {column} FROM {table}"):
                    assert "gsk-mine" not in str(found)
        said = keyed.file(PATH).manifest
        assert said is not None
        assert said.engine_parameters["api_key"] == "***"
        check_at_rest(keyed)

    def test_it_stays_through_a_regeneration(self, keyed: World) -> None:
        another_binary(keyed)
        assert document_with_comments(keyed)["metadata"]["author"] == "another"
        assert b'    "api_key": "gsk-mine" // mine\n' in keyed.fs.read(PATH)
        check_at_rest(keyed)

    def test_it_stays_when_a_field_is_set_and_is_not_set_that_way(self, keyed: World) -> None:
        ask(keyed, Edit("a", Patch({("name",): "Ours"}), "api:test"))
        assert document_with_comments(keyed)["name"] == "Ours"
        assert document_with_comments(keyed)["engine_parameters"]["api_key"] == "gsk-mine"
        before = keyed.fs.read(PATH)
        with pytest.raises(InvalidInput, match="must not get into the log"):
            ask(keyed, Edit("a", Patch({("engine_parameters", "api_key"): "other"}), "api:test"))
        assert keyed.fs.read(PATH) == before
        ask(keyed, Edit("a", Patch({("engine_parameters", "api_key"): REMOVED}), "api:test"))
        assert "api_key" not in document_with_comments(keyed)["engine_parameters"]
        check_at_rest(keyed)

    def test_a_revert_brings_the_rest_of_the_text_back_with_the_key_of_now(self, keyed: World) -> None:
        then, text = keyed.log.head.position, keyed.fs.read(PATH)
        edit(keyed, '"name": "a"', '"name": "b"')
        edit(keyed, "gsk-mine", "gsk-newer")
        ask(keyed, Revert("a", then, "api:test"))
        assert keyed.fs.read(PATH) == text.replace(b"gsk-mine", b"gsk-newer")
        assert keyed.records()[-1].type == "json-reverted"
        check_at_rest(keyed)

    def test_a_revert_to_a_key_that_is_gone_is_refused_and_says_why(self, keyed: World) -> None:
        then = keyed.log.head.position
        edit(keyed, '\n    "api_key": "gsk-mine" // mine', "")
        before = keyed.fs.read(PATH)
        with pytest.raises(CannotRevert, match=r"engine_parameters\.api_key: It had a secret"):
            ask(keyed, Revert("a", then, "api:test"))
        assert keyed.fs.read(PATH) == before

    def test_a_deleted_model_comes_back_with_it(self, keyed: World) -> None:
        then, text = keyed.log.head.position, keyed.fs.read(PATH)
        keyed.delete("a")
        ask(keyed, Revert("a", then, "api:test"))
        assert keyed.fs.read(PATH) == text
        check_at_rest(keyed)

    def test_a_broken_text_with_a_key_is_replaced_by_the_last_good_one(self, model: World) -> None:
        then, text = model.log.head.position, model.fs.read(PATH)
        model.fs.put(PATH, b'{"api_key": "gsk-mine", ')
        model.wait(1)
        ask(model, Revert("a", then, "api:test"))
        assert model.fs.read(PATH) == text
