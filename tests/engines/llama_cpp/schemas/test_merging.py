from typing import Any

import pytest

from tests.engines.llama_cpp.conftest import Allows
from tests.engines.llama_cpp.schemas.examples import INTEGER, TEXT, assert_just, closed

NODE = {
    "type": "object",
    "properties": {
        "value": {"type": "integer"},
        "next": {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}]},
    },
    "required": ["value", "next"],
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
            {"oneOf": [{"enum": [1, 2]}, {"enum": [True, "a"]}, {"const": None}]},
            ["1", "true", "null"],
            ["false"],
        ),
        ({"allOf": [{"enum": [1, "a", None]}, {"enum": [True, "a"]}]}, ['"a"'], ["1", "true"]),
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
        ({"type": "integer", "nullable": True}, ["1", "null"], ['""']),
        (True, ["1", "{}", '"x"', "[null, {}]", "-1.5e10"], ["", "x"]),
        ({}, ['{"a": [true]}'], ["tru"]),
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
    assert_just(allows, schema, fitting, others)
