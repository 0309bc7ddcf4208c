"""A model.json is brought up to date when what it was made from changes, and the person's word stands."""

import json

import pytest

from janfs.folder import paths
from janfs.manifest import generate
from janfs.manifest.json_schema import model_schema
from janfs.pipeline import manifests
from tests.folder import gguf_bytes as make
from tests.pipeline.invariants import check_at_rest
from tests.pipeline.model_json import PATH, another_binary, document, edit
from tests.pipeline.world import World, gguf
from tests.support.json_schema import fits


class TestWhatItIsMadeFrom:
    def test_another_binary(self, model: World) -> None:
        another_binary(model)
        assert document(model)["metadata"]["author"] == "another"
        check_at_rest(model)

    def test_another_folder(self, model: World) -> None:
        model.fs.rename_over("models/a", "models/b")
        model.tick()
        assert document(model, "models/b/model.json")["id"] == "b"
        check_at_rest(model)

    def test_a_projector_that_comes_and_goes(self, model: World) -> None:
        values = {"general__type": make.text("mmproj"), "clip__projector_type": make.text("mlp")}
        model.fs.put("models/a/mmproj.gguf", gguf("eyes", **values))
        model.tick()
        assert document(model)["engine_parameters"]["mmproj"] == "mmproj.gguf"
        model.fs.remove("models/a/mmproj.gguf")
        model.tick()
        assert "mmproj" not in document(model)["engine_parameters"]
        check_at_rest(model)

    def test_another_name_of_the_binary_of_several(self, model: World) -> None:
        values = {"general__type": make.text("mmproj"), "clip__projector_type": make.text("mlp")}
        model.fs.put("models/a/mmproj.gguf", gguf("eyes", **values))
        model.tick()
        model.fs.rename_over("models/a/a.gguf", "models/a/b.gguf")
        model.tick()
        assert document(model)["engine_parameters"]["llama_model_path"] == "b.gguf"
        assert model.model("a").status == "ready"

    def test_a_newer_janfs(self, model: World, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(generate, "VERSION", 99)
        newer = generate.generate
        monkeypatch.setattr(manifests, "generate", lambda **said: {**newer(**said), "description": "New."})
        model.restart()
        assert document(model)["description"] == "New."

    def test_nothing_is_written_when_only_times_change(self, model: World) -> None:
        position = model.log.head.position
        model.fs.touch("models/a/a.gguf")
        model.tick()
        assert "write-planned" not in model.events(position)


class TestThePerson:
    def test_what_they_wrote_stays_with_all_that_is_around_it(self, model: World) -> None:
        edit(model, '"name": "a",', '"name": "Mine", // my own')
        edit(model, '  "owned_by"', '  /* whose */ "owned_by"')
        before = model.fs.read(PATH).decode()
        another_binary(model)
        after = model.fs.read(PATH).decode()
        assert '"name": "Mine", // my own' in after
        assert '/* whose */ "owned_by"' in after
        changed = set(after.splitlines()) - set(before.splitlines())
        assert not any("Mine" in line or "whose" in line for line in changed)

    def test_what_they_removed_stays_removed(self, model: World) -> None:
        edit(model, '    "temperature": 0.7,\n', "")
        another_binary(model)
        assert "temperature" not in document(model)["model_parameters"]

    def test_their_value_survives_though_it_was_ours_for_a_while(self, model: World) -> None:
        edit(model, '"owned_by": "you"', '"owned_by": "me"')
        edit(model, '"owned_by": "me"', '"owned_by": "you"')
        assert "/owned_by" in model.file(PATH).owned

    def test_a_conflict_is_said_once(self, model: World) -> None:
        another_binary(model, "first")
        edit(model, '"author": "first"', '"author": "me"')
        position = model.log.head.position
        another_binary(model, "second")
        assert model.events(position).count("field-conflicted") == 1
        said = next(record for record in model.records(position) if record.type == "field-conflicted")
        assert json.loads(said.data) == {
            "path": PATH,
            "field": "/metadata/author",
            "theirs": '"me"',
            "ours": '"second"',
        }
        position = model.log.head.position
        model.fs.rename_over("models/a", "models/b")
        model.tick()
        assert "field-conflicted" not in model.events(position)

    def test_a_file_of_their_own_is_never_added_to(self, world: World) -> None:
        text = b'{"name": "Mine"}'
        world.fs.put("models/a/model.json", text)
        world.fs.put("models/a/a.gguf", gguf("a"))
        world.tick()
        another_binary(world)
        world.fs.rename_over("models/a", "models/b")
        world.tick()
        assert world.fs.read("models/b/model.json") == text

    def test_what_differs_in_nothing_but_theirs_is_kept_to_the_byte(self, model: World) -> None:
        edit(model, '"id": "a"', '"id": "x"')
        before = model.fs.read(PATH)
        position = model.log.head.position
        model.fs.rename_over("models/a", "models/b")
        model.tick()
        assert model.fs.read("models/b/model.json") == before
        assert model.events(position)[-2:] == ["json-kept", "field-conflicted"]
        check_at_rest(model)

    def test_an_older_spelling_gets_no_second_one_beside_it(self, model: World) -> None:
        edit(model, '"model_parameters"', '"parameters"')
        edit(model, '"engine_parameters"', '"settings"')
        values = {"general__type": make.text("mmproj"), "clip__projector_type": make.text("mlp")}
        model.fs.put("models/a/mmproj.gguf", gguf("eyes", **values))
        model.tick()
        assert document(model)["settings"]["mmproj"] == "mmproj.gguf"
        assert "engine_parameters" not in document(model)


class TestOwnWrites:
    def test_they_are_not_taken_for_someone_s_edit(self, model: World) -> None:
        another_binary(model)
        position = model.log.head.position
        for _ in range(3):
            model.tick("")
            model.clock.advance(10)
        assert model.events(position) == []
        assert not any(paths.name(path).startswith(paths.TEMP_PREFIX) for path in model.fs.files("models/a"))

    def test_a_long_life_ends_where_a_rebuilt_log_says(self, model: World) -> None:
        edit(model, '"name": "a",', '"name": "Mine",')
        for name in ("b", "c", "d"):
            another_binary(model, name)
            check_at_rest(model)
        assert document(model)["name"] == "Mine"
        assert document(model)["metadata"]["author"] == "d"


def test_a_generated_file_leads_editors_to_the_schema_from_where_it_lies(world: World) -> None:
    world.fs.put("models/a.gguf", gguf("a"))
    world.tick()
    text = world.fs.read("models/a/model.json")
    assert text.startswith(b'{\n  "$schema": "../../.janfs/schemas/model.json",\n')
    assert fits(json.loads(text), model_schema())
