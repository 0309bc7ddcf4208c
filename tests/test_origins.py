"""Where each setting comes from, whoever said it last."""

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from janfs.catalogue.catalogue import Catalogue
from janfs.errors import ModelNotFound
from janfs.events import types as e
from janfs.folder.filesystem import Stamp
from janfs.manifest.effective import Effective, Origin
from janfs.manifest.engine_file import read_engine_file
from janfs.manifest.generate import encode, generate
from janfs.manifest.parameters import ENGINE_PARAMETERS
from janfs.manifest.spellings import read_manifest
from janfs.origins import ModelConfig, config_of
from tests.fakes.snapshots import FACTS, catalogue_of, model_events

MANIFEST, ENGINE = "models/tiny/model.json", "engines/nitro.json"
HEADER = Origin("generated", header="llama.context_length")


def digest(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()


class Folder:
    """One model with its files, as they were written one after another."""

    def __init__(self) -> None:
        self.documents: dict[str, bytes] = {}
        self.happened: list[tuple[str, e.Event]] = list(model_events())

    def _keep(self, text: bytes) -> str:
        self.documents[digest(text)] = text
        return digest(text)

    def written(self, text: bytes) -> "Folder":
        """Janfs writes model.json."""
        said = e.JsonWritten("op", MANIFEST, Stamp(1, 1, 8), self._keep(text), read_manifest(text)[0])
        self.happened.append(("uid-tiny", said))
        return self

    def edited(self, text: bytes) -> "Folder":
        """A person writes model.json."""
        manifest, notes = read_manifest(text)
        said = e.JsonEdited(MANIFEST, Stamp(1, 1, 8), self._keep(text), manifest, notes)
        self.happened.append(("uid-tiny", said))
        return self

    def engine(self, text: bytes) -> "Folder":
        """A person writes the engine's file."""
        read = read_engine_file(ENGINE, text)
        said = e.JsonEdited(ENGINE, Stamp(1, 1, 9), self._keep(read.text), read.manifest, read.notes)
        self.happened.append(("engine-llama-cpp", said))
        return self

    def config(self) -> ModelConfig:
        return config_of(catalogue_of(*self.happened), "tiny", self.documents.get)


def ours() -> bytes:
    return encode(generate(model_id="tiny", file_names=["tiny.gguf"], size=1000, created=1, facts=FACTS))


def place_of(text: bytes, key: str) -> tuple[int, int]:
    """Line and column of a key, by another way than the one under test."""
    for number, line in enumerate(text.decode().split("\n"), start=1):
        if f'"{key}"' in line:
            return number, line.index(f'"{key}"') + 1
    raise AssertionError(key)


def test_what_nobody_says_is_built_in_or_from_the_header() -> None:
    found = Folder().config()
    assert found.engine_parameters["ngl"] == Effective(100, Origin("built-in"))
    assert found.engine_parameters["ctx_len"] == Effective(8192, HEADER)
    assert found.model_parameters["top_k"] == Effective(40, Origin("built-in"))
    stop = found.model_parameters["stop"]
    assert stop == Effective(["</s>"], Origin("generated", header="tokenizer.ggml.eos_token_id"))


def test_what_janfs_wrote_is_generated_and_says_where_it_stands() -> None:
    text = ours()
    found = Folder().written(text).config()
    line, column = place_of(text, "ctx_len")
    origin = Origin("generated", MANIFEST, line, column, "engine_parameters.ctx_len", "llama.context_length")
    assert found.engine_parameters["ctx_len"] == Effective(8192, origin)
    line, column = place_of(text, "temperature")
    origin = Origin("generated", MANIFEST, line, column, "model_parameters.temperature")
    assert found.model_parameters["temperature"] == Effective(0.7, origin)


def test_what_a_person_changes_is_theirs_and_the_rest_stays_generated() -> None:
    text = ours().replace(b'"temperature": 0.7', b'"temperature": 0.1')
    found = Folder().written(ours()).edited(text).config()
    assert found.model_parameters["temperature"].value == 0.1
    assert found.model_parameters["temperature"].origin.kind == "user"
    assert found.model_parameters["top_p"].origin.kind == "generated"
    assert found.engine_parameters["ctx_len"].origin.kind == "generated"


def test_what_is_the_person_s_is_theirs_also_where_it_is_what_would_be_generated() -> None:
    folder = Folder().written(ours())
    manifest, notes = read_manifest(ours())
    theirs = ("/model_parameters/temperature",)
    sha256 = digest(ours())
    folder.happened.append(
        ("uid-tiny", e.JsonEdited(MANIFEST, Stamp(1, 1, 8), sha256, manifest, notes, theirs))
    )
    found = folder.config().model_parameters
    assert (found["temperature"].origin.kind, found["top_p"].origin.kind) == ("user", "generated")


def test_an_older_spelling_leads_to_where_it_was_read() -> None:
    text = b'{\n  "settings": {\n    "ngl": "7"},\n  "parameters": {"token_limit": 5}\n}'
    found = Folder().edited(text).config()
    assert found.engine_parameters["ngl"] == Effective(7, Origin("user", MANIFEST, 3, 5, "settings.ngl"))
    origin = Origin("user", MANIFEST, 4, 18, "parameters.token_limit")
    assert found.model_parameters["max_tokens"] == Effective(5, origin)


def test_an_engine_s_file_gives_its_line() -> None:
    found = Folder().engine(b'{\n  // less\n  "ngl": 0,\n  "n_batch": 64\n}').config()
    assert found.engine_parameters["ngl"] == Effective(0, Origin("engine", ENGINE, 3, 3, "ngl"))
    assert found.engine_parameters["n_batch"] == Effective(64, Origin("engine", ENGINE, 4, 3, "n_batch"))


def test_null_says_built_in_and_where_it_was_said() -> None:
    folder = Folder().engine(b'{"ngl": 7}').edited(b'{"engine_parameters": {"ngl": null, "ctx_len": null}}')
    found = folder.config().engine_parameters
    assert found["ngl"] == Effective(100, Origin("built-in", MANIFEST, 1, 24, "engine_parameters.ngl"))
    assert found["ctx_len"].value == 4096
    assert found["ctx_len"].origin.kind == "built-in"


def test_the_header_lies_above_the_engine_and_below_the_user() -> None:
    assert Folder().engine(b'{"ctx_len": 512}').config().engine_parameters["ctx_len"].value == 8192
    edited = Folder().edited(b'{"engine_parameters": {"ctx_len": 512}}').config()
    assert edited.engine_parameters["ctx_len"].value == 512


def test_a_model_that_is_not_there_has_no_settings() -> None:
    with pytest.raises(ModelNotFound):
        config_of(Catalogue(), "tiny", {}.get)


ABSENT = object()
VALUES: dict[str, list[Any]] = {
    "ngl": [ABSENT, None, 0, 1, -1],
    "cont_batching": [ABSENT, None, False, True],
    "cpu_threads": [ABSENT, None, 2],
}


@given(st.sampled_from(sorted(VALUES)), st.data())
def test_absent_null_zero_and_false_are_told_apart(name: str, data: st.DataObject) -> None:
    """Against the rule said another way: the highest that is not absent decides, and null is the default."""
    layers = {
        "engine": data.draw(st.sampled_from(VALUES[name]), "engine"),
        "user": data.draw(st.sampled_from(VALUES[name]), "user"),
    }
    folder = Folder()
    if layers["engine"] is not ABSENT:
        folder.engine(json.dumps({name: layers["engine"]}).encode())
    if layers["user"] is not ABSENT:
        folder.edited(json.dumps({"engine_parameters": {name: layers["user"]}}).encode())
    found = folder.config().engine_parameters[name]
    kind = next((kind for kind in ("user", "engine") if layers[kind] is not ABSENT), None)
    said = None if kind is None else layers[kind]
    expected = ENGINE_PARAMETERS[name].default if said is None else said
    assert found.value is expected or (found.value == expected and type(found.value) is type(expected))
    assert found.origin.kind == ("built-in" if said is None else kind)
