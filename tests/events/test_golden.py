"""One stored event of every type and schema that was ever released; none of these files may change.

A new type, or a new schema of one, needs a new file here: its `data` as the log stores it, one line.
"""

import json
from pathlib import Path

import pytest

from janfs.events import codec, upcast
from janfs.events.types import EVENT_TYPES, type_name

GOLDEN = Path(__file__).parent / "golden"
FILES = sorted(GOLDEN.glob("*.json"))
RELEASED = {
    f"{name}.{schema}.json"
    for name in map(type_name, EVENT_TYPES)
    for schema in range(1, upcast.schema_of(name) + 1)
}


def test_every_type_and_schema_has_its_stored_event() -> None:
    assert {path.name for path in FILES} == RELEASED, "compare with the schemas in janfs.events.upcast"


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_a_stored_event_can_be_read_today(path: Path) -> None:
    name, schema = path.stem.rsplit(".", 1)
    stored = path.read_text(encoding="utf-8").removesuffix("\n")
    event = codec.decode(name, int(schema), stored)
    today = codec.encode(event)
    assert codec.decode(today.type, today.schema, today.data) == event
    if today.schema == int(schema):
        changed = {k: v for k, v in json.loads(stored).items() if json.loads(today.data).get(k, ...) != v}
        assert changed == {}, "a field was renamed, removed or reread: that needs a new schema and a step"
    # What defaults stand for must not change either: every field of the stored event says something.
    silent = {k for k, v in json.loads(stored).items() if v in (None, [], "", 0)}
    assert silent == set(), "a golden event has no empty fields"
