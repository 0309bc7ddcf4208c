"""What the grammar of a schema allows is what fits it, by llama.cpp's own reading."""

import json
import re
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from janfs.engines.llama_cpp.grammar import gbnf_of_schema, gbnf_of_tool
from janfs.engines.protocol import Tool
from janfs.errors import InvalidInput
from tests.engines.llama_cpp.conftest import Allows

NODE = {
    "type": "object",
    "properties": {
        "value": {"type": "integer"},
        "next": {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}]},
    },
    "required": ["value", "next"],
}
INTEGER, TEXT = {"type": "integer"}, {"type": "string"}


def closed(**properties: Any) -> dict[str, Any]:
    """An object of just these properties, as clients in Python write it."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


@pytest.mark.parametrize(
    ("schema", "fitting", "others"),
    [
        (
            {"$ref": "#/$defs/Node", "$defs": {"Node": NODE}},
            ['{"value": 1, "next": {"value": 2, "next": null}}'],
            ['{"value": 1, "next": {}}', '{"value": 1}'],
        ),
        ({"type": "array", "items": {"$ref": "#"}}, ["[]", "[[], [[]]]"], ["[1]", "{}"]),
        (
            {
                "$defs": {"a/b": INTEGER, "c%": TEXT},
                **closed(x={"$ref": "#/$defs/a~1b"}, y={"$ref": "#/$defs/c%25"}),
            },
            ['{"x": 1, "y": ""}'],
            ['{"x": "", "y": ""}'],
        ),
        (
            {"$defs": {"Node": NODE}, **closed(a={"allOf": [{"$ref": "#/$defs/Node"}], "description": "x"})},
            ['{"a": {"value": 1, "next": null}}'],
            ['{"a": null}'],
        ),
        (
            {"allOf": [closed(a=INTEGER, b=TEXT), {"properties": {"a": {"maximum": 5}}}]},
            ['{"a": 5, "b": ""}'],
            ['{"a": 6, "b": ""}', '{"a": 5}'],
        ),
        (
            {
                "type": "object",
                "properties": {"k": TEXT},
                "anyOf": [{"required": ["k"]}, {"properties": {"n": INTEGER}, "required": ["n"]}],
            },
            ['{"k": ""}', '{"n": 1}', '{"k": "", "n": 1}'],
            ["{}"],
        ),
        (
            {"enum": ["ä", 5, None, True, {"a": [1]}]},
            ['"ä"', "5", "null", "true", '{"a": [1]}'],
            ['"a"', "6", "false"],
        ),
        ({"type": "string", "enum": ["a", 1]}, ['"a"'], ["1"]),
        (
            {
                "enum": ["a", "bb", "cc", 1, 5, 7, None],
                "minLength": 2,
                "minimum": 2,
                "exclusiveMaximum": 7,
            },
            ['"bb"', '"cc"', "5", "null"],
            ['"a"', "1", "7"],
        ),
        ({"anyOf": [{"enum": []}, False, {"const": 3}]}, ["3"], ["null", "4"]),
        ({"anyOf": [{"type": "string", "pattern": "(?=x)"}, INTEGER]}, ["3"], ['"x"']),
        (
            {
                "$defs": {
                    "a": {"properties": {"me": {"$ref": "#/$defs/a"}, "no": False}, "required": ["no"]}
                },
                "anyOf": [{"$ref": "#/$defs/a"}, INTEGER],
            },
            ["3"],
            ["{}", '{"me": 1}'],
        ),
        (
            {
                "$defs": {
                    "a": {"properties": {"b": {"$ref": "#/$defs/b"}, "no": False}, "required": ["no"]},
                    "b": {"properties": {"a": {"anyOf": [{"$ref": "#/$defs/a"}, {"type": "null"}]}}},
                },
                "anyOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/b"}],
            },
            ["{}", '{"a": null}'],
            ['{"a": }', '{"a": {}}'],
        ),
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
            {"allOf": [{"patternProperties": {"^x": TEXT}}, closed(xa={"minLength": 1})]},
            ['{"xa": "1"}'],
            ['{"xa": ""}', '{"xa": "1", "xb": ""}'],
        ),
        (
            {"oneOf": [{"type": "integer", "maximum": 5}, {"type": "number", "exclusiveMinimum": 5}, TEXT]},
            ["5", "5.5", '""'],
            [],
        ),
        (
            {"oneOf": [closed(kind={"const": "a"}, x=INTEGER), closed(kind={"enum": ["b", "c"]})]},
            ['{"kind": "a", "x": 1}', '{"kind": "c"}'],
            ['{"kind": "b", "x": 1}'],
        ),
        (
            {  # as pydantic writes a union that a tag with a default tells apart
                "$defs": {
                    "Cat": {"type": "object", "properties": {"kind": {"const": "cat"}, "lives": INTEGER}},
                    "Dog": {"type": "object", "properties": {"kind": {"const": "dog"}, "tail": TEXT}},
                },
                "oneOf": [{"$ref": "#/$defs/Cat"}, {"$ref": "#/$defs/Dog"}],
            },
            ['{"kind": "cat"}', '{"kind": "dog", "tail": ""}'],
            ["{}", '{"lives": 9}'],
        ),
        (
            {  # apart by what else they have, but read by their tag
                "oneOf": [
                    {"properties": {"kind": {"const": "cat"}, "lives": INTEGER}, "required": ["lives"]},
                    {"properties": {"kind": {"const": "dog"}, "tail": TEXT}, "required": ["tail"]},
                ],
                "discriminator": {"propertyName": "kind", "mapping": {}},
            },
            ['{"kind": "cat", "lives": 9}', '{"kind": "dog", "tail": ""}'],
            ['{"lives": 9}', '{"kind": "dog", "lives": 9}'],
        ),
        (
            {
                "oneOf": [
                    {"properties": {"a": {}}, "required": ["a"]},
                    {"properties": {"b": {}}, "required": ["b"]},
                ]
            },
            ['{"a": 1}', '{"b": 1}'],
            ["{}", '{"a": 1, "b": 1}'],
        ),
        ({"oneOf": [{"properties": {"a": {"const": 1}}}]}, ["{}", '{"a": 1}'], ['{"a": 2}']),
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
            {"oneOf": [{"enum": [1, 2]}, {"enum": [True, "a"]}, {"const": None}]},
            ["1", "true", "null"],
            ["false"],
        ),
        ({"allOf": [{"enum": [1, "a", None]}, {"enum": [True, "a"]}]}, ['"a"'], ["1", "true"]),
        ({"enum": ["ab", "b", 1], "pattern": "^a"}, ['"ab"', "1"], ['"b"']),
        (
            {
                "allOf": [
                    {"prefixItems": [{"minimum": 1}, TEXT], "items": {}},
                    {"items": {"type": ["integer", "string"]}},
                ]
            },
            ['[1, ""]', '[2, "", 0]'],
            ['[0, ""]', "[1, 1]", '[1, "", null]'],
        ),
        (
            {"allOf": [{"properties": {"a": {}}, "additionalProperties": TEXT}, {"properties": {"b": {}}}]},
            ['{"a": 1, "b": ""}'],
            ['{"b": 1}'],
        ),
        (
            {"allOf": [{"patternProperties": {"^b": TEXT, "^c": {}}}, closed(b={})]},
            ['{"b": ""}'],
            ['{"b": 1}', '{"b": "", "c": 1}'],
        ),
        (
            {"allOf": [{"additionalProperties": False}, {"properties": {"a": INTEGER}}]},
            ["{}"],
            ['{"a": 1}'],
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
        (
            {"items": {"enum": ["a", "b", 1]}, "uniqueItems": True, "minItems": 1, "maxItems": 2},
            ['["a"]', '[1, "a"]', '["b", "a"]'],
            ["[]", '["a", "a"]', '["a", "b", 1]', '["a", 1, 1]'],
        ),
        ({"items": {"type": "boolean"}, "uniqueItems": True}, ["[]", "[true, false]"], ["[true, true]"]),
        ({"items": {"const": 5}, "uniqueItems": True}, ["[]", "[5]"], ["[5, 5]"]),
        ({"items": TEXT, "uniqueItems": True, "maxItems": 1}, ["[]", '["a"]'], ['["a", "b"]']),
        (
            {"enum": [3, 4, 6, 0.3, "x"], "multipleOf": 3},
            ["3", "6", '"x"'],
            ["4", "0.3"],
        ),
        (
            {"allOf": [{"type": "integer", "multipleOf": 4}, {"multipleOf": 6}]},
            ["12", "0", "-24"],
            ["4", "6"],
        ),
        ({"type": "integer", "multipleOf": 7919, "minimum": 0, "maximum": 20_000}, ["7919"], ["7918"]),
        ({"type": ["string", "null"], "maxLength": 1}, ['"a"', "null"], ['"ab"', "1"]),
        ({"type": "integer", "nullable": True}, ["1", "null"], ['""']),
        (True, ["1", "{}", '"x"', "[null, {}]", "-1.5e10"], ["", "x"]),
        ({}, ['{"a": [true]}'], ["tru"]),
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
            {"type": "object", "required": ["a"], "properties": {"b": INTEGER}},
            ['{"b": 1, "a": [1]}', '{"a": null}'],
            ['{"b": 1}'],
        ),
        ({"type": "array", "prefixItems": [TEXT, INTEGER]}, ['["a", 1]'], ['["a", "b"]', '["a", 1, 2]']),
        (
            {"type": "array", "prefixItems": [TEXT], "items": INTEGER, "minItems": 2, "maxItems": 3},
            ['["a", 1]', '["a", 1, 2]'],
            ['["a"]', '["a", 1, 2, 3]', '["a", "b"]'],
        ),
        ({"type": "array", "items": [TEXT, INTEGER]}, ['["a", 1]'], ["[1]"]),
        ({"type": "array", "minItems": 1, "maxItems": 2}, ["[1]", "[{}, null]"], ["[]", "[1, 2, 3]"]),
        ({"minItems": 0, "maxItems": 0}, ["[]"], ["[1]"]),
        ({"type": "string", "format": "date"}, ['"2024-12-31"'], ['"2024-13-01"', '"soon"']),
        (
            {"type": "string", "format": "date-time"},
            ['"2024-12-31T23:59:59Z"', '"2024-12-31T23:59:59.123+01:00"'],
            ['"2024-12-31"'],
        ),
        ({"type": "string", "format": "email"}, ['"a.b+c@d-e.org"'], ['"a@b"', '"@b.org"']),
        ({"type": "string", "format": "ipv4"}, ['"255.0.10.1"'], ['"256.0.0.1"', '"1.2.3"']),
        ({"type": "string", "format": "uuid"}, ['"00000000-0000-4000-8000-00000000000a"'], ['"0"']),
        ({"type": "string", "format": "of our own"}, ['"x"'], ["1"]),
        (
            {"type": "string", "maxLength": 2},
            ['"\\n\\""', '"\\u00e4b"', '"\\ud83d\\ude00b"'],
            ['"abc"', '"\\ud83d"', '"\n"'],
        ),
        ({"type": "string", "pattern": '^[^a]"?$'}, ['"b"', '"\\\\\\""', '"\\n"'], ['"a"', '"bc"', '"""']),
        (
            {"title": "T", "default": 5, "type": "integer", "examples": [1], "x-of-our-own": {}},
            ["7"],
            ['"7"'],
        ),
    ],
)
def test_just_what_fits_is_allowed(
    allows: Allows, schema: Any, fitting: list[str], others: list[str]
) -> None:
    grammar = gbnf_of_schema(json.dumps(schema))
    for text in fitting:
        assert allows(grammar, text), text
    for text in others:
        assert not allows(grammar, text), text


PATTERNS = [
    r"^a+$", r"^[a-c]{2,3}$", r"^\d+(\.\d+)?$", r"a", r"^a", r"c$", r"^(ab|c)*$", r"^a$|^b", r"^(?:a|b)c?$",
    r"^[^ab]$", r"^\w-\S$", r"^.$", r"^a{0}b$", r"^a*?b$", r"^[\d.-]+$", r"^$", r"^\D\W$", r"^a|b$",
]  # fmt: skip


@pytest.mark.parametrize("pattern", PATTERNS)
@given(text=st.text("abc01. -_", max_size=5))
@settings(max_examples=40, deadline=None)
def test_texts_are_those_that_their_pattern_finds(allows: Allows, pattern: str, text: str) -> None:
    grammar = gbnf_of_schema(json.dumps({"type": "string", "pattern": pattern}))
    assert allows(grammar, json.dumps(text)) == (re.search(pattern, text) is not None)


BOUND = st.none() | st.integers(-1200, 1200) | st.sampled_from([0, -1, 1.5, -0.25, 0.125, 99.99, 10**17])


@given(
    st.sampled_from(["integer", "number"]),
    st.tuples(BOUND, BOUND),
    st.tuples(st.booleans(), st.booleans()),
    st.data(),
)
@settings(max_examples=150, deadline=None)
def test_numbers_are_those_within_their_bounds(
    allows: Allows,
    kind: str,
    bounds: tuple[float | None, float | None],
    strict: tuple[bool, bool],
    data: st.DataObject,
) -> None:
    (low, high), (above, below) = bounds, strict
    schema: dict[str, Any] = {"type": kind}
    schema |= {} if low is None else {"exclusiveMinimum" if above else "minimum": low}
    schema |= {} if high is None else {"exclusiveMaximum" if below else "maximum": high}
    near = [each for bound in (low, high) if bound is not None for each in (bound - 1, bound, bound + 1)]
    numbers = st.sampled_from([*near, 0]) | st.integers(-2000, 2000)
    if kind == "number":
        numbers = numbers | st.decimals(-20, 120, places=3).map(float)
    values = [
        value for value in data.draw(st.lists(numbers, max_size=8)) if kind == "number" or value == int(value)
    ]
    try:
        grammar = gbnf_of_schema(json.dumps(schema))
    except InvalidInput:
        assert low is not None
        assert high is not None
        assert not [
            value
            for value in (low, high, (low + high) / 2, *range(int(low), int(high) + 1))
            if fits(value, schema)
        ]
        return
    for value in values:
        text = json.dumps(int(value) if value == int(value) else value)
        assert allows(grammar, text) == fits(value, schema), (text, schema)


STEPS = st.integers(1, 130) | st.sampled_from([1000, 86_400, 0.5, 0.01, 0.25, 1.5, 12.5, 0.003])


@given(
    kind=st.sampled_from(["integer", "number"]),
    step=STEPS,
    bounds=st.tuples(BOUND, BOUND),
    strict=st.tuples(st.booleans(), st.booleans()),
    numbers=st.lists(st.integers(-3000, 3000) | st.decimals(-100, 100, places=2).map(float), max_size=6),
    counts=st.lists(st.integers(-200, 200), max_size=6),
)
@settings(max_examples=150, deadline=None)
def test_multiples_are_those_within_their_bounds(
    allows: Allows,
    *,
    kind: str,
    step: float,
    bounds: tuple[float | None, float | None],
    strict: tuple[bool, bool],
    numbers: list[float],
    counts: list[int],
) -> None:
    (low, high), (above, below) = bounds, strict
    schema: dict[str, Any] = {"type": kind, "multipleOf": step}
    schema |= {} if low is None else {"exclusiveMinimum" if above else "minimum": low}
    schema |= {} if high is None else {"exclusiveMaximum" if below else "maximum": high}
    exact = Fraction(str(step))
    values = [Fraction(str(each)) for each in numbers] + [count * exact for count in counts]
    values = [value for value in values if kind == "number" or value.denominator == 1]
    fitting = [value for value in values if value % exact == 0 and fits(float(value), schema)]
    try:
        grammar = gbnf_of_schema(json.dumps(schema))
    except InvalidInput:
        assert not fitting, schema
        return
    for value in values:
        text = json.dumps(int(value) if value.denominator == 1 else float(value))
        assert allows(grammar, text) == (value in fitting), (text, schema)


def test_a_multiple_may_be_written_with_zeros_at_its_end(allows: Allows) -> None:
    grammar = gbnf_of_schema('{"type": "number", "multipleOf": 0.25}')
    assert all(allows(grammar, text) for text in ("1", "1.0", "1.00", "1.5", "1.50", "0.75", "-0.25"))
    assert not allows(grammar, "12345678901234.5")  # more digits than every reader's numbers have
    assert not any(allows(grammar, text) for text in ("1.1", "1.000", "01", "1.", "1.55", "2.5e1"))


def fits(value: float, schema: dict[str, Any]) -> bool:
    """Whether a number is within the bounds that a schema gives."""
    return (
        schema.get("minimum", value) <= value <= schema.get("maximum", value)
        and ("exclusiveMinimum" not in schema or schema["exclusiveMinimum"] < value)
        and ("exclusiveMaximum" not in schema or value < schema["exclusiveMaximum"])
        and (schema["type"] == "number" or value == int(value))
    )


NAMES = "abcd"


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


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ({"type": "array", "uniqueItems": True}, "'uniqueItems' is not supported but for an 'enum'"),
        ({"uniqueItems": True, "items": {"enum": list("abcd")}, "minItems": 3, "maxItems": 2}, "more items"),
        ({"uniqueItems": True, "items": {"enum": list(range(9))}}, "'enum' of up to 8"),
        ({"uniqueItems": True, "items": {"enum": [1, 2]}, "minItems": 3}, "than there may be different ones"),
        ({"not": {}}, "'not' is not supported"),
        ({"type": "integer", "multipleOf": 7919}, "'multipleOf' needs too large a grammar"),
        ({"type": "number", "multipleOf": 0}, "'multipleOf' must be more than 0"),
        ({"enum": [1], "multipleOf": 0}, "cannot be used"),
        ({"type": "number", "multipleOf": 1, "maximum": float("inf")}, "cannot be used"),
        ({"type": "number", "multipleOf": "2"}, "'multipleOf' must be a number"),
        ({"type": "number", "multipleOf": 1e-20}, "'multipleOf' of more than 16 digits"),
        ({"type": "number", "multipleOf": 2, "maximum": 1e60}, "a bound of more than 40 digits"),
        ({"type": "integer", "multipleOf": 10, "minimum": 11, "maximum": 19}, "nothing fits"),
        ({"patternProperties": {"^x": {}, "y$": {}}}, "more than one pattern"),
        ({"patternProperties": {"^(": {}}}, "unterminated"),
        ({"type": "object", "minProperties": 2}, "'minProperties': there are 0, and names"),
        ({**closed(a=INTEGER), "minProperties": 2}, "'minProperties': there are 1"),
        ({**closed(a=INTEGER, b=INTEGER), "maxProperties": 1}, "fewer or more properties"),
        ({"propertyNames": {"format": "date"}}, "'format' in 'propertyNames'"),
        ({"propertyNames": {"pattern": "^x"}, "properties": {"xa": {}}, "additionalProperties": {}},
         "'propertyNames' beside 'properties'"),
        ({"propertyNames": {"pattern": "^x"}, "required": ["a"]}, "may not be called so"),
        ({"type": "string", "pattern": "(?=x)y"}, "no assert"),
        ({"anyOf": [{"not": {}}, False]}, "nothing fits"),
        ({"type": "string", "pattern": r"(a)\1"}, "no groupref"),
        ({"type": "string", "pattern": "^("}, "unterminated"),
        ({"type": "string", "pattern": "^a+$", "maxLength": 5}, "beside minLength or maxLength"),
        ({"$ref": "#/$defs/nope"}, "nothing at '#/\\$defs/nope'"),
        ({"$ref": "other.json"}, "leads elsewhere"),
        ({"$ref": "#"}, "part of itself"),
        ({"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/A"}}}, "part of itself"),
        ({"anyOf": [{"$ref": "#"}, {"type": "null"}]}, "is itself"),
        ({"enum": []}, "nothing fits"),
        ({"oneOf": [TEXT, {"exclusiveMinimum": 5}]}, "'oneOf' whose ways can fit together"),
        ({"oneOf": [INTEGER, {"type": "number"}]}, "'oneOf' whose ways can fit together"),
        ({"oneOf": [{"enum": [1, 2]}, {"enum": [2.0, 3]}]}, "'oneOf' whose ways can fit together"),
        ({"oneOf": [{"properties": {"a": {}}}, {"properties": {"b": {}}}]}, "'oneOf' whose ways can fit"),
        (
            {
                "oneOf": [
                    {"properties": {"a": {}}, "required": ["a"], "additionalProperties": {}},
                    {"properties": {"b": {}}, "required": ["b"]},
                ]
            },
            "'oneOf' whose ways can fit together",
        ),
        ({"oneOf": [{"required": ["a"]}, {"required": ["b"]}]}, "'oneOf' whose ways can fit together"),
        ({"oneOf": [TEXT, {"properties": {"a": {}}, "required": ["a"]}]}, "'oneOf' whose ways can fit"),
        ({"type": "integer", "minimum": 2, "maximum": 1}, "nothing fits"),
        (False, "nothing fits"),
        (5, "is no schema"),
        ({"type": "odd"}, "'type'"),
        ({"properties": []}, "'properties' is of the wrong type"),
        ({"minItems": -1}, "'minItems' is no count"),
        ({"minimum": "1"}, "'minimum' must be a number"),
    ],
)  # fmt: skip
def test_what_is_no_schema_or_cannot_be_held_to_is_refused_by_name(schema: Any, why: str) -> None:
    with pytest.raises(InvalidInput, match=why):
        gbnf_of_schema(json.dumps(schema))


def test_a_tool_that_is_not_strict_is_bound_as_far_as_a_grammar_can_say(allows: Allows) -> None:
    tags = {"type": "array", "items": TEXT, "uniqueItems": True}
    parameters = json.dumps(closed(tags=tags, code={"type": "string", "pattern": "(?=x)y"}))
    assert allows(gbnf_of_tool(Tool("f", None, parameters)), '{"tags": ["a", "a"], "code": "z"}')
    assert not allows(gbnf_of_tool(Tool("f", None, parameters)), '{"tags": [1], "code": "z"}')
    with pytest.raises(InvalidInput, match=r"The tool 'f'.*not supported") as refused:
        gbnf_of_tool(Tool("f", None, parameters, strict=True))
    assert refused.value.param == "tools"
