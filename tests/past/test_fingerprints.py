"""From the fingerprint of an answer back to what gave it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from janfs.engine_events import event_of
from janfs.engines.fingerprint import with_file
from janfs.engines.protocol import EngineStarted, RunSpec, SpecPart
from janfs.errors import NotFound
from janfs.events.types import Event, FileHashed, ModelStarted
from janfs.past.fingerprints import Fingerprint, find_fingerprint
from janfs.past.moments import AsOf
from janfs.pipeline.commands import Record, Submitted
from janfs.pipeline.recorder import Draft
from janfs.serving import resolve
from tests.pipeline.world import World, gguf, only_errors_logged

BINARY = "models/x/x.gguf"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with only_errors_logged():
        world = World(tmp_path / "log.db")
        world.fs.put("models/x.gguf", gguf("x"))
        world.come_to_rest()
        yield world
        world.stop()


def record(world: World, uid: str, event: Event) -> None:
    world.pipeline.tick([], [Submitted(Record((Draft(uid, event),)))])


def started(world: World) -> RunSpec:
    """The model was loaded, as the service records it."""
    spec = resolve(world.pipeline.snapshot, Path("/"), "x").spec
    record(world, spec.uid, event_of(EngineStarted(spec=spec, load_seconds=1.0, pid=1)))
    return spec


def find(world: World, said: str) -> Fingerprint:
    return find_fingerprint(world.log, world.catalogue, AsOf(world.log).at, said)


def set_context(world: World, tokens: int) -> None:
    world.fs.put("models/x/model.json", b'{"engine_parameters": {"ctx_len": %d}}' % tokens)
    world.come_to_rest()


def test_a_fingerprint_leads_to_files_settings_engine_and_position(world: World) -> None:
    spec = started(world)
    position = world.catalogue.position
    for said in (spec.fingerprint, f"fp_{spec.fingerprint}"):
        found = find(world, said)
        assert (found.id, found.engine, found.position) == ("x", "llama-cpp", position)
        assert found.settings is not None
        assert found.settings["ctx_len"] == spec.settings.ctx_len
        (part,) = found.parts
        assert (part.path, part.stamp) == (BINARY, world.file(BINARY).stamp)
        facts = world.file(BINARY).facts
        assert facts is not None
        assert part.header_sha256 == facts.header_sha256


def test_each_fingerprint_keeps_its_own_settings_across_edits_and_restarts(world: World) -> None:
    set_context(world, 1024)
    first = started(world)
    set_context(world, 2048)
    second = started(world)
    assert first.fingerprint != second.fingerprint
    world.restart()
    for spec, tokens in ((first, 1024), (second, 2048)):
        settings = find(world, spec.fingerprint).settings
        assert settings is not None
        assert settings["ctx_len"] == tokens


def test_a_fingerprint_leads_to_the_grammar_too(world: World) -> None:
    wanted = resolve(world.pipeline.snapshot, Path("/"), "x").spec
    digests = ("a" * 64, "b" * 64)
    specs = [with_file(wanted, SpecPart("form.gbnf", 5, 6, 7, sha256=digest)) for digest in digests]
    for spec in specs:
        record(world, spec.uid, event_of(EngineStarted(spec=spec, load_seconds=1.0, pid=1)))
    for spec, digest in zip(specs, digests, strict=True):
        binary, grammar = find(world, spec.fingerprint).parts
        assert binary.path == BINARY
        assert (grammar.path, grammar.sha256) == ("models/x/form.gbnf", digest)


def test_a_hash_that_became_known_later_is_told(world: World) -> None:
    spec = started(world)
    assert find(world, spec.fingerprint).parts[0].sha256 is None
    stamp = world.file(BINARY).stamp
    record(world, spec.uid, FileHashed(BINARY, stamp, "a" * 64))
    assert find(world, spec.fingerprint).parts[0].sha256 == "a" * 64
    world.fs.put(BINARY, gguf("another"))
    world.come_to_rest()
    record(world, spec.uid, FileHashed(BINARY, world.file(BINARY).stamp, "b" * 64))
    assert find(world, spec.fingerprint).parts[0].sha256 == "a" * 64, "the hash of another content"


def test_what_an_older_janfs_did_not_record_is_made_again(world: World) -> None:
    set_context(world, 1024)
    spec = resolve(world.pipeline.snapshot, Path("/"), "x").spec
    record(world, spec.uid, ModelStarted("llama-cpp", spec.fingerprint, 1.0, 1))
    set_context(world, 2048)
    found = find(world, spec.fingerprint)
    assert found.settings is not None
    assert found.settings["ctx_len"] == 1024
    assert [part.path for part in found.parts] == [BINARY]


def test_what_cannot_be_made_again_is_left_open(world: World) -> None:
    record(world, world.model("x").uid, ModelStarted("llama-cpp", "0" * 16, 1.0, 1))
    found = find(world, "0" * 16)
    assert (found.settings, found.parts) == (None, ())
    assert found.position == world.catalogue.position


@pytest.mark.parametrize("said", ["f" * 16, "", "fp_", "x", '","a":"', "F" * 16, "fp_fp_" + "0" * 16])
def test_a_fingerprint_that_never_was_is_said_to_be_none(world: World, said: str) -> None:
    started(world)
    with pytest.raises(NotFound, match="No engine was ever started"):
        find(world, said)
