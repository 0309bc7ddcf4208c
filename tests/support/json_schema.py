"""Enough of JSON Schema (draft 2020-12) to judge documents by ours; any other keyword is an error."""

import re
from typing import Any

ANNOTATIONS = {"$schema", "$id", "$defs", "title", "description", "default", "deprecated"}
TYPES: dict[str, Any] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "integer": lambda value: TYPES["number"](value) and value == int(value),
}


def fits(value: Any, schema: dict[str, Any], root: dict[str, Any] | None = None) -> bool:
    """Whether a value is what a schema says."""
    root = schema if root is None else root
    return all(_keyword(name, said, value, root) for name, said in schema.items() if name not in ANNOTATIONS)


def _keyword(name: str, said: Any, value: Any, root: dict[str, Any]) -> bool:
    is_number = TYPES["number"](value)
    match name:
        case "$ref":
            return fits(value, root["$defs"][said.removeprefix("#/$defs/")], root)
        case "type":
            return any(TYPES[kind](value) for kind in ([said] if isinstance(said, str) else said))
        case "enum":
            return any(value == each and isinstance(value, bool) == isinstance(each, bool) for each in said)
        case "anyOf":
            return any(fits(value, each, root) for each in said)
        case "allOf":
            return all(fits(value, each, root) for each in said)
        case "minimum":
            return not is_number or value >= said
        case "maximum":
            return not is_number or value <= said
        case "pattern":
            return not isinstance(value, str) or re.search(said, value) is not None
        case "minLength":
            return not isinstance(value, str) or len(value) >= said
        case "maxLength":
            return not isinstance(value, str) or len(value) <= said
        case "maxItems":
            return not isinstance(value, list) or len(value) <= said
        case "items":
            return not isinstance(value, list) or all(fits(each, said, root) for each in value)
        case "properties":
            return not isinstance(value, dict) or all(
                fits(part, said[key], root) for key, part in value.items() if key in said
            )
    raise AssertionError(f"the keyword {name} is not known here")
