"""Arguments in tags of their own."""

import json
from typing import Any

import pytest

from janfs.engines.llama_cpp.dialects.tagged import tagged_call, text_arguments
from janfs.engines.protocol import Tool

SCHEMA = {
    "type": "object",
    "properties": {
        "text": {"type": "string"},
        "perhaps": {"anyOf": [{"type": "null"}, {"type": ["integer", "string"]}]},
        "old": {"type": "string", "nullable": True},
        "unit": {"enum": ["C", "F"]},
        "count": {"type": "integer"},
        "on": {"type": "boolean"},
        "list": {"type": "array", "items": {"type": "string"}},
        "odd": True,
        "zip": {"$ref": "#/$defs/Zip"},
        "one": {"oneOf": [{"const": "1"}, {"type": "integer"}]},
        "both": {"allOf": [{"$ref": "#/$defs/Zip"}], "description": "As Python's older packages write it."},
        "loop": {"$ref": "#/$defs/Loop"},
        "lost": {"$ref": "#/$defs/Lost"},
    },
    "$defs": {"Zip": {"enum": ["01", "02"]}, "Loop": {"anyOf": [{"$ref": "#/$defs/Loop"}]}},
}
TEXTS = text_arguments([Tool("set", None, json.dumps(SCHEMA)), Tool("bare", None, '{"properties": []}')])


def test_a_schema_says_which_arguments_are_texts() -> None:
    texts = dict.fromkeys(("text", "unit", "zip", "one", "both"), False)
    assert {"set": texts | {"perhaps": True, "old": True}, "bare": {}} == TEXTS


def test_what_refers_to_the_same_in_very_many_ways_is_asked_once() -> None:
    twice = [{"anyOf": [{"$ref": f"#/$defs/{number + 1}"}] * 2} for number in range(60)]
    schema = {
        "properties": {"a": {"$ref": "#/$defs/0"}},
        "$defs": dict(enumerate([*twice, {"type": "null"}])),
    }
    assert text_arguments([Tool("set", None, json.dumps(schema))]) == {"set": {}}


@pytest.mark.parametrize(
    ("key", "said", "value"),
    [
        ("text", "12", "12"),
        ("text", ' "a"\n\n b ', ' "a"\n\n b '),
        ("text", "None", "None"),
        ("perhaps", "7", "7"),
        ("perhaps", "None", None),
        ("perhaps", " null ", None),
        ("perhaps", "nullable", "nullable"),
        ("perhaps", "True", "True"),
        ("old", "null", None),
        ("unit", "C", "C"),
        ("zip", "2", "2"),
        ("count", " 12 ", 12),
        ("count", "twelve", "twelve"),
        ("on", "True", True),
        ("on", "false", False),
        ("list", '["a", "b"]', ["a", "b"]),
        ("odd", "None", None),
        ("odd", "NaN", "NaN"),
        ("unknown", '{"a": 1}', {"a": 1}),
    ],
)
def test_a_value_is_text_or_json(key: str, said: str, value: Any) -> None:
    for text in (
        f"<function=set>\n<parameter={key}>\n{said}\n</parameter>\n</function>",
        f"set\n<arg_key>{key}</arg_key>\n<arg_value>{said}</arg_value>\n</tool_call>",
    ):
        call = tagged_call(text, 0, TEXTS)
        assert call is not None
        assert (call.name, json.loads(call.arguments), call.end) == ("set", {key: value}, len(text))


@pytest.mark.parametrize(
    "text", ["<function=unknown>", "unknown</tool_call>", "set", "set up", "<function=set"]
)
def test_what_names_no_tool_is_no_call(text: str) -> None:
    assert tagged_call(text, 0, TEXTS) is None
