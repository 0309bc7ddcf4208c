"""JSON Schemas (draft 2020-12) of model.json and of engines' files, so that editors complete and check them.

They accept whatever is read: older spellings too, which are marked as deprecated. What depends on more than
one value is left to the reader, and so is the range of a number that is written as text.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from janfs.folder import paths
from janfs.manifest.descriptions import FIELDS, PARAMETERS
from janfs.manifest.parameters import (
    ENGINE_PARAMETERS,
    MAX_STOP_LENGTH,
    MAX_STOPS,
    MODEL_PARAMETERS,
    Parameter,
)
from janfs.manifest.spellings import RENAMED

Schema = dict[str, Any]

MODEL, ENGINE = "model.json", "engine.json"
FOLDER = paths.join(paths.PRIVATE, "schemas")
"""Where a root has its copies, by these names: an editor finds them without the service."""

_DRAFT = "https://json-schema.org/draft/2020-12/schema"
_NUMBER = r"^\s*[+-]?[0-9]{1,40}(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,3})?\s*$"
_INTEGER = r"^\s*[+-]?[0-9]{1,19}(\.0+)?\s*$"
_TEXT: Schema = {"type": ["string", "null"]}
_ENTRY: Schema = {
    "anyOf": [
        {"type": "object", "properties": {"filename": _TEXT, "url": _TEXT}},
        {"type": "string"},
    ]
}


def reference(path: str, name: str) -> str:
    """What `$schema` says in a file at `path`, to lead to the root's copy."""
    return "../" * path.count("/") + paths.join(FOLDER, name)


def schemas() -> dict[str, Schema]:
    """Both schemas by name."""
    return {MODEL: model_schema(), ENGINE: engine_schema()}


def engine_schema() -> Schema:
    """The schema of an engines/<engine>.json."""
    return {
        "$schema": _DRAFT,
        "$id": "urn:janfs:schema:engine",
        "title": "An engine's settings",
        "description": "Engine parameters for all models of the engine; those in a model.json go before.",
        "type": "object",
        "properties": {"$schema": _described("$schema", {}), **_parameters(ENGINE_PARAMETERS)},
    }


def model_schema() -> Schema:
    """The schema of a model.json."""
    engine, model = {"$ref": "#/$defs/engine_parameters"}, {"$ref": "#/$defs/model_parameters"}
    sources: Schema = {"anyOf": [{"type": "array", "items": _ENTRY}, *_ENTRY["anyOf"], {"type": "null"}]}
    fields: dict[str, Schema] = {
        "$schema": {},
        **dict.fromkeys(("id", "object", "name", "owned_by", "description", "format", "engine"), _TEXT),
        "version": {"type": ["string", "number", "null"]},
        "created": _value(Parameter("number", low=0, high=2**53)),
        "sources": sources,
        "engine_parameters": engine,
        "model_parameters": model,
        "metadata": {
            "type": ["object", "null"],
            "properties": {"ggml_binary": _TEXT, "mmproj_binary": _TEXT},
        },
        "assets": {"anyOf": [{"type": "array", "items": {"type": "string"}}, _TEXT]},
    }
    older = {
        "settings": _deprecated("engine_parameters", engine),
        "parameters": _deprecated("model_parameters", {"$ref": "#/$defs/parameters"}),
        "source_url": _deprecated("sources", sources),
        "source": _deprecated("sources", sources),
        "state": {"deprecated": True, "description": "Ignored: it is seen from the folder."},
    }
    part = ["string", "number", "boolean", "array", "null"]  # `init` and `runtime` count as objects only
    mixed = {
        "init": {"anyOf": [engine, {"type": part}]},
        "runtime": {"anyOf": [model, {"type": part}]},
    }
    return {
        "$schema": _DRAFT,
        "$id": "urn:janfs:schema:model",
        "title": "model.json",
        "description": "A model: what it is, and how it is loaded and asked. Every field may be left out.",
        "type": "object",
        "properties": {**{name: _described(name, field) for name, field in fields.items()}, **older},
        "$defs": {
            "engine_parameters": _block(_parameters(ENGINE_PARAMETERS)),
            "model_parameters": _block(_parameters(MODEL_PARAMETERS)),
            "parameters": {"allOf": [engine, model], "properties": mixed},
        },
    }


def _described(name: str, schema: Schema) -> Schema:
    return {"description": FIELDS[name], **schema}


def _deprecated(now: str, schema: Schema) -> Schema:
    return {"description": f"Now called {now}.", "deprecated": True, **schema}


def _block(properties: Mapping[str, Schema]) -> Schema:
    return {"type": ["object", "null"], "properties": properties}


def _parameters(known: Mapping[str, Parameter]) -> dict[str, Schema]:
    now = {name: _parameter(name, parameter) for name, parameter in known.items()}
    older = {old: _deprecated(name, _value(known[name])) for old, name in RENAMED.items() if name in known}
    return now | older


def _parameter(name: str, parameter: Parameter) -> Schema:
    default = {} if parameter.default is msgspec.UNSET else {"default": parameter.default}
    return {"description": PARAMETERS[name], **default, **_value(parameter)}


def _value(parameter: Parameter) -> Schema:
    """What may be written for a parameter; the form of today comes first, for editors to offer."""
    match parameter.kind:
        case "text":
            return _TEXT
        case "texts":
            text = {"type": "string", "minLength": 1, "maxLength": MAX_STOP_LENGTH}
            return _any({"type": "array", "items": text, "maxItems": MAX_STOPS}, text, {"type": "null"})
        case "boolean":
            return _any({"type": ["boolean", "null"]}, _in_words(("true", "false")))
        case "choice":
            switched = [{"type": "boolean"}] if {"on", "off"} <= set(parameter.choices) else []
            return _any({"enum": [*parameter.choices, None]}, *switched, _in_words(parameter.choices))
        case "integer" | "number":
            bounds = {"minimum": parameter.low, "maximum": parameter.high}
            main = {"type": [parameter.kind, "null"], **{k: v for k, v in bounds.items() if v is not None}}
            automatic = [{"enum": list(parameter.automatic)}] if parameter.automatic else []
            pattern = _INTEGER if parameter.kind == "integer" else _NUMBER
            return _any(main, *automatic, {"type": "string", "pattern": pattern})


def _any(*schemas: Schema) -> Schema:
    return {"anyOf": list(schemas)}


def _in_words(words: Iterable[str]) -> Schema:
    """Any of these words in whatever case; a schema's patterns have no flag for that."""
    spelled = ("".join(f"[{c.upper()}{c}]" if c.isalpha() else c for c in word) for word in words)
    return {"type": "string", "pattern": rf"^\s*({'|'.join(spelled)})\s*$"}
