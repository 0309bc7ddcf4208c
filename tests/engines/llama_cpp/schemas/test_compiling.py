import json
from typing import Any

import pytest

from janfs.engines.llama_cpp.grammar import gbnf_of_schema, gbnf_of_tool
from janfs.engines.protocol import Tool
from janfs.errors import InvalidInput
from tests.engines.llama_cpp.conftest import Allows
from tests.engines.llama_cpp.schemas.examples import INTEGER, TEXT, closed


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ({"type": "array", "uniqueItems": True}, "'uniqueItems' is not supported but for an 'enum'"),
        ({"uniqueItems": True, "items": {"enum": list("abcd")}, "minItems": 3, "maxItems": 2}, "more items"),
        ({"uniqueItems": True, "items": {"enum": list(range(9))}}, "'enum' of up to 8"),
        ({"uniqueItems": True, "items": {"enum": [1, 2]}, "minItems": 3}, "than there may be different ones"),
        ({"not": TEXT}, "'not' is not supported"),
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
        ({"not": True}, "nothing fits"),
        ({"type": "string", "pattern": r"(a)\1"}, "no groupref"),
        ({"type": "string", "pattern": "^("}, "unterminated"),
        ({"type": "string", "pattern": "^(a{1,60}b)*$", "maxLength": 99}, "needs too large a grammar"),
        ({"type": "string", "pattern": "^a+$", "maxLength": 0}, "0 repetitions"),
        ({"type": "string", "pattern": "^(ab)+$", "minLength": 3, "maxLength": 3}, "none of its texts has"),
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
    with pytest.raises(InvalidInput, match=why) as refused:
        gbnf_of_schema(json.dumps(schema))
    assert refused.value.param == "json_schema"


def test_an_enum_may_list_very_many_values() -> None:
    values = [f"value {number}" for number in range(10_000)]
    assert gbnf_of_schema(json.dumps({"type": "string", "enum": values})).count(" | ") == 9_999


def test_a_tool_that_is_not_strict_is_bound_as_far_as_a_grammar_can_say(allows: Allows) -> None:
    tags = {"type": "array", "items": TEXT, "uniqueItems": True}
    parameters = json.dumps(closed(tags=tags, code={"type": "string", "pattern": "(?=x)y"}))
    assert allows(gbnf_of_tool(Tool("f", None, parameters)), '{"tags": ["a", "a"], "code": "z"}')
    assert not allows(gbnf_of_tool(Tool("f", None, parameters)), '{"tags": [1], "code": "z"}')
    with pytest.raises(InvalidInput, match=r"The tool 'f'.*not supported") as refused:
        gbnf_of_tool(Tool("f", None, parameters, strict=True))
    assert refused.value.param == "tools"
