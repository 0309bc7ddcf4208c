"""The files in engines/: made once, watched, recorded, and left to the user."""

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from janfs.configuration import engine_file_of
from janfs.manifest.engine_file import default_engine_file
from tests.fakes.faults import HookedFileSystem, P, T
from tests.pipeline.invariants import check_at_rest
from tests.pipeline.world import World, gguf

OURS = "engines/llama-cpp.json"
NITRO = "engines/nitro.json"


def settings(world: World) -> dict[str, object] | None:
    """What holds for llama-cpp by its file."""
    file = engine_file_of(world.catalogue, "llama-cpp")
    return None if file is None or file.manifest is None else file.manifest.engine_parameters


def begin(world: World) -> None:
    """A start of `janfs serve`."""
    world.engine_files = {OURS: default_engine_file()}
    world.restart()


class TestTheFirstStart:
    def test_makes_the_file_with_intent_and_outcome(self, world: World) -> None:
        begin(world)
        assert world.fs.read(OURS) == default_engine_file()
        assert world.events() == ["write-planned", "json-written"]
        assert {record.stream for record in world.records()} == {"engine-llama-cpp"}
        said = json.loads(default_engine_file())
        assert said.pop("$schema") == "../.janfs/schemas/engine.json"
        assert settings(world) == said
        check_at_rest(world)

    @pytest.mark.parametrize("path", [OURS, NITRO, "engines/llamacpp.json"])
    def test_leaves_a_file_of_the_engine_alone_whatever_its_name(self, world: World, path: str) -> None:
        world.fs.put(path, b'{"ngl": 7}')
        begin(world)
        assert world.fs.files("engines") == {path: b'{"ngl": 7}'}
        assert settings(world) == {"ngl": 7}

    def test_leaves_one_alone_that_cannot_be_read(self, world: World) -> None:
        world.fs.put(NITRO, b'{"ngl": ')
        begin(world)
        world.wait(2)
        assert world.fs.files("engines") == {NITRO: b'{"ngl": '}

    def test_does_not_bring_back_what_was_removed(self, world: World) -> None:
        begin(world)
        world.fs.remove(OURS)
        world.tick()
        assert settings(world) is None
        begin(world)
        assert not world.fs.files("engines")

    def test_tries_again_where_it_could_not_write(self, tmp_path: Path) -> None:
        full = [True]

        def refuse(name: str, perform: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
            if name == "create" and full[0]:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return perform(*args, **kwargs)

        world = World(tmp_path / "other.db", port=lambda fs: HookedFileSystem(fs, refuse))
        begin(world)
        assert world.events() == ["write-planned", "write-failed"]
        world.wait(30)
        assert world.events() == ["write-planned", "write-failed"], "not before a minute is over"
        full[0] = False
        world.wait(60)
        assert world.fs.read(OURS) == default_engine_file()
        world.stop()


class TestAPerson:
    def test_edits_and_the_settings_follow(self, world: World) -> None:
        begin(world)
        position = world.log.head.position
        world.fs.put(OURS, b'// mine\n{"ngl": 0}')
        world.tick()
        (record,) = world.records(position)
        assert (record.type, record.stream, record.actor) == ("json-edited", "engine-llama-cpp", "folder")
        assert settings(world) == {"ngl": 0}
        check_at_rest(world)

    def test_makes_a_mistake_and_the_last_good_settings_stay(self, world: World) -> None:
        world.fs.put(OURS, b'{"ngl": 7}')
        world.tick()
        world.fs.put(OURS, b'{\n  "ngl": "all"\n}')
        world.wait(1)
        assert world.events() == ["json-edited", "json-rejected"]
        refused = world.catalogue.engine_files[OURS].refused
        assert refused is not None
        assert (refused.line, refused.column) == (2, 3)
        assert refused.reason.startswith("llama-cpp.json, line 2, column 3: ngl must be")
        assert settings(world) == {"ngl": 7}
        world.fs.put(OURS, b'{"ngl": 8}')
        world.tick()
        assert settings(world) == {"ngl": 8}
        assert world.catalogue.engine_files[OURS].refused is None
        check_at_rest(world)

    def test_gives_the_file_its_other_name(self, world: World) -> None:
        world.fs.put(NITRO, b'{"ngl": 7}')
        world.tick()
        world.fs.rename_over(NITRO, OURS)
        world.tick()
        assert sorted(world.events()) == ["json-edited", "json-edited", "json-removed"]
        assert list(world.catalogue.engine_files) == [OURS]
        check_at_rest(world)

    def test_has_files_of_both_names_and_the_one_of_today_counts(self, world: World) -> None:
        world.fs.put(OURS, b'{"ngl": 1}')
        world.fs.put(NITRO, b'{"ngl": 2}')
        world.tick()
        assert settings(world) == {"ngl": 1}

    def test_keeps_other_things_there(self, world: World) -> None:
        for name in ("readme.txt", ".hidden.json", "deep/llama-cpp.json", "model.gguf", "x.json.tmp"):
            world.fs.put(f"engines/{name}", gguf("x"))
        world.tick()
        assert not world.events()

    def test_moves_a_file_between_models_and_engines(self, world: World) -> None:
        world.fs.put("models/a/settings.json", b'{"ngl": 3}')
        world.tick()
        world.fs.rename_over("models/a/settings.json", OURS)
        world.tick()
        assert settings(world) == {"ngl": 3}
        world.fs.rename_over(OURS, "models/a/settings.json")
        world.tick()
        assert settings(world) is None
        check_at_rest(world)


def test_no_secret_gets_into_the_log(world: World) -> None:
    secret = b"gsk-a-secret-of-mine"
    texts = [
        b'{"full_url": "https://example.org", "api_key": "%s"}',
        b'// the key was %s\n{"ngl": 1}',
        b'{"api_key": "%s", "ngl": "wrong"}',
        b'{"api_key": "%s"',
        b'{"api_key": %s}',
    ]
    for number, text in enumerate(texts):
        world.fs.put(f"engines/e{number}.json", text % secret)
    world.wait(2)
    assert len(world.events()) == len(texts)
    with world.log.query() as connection:
        for table, column in (("events", "data"), ("documents", "content"), ("projected", "value")):
            for (stored,) in connection.exec_driver_sql(f"SELECT {column} FROM {table}"):
                found = stored if isinstance(stored, bytes) else stored.encode()
                assert secret not in found, f"{table}: {found!r}"
    assert secret not in msgspec.json.encode(msgspec.to_builtins(dict(world.catalogue.engine_files)))
