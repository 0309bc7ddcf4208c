"""Answers bound to a form: OpenAI's `response_format`, llama.cpp's `grammar` and `json_schema`. Pure."""

import json
from typing import Any, Literal

from msgspec import Struct

from janfs.errors import InvalidInput

_ANY_OBJECT = json.dumps({"type": "object"})


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


def schema_of(format_: ResponseFormat | None, json_schema: Any, grammar: str | None) -> str | None:
    """The text of the JSON Schema that an answer must fit; None where it is free.

    Raises `InvalidInput` for a form that is given twice, or not at all.
    """
    asked: Any = None
    if format_ is not None and format_.type == "json_schema":
        if format_.json_schema is None or format_.json_schema.schema is None:
            place = "response_format.json_schema"
            raise InvalidInput(f"'{place}.schema' is missing.", param=f"{place}.schema")
        asked = format_.json_schema.schema
    elif format_ is not None and format_.type == "json_object":
        asked = format_.schema
    given = [asked is not None, json_schema is not None, bool(grammar)]
    if sum(given) > 1:
        raise InvalidInput(
            "Only one of 'response_format', 'json_schema' and 'grammar' can bind an answer.",
            param="response_format" if given[0] else "json_schema",
        )
    if asked is None and json_schema is None:
        free = format_ is None or format_.type == "text" or bool(grammar)
        return None if free else _ANY_OBJECT
    return json.dumps(asked if asked is not None else json_schema)
