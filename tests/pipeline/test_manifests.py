"""A model.json is brought up to date when what it was made from changes, and the person's word stands."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from janfs.errors import CannotRevert, InvalidInput, ManifestError
from janfs.folder import paths
from janfs.manifest import generate
from janfs.manifest.json_schema import model_schema
from janfs.manifest.jsonc import parse
from janfs.manifest.leaves import REMOVED
from janfs.manifest.patch import Patch
from janfs.pipeline import manifests
from janfs.pipeline.commands import Edit, Revert, Submitted
from tests.fakes.faults import HookedFileSystem, P, T
from tests.fakes.filesystem import FakeFileSystem
from tests.folder import gguf_bytes as make
from tests.pipeline.invariants import check_at_rest
from tests.pipeline.world import World, gguf
from tests.support.json_schema import fits

PATH = "models/a/model.json"


@pytest.fixture
def model(world: World) -> World:
    """A world with the generated model `a`."""
    world.fs.put("models/a.gguf", gguf("a"))
    world.tick()
    world.clock.advance(1)
    return world


def document(world: World, path: str = PATH) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(world.fs.read(path))
    return found


def edit(world: World, old: str, new: str) -> None:
    """The person replaces a piece of the text."""
    text = world.fs.read(PATH).decode()
    assert old in text, f"{old!r} is not in {text}"
    world.fs.put(PATH, text.replace(old, new).encode())
    world.tick()
    world.clock.advance(1)


def another_binary(world: World, name: str = "another", **metadata: Any) -> None:
    world.fs.put("models/a/a.gguf", gguf(name, general__author=make.text(name), **metadata))
    world.tick()
    world.clock.advance(1)


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


def away(world: World) -> None:
    """The person takes the model `a` out of the folder."""
    world.fs.rename_over("models/a", "away")
    world.come_to_rest()
    assert "a" not in world.catalogue.ids


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


class SavesInTheGap:
    """A person who saves while nothing has the file's name, the first time."""

    def __init__(self) -> None:
        self.fs: FakeFileSystem | None = None
        self.text: bytes | None = None

    def __call__(self, name: str, perform: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        done = perform(*args, **kwargs)
        if name == "set_aside" and self.fs is not None and self.text is not None:
            text, self.text = self.text, None
            self.fs.put(PATH, text)
        return done


class TestOnADiskThatCannotExchange:
    def test_it_is_brought_up_to_date_and_theirs_stays(self, model: World) -> None:
        model.fs.exchanges = False
        edit(model, '"name": "a"', '/* mine */ "name": "Mine"')
        another_binary(model)
        assert document_with_comments(model)["metadata"]["author"] == "another"
        assert b'/* mine */ "name": "Mine"' in model.fs.read(PATH)
        check_at_rest(model)

    def test_a_field_is_set(self, model: World) -> None:
        model.fs.exchanges = False
        submitted = Submitted(Edit("a", Patch({("name",): "Ours"}), "api:test"))
        model.pipeline.tick([], [submitted])
        submitted.done.result(0)
        assert document(model)["name"] == "Ours"
        check_at_rest(model)

    def test_what_is_saved_in_the_gap_stays_and_is_brought_up_to_date_next(self, tmp_path: Path) -> None:
        person = SavesInTheGap()
        world = World(tmp_path / "log.db", port=lambda fs: HookedFileSystem(fs, person), exchanges=False)
        world.fs.put("models/a.gguf", gguf("a"))
        world.tick()
        world.clock.advance(1)
        person.fs = world.fs
        person.text = world.fs.read(PATH).replace(b'"name": "a"', b'/* mine */ "name": "Mine"')
        another_binary(world)
        world.come_to_rest()
        assert person.text is None, "nothing was set aside"
        assert b'/* mine */ "name": "Mine"' in world.fs.read(PATH)
        assert document_with_comments(world)["metadata"]["author"] == "another"
        check_at_rest(world)

    @pytest.mark.parametrize("hint", [PATH, ""])
    def test_one_that_was_left_aside_gets_its_name_back(self, model: World, hint: str) -> None:
        edit(model, '"name": "a"', '"name": "Mine"')
        before, text = model.events(), model.fs.read(PATH)
        model.fs.rename_over(PATH, paths.aside(PATH, "0" * 32))
        model.tick(hint)
        assert (model.events(), model.fs.read(PATH)) == (before, text), "it was taken for removed"
        check_at_rest(model)

    def test_one_that_was_left_aside_goes_where_there_is_a_newer_one(self, model: World) -> None:
        text = model.fs.read(PATH)
        model.fs.put(paths.aside(PATH, "0" * 32), b"{}")
        model.tick("")
        assert [*model.fs.files("models/a")] == [PATH, "models/a/a.gguf"][::-1]
        assert model.fs.read(PATH) == text


def test_a_generated_file_leads_editors_to_the_schema_from_where_it_lies(world: World) -> None:
    world.fs.put("models/a.gguf", gguf("a"))
    world.tick()
    text = world.fs.read("models/a/model.json")
    assert text.startswith(b'{\n  "$schema": "../../.janfs/schemas/model.json",\n')
    assert fits(json.loads(text), model_schema())


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


def document_with_comments(world: World) -> dict[str, Any]:
    found: dict[str, Any] = parse(world.fs.read(PATH))
    return found


def ask(world: World, command: Edit | Revert) -> None:
    submitted = Submitted(command)
    world.pipeline.tick([], [submitted])
    submitted.done.result(0)
    world.clock.advance(1)
