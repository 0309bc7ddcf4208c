"""Schemas that hold together put into one, and what they refer to found. Pure."""

import json
from collections.abc import Callable, Mapping
from math import lcm
from typing import Any
from urllib.parse import unquote

from janfs.engines.llama_cpp.schemas.rules import Nothing, SchemaError, Unsayable
from janfs.engines.llama_cpp.schemas.texts import finds

Schema = dict[str, Any]
_MOST_WAYS = 256  # that several `anyOf` make together
_HELD = {
    "type", "enum", "const", "anyOf", "oneOf", "allOf", "$ref", "properties", "required",
    "additionalProperties", "items", "prefixItems", "additionalItems", "minItems", "maxItems", "minLength",
    "maxLength", "pattern", "format", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum",
    "multipleOf", "nullable", "uniqueItems", "propertyNames", "patternProperties", "minProperties",
    "maxProperties", "dependentRequired", "dependentSchemas", "dependencies", "discriminator",
}  # fmt: skip
_COUNTS = ("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties")
_FORMS = {
    **dict.fromkeys(("properties", "patternProperties"), dict),
    **dict.fromkeys(("dependentRequired", "dependentSchemas", "dependencies"), dict),
    **dict.fromkeys(("required", "enum", "prefixItems", "anyOf", "oneOf", "allOf"), list),
    **dict.fromkeys(("pattern", "format", "$ref"), str),
    "uniqueItems": bool,
}
_REFUSED = ("not", "if", "contains", "$dynamicRef", "$recursiveRef")
_MAY_BE = ("unevaluatedProperties", "unevaluatedItems")  # nothing is written that is not spoken of


def check(schema: Any, *, strict: bool) -> Schema:
    """What a schema says of values. Raises `SchemaError` for what is none.

    What a grammar cannot hold to is refused if `strict`. What is not known at all says nothing, as ever.
    """
    if schema is True:
        return {}
    if schema is False or (isinstance(schema, dict) and schema.get("not") in ({}, True)):  # zod's `never`
        raise Nothing("nothing fits 'false'")
    if not isinstance(schema, dict):
        raise SchemaError(f"{json.dumps(schema)[:100]} is no schema")
    known = {name: said for name, said in schema.items() if name in _HELD}
    for name, said in known.items():
        if not isinstance(said, _FORMS.get(name, object)):
            raise SchemaError(f"'{name}' is of the wrong type")
    for name in known.keys() & set(_COUNTS):
        said = known[name]
        if isinstance(said, bool) or not isinstance(said, int | float) or said < 0 or said != int(said):
            raise SchemaError(f"'{name}' is no count")
        known[name] = int(said)
    for name in schema if strict else ():
        if name in _REFUSED or (name in _MAY_BE and not isinstance(schema[name], bool)):
            raise Unsayable(f"'{name}' is not supported")
    return known


def target(root: Any, ref: str) -> Any:
    """What a `$ref` leads to within the whole schema. Raises `SchemaError`."""
    if not ref.startswith("#"):
        raise SchemaError(f"'$ref': '{ref[:100]}' leads elsewhere; only '#/…' is followed")
    found = root
    for step in unquote(ref[1:]).split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(found, list) and name.isascii() and name.isdigit() and int(name) < len(found):
            found = found[int(name)]
        elif isinstance(found, dict) and name in found:
            found = found[name]
        else:
            raise SchemaError(f"'$ref': there is nothing at '{ref[:100]}'")
    if ref[1:] and not ref[1:].startswith("/"):
        raise SchemaError(f"'$ref': '{ref[:100]}' is no path; '#/…' is")
    return found


def both(one: Schema, other: Schema) -> Schema:
    """A schema that fits what fits two of them. Raises `SchemaError` where that cannot be told."""
    found = dict(one)
    for name, said in other.items():
        found[name] = _MERGED[name](found[name], said) if name in found else said
    found |= _objects(one, other) | _arrays(one, other)
    return found


def ways_of(said: Schema, word: str) -> list[Schema]:
    """The ways of an `anyOf` or `oneOf`, each with what else the schema says."""
    rest = {name: what for name, what in said.items() if name not in (word, "discriminator")}
    return [{"allOf": [rest, way]} if rest else way for way in said[word]]


def _objects(one: Schema, other: Schema) -> Schema:
    """What two schemas together say of properties, and of those of patterns."""
    found = {}
    for kind, speaks_of in (("properties", _speaks_of), ("patternProperties", _has_pattern)):
        if kind in one or kind in other:
            said = _of_each(one.get(kind, {}), other.get(kind, {}))
            for side in (one, other):
                said = _with_what_is_additional(said, side, speaks_of)
            found[kind] = said
    for pattern, schema in _of_each(*(side.get("patternProperties", {}) for side in (one, other))).items():
        if pattern not in found["patternProperties"]:  # one of them allows only what it speaks of
            for name in [each for each in found.get("properties", ()) if finds(pattern, each)]:
                found["properties"][name] = _all_of(found["properties"][name], schema)
    return found


def _arrays(one: Schema, other: Schema) -> Schema:
    """What two schemas together say of the first items, and of those that follow."""
    if not any("prefixItems" in side for side in (one, other)):
        return {}
    count = max(len(side.get("prefixItems", ())) for side in (one, other))
    rests = [side.get("items", True) for side in (one, other)]
    if any(isinstance(rest, list) for rest in rests):
        raise SchemaError("'items' as a list beside 'prefixItems'")
    sides = [
        [*side.get("prefixItems", ()), *[rest] * (count - len(side.get("prefixItems", ())))]
        for side, rest in zip((one, other), rests, strict=True)
    ]
    return {"prefixItems": [_all_of(*pair) for pair in zip(*sides, strict=True)]}


def _with_what_is_additional(said: Schema, side: Schema, speaks_of: Callable[[str, Schema], bool]) -> Schema:
    """The same of names or patterns, where a schema that does not speak of some has a word for all others."""
    if side.get("additionalProperties", True) is True:
        return said
    more = side["additionalProperties"]
    return {
        name: schema if speaks_of(name, side) else _all_of(schema, more)
        for name, schema in said.items()
        if more is not False or speaks_of(name, side)
    }


def _speaks_of(name: str, schema: Schema) -> bool:
    patterns = schema.get("patternProperties", ())
    return name in schema.get("properties", ()) or any(finds(pattern, name) for pattern in patterns)


def _has_pattern(pattern: str, schema: Schema) -> bool:
    return pattern in schema.get("patternProperties", ())


def _of_each(one: Schema, other: Schema) -> Schema:
    """What is said of each of some names or patterns."""
    return one | {name: _all_of(one[name], said) if name in one else said for name, said in other.items()}


def _all_of(one: Any, other: Any) -> Any:
    return one if one == other else {"allOf": [one, other]}


def _types(one: Any, other: Any) -> list[str]:
    left, right = ({said} if isinstance(said, str) else set(said) for said in (one, other))
    found = left & right
    if "number" in left | right and "integer" in left | right and "number" not in found:
        found.add("integer")
    if not found:
        raise Nothing("two types that have nothing in common")
    return sorted(found)


def alike(one: Any, other: Any) -> bool:
    """Whether two values are the same in JSON, where a number is no truth value, as it is in Python."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(alike, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(alike(one[name], other[name]) for name in one)
    return bool(one == other)


def _same(one: Any, other: Any) -> Any:
    if one != other:
        raise SchemaError("two patterns, formats or the like for one value")
    return one


def _multiple(one: Any, other: Any) -> Any:
    if isinstance(one, int) and isinstance(other, int):
        return lcm(one, other)
    return _same(one, other)


def _ways(one: list[Any], other: list[Any]) -> list[Any]:
    if len(one) * len(other) > _MOST_WAYS:
        raise SchemaError(f"more than {_MOST_WAYS} ways to fit")
    return [{"allOf": [left, right]} for left in one for right in other]


_MERGED: Mapping[str, Callable[[Any, Any], Any]] = {
    "type": _types,
    "enum": lambda one, other: [value for value in one if any(alike(value, each) for each in other)],
    "const": _same,
    "anyOf": _ways,
    "oneOf": _ways,
    "properties": lambda one, _other: one,  # put together beside
    "required": lambda one, other: [*one, *(name for name in other if name not in one)],
    "additionalProperties": lambda one, other: False if False in (one, other) else _all_of(one, other),
    "items": _all_of,
    "additionalItems": _all_of,
    "prefixItems": lambda one, _other: one,  # the same
    "minItems": max,
    "maxItems": min,
    "minLength": max,
    "maxLength": min,
    "pattern": _same,
    "format": _same,
    "minimum": max,
    "maximum": min,
    "exclusiveMinimum": max,
    "exclusiveMaximum": min,
    "multipleOf": _multiple,
    "uniqueItems": lambda one, other: one or other,
    "propertyNames": _all_of,
    "patternProperties": lambda one, _other: one,  # the same
    "minProperties": max,
    "maxProperties": min,
    "nullable": lambda one, other: one and other,
    "discriminator": lambda one, _other: one,
}
