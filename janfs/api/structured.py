"""Answers bound to a form: `response_format` and its like, llama.cpp's `grammar` and `json_schema`. Pure."""

import json
from typing import Any, Literal

from msgspec import Struct

from janfs.api.belonging import refuse_strays
from janfs.api.nesting import refuse_deep
from janfs.errors import InvalidInput

_ANY_OBJECT = {"type": "object"}
_FIELDS = {"text": (), "json_object": ("schema",), "json_schema": ("json_schema",)}


class JsonSchemaFormat(Struct, frozen=True, forbid_unknown_fields=True):
    """A named JSON Schema. The answer fits it always, `strict` or not."""

    name: str
    schema: dict[str, Any] | None = None
    description: str | None = None
    strict: bool | None = None


class ResponseFormat(Struct, frozen=True, forbid_unknown_fields=True):
    """What an answer looks like."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchemaFormat | None = None
    schema: dict[str, Any] | None = None  # llama.cpp's spelling, with the type json_object


class OutputFormat(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an answer looks like, in Anthropic's words. It fits the `schema` always."""

    type: Literal["json_schema"]
    schema: dict[str, Any]


class OutputConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How an answer comes, in Anthropic's words."""

    effort: Any = None
    format: OutputFormat | None = None


def format_of(given: OutputConfig | None) -> ResponseFormat | None:
    """The same in OpenAI's words."""
    if given is None or given.format is None:
        return None
    return ResponseFormat("json_schema", JsonSchemaFormat("answer", given.format.schema, strict=True))


def schema_of(format_: ResponseFormat | None, json_schema: Any, grammar: str | None) -> str | None:
    """The text of the JSON Schema that an answer must fit; None where it is free.

    Raises `InvalidInput` for a form that is given twice, or not at all, and `UnsupportedParameter` for one
    with a field of another type.
    """
    asked = _asked(format_)
    given = [asked is not None, json_schema is not None, bool(grammar)]
    if sum(given) > 1:
        raise InvalidInput(
            "Only one of 'response_format', 'json_schema' and 'grammar' can bind an answer.",
            param="response_format" if given[0] else "json_schema",
        )
    schema = json_schema if asked is None else asked
    if schema is None:
        return None
    refuse_deep(schema, "response_format" if given[0] else "json_schema")
    return json.dumps(schema)


def names_of(format_: ResponseFormat | None) -> dict[str, str]:
    """What the caller calls the schema that an engine may refuse, where that is not `json_schema`."""
    return {} if format_ is None or format_.type == "text" else {"json_schema": "response_format"}


def _asked(format_: ResponseFormat | None) -> dict[str, Any] | None:
    """The schema that a form comes to. Raises `InvalidInput` or `UnsupportedParameter`."""
    if format_ is None:
        return None
    refuse_strays(format_, _FIELDS, "response_format")
    match format_.type:
        case "text":
            return None
        case "json_object":
            return _ANY_OBJECT if format_.schema is None else format_.schema
    if format_.json_schema is None or format_.json_schema.schema is None:
        param = "response_format.json_schema.schema"
        raise InvalidInput(f"'{param}' is missing.", param=param)
    return format_.json_schema.schema
