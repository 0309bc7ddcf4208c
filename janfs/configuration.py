"""A model's settings as they hold, from every layer that has a say. Pure."""

from typing import Any

from msgspec import Struct

from janfs.catalogue.catalogue import Catalogue, files_of
from janfs.catalogue.entries import File, Model
from janfs.catalogue.groups import group, named, of_kind
from janfs.catalogue.status import manifest_of
from janfs.errors import InvalidInput
from janfs.folder import paths
from janfs.manifest.effective import Effective, Layer, Origin, effective
from janfs.manifest.engine_file import engine_of
from janfs.manifest.generate import from_header, generate
from janfs.manifest.parameters import ENGINE_PARAMETERS, MODEL_PARAMETERS
from janfs.manifest.remote import is_remote
from janfs.manifest.schema import Manifest
from janfs.manifest.spellings import DEFAULT_ENGINE, canonical, canonical_engine


class Configuration(Struct, frozen=True):
    """What holds for a model, and the files that say so, as far as they are there and could be read.

    `parts` are the model's weights, `adapters` the LoRAs that are applied to them, and
    `projector` makes images readable to it.
    """

    engine: str
    manifest: Manifest
    parts: list[File]
    adapters: list[File]
    projector: File | None
    json_file: File | None
    engine_file: File | None
    engine_parameters: dict[str, Effective]
    model_parameters: dict[str, Effective]


def configure(catalogue: Catalogue, model: Model) -> Configuration:
    """What holds for a model. Raises `InvalidInput`, naming the parameter that cannot be used."""
    files = files_of(catalogue, model.uid)
    parts = _parts(files, model)
    json_file = next((file for file in files if paths.is_manifest(file.path) and file.manifest), None)
    manifest = json_file.manifest if json_file is not None else None
    said = manifest or _generated(model, parts)
    own = Origin("generated") if json_file is None else Origin("user", json_file.path)
    engine = canonical_engine(said.engine or DEFAULT_ENGINE)
    engine_file = engine_file_of(catalogue, engine)
    layers = [*_engine_layer(engine_file), *_header_layers(parts), Layer(own, said.engine_parameters)]
    engine_parameters = effective(ENGINE_PARAMETERS, layers)
    model_parameters = effective(MODEL_PARAMETERS, [Layer(own, said.model_parameters)])
    adapters = _adapters(files, engine_parameters["adapters"].value)
    if is_remote(said):
        engine_parameters, model_parameters = _as_said(engine_parameters), _as_said(model_parameters)
    return Configuration(
        engine=engine,
        manifest=said,
        parts=parts,
        adapters=adapters,
        projector=_projector(files),
        json_file=json_file,
        engine_file=engine_file,
        engine_parameters=engine_parameters,
        model_parameters=model_parameters,
    )


def asked_for(found: Configuration, name: str) -> bool:
    """Whether somebody wants an engine parameter to be what it is.

    Nobody does where it is built in or generated, also in a file that janfs made and nobody changed there.
    """
    setting = found.engine_parameters[name]
    match setting.origin.kind:
        case "engine":
            return bool(setting.value != ENGINE_PARAMETERS[name].default)
        case "user" if found.json_file is not None and found.json_file.base is not None:
            facts = found.parts[0].facts if found.parts else None
            made = from_header(facts) if facts is not None else {}
            theirs = {"/engine_parameters", f"/engine_parameters/{name}"} & set(found.json_file.owned)
            return bool(theirs) or name not in made or made[name].value != setting.value
        case "user":
            return True
    return False


def _as_said(settings: dict[str, Effective]) -> dict[str, Effective]:
    """Without what is built in, which is not for models on other machines."""
    return {name: each for name, each in settings.items() if each.origin.kind != "built-in"}


def engine_file_of(catalogue: Catalogue, engine: str) -> File | None:
    """The file with an engine's settings that counts: of several names the one that is its id today."""
    named = [file for path, file in catalogue.engine_files.items() if engine_of(path) == engine]
    readable = [file for file in named if file.manifest is not None]
    return min(
        readable, key=lambda file: (not file.path.endswith(f"/{engine}.json"), file.path), default=None
    )


def _engine_layer(file: File | None) -> list[Layer]:
    said = file.manifest if file is not None else None
    if file is None or said is None:
        return []
    return [Layer(Origin("engine", file.path), said.engine_parameters)]


def _header_layers(parts: list[File]) -> list[Layer]:
    """What a model.json would say if janfs made it now, for all that the one that is there leaves open."""
    facts = parts[0].facts if parts else None
    made = from_header(facts) if facts is not None else {}
    return [Layer(Origin("generated", header=each.key), {name: each.value}) for name, each in made.items()]


def _parts(files: list[File], model: Model) -> list[File]:
    """The files that make up the weights: all shards in order, or the one file."""
    found = group(files)
    return next((list(each.files) for each in found if each.head.path == model.binary), [])


def _generated(model: Model, parts: list[File]) -> Manifest:
    """What the model.json would say that could not be written."""
    first = parts[0] if parts else None
    if first is None or first.facts is None:
        return Manifest()
    document: dict[str, Any] = generate(
        model_id=model.id,
        file_names=[paths.shown_name(part.path) for part in parts],
        size=sum(part.stamp.size for part in parts),
        created=first.stamp.mtime_ns // 1_000_000_000,
        facts=first.facts,
    )
    return canonical(document)[0]


def _projector(files: list[File]) -> File | None:
    """The projector that is named, or, where none is, the only one there is."""
    found = {paths.shown_name(each.head.path): each.head for each in of_kind(group(files), "projector")}
    wanted = named(manifest_of(files), "mmproj")
    if wanted is not None:
        return found.get(wanted)
    return next(iter(found.values())) if len(found) == 1 else None


def _adapters(files: list[File], wanted: list[str] | None) -> list[File]:
    """The LoRAs of a model that are wanted: all of them unless they are named. Raises `InvalidInput`."""
    found = {paths.name(each.head.path): each.head for each in of_kind(group(files), "adapter")}
    if wanted is None:
        return list(found.values())
    for name in wanted:
        if name not in found:
            known = ", ".join(found) or "none"
            raise InvalidInput(f"adapters names {name}; the model's folder has {known}.", param="adapters")
    return [found[name] for name in wanted]
