"""Models on other machines, from the catalogue alone: who serves them, or why nobody does."""

from typing import Any

import pytest

from janfs.catalogue.catalogue import Catalogue
from janfs.errors import ModelNotRunnable
from janfs.events import types as e
from janfs.folder.filesystem import Stamp
from janfs.manifest.remote import Address
from janfs.manifest.schema import Manifest
from janfs.pipeline.snapshot import Snapshot
from janfs.remotes import engines_elsewhere, find_remote
from janfs.serving import resolve
from janfs.views import find_view, stopped
from tests.fakes.snapshots import STAMP, catalogue_of

FILE = "engines/openai.json"
URL = "https://api.openai.com/v1/chat/completions"


def api_model(id_: str = "gpt-4", **said: Any) -> list[tuple[str, e.Event]]:
    manifest = Manifest(**{"format": "api", "engine": "openai", **said})
    return [
        (f"uid-{id_}", e.ModelRegistered(id_, f"models/{id_}")),
        (f"uid-{id_}", e.JsonEdited(f"models/{id_}/model.json", STAMP, "00" * 32, manifest)),
    ]


def engine_file(path: str = FILE, **said: Any) -> tuple[str, e.Event]:
    engine = path.removeprefix("engines/").removesuffix(".json")
    manifest = Manifest(engine=engine, engine_parameters=said)
    return f"engine-{engine}", e.JsonEdited(path, STAMP, "11" * 32, manifest)


def shown(catalogue: Catalogue, id_: str = "gpt-4") -> tuple[str, str | None]:
    view = find_view(Snapshot(catalogue), id_, stopped)
    assert view is not None
    return view.status, view.reason


def test_a_model_elsewhere_is_ready_without_any_file_of_weights() -> None:
    catalogue = catalogue_of(engine_file(full_url=URL), *api_model())
    assert shown(catalogue) == ("ready", None)
    found = find_remote(catalogue, "gpt-4")
    assert found is not None
    assert (found.name, found.uid, found.file) == ("gpt-4", "uid-gpt-4", FILE)
    assert found.engine.addresses == (Address("https://api.openai.com/v1"),)


def test_it_goes_by_the_id_in_its_model_json_there() -> None:
    catalogue = catalogue_of(engine_file(full_url=URL), *api_model("mixtral", id="mixtral-8x7b-32768"))
    found = find_remote(catalogue, "mixtral")
    assert found is not None
    assert (found.id, found.name) == ("mixtral", "mixtral-8x7b-32768")


def test_only_what_its_model_json_says_is_asked_of_it() -> None:
    said = {"temperature": 0.2, "stream": True, "reasoning_effort": "low"}
    catalogue = catalogue_of(engine_file(full_url=URL), *api_model(model_parameters=said))
    found = find_remote(catalogue, "gpt-4")
    assert found is not None
    assert found.defaults == {"temperature": 0.2, "reasoning_effort": "low"}, (
        "what is built in is for models here"
    )


@pytest.mark.parametrize(
    ("events", "reason"),
    [
        (api_model(), f"{FILE} is not there. It says where the engine answers, as full_url or base_urls."),
        (
            [engine_file(ngl=1), *api_model()],
            f"{FILE} cannot be used: it has neither full_url nor base_urls.",
        ),
        (
            [("engine-openai", e.JsonRejected(FILE, STAMP, "22" * 32, "No.", 1, 2)), *api_model()],
            f"{FILE} cannot be read: openai.json, line 1, column 2: No.",
        ),
        (api_model(engine=None), "names no engine that is"),
    ],
)
def test_an_engine_that_is_missing_or_wrong_is_named(events: list[Any], reason: str) -> None:
    catalogue = catalogue_of(*events)
    status, told = shown(catalogue)
    assert status == "invalid"
    assert told is not None
    assert reason in told
    with pytest.raises(ModelNotRunnable, match="invalid"):
        find_remote(catalogue, "gpt-4")


def test_the_status_follows_the_engines_file() -> None:
    catalogue = catalogue_of(*api_model())
    assert shown(catalogue)[0] == "invalid"
    catalogue = catalogue_of(engine_file(full_url=URL), base=catalogue)
    assert shown(catalogue)[0] == "ready"
    catalogue = catalogue_of(("engine-openai", e.JsonRemoved(FILE)), base=catalogue)
    assert shown(catalogue)[0] == "invalid"


def test_the_address_in_a_model_json_does_not_count() -> None:
    """Whoever sends a model.json would have the key sent to an address of theirs."""
    theirs = {"full_url": "https://example.org/v1"}
    catalogue = catalogue_of(engine_file(full_url=URL), *api_model(engine_parameters=theirs))
    found = find_remote(catalogue, "gpt-4")
    assert found is not None
    assert found.engine.addresses == (Address("https://api.openai.com/v1"),)


def test_another_address_or_name_gives_another_fingerprint() -> None:
    fingerprints = set()
    for url, id_ in ((URL, None), ("http://a/v1", None), (URL, "gpt-4-turbo")):
        found = find_remote(catalogue_of(engine_file(full_url=url), *api_model(id=id_)), "gpt-4")
        assert found is not None
        fingerprints.add(found.fingerprint)
    assert len(fingerprints) == 3


def test_what_needs_the_weights_is_refused_by_name(tmp_path: Any) -> None:
    catalogue = catalogue_of(engine_file(full_url=URL), *api_model())
    with pytest.raises(ModelNotRunnable, match="'openai' on another machine"):
        resolve(Snapshot(catalogue), tmp_path, "gpt-4")


def test_a_model_with_weights_is_none_and_engines_are_known_by_their_files() -> None:
    here = [
        ("uid-a", e.ModelRegistered("a", "models/a")),
        ("uid-a", e.FileDropped("models/a/a.gguf", Stamp(1, 1, 1))),
    ]
    catalogue = catalogue_of(*here, engine_file(full_url=URL), engine_file("engines/llama-cpp.json", ngl=0))
    assert find_remote(catalogue, "a") is None
    assert find_remote(catalogue, "nobody") is None
    assert list(engines_elsewhere(catalogue)) == ["openai"]
