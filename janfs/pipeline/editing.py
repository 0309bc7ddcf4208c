"""Changing a model.json for someone who asks for it: over the API, or at the command line."""

from msgspec.structs import replace

from janfs.catalogue.catalogue import Catalogue, find_model
from janfs.catalogue.entries import Model
from janfs.errors import InvalidInput, ManifestError, ManifestUntouched, ModelNotFound, PreconditionFailed
from janfs.events import types as e
from janfs.folder import paths
from janfs.manifest import jsonc
from janfs.manifest.edit import edit
from janfs.manifest.engine_file import read_file
from janfs.manifest.leaves import from_text, to_text
from janfs.manifest.patch import check_names, located, owners, resolved, spelled
from janfs.manifest.places import Places, canonical_pointer
from janfs.manifest.secrets import is_secret
from janfs.pipeline.commands import Edit
from janfs.pipeline.manifests import Manifests, Texts
from janfs.pipeline.recorder import Draft


def manifest_path(catalogue: Catalogue, name: str) -> str:
    """Where the model.json of a model is. Raises `ModelNotFound`."""
    return paths.join(_model(catalogue, name).folder, paths.MANIFEST)


def plan(manifests: Manifests, catalogue: Catalogue, command: Edit) -> tuple[list[Draft], Texts]:
    """The intent to write the changed text, or what else is to be recorded, and the texts that it points at;
    nothing if all is so already.

    Raises `ModelNotFound`, `ManifestUntouched` for a file that is not to be changed, `PreconditionFailed` for
    one that is not what the caller saw or expects, and `InvalidInput` with the path of what cannot be set.
    """
    model = _model(catalogue, command.model_id)
    file = catalogue.files.get(paths.join(model.folder, paths.MANIFEST))
    if file is not None and file.refused is not None:
        raise ManifestUntouched(f"{file.refused.reason} Mend the file first; it is left as it is until then.")
    if file is None or file.document is None:
        raise ManifestUntouched(f"{model.id} has no model.json yet that could be changed.")
    if command.if_match is not None and file.document not in command.if_match:
        raise PreconditionFailed(f"The model.json of {model.id} is not what it was when you read it.")
    disk = manifests.recorded(file)
    places = Places(jsonc.parse(disk))
    base = None if file.base is None else manifests.parsed(file.base)
    patch = resolved(command.patch, places)
    check_names(patch, places)
    text = _changed(file.path, disk, located(patch, base, places))
    kept = e.JsonKept(file.path, file.base or "", file.made_from, file.owned)
    if base is not None:
        owned = owners(patch, base, map(from_text, file.owned))
        kept = replace(kept, owned=tuple(sorted(map(to_text, owned))))
    documents: Texts = {}
    events = manifests.written(file, text, kept, (), documents)
    as_it_was = e.JsonKept(file.path, file.base or "", file.made_from, file.owned)
    drafts = [Draft(model.uid, event, command.actor, file.position) for event in events if event != as_it_was]
    return drafts, documents


def _changed(path: str, disk: bytes, changes: dict[tuple[str, ...], object]) -> bytes:
    first = spelled(canonical_pointer(next(iter(changes)))) if changes else None
    try:
        text = edit(disk, changes)
        said = read_file(path, text)
    except ManifestError as error:
        where = error.path or first
        told = where is None or where in error.detail
        raise InvalidInput(error.detail if told else f"{where}: {error.detail}", param=where) from error
    if said.text != text:
        secret = next((path for path in changes if any(map(is_secret, path))), None)
        where = first if secret is None else spelled(canonical_pointer(secret))
        raise InvalidInput(
            f"{where} is a secret, or has one in it, which must not get into the log. Write it into the file "
            "by hand; one of an engine belongs into engines/ENGINE.json.",
            param=where,
        )
    return text


def _model(catalogue: Catalogue, name: str) -> Model:
    found = find_model(catalogue, name)
    if found is None:
        raise ModelNotFound(name)
    return found
