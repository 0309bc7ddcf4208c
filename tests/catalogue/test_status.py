"""What the files of a model make of it."""

from typing import Any

import pytest

from janfs.catalogue.entries import File, Problem
from janfs.catalogue.status import Assessment, assess, manifest_of
from janfs.manifest.schema import Manifest, SourceRef
from tests.catalogue.strategies import STAMPS, facts

WRONG = Problem("json_invalid", "model.json, line 1, column 2: A comma.", 1, 2)


def binary(name: str = "x.gguf", *, refused: str | None = None, **said: Any) -> File:
    problem = Problem("gguf_invalid", refused) if refused else None
    known = None if refused else facts(**said)
    return File(f"models/a/{name}", "u1", STAMPS[0], 1, facts=known, refused=problem)


def json(manifest: Manifest | None = None, refused: Problem | None = None) -> File:
    return File("models/a/model.json", "u1", STAMPS[0], 1, manifest=manifest, refused=refused)


def shard(number: int, count: int = 3) -> File:
    return binary(f"x-{number:05}-of-{count:05}.gguf", split_no=number - 1, split_count=count)


def naming(path: str) -> File:
    return json(Manifest(engine_parameters={"llama_model_path": path}))


def seeing_with(path: str) -> File:
    return json(Manifest(engine_parameters={"mmproj": path}))


def with_source(filename: str | None, url: str | None) -> File:
    return json(Manifest(sources=(SourceRef(filename, url),)))


X, Y = "models/a/x.gguf", "models/a/y.gguf"
ABSENT = "The model file is not in the folder. Put it back, or delete the model.json there."
CASES: dict[str, tuple[list[File], Assessment]] = {
    "nothing": ([], Assessment("missing", ABSENT)),
    "one binary": ([binary()], Assessment("ready", None, X)),
    "a binary and its model.json": ([binary(), json(Manifest())], Assessment("ready", None, X)),
    "a projector beside it": ([binary(), binary("y.gguf", type="mmproj")], Assessment("ready", None, X)),
    "the named projector beside it": (
        [binary(), binary("y.gguf", type="mmproj"), seeing_with("/m/y.gguf")],
        Assessment("ready", None, X),
    ),
    "another projector than is named": (
        [binary(), binary("y.gguf", type="mmproj"), seeing_with("z.gguf")],
        Assessment(
            "ready",
            "model.json names z.gguf as mmproj, and no such projector is in the folder: it sees no images.",
            X,
        ),
    ),
    "a refused file beside it": (
        [binary(), binary("y.gguf", refused="Cut off.")],
        Assessment("ready", None, X),
    ),
    "the named one of two": ([binary(), binary("y.gguf"), naming("y.gguf")], Assessment("ready", None, Y)),
    "the one named by a path": (
        [binary(), binary("y.gguf"), naming("/m/y.gguf")],
        Assessment("ready", None, Y),
    ),
    "the one of two that sources list": (
        [binary(), binary("y.gguf"), with_source("y.gguf", None)],
        Assessment("ready", None, Y),
    ),
    "all shards": (
        [shard(1), shard(2), shard(3)],
        Assessment("ready", None, "models/a/x-00001-of-00003.gguf"),
    ),
    "a single shard": ([shard(1, 1)], Assessment("ready", None, "models/a/x-00001-of-00001.gguf")),
    "a model elsewhere": (
        [json(Manifest(format="api", engine="openai", sources=(SourceRef(None, "https://openai.com"),)))],
        Assessment("ready", remote="openai"),
    ),
    "a model elsewhere, of no engine": (
        [json(Manifest(format="api"))],
        Assessment("ready", remote="llama-cpp"),
    ),
    "a model elsewhere after a bad edit": (
        [json(Manifest(format="api", engine="openai"), WRONG)],
        Assessment("ready", f"{WRONG.reason} The last good model.json stays in force.", remote="openai"),
    ),
    "a bad edit after a good one": (
        [binary(), json(Manifest(), WRONG)],
        Assessment("ready", f"{WRONG.reason} The last good model.json stays in force.", X),
    ),
    "a bad first model.json": ([binary(), json(None, WRONG)], Assessment("invalid", WRONG.reason, X)),
    "a bad model.json alone": ([json(None, WRONG)], Assessment("invalid", WRONG.reason)),
    "a refused binary": (
        [binary(refused="The magic is not GGUF.")],
        Assessment("invalid", "x.gguf: The magic is not GGUF."),
    ),
    "a projector alone": (
        [binary(type="mmproj")],
        Assessment(
            "part",
            "A projector: it waits for its model. `janfs pair x.gguf MODEL` settles it, or "
            '"mmproj": "x.gguf" among the engine_parameters in the model.json of one.',
        ),
    ),
    "an importance matrix alone": (
        [binary(type="imatrix")],
        Assessment("invalid", "No file here can be run by itself: x.gguf (imatrix)."),
    ),
    "two binaries": (
        [binary(), binary("y.gguf")],
        Assessment(
            "invalid",
            "2 models are in this folder (x.gguf, y.gguf), and no model.json names one of them. Name one as "
            "engine_parameters.llama_model_path; the others then get folders of their own.",
        ),
    ),
    "a named one that is not there": (
        [binary(), naming("z.gguf")],
        Assessment(
            "missing", "model.json names z.gguf as llama_model_path, and that file is not in the folder."
        ),
    ),
    "a shard missing": (
        [shard(1), shard(3)],
        Assessment("incomplete", "Shards are missing: 00002-of-00003.", "models/a/x-00001-of-00003.gguf"),
    ),
    "the first shard missing": (
        [shard(2), shard(3)],
        Assessment("incomplete", "Shards are missing: 00001-of-00003.", "models/a/x-00002-of-00003.gguf"),
    ),
    "only a source on the web": (
        [with_source("x.gguf", "https://example.org/x.gguf")],
        Assessment("to-download", "The model file is not here yet; model.json says where to get it."),
    ),
    "only a source on this machine": ([with_source("x.gguf", "/m/x.gguf")], Assessment("missing", ABSENT)),
    "only a source without a place": ([with_source("x.gguf", None)], Assessment("missing", ABSENT)),
}


@pytest.mark.parametrize(("files", "expected"), CASES.values(), ids=CASES.keys())
def test_the_status_says_what_is_wrong_and_what_to_do(files: list[File], expected: Assessment) -> None:
    assert assess(files) == expected
    assert assess(files[::-1]).status == expected.status, "the order of the files matters"


@pytest.mark.parametrize("kind", ["mmproj", "adapter", "imatrix", "vocab"])
def test_what_cannot_be_run_by_itself_is_no_model(kind: str) -> None:
    alone = "part" if kind in ("mmproj", "adapter") else "invalid"
    assert assess([binary(type=kind)]).status == alone
    assert assess([binary(type=kind), binary("y.gguf")]).binary == Y


def test_no_more_missing_shards_are_named_than_a_person_reads() -> None:
    reason = assess([shard(1, 5000)]).reason
    assert reason is not None
    assert reason.count("-of-05000") == 100
    assert reason.endswith("and 4,899 more.")


def test_the_manifest_is_that_of_the_folders_own_model_json() -> None:
    loose = File("models/model.json", "u1", STAMPS[0], 1, manifest=Manifest(name="not this"))
    assert manifest_of([loose, binary(), json(Manifest(name="this"))]) == Manifest(name="this")
    assert manifest_of([binary()]) is None
