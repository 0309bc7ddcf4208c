"""The names of events are part of the log's format."""

import re

import msgspec
import pytest

from janfs.events.types import EVENT_TYPES, Event, type_name


def test_every_event_has_a_name_of_its_own_in_kebab_case() -> None:
    names = [type_name(kind) for kind in EVENT_TYPES]
    assert len(set(names)) == len(names), "two types share a name"
    assert [name for name in names if not re.fullmatch(r"[a-z]+(-[a-z]+)*", name)] == []


@pytest.mark.parametrize("kind", EVENT_TYPES, ids=type_name)
def test_events_do_not_change(kind: type[Event]) -> None:
    config = msgspec.inspect.type_info(kind)
    assert isinstance(config, msgspec.inspect.StructType)
    assert kind.__struct_config__.frozen, "an event that can be changed is no record"
    assert not kind.__struct_config__.omit_defaults, "every field must be in the canonical text"
    assert not config.forbid_unknown_fields, "an event with a field of a later release must stay readable"
