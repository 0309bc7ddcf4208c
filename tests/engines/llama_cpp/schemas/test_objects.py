import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from janfs.engines.llama_cpp.grammar import gbnf_of_schema
from janfs.errors import InvalidInput
from tests.engines.llama_cpp.conftest import Allows
from tests.engines.llama_cpp.schemas.examples import INTEGER, TEXT, assert_just, closed

NAMES = "abcd"


@pytest.mark.parametrize(
    ("schema", "fitting", "others"),
    [
        (
            {"additionalProperties": INTEGER, "propertyNames": {"enum": ["a", "b"]}},
            ["{}", '{"a": 1}', '{"b": 1}', '{"a": 1, "b": 2}'],
            ['{"c": 1}', '{"a": ""}'],
        ),
        (
            {
                "$defs": {"Key": {"enum": ["a", "b"], "type": "string"}},
                "additionalProperties": INTEGER,
                "propertyNames": {"$ref": "#/$defs/Key"},
                "minProperties": 2,
            },
            ['{"a": 1, "b": 2}'],
            ["{}", '{"a": 1}', '{"b": 1}'],
        ),
        (
            {"additionalProperties": INTEGER, "propertyNames": {"maxLength": 2}, "minProperties": 1},
            ['{"ab": 1}', '{"a": 1, "bc": 2}'],
            ["{}", '{"abc": 1}'],
        ),
        (
            {"properties": {"a": {}, "b": {}}, "propertyNames": {"const": "b"}},
            ["{}", '{"b": 1}'],
            ['{"a": 1}'],
        ),
        (
            {"patternProperties": {"^x-": TEXT}, "properties": {"n": INTEGER}, "required": ["n"]},
            ['{"n": 1}', '{"n": 1, "x-a": "", "x-b": ""}'],
            ['{"x-a": ""}', '{"n": 1, "x-a": 1}', '{"n": 1, "y": ""}'],
        ),
        (
            {
                "patternProperties": {"^[ab]$": INTEGER},
                "properties": {"a": {"minimum": 5}},
                "required": ["b"],
            },
            ['{"b": 1}', '{"a": 5, "b": 1}'],
            ['{"a": 4, "b": 1}', '{"a": 5}', '{"b": ""}'],
        ),
        (
            {"properties": {f"p{n}": INTEGER for n in range(300)}, "minProperties": 2},
            ['{"p0": 1, "p299": 2}', '{"p1": 1, "p2": 2, "p3": 3}'],
            ["{}", '{"p0": 1}', '{"p1": 1, "p0": 2}'],
        ),
        (
            {"additionalProperties": INTEGER, "minProperties": 1, "maxProperties": 1_000_000},
            ['{"a": 1}', '{"a": 1, "b": 2}'],
            ["{}"],
        ),
        (
            {"properties": {"a": INTEGER, "b": INTEGER, "c": INTEGER}, "dependentRequired": {"a": ["c"]}},
            ["{}", '{"b": 1}', '{"a": 1, "c": 2}', '{"a": 1, "b": 1, "c": 2}'],
            ['{"a": 1}', '{"a": 1, "b": 1}'],
        ),
        (
            {
                "properties": {"a": INTEGER, "b": {}},
                "dependencies": {"a": {"properties": {"b": TEXT}, "required": ["b"]}},
            },
            ["{}", '{"b": 1}', '{"a": 1, "b": ""}'],
            ['{"a": 1}', '{"a": 1, "b": 1}'],
        ),
        (closed(), ["{}", "{ }"], ['{"a": 1}']),
        ({"type": "object"}, ["{}", '{"a": {"b": 1}, "c": 2}'], ["[]", '{"a"}']),
        ({"type": "object", "properties": {}}, ["{}"], ['{"a": 1}']),
        (
            closed(**{'q"uote': INTEGER, "a\nb": INTEGER, "日本": INTEGER}),
            ['{"q\\"uote": 1, "a\\nb": 2, "日本": 3}'],
            ['{"q": 1, "a": 2, "日本": 3}'],
        ),
        (
            {"type": "object", "properties": {"a": INTEGER, "b": INTEGER, "c": INTEGER}, "required": ["b"]},
            ['{"b": 1}', '{"a": 1, "b": 1}', '{"b": 1, "c": 1}', '{"a": 1, "b": 1, "c": 1}'],
            ["{}", '{"a": 1}', '{"a": 1, "c": 1}', '{"b": 1,}'],
        ),
        (
            {"type": "object", "properties": {"a": INTEGER, "b": INTEGER}},
            ["{}", '{"a": 1}', '{"b": 1}', '{"a": 1, "b": 1}'],
            ['{"a": 1 "b": 1}', '{"c": 1}', '{, "a": 1}'],
        ),
        ({"type": "object", "properties": {"a": INTEGER, "b": False}}, ['{"a": 1}'], ['{"b": 1}']),
        (
            {"type": "object", "properties": {"ab": INTEGER}, "additionalProperties": TEXT},
            ['{"ab": 1}', '{"ab": 1, "abc": "x", "a": "y"}', '{"b": "x"}', "{}"],
            ['{"ab": "x"}', '{"abc": 1}'],
        ),
        (
            {"properties": {"a": {"not": {}}, "b": INTEGER}, "additionalProperties": {"not": {}}},
            ["{}", '{"b": 1}'],
            ['{"a": 1}', '{"c": 1}'],
        ),
        (
            {"type": "object", "required": ["a"], "properties": {"b": INTEGER}},
            ['{"b": 1, "a": [1]}', '{"a": null}'],
            ['{"b": 1}'],
        ),
    ],
)
def test_just_what_fits_is_allowed(
    allows: Allows, schema: Any, fitting: list[str], others: list[str]
) -> None:
    assert_just(allows, schema, fitting, others)


@given(
    named=st.sets(st.sampled_from(NAMES)),
    required=st.sets(st.sampled_from(NAMES)),
    bounds=st.tuples(st.integers(0, 5), st.none() | st.integers(0, 5)),
    more=st.booleans(),
    objects=st.lists(st.sets(st.sampled_from(f"{NAMES}x")), max_size=8),
)
@settings(max_examples=150, deadline=None)
def test_objects_have_as_many_properties_as_they_must(
    allows: Allows,
    *,
    named: set[str],
    required: set[str],
    bounds: tuple[int, int | None],
    more: bool,
    objects: list[set[str]],
) -> None:
    least, most = bounds
    required &= named
    schema: dict[str, Any] = {"properties": dict.fromkeys(sorted(named), INTEGER), "required": [*required]}
    schema |= {"minProperties": least, "additionalProperties": INTEGER if more else False}
    schema |= {} if most is None else {"maxProperties": most}

    def fitting(has: set[str]) -> bool:
        # Names that are not given may repeat, so of those one is sure, however many there are.
        enough = least <= len(has & named) + min(1, len(has - named))
        return (
            enough
            and len(has) <= (5 if most is None else most)
            and required <= has
            and (more or has <= named)
        )

    try:
        grammar = gbnf_of_schema(json.dumps(schema))
    except InvalidInput:
        assert not any(map(fitting, objects)), schema
        return
    for has in objects:
        text = json.dumps(dict.fromkeys([*sorted(has & named), *sorted(has - named)], 1))
        assert allows(grammar, text) == fitting(has), (text, schema)
