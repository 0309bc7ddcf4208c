"""Values that a schema lists one by one. Pure."""

import json
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from janfs.engines.llama_cpp.schemas.kinds import accepted
from janfs.engines.llama_cpp.schemas.merging import Schema, alike, both
from janfs.engines.llama_cpp.schemas.rules import literal
from janfs.engines.llama_cpp.schemas.texts import finds

_TYPES = {str: "string", type(None): "null", list: "array", dict: "object", bool: "boolean"}


def constants(schema: Schema) -> list[str]:
    """The values of an `enum` as they are written, without those that the rest of the schema rules out."""
    return [literal(json.dumps(value, ensure_ascii=False)) for value in listed(schema) or ()]


def listed(schema: Schema) -> list[Any] | None:
    """The values that fit a schema that lists them; None for one that does not."""
    if "const" in schema:
        schema = both(schema, {"enum": [schema["const"]]})
    if "enum" not in schema:
        return None
    rest = {name: said for name, said in schema.items() if name != "enum"}  # each of them is one of them
    return [value for value in schema["enum"] if can_be(value, rest)]


def can_be(value: Any, schema: Schema) -> bool:
    """Whether a value fits a schema, but for what is within an object or an array."""
    return (
        _is_of(value, accepted(schema))
        and _meets(value, schema)
        and any(alike(value, each) for each in schema.get("enum", [value]))
        and alike(value, schema.get("const", value))
    )


def _is_of(value: Any, kinds: Sequence[str]) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return _TYPES[type(value)] in kinds
    return "number" in kinds or ("integer" in kinds and value == int(value))


def _meets(value: Any, schema: Schema) -> bool:
    """Whether a text is as long and of the form, or a number as large as it must be."""
    if isinstance(value, str):
        found = "pattern" not in schema or finds(schema["pattern"], value)
        return found and bool(schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value)))
    if isinstance(value, bool) or not isinstance(value, int | float):
        return True
    return bool(
        schema.get("minimum", value) <= value <= schema.get("maximum", value)
        and not value <= schema.get("exclusiveMinimum", value - 1)
        and not value >= schema.get("exclusiveMaximum", value + 1)
        and ("multipleOf" not in schema or not Fraction(str(value)) % Fraction(str(schema["multipleOf"])))
    )
