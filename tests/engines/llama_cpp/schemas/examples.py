"""What the grammar of a schema allows is what fits it, by llama.cpp's own reading."""

import json
from typing import Any

from janfs.engines.llama_cpp.grammar import gbnf_of_schema
from tests.engines.llama_cpp.conftest import Allows

INTEGER, TEXT = {"type": "integer"}, {"type": "string"}


def closed(**properties: Any) -> dict[str, Any]:
    """An object of just these properties, as clients in Python write it."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def assert_just(allows: Allows, schema: Any, fitting: list[str], others: list[str]) -> None:
    """The grammar of a schema allows all that is fitting, and nothing of the others."""
    grammar = gbnf_of_schema(json.dumps(schema))
    for text in fitting:
        assert allows(grammar, text), text
    for text in others:
        assert not allows(grammar, text), text
