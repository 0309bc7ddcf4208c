"""Schemas that hold together put into one, and what they refer to found. Pure."""

import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote

from janfs.engines.llama_cpp.schemas.rules import Nothing, SchemaError, Unsayable

Schema = dict[str, Any]
_MOST_WAYS = 256  # that several `anyOf` make together
_HELD = {
    "type", "enum", "const", "anyOf", "oneOf", "allOf", "$ref", "properties", "required",
    "additionalProperties", "items", "prefixItems", "additionalItems", "minItems", "maxItems", "minLength",
    "maxLength", "pattern", "format", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum",
    "nullable",
}  # fmt: skip
_COUNTS = ("minLength", "maxLength", "minItems", "maxItems")
_FORMS = {
    **dict.fromkeys(("properties",), dict),
    **dict.fromkeys(("required", "enum", "prefixItems", "anyOf", "oneOf", "allOf"), list),
    **dict.fromkeys(("pattern", "format", "$ref"), str),
}
_REFUSED: Mapping[str, Callable[[Any, Schema], bool]] = {  # and where they ask for nothing all the same
    **dict.fromkeys(
        ("not", "if", "contains", "multipleOf", "$dynamicRef", "$recursiveRef"), lambda *_: False
    ),
    **dict.fromkeys(
        ("patternProperties", "dependentRequired", "dependentSchemas", "dependencies"),
        lambda said, _: said == {},
    ),
    "uniqueItems": lambda said, schema: said is False or schema.get("maxItems") in (0, 1),
    "propertyNames": lambda said, _: said in (True, {}, {"type": "string"}),
    "minProperties": lambda said, schema: said <= len(schema.get("required", ())),
    "maxProperties": lambda said, schema: (
        said >= len(schema.get("properties", ()))
        and not schema.get("additionalProperties", "properties" not in schema)
    ),
    "unevaluatedProperties": lambda said, _: isinstance(
        said, bool
    ),  # no other than named ones are written anyway
    "unevaluatedItems": lambda said, _: isinstance(said, bool),
}


def check(schema: Any, *, strict: bool) -> Schema:
    """What a schema says of values. Raises `SchemaError` for what is none.

    What a grammar cannot hold to is refused if `strict`. What is not known at all says nothing, as ever.
    """
    if schema is True:
        return {}
    if schema is False:
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
    for name in schema.keys() & _REFUSED.keys() if strict else ():
        if not _REFUSED[name](schema[name], schema):
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
    if "properties" in one and "properties" in other:
        found["properties"] = _properties(one, other)
    return found


def _properties(one: Schema, other: Schema) -> Schema:
    left, right = one["properties"], other["properties"]
    names = [*left, *(name for name in right if name not in left)]
    found = {}
    for name in names:
        each = [side["properties"][name] for side in (one, other) if name in side["properties"]]
        closed = [side for side in (one, other) if side.get("additionalProperties") is False]
        if all(name in side["properties"] for side in closed):
            found[name] = each[0] if len(each) == 1 else {"allOf": each}
    return found


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


def _same(one: Any, other: Any) -> Any:
    if one != other:
        raise SchemaError("two patterns, formats or the like for one value")
    return one


def _ways(one: list[Any], other: list[Any]) -> list[Any]:
    if len(one) * len(other) > _MOST_WAYS:
        raise SchemaError(f"more than {_MOST_WAYS} ways to fit")
    return [{"allOf": [left, right]} for left in one for right in other]


_MERGED: Mapping[str, Callable[[Any, Any], Any]] = {
    "type": _types,
    "enum": lambda one, other: [value for value in one if value in other],
    "const": _same,
    "anyOf": _ways,
    "oneOf": _ways,
    "properties": lambda one, _other: one,  # put together beside
    "required": lambda one, other: [*one, *(name for name in other if name not in one)],
    "additionalProperties": lambda one, other: False if False in (one, other) else _all_of(one, other),
    "items": _all_of,
    "additionalItems": _all_of,
    "prefixItems": _same,
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
    "nullable": lambda one, other: one and other,
}
