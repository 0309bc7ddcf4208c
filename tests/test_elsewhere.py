"""The keys to engines elsewhere: from their files, and for the addresses that stand beside them alone."""

import json
from pathlib import Path
from typing import Any

import pytest

from janfs.elsewhere import EngineKeys
from janfs.engines.remote.model import Key, key_of
from janfs.errors import EngineError, ModelNotRunnable
from janfs.manifest.remote import RemoteEngine, remote_engine

FILE = "engines/there.json"
URL = "https://example.org/v1"


class Root:
    """A root with the file of one engine."""

    def __init__(self, path: Path) -> None:
        self.path = path / FILE
        self.path.parent.mkdir()
        self.keys = EngineKeys(path)

    def write(self, **said: Any) -> None:
        self.path.write_text(json.dumps({"full_url": URL, **said}))

    def headers(self, engine: RemoteEngine | None = None) -> dict[str, str]:
        key = self.keys.of(engine or engine_at(URL), FILE)
        return {} if key is None else key.headers("authorization")


def engine_at(url: str) -> RemoteEngine:
    return remote_engine("there", {"full_url": url})


@pytest.fixture
def root(tmp_path: Path) -> Root:
    return Root(tmp_path)


def test_a_new_key_holds_at_once(root: Root) -> None:
    for key in ("one", "another"):
        root.write(api_key=key)
        assert root.headers() == {"Authorization": f"Bearer {key}"}
    root.write()
    assert root.headers() == {}


def test_a_key_is_for_the_addresses_beside_it(root: Root) -> None:
    root.write(api_key="new", full_url="https://elsewhere.example.org/v1")
    with pytest.raises(EngineError, match="just been changed"):
        root.headers(engine_at(URL))
    assert root.headers(engine_at("https://elsewhere.example.org/v1"))


def test_until_an_edit_has_been_looked_at_the_old_address_gets_the_old_key(root: Root) -> None:
    root.write(api_key="old")
    assert root.headers() == {"Authorization": "Bearer old"}
    root.write(api_key="new", full_url="https://elsewhere.example.org/v1")
    for _ in range(2):
        assert root.headers(engine_at(URL)) == {"Authorization": "Bearer old"}
    assert root.headers(engine_at("https://elsewhere.example.org/v1")) == {"Authorization": "Bearer new"}
    with pytest.raises(EngineError, match="just been changed"):
        root.headers(engine_at(URL))


def test_a_file_that_cannot_be_read_leaves_the_last_key_in_force(root: Root) -> None:
    root.write(api_key="good")
    assert root.headers()
    root.path.write_text("{ no JSON")
    assert root.headers() == {"Authorization": "Bearer good"}
    root.path.unlink()
    assert root.headers() == {"Authorization": "Bearer good"}, "the catalogue says when it is over"


def test_a_file_that_never_could_be_read_is_named(root: Root) -> None:
    with pytest.raises(ModelNotRunnable, match=f"{FILE} cannot be read"):
        root.headers()
    root.path.write_text('{"api_key": "secret-0815"')
    with pytest.raises(ModelNotRunnable, match="cannot be read") as caught:
        root.headers()
    assert "secret-0815" not in caught.value.detail


@pytest.mark.parametrize("written", ["a\nb", "schlüssel", "   ", 4711, ["a"], {"a": 1}])
def test_what_cannot_be_a_key_is_refused_without_being_told(written: Any) -> None:
    with pytest.raises(ModelNotRunnable, match="api_key") as caught:
        key_of(written, FILE)
    assert str(written) not in caught.value.detail


def test_a_variable_stands_for_a_key() -> None:
    key = key_of(" ${THERE} ", FILE, {"THERE": "from-there\n"})
    assert key is not None
    assert key.headers("x-api-key") == {"x-api-key": "from-there"}
    for variables in ({}, {"THERE": ""}):
        with pytest.raises(ModelNotRunnable, match="environment variable THERE"):
            key_of("${THERE}", FILE, variables)
    assert key_of(None, FILE) is key_of("", FILE) is None


def test_a_key_never_shows() -> None:
    key = Key("secret-0815")
    for shown in (repr(key), str(key), f"{key}", repr([key]), repr({"key": key})):
        assert "secret" not in shown
    assert key.hidden("Bearer secret-0815!") == "Bearer ***!"
    with pytest.raises(TypeError):
        json.dumps({"key": key})
