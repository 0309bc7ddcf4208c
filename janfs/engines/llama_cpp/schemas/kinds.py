"""What kinds of values a schema is about. Pure."""

from janfs.engines.llama_cpp.schemas.merging import Schema

KINDS = ("object", "array", "string", "number", "boolean", "null")
_SPEAK_OF = {
    "object": (
        "properties",
        "required",
        "additionalProperties",
        "patternProperties",
        "propertyNames",
        "minProperties",
        "maxProperties",
    ),
    "array": ("items", "prefixItems", "minItems", "maxItems", "additionalItems", "uniqueItems"),
    "string": ("minLength", "maxLength", "pattern", "format"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
}


def accepted(said: Schema) -> tuple[str, ...]:
    """The kinds of values that fit a schema, by its `type`."""
    kinds = said.get("type", KINDS)
    kinds = (kinds,) if isinstance(kinds, str) else tuple(kinds)
    if said.get("nullable") is True and "null" not in kinds:  # OpenAPI's way to say so
        return (*kinds, "null")
    return kinds


def written(said: Schema) -> tuple[str, ...]:
    """The kinds of values that are written for a schema: without a `type` those that it speaks of."""
    if "type" in said:
        return accepted(said)
    return next(((kind,) for kind, words in _SPEAK_OF.items() if said.keys() & set(words)), KINDS)
