"""A model.json on a disk that cannot exchange two files: for a moment nothing has its name."""

from collections.abc import Callable
from pathlib import Path

import pytest

from janfs.folder import paths
from janfs.manifest.patch import Patch
from janfs.pipeline.commands import Edit, Submitted
from tests.fakes.faults import HookedFileSystem, P, T
from tests.fakes.filesystem import FakeFileSystem
from tests.pipeline.invariants import check_at_rest
from tests.pipeline.model_json import PATH, another_binary, document, document_with_comments, edit
from tests.pipeline.world import World, gguf


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
