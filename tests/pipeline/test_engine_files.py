"""The files in engines/: made once, watched, recorded, and left to the user."""

import errno
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import settings as settings_of_hypothesis
from hypothesis import strategies as st

from janfs.configuration import engine_file_of
from janfs.engine_views import engine_list
from janfs.manifest.edit import edit
from janfs.manifest.engine_file import default_engine_file
from janfs.manifest.generate import encode
from janfs.manifest.jsonc import parse
from janfs.manifest.leaves import REMOVED
from tests.fakes.faults import HookedFileSystem, P, T
from tests.pipeline.invariants import check_at_rest, check_log
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
        world = on_a_disk(full, tmp_path)
        begin(world)
        assert world.events() == ["write-planned", "write-failed"]
        world.wait(30)
        assert world.events() == ["write-planned", "write-failed"], "not before a minute is over"
        full[0] = False
        world.wait(60)
        assert world.fs.read(OURS) == default_engine_file()
        world.stop()


def on_a_disk(full: list[bool], folder: Path) -> World:
    """A root on a disk that takes no new file while it is full."""

    def refuse(name: str, perform: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        if name == "create" and full[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return perform(*args, **kwargs)

    return World(folder / "other.db", port=lambda fs: HookedFileSystem(fs, refuse))


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


def later(world: World, **defaults: object) -> None:
    """A start of a later version, which has other defaults, and drops those that are `REMOVED`."""
    made = json.loads(default_engine_file()) | defaults
    text = encode({key: value for key, value in made.items() if value is not REMOVED})
    world.engine_files = {OURS: text}
    world.restart()


def replaced(world: World, old: str, new: str) -> None:
    """The person replaces a piece of the text."""
    text = world.fs.read(OURS).decode()
    assert old in text, text
    world.fs.put(OURS, text.replace(old, new).encode())
    world.tick()
    world.clock.advance(1)


class TestALaterVersion:
    def test_brings_an_untouched_file_to_its_own_defaults(self, world: World) -> None:
        begin(world)
        position = world.log.head.position
        later(world, n_batch=2048, mlock=REMOVED, caching_enabled=False)
        assert world.fs.read(OURS) == world.engine_files[OURS]
        assert world.events(position) == ["write-planned", "json-written"]
        assert settings(world) == {
            key: value for key, value in json.loads(world.fs.read(OURS)).items() if key != "$schema"
        }
        check_at_rest(world)

    def test_leaves_what_the_person_changed_took_out_and_added_and_says_so_once(self, world: World) -> None:
        begin(world)
        replaced(world, '"n_batch": 512', '"n_batch": 64 /* mine */')
        replaced(world, '  "mlock": false', '  // no mlock\n  "own": [1]')
        position = world.log.head.position
        later(world, n_batch=2048, mlock=True, ngl=7)
        text = world.fs.read(OURS).decode()
        assert '"n_batch": 64 /* mine */' in text
        assert '// no mlock\n  "own": [1]' in text
        assert parse(text).get("mlock") is None
        assert parse(text)["ngl"] == 7
        found = [json.loads(record.data)["field"] for record in world.records(position)[2:]]
        assert sorted(found) == ["/mlock", "/n_batch"]
        position = world.log.head.position
        later(world, n_batch=2048, mlock=True, ngl=7)
        assert not world.events(position)
        check_at_rest(world)

    def test_takes_a_value_for_the_persons_though_it_came_to_be_ours_by_accident(self, world: World) -> None:
        begin(world)
        replaced(world, '"n_batch": 512', '"n_batch": 2048')
        later(world, n_batch=2048)
        later(world, n_batch=4096)
        assert json.loads(world.fs.read(OURS))["n_batch"] == 2048

    def test_keeps_a_secret_where_it_is(self, world: World) -> None:
        begin(world)
        replaced(world, '  "ngl"', '  // the key is secret: abc\n  "api_key": "gsk-mine",\n  "ngl"')
        before = world.fs.read(OURS).decode()
        later(world, n_batch=2048)
        assert world.fs.read(OURS).decode() == before.replace('"n_batch": 512', '"n_batch": 2048')
        assert b"gsk-mine" not in b"".join(stored(world))
        assert b"abc" not in b"".join(stored(world))
        check_at_rest(world)

    def test_leaves_a_file_that_it_did_not_make(self, world: World) -> None:
        world.fs.put(OURS, b'{"ngl": 7}')
        begin(world)
        later(world, n_batch=2048)
        assert world.fs.read(OURS) == b'{"ngl": 7}'

    def test_waits_for_a_file_that_cannot_be_read_until_it_is_mended(self, world: World) -> None:
        begin(world)
        good = world.fs.read(OURS)
        world.fs.put(OURS, good[:-3])
        world.wait(1)
        later(world, n_batch=2048)
        world.wait(1)
        assert world.fs.read(OURS) == good[:-3]
        world.fs.put(OURS, good)
        world.wait(1)
        assert json.loads(world.fs.read(OURS))["n_batch"] == 2048
        check_at_rest(world)

    def test_says_why_it_could_not_and_tries_again(self, tmp_path: Path) -> None:
        full = [False]
        world = on_a_disk(full, tmp_path)
        begin(world)
        full[0] = True
        later(world, n_batch=2048)
        (problem,) = engine_list(world.pipeline.snapshot).data[0].problems
        assert "The disk is full" in problem.reason
        assert world.fs.read(OURS) == default_engine_file()
        full[0] = False
        world.wait(120)
        assert json.loads(world.fs.read(OURS))["n_batch"] == 2048
        assert not engine_list(world.pipeline.snapshot).data[0].problems
        world.stop()


NAMES = ["ngl", "n_batch", "mlock", "own"]
PERSON = st.tuples(st.just("person"), st.sampled_from(NAMES), st.integers(1, 4) | st.none())
VERSIONS = st.tuples(st.just("version"), st.sampled_from(NAMES[:3]), st.integers(0, 3))


@settings_of_hypothesis(max_examples=40, deadline=None)
@given(st.lists(PERSON | VERSIONS, max_size=8), st.booleans())
def test_the_persons_word_stands_through_any_versions(
    turns: list[tuple[str, str, int | None]], with_key: bool
) -> None:
    """`word` is what the person said last; None for what they took out."""
    values: dict[str, object] = {"ngl": 9, "n_batch": 9, "mlock": False}
    word: dict[str, int | None] = {}
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder) / "log.db")
        world.engine_files = {OURS: encode(values)}
        world.restart()
        if with_key:
            world.fs.put(OURS, edit(world.fs.read(OURS), {("api_key",): "gsk-mine"}))
            world.tick()
        for who, name, value in turns:
            world.clock.advance(1)
            before = parse(world.fs.read(OURS))
            if who == "version":
                values |= {name: value == 2 if name == "mlock" else 10 + (value or 0)}
                world.engine_files = {OURS: encode(values)}
                world.restart()
                continue
            said: object = value == 2 if name == "mlock" and value is not None else value
            change = {(name,): REMOVED if value is None else said}
            if before.get(name, REMOVED) != change[name,]:
                word[name] = said  # type: ignore[assignment]
                world.fs.put(OURS, edit(world.fs.read(OURS), change))
                world.tick()
        found = parse(world.fs.read(OURS))
        for name in NAMES:
            wanted = word[name] if name in word else values.get(name)
            assert found.get(name) == wanted, f"{name}: {found} after {word} and {values}"
        assert found.get("api_key") == ("gsk-mine" if with_key else None)
        assert b"gsk-mine" not in b"".join(stored(world))
        check_log(world)
        world.stop()


def stored(world: World) -> Iterator[bytes]:
    """All that is in the database."""
    with world.log.query() as connection:
        for table, column in (("events", "data"), ("documents", "content"), ("projected", "value")):
            for (found,) in connection.exec_driver_sql(f"SELECT {column} FROM {table}"):
                yield found if isinstance(found, bytes) else found.encode()


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
    for found in stored(world):
        assert secret not in found, f"{found!r}"
    assert secret not in msgspec.json.encode(msgspec.to_builtins(dict(world.catalogue.engine_files)))
