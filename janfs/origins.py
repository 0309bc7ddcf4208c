"""Where each setting of a model comes from, to the line. Pure, but for the texts that it asks for."""

import json
from collections.abc import Callable, Mapping
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from janfs.catalogue.catalogue import Catalogue, find_model
from janfs.catalogue.entries import File
from janfs.configuration import Configuration, configure
from janfs.errors import ModelNotFound
from janfs.folder import paths
from janfs.manifest import jsonc
from janfs.manifest.effective import Effective, Origin
from janfs.manifest.generate import from_header, stop_from_header
from janfs.manifest.positions import Place, positions
from janfs.manifest.schema import Manifest
from janfs.manifest.spellings import paths_of_parameters, read_manifest

TextOf = Callable[[str], bytes | None]
"""The text with a SHA-256, if the log has it."""


class ModelConfig(Struct, frozen=True, kw_only=True):
    """What holds for a model, each value with its origin; a request may say otherwise for itself."""

    id: str
    object: Literal["model.config"] = "model.config"
    engine: str
    engine_parameters: dict[str, Effective]
    model_parameters: dict[str, Effective]


class _Text(Struct, frozen=True):
    """The text behind some settings: where things stand in it, what janfs made of it, what is a person's."""

    places: Mapping[str, Place]
    paths: Mapping[tuple[str, str], str]
    made: Manifest
    owned: frozenset[str]


def config_of(catalogue: Catalogue, name: str, text_of: TextOf) -> ModelConfig:
    """The settings of the model with this id or alias.

    Raises `ModelNotFound`, or `InvalidInput` for a parameter that cannot be used.
    """
    model = find_model(catalogue, name)
    if model is None:
        raise ModelNotFound(name)
    found = configure(catalogue, model)
    files = (found.json_file, found.engine_file)
    texts = {file.path: _text(file, text_of) for file in files if file is not None}
    headers = _from_headers(found)
    return ModelConfig(
        id=model.id,
        engine=found.engine,
        engine_parameters=_explained("engine_parameters", found.engine_parameters, texts, headers),
        model_parameters=_explained("model_parameters", found.model_parameters, texts, headers),
    )


def fitted(config: ModelConfig, lowered: Mapping[str, int]) -> ModelConfig:
    """The settings of a loaded model, of which some are lowered so that it fits the memory there is."""
    parameters = {name: Effective(value, Origin("memory fit")) for name, value in lowered.items()}
    return replace(config, engine_parameters=config.engine_parameters | parameters)


def overridden(config: ModelConfig, asked: Mapping[str, tuple[str, Any]]) -> ModelConfig:
    """The settings for one request, which has its own names for what it says of model parameters."""
    parameters = {name: Effective(value, Origin("request", key=key)) for name, (key, value) in asked.items()}
    return replace(config, model_parameters=config.model_parameters | parameters)


def _from_headers(found: Configuration) -> dict[str, Effective]:
    """What the model's header gives, whoever wrote it down."""
    facts = found.parts[0].facts if found.parts else None
    if facts is None:
        return {}
    derived = from_header(facts) | stop_from_header(facts)
    return {
        name: Effective(each.value, Origin("generated", header=each.key)) for name, each in derived.items()
    }


def _text(file: File, text_of: TextOf) -> _Text:
    content = text_of(file.document or "")
    written = text_of(file.base or "")
    return _Text(
        places={} if content is None else positions(content),
        paths={}
        if content is None
        else paths_of_parameters(jsonc.parse(content), side_by_side=paths.is_engine_file(file.path)),
        made=Manifest() if written is None or not paths.is_manifest(file.path) else read_manifest(written)[0],
        owned=frozenset(file.owned),
    )


def _explained(
    block: str,
    settings: Mapping[str, Effective],
    texts: Mapping[str, _Text],
    headers: Mapping[str, Effective],
) -> dict[str, Effective]:
    return {name: _explain(block, name, each, texts, headers) for name, each in settings.items()}


def _explain(
    block: str, name: str, setting: Effective, texts: Mapping[str, _Text], headers: Mapping[str, Effective]
) -> Effective:
    origin = setting.origin
    text = texts.get(origin.file or "")
    if text is None:
        from_here = headers.get(name)
        if origin.kind == "generated" and from_here is not None and _same(from_here.value, setting.value):
            return replace(setting, origin=from_here.origin)
        return setting
    key = text.paths.get((block, name))
    line, column = text.places.get(key or "", (0, 0))
    origin = replace(origin, key=key, line=line, column=column)
    made: dict[str, Any] = getattr(text.made, block)
    theirs = {f"/{block}", f"/{block}/{name}"} & text.owned
    if origin.kind == "user" and not theirs and name in made and _same(made[name], setting.value):
        header = headers.get(name)
        known = header is not None and _same(header.value, setting.value)
        origin = replace(origin, kind="generated", header=header.origin.header if header and known else None)
    return replace(setting, origin=origin)


def _same(left: Any, right: Any) -> bool:
    """Whether two values are one in JSON, where 0 is not false and 1 is 1.0."""
    return json.dumps(left) == json.dumps(right)
