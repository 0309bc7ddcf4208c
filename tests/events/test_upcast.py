"""Old events in today's shape, a step at a time."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from janfs.errors import LogCorrupt, LogTooNew
from janfs.events.types import EVENT_TYPES, type_name
from janfs.events.upcast import STEPS, Steps, schema_of, upcast

SEEN: Steps = {
    ("t", 1): lambda data: {**data, "path": [*data["path"], 1]},
    ("t", 2): lambda data: {**data, "path": [*data["path"], 2]},
    ("t", 3): lambda data: {**data, "path": [*data["path"], 3]},
    ("other", 1): lambda data: {},
}


@pytest.mark.parametrize(("schema", "steps"), [(1, [1, 2, 3]), (2, [2, 3]), (3, [3]), (4, [])])
def test_every_step_from_its_schema_on_is_taken_once_and_in_order(schema: int, steps: list[int]) -> None:
    assert upcast("t", schema, {"path": []}, SEEN) == {"path": steps}


def test_the_schema_of_today_is_one_more_than_the_steps() -> None:
    assert [schema_of(name, SEEN) for name in ("t", "other", "new")] == [4, 2, 1]


@given(st.dictionaries(st.text(), st.integers()))
def test_a_type_without_steps_stays_as_it_is(data: dict[str, Any]) -> None:
    assert upcast("new", 1, data, SEEN) == data


@pytest.mark.parametrize("schema", [5, 6, 1000])
def test_a_schema_from_the_future_is_refused(schema: int) -> None:
    with pytest.raises(LogTooNew, match=f"schema {schema}.*knows 4"):
        upcast("t", schema, {}, SEEN)


@pytest.mark.parametrize("schema", [0, -1])
def test_a_schema_before_the_first_is_corrupt(schema: int) -> None:
    with pytest.raises(LogCorrupt, match="count from 1"):
        upcast("t", schema, {}, SEEN)


def test_every_step_belongs_to_a_type_and_follows_another() -> None:
    names = {type_name(kind) for kind in EVENT_TYPES}
    stray = [key for key in STEPS if key[0] not in names or not 1 <= key[1] < schema_of(key[0])]
    assert stray == [], "these steps are never taken"
