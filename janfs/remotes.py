"""From the catalogue to a model on another machine: who serves it, and under which name. Pure."""

import hashlib

import msgspec

from janfs.catalogue.catalogue import Catalogue, find_model
from janfs.catalogue.entries import Model
from janfs.configuration import configure, engine_file_of
from janfs.engines.remote.model import RemoteModel
from janfs.errors import InvalidInput, ModelNotRunnable
from janfs.folder import paths
from janfs.manifest.remote import RemoteEngine, remote_engine
from janfs.manifest.spellings import DEFAULT_ENGINE

_FINGERPRINT_LENGTH = 16  # hexadecimal digits, as that of a model here
_OURS = frozenset({"stream"})  # the request alone decides it


def find_remote(catalogue: Catalogue, name: str) -> RemoteModel | None:
    """The model with this id or alias, if it is one on another machine.

    Raises `ModelNotRunnable` with the reason if it is, and cannot be used as it stands.
    """
    model = find_model(catalogue, name)
    if model is None or model.remote is None:
        return None
    if model.status != "ready":
        raise ModelNotRunnable(f"The model '{name}' is {model.status}. {model.reason}", param="model")
    try:
        engine, file = _engine(catalogue, model.remote)
        found = configure(catalogue, model)
    except InvalidInput as error:
        raise ModelNotRunnable(f"The model '{name}' is invalid. {error.detail}", param="model") from error
    upstream = found.manifest.id or model.id
    return RemoteModel(
        id=model.id,
        uid=model.uid,
        name=upstream,
        engine=engine,
        file=file,
        fingerprint=_fingerprint(engine, upstream),
        defaults={name: each.value for name, each in found.model_parameters.items() if name not in _OURS},
    )


def engines_elsewhere(catalogue: Catalogue) -> dict[str, RemoteEngine]:
    """Every engine elsewhere whose file can be used, by its id."""
    found: dict[str, RemoteEngine] = {}
    for file in catalogue.engine_files.values():
        engine = file.manifest.engine if file.manifest is not None else None
        if engine is None or engine == DEFAULT_ENGINE:
            continue
        try:
            found[engine] = _engine(catalogue, engine)[0]
        except InvalidInput:  # those who want to use it are told
            continue
    return found


def problem(catalogue: Catalogue, model: Model) -> str | None:
    """Why a model on another machine cannot be used, as far as that can be known from here."""
    try:
        _engine(catalogue, model.remote or DEFAULT_ENGINE)
    except InvalidInput as error:
        return error.detail
    return None


def _engine(catalogue: Catalogue, engine: str) -> tuple[RemoteEngine, str]:
    """The engine with this id, and the path of its file. Raises `InvalidInput` with what to do."""
    path = paths.join(paths.ENGINES, f"{engine}.json")
    if engine == DEFAULT_ENGINE:
        raise InvalidInput(
            'model.json says that the model is elsewhere ("format": "api"), and names no engine that is. '
            'Name one, such as "engine": "openai", which has its address in engines/openai.json.'
        )
    file = engine_file_of(catalogue, engine)
    if file is None or file.manifest is None:
        wrong = catalogue.engine_files.get(path)
        reason = (
            "is not there"
            if wrong is None or wrong.refused is None
            else f"cannot be read: {wrong.refused.reason}"
        )
        raise InvalidInput(f"{path} {reason}. It says where the engine answers, as full_url or base_urls.")
    try:
        return remote_engine(engine, file.manifest.engine_parameters), file.path
    except InvalidInput as error:
        raise InvalidInput(f"{file.path} cannot be used: {error.detail}", param=error.param) from error


def _fingerprint(engine: RemoteEngine, model: str) -> str:
    told = msgspec.json.encode([engine.id, engine.addresses, model])
    return hashlib.sha256(told).hexdigest()[:_FINGERPRINT_LENGTH]
