"""Values that a schema lists one by one. Pure."""

import json
from fractions import Fraction
from typing import Any

from janfs.engines.llama_cpp.schemas.rules import literal
from janfs.engines.llama_cpp.schemas.texts import finds

_TYPES = {str: "string", type(None): "null", list: "array", dict: "object", bool: "boolean"}


def constants(schema: dict[str, Any]) -> list[str]:
    """The values of an `enum` as they are written, without those that the rest of the schema rules out."""
    kinds = schema.get("type", [*_TYPES.values(), "number"])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    fitting = [value for value in schema["enum"] if _is_of(value, kinds) and _meets(value, schema)]
    return [literal(json.dumps(value, ensure_ascii=False)) for value in fitting]


def _is_of(value: Any, kinds: list[str]) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return _TYPES[type(value)] in kinds
    return "number" in kinds or ("integer" in kinds and value == int(value))


def _meets(value: Any, schema: dict[str, Any]) -> bool:
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
