"""Events to text and back: nothing lost, one text for one event."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from janfs.errors import LogCorrupt, LogTooNew
from janfs.events import codec, upcast
from janfs.events.types import EVENT_TYPES, Event, FileRemoved, JsonEdited, type_name
from tests.events import strategies


@pytest.mark.parametrize("kind", EVENT_TYPES, ids=type_name)
def test_every_event_comes_back_as_it_was(kind: type[Event]) -> None:
    @settings(max_examples=30)
    @given(strategies.of(kind))
    def check(event: Event) -> None:
        encoded = codec.encode(event)
        assert encoded.type == type_name(kind)
        assert encoded.schema == upcast.schema_of(encoded.type)
        assert codec.decode(encoded.type, encoded.schema, encoded.data) == event

    check()


@settings(max_examples=300)
@given(strategies.events)
def test_the_text_is_canonical(event: Event) -> None:
    text = codec.encode(event).data
    assert "\n" not in text, "the hash chain puts a line feed between columns"
    parsed = json.loads(text, object_pairs_hook=sorted_keys)
    assert set(parsed) == set(event.__struct_fields__), "every field is written"
    assert msgspec.json.encode(msgspec.json.decode(text), order="sorted").decode() == text
    blanks = json.dumps(parsed, separators=(",", ":"), ensure_ascii=False)
    assert blanks.count(" ") == text.count(" "), "there are blanks between the tokens"


def sorted_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    assert keys == sorted(keys)
    assert len(keys) == len(set(keys))
    return dict(pairs)


@given(strategies.json_objects, st.randoms())
def test_equal_values_have_equal_texts(value: dict[str, Any], random: Any) -> None:
    keys = list(value)
    random.shuffle(keys)
    assert codec.canonical({key: value[key] for key in keys}) == codec.canonical(value)


def test_the_text_is_readable_as_it_stands_in_the_log() -> None:
    encoded = codec.encode(FileRemoved("models/é x.gguf"))
    assert (encoded.type, encoded.schema, encoded.data) == ("file-removed", 1, '{"path":"models/é x.gguf"}')


def test_a_field_of_a_later_release_is_passed_over() -> None:
    assert codec.decode("file-removed", 1, '{"path":"a","later":1}') == FileRemoved("a")


def test_an_unknown_event_is_of_a_newer_janfs() -> None:
    with pytest.raises(LogTooNew, match="model-cloned"):
        codec.decode("model-cloned", 1, "{}")


@pytest.mark.parametrize("kind", EVENT_TYPES, ids=type_name)
def test_an_unknown_schema_is_of_a_newer_janfs(kind: type[Event]) -> None:
    name = type_name(kind)
    with pytest.raises(LogTooNew, match=name):
        codec.decode(name, upcast.schema_of(name) + 1, "{}")


@pytest.mark.parametrize(
    "data", ["", "{", "[]", "null", '{"path":1}', "{}", '{"path":"\\ud800"}', '{"path":"a"} x']
)
def test_data_that_does_not_fit_is_corrupt(data: str) -> None:
    with pytest.raises(LogCorrupt, match="file-removed"):
        codec.decode("file-removed", 1, data)


def test_an_old_event_is_decoded_into_todays_type(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it will be once `path` of file-removed has been called something else before."""
    monkeypatch.setitem(upcast.STEPS, ("file-removed", 1), lambda data: {"path": data["file"]})
    monkeypatch.setitem(codec._schemas, "file-removed", 2)
    assert codec.decode("file-removed", 1, '{"file":"a"}') == FileRemoved("a")
    assert codec.decode("file-removed", 2, '{"path":"a"}') == FileRemoved("a")
    assert codec.encode(FileRemoved("a")).schema == 2


def test_an_empty_manifest_is_not_a_missing_one() -> None:
    with pytest.raises(LogCorrupt, match="manifest"):
        codec.decode("json-edited", 1, '{"path":"a","stamp":{"size":1,"mtime_ns":1,"inode":1},"sha256":""}')
    decoded = codec.decode(
        "json-edited", 1, '{"manifest":{},"path":"a","sha256":"","stamp":{"size":1,"mtime_ns":1,"inode":1}}'
    )
    assert isinstance(decoded, JsonEdited)
    assert decoded.manifest.engine_parameters == {}
