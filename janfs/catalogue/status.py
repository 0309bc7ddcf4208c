"""What a model's files make of it: its binary, its status, and the reason in words."""

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from janfs.catalogue import groups
from janfs.catalogue.entries import File, Status
from janfs.catalogue.groups import Group
from janfs.folder import paths
from janfs.manifest.remote import is_remote
from janfs.manifest.schema import Manifest
from janfs.manifest.spellings import DEFAULT_ENGINE

_FILE_NAMES = ("llama_model_path", "mmproj")
_MOST_NAMED = 100  # missing shards that are named


class Assessment(Struct, frozen=True, gc=False):
    """The outcome of looking at a model's files. `binary` is the path that an engine would load.

    `remote` is the engine that has the model, where that is somewhere else.
    """

    status: Status
    reason: str | None = None
    binary: str | None = None
    remote: str | None = None


def manifest_of(files: Sequence[File]) -> Manifest | None:
    """What the model.json among these files says, or said when it last could be read.

    Names of files that janfs wrote into it, and that are gone, say nothing: they are about to be others.
    """
    file = next((file for file in files if paths.is_manifest(file.path)), None)
    if file is None or file.manifest is None:
        return None
    here = {paths.shown_name(each.path) for each in files}
    gone = [name for name in _FILE_NAMES if groups.named(file.manifest, name) not in (None, *here)]
    ours = [name for name in gone if _is_generated(file, name)]
    if not ours:
        return file.manifest
    settings = file.manifest.engine_parameters
    return replace(
        file.manifest, engine_parameters={name: settings[name] for name in settings if name not in ours}
    )


def _is_generated(file: File, name: str) -> bool:
    """Whether an engine parameter of a model.json is as janfs wrote it."""
    known = file.base is not None and (file.made_from or file.document == file.base)
    words = ("/engine_parameters", f"/engine_parameters/{name}")
    return bool(known) and not any(word in file.owned for word in words)


def assess(files: Sequence[File]) -> Assessment:
    """The status of a model from its files."""
    json_file = next((file for file in files if paths.is_manifest(file.path)), None)
    manifest = manifest_of(files)
    found = groups.group(files)
    models = groups.of_kind(found, "model")
    chosen = groups.chosen(models, manifest)
    wrong = json_file.refused.reason if json_file is not None and json_file.refused is not None else None
    if wrong is not None and manifest is None:
        return Assessment("invalid", wrong, chosen.head.path if chosen is not None else None)
    if manifest is not None and is_remote(manifest):
        return Assessment("ready", _in_force(wrong), remote=manifest.engine or DEFAULT_ENGINE)
    if not models:
        return _without_model([file for file in files if paths.is_binary(file.path)], found, manifest)
    if chosen is None:
        return _unclear(models, manifest)
    absent = chosen.missing
    if absent:
        more = f" and {len(absent) - _MOST_NAMED:,} more" if len(absent) > _MOST_NAMED else ""
        names = ", ".join(absent[:_MOST_NAMED])
        return Assessment("incomplete", f"Shards are missing: {names}{more}.", chosen.head.path)
    if len({paths.parent(file.path) for file in chosen.files}) > 1:
        return Assessment("incomplete", "Its shards are being brought into one folder.", chosen.head.path)
    return Assessment("ready", _in_force(wrong) or _without_eyes(found, manifest), chosen.head.path)


def _in_force(wrong: str | None) -> str | None:
    return None if wrong is None else f"{wrong} The last good model.json stays in force."


def _without_eyes(found: Sequence[Group], manifest: Manifest | None) -> str | None:
    """Why a model sees no images although its model.json says with what."""
    wanted = groups.named(manifest, "mmproj")
    here = {paths.shown_name(each.head.path) for each in groups.of_kind(found, "projector")}
    if wanted is None or wanted in here:
        return None
    return f"model.json names {wanted} as mmproj, and no such projector is in the folder: it sees no images."


def _unclear(models: Sequence[Group], manifest: Manifest | None) -> Assessment:
    wanted = groups.named(manifest, "llama_model_path")
    if wanted is not None:
        text = f"model.json names {wanted} as llama_model_path, and that file is not in the folder."
        return Assessment("missing", text)
    names = ", ".join(paths.shown_name(each.head.path) for each in models)
    return Assessment(
        "invalid",
        f"{len(models)} models are in this folder ({names}), and no model.json names one of "
        "them. Name one as engine_parameters.llama_model_path; the others then get folders of their own.",
    )


def _without_model(binaries: Sequence[File], found: Sequence[Group], manifest: Manifest | None) -> Assessment:
    refused = next((file for file in binaries if file.refused is not None), None)
    if refused is not None and refused.refused is not None:
        return Assessment("invalid", f"{paths.shown_name(refused.path)}: {refused.refused.reason}")
    urls = [source.url for source in manifest.sources if source.url] if manifest is not None else []
    if any(url.startswith(("http://", "https://")) for url in urls):
        return Assessment("to-download", "The model file is not here yet; model.json says where to get it.")
    part = next((each for each in found if each.is_part), None)
    if part is not None:
        return Assessment("part", part_reason(part))
    if found:
        kinds = ", ".join(
            f"{paths.shown_name(each.head.path)} ({each.head.facts.type if each.head.facts else 'unknown'})"
            for each in found
        )
        return Assessment("invalid", f"No file here can be run by itself: {kinds}.")
    text = "The model file is not in the folder. Put it back, or delete the model.json there."
    return Assessment("missing", text)


def part_reason(part: Group, claimants: Sequence[str] = ()) -> str:
    """Why a projector or adapter is still by itself; `claimants` are the ids that it would fit."""
    what = "A projector" if part.kind == "projector" else "An adapter (LoRA)"
    name = paths.shown_name(part.head.path)
    settle = f"`janfs pair {name} MODEL` settles it"
    if part.kind == "projector":
        settle += f', or "mmproj": "{name}" among the engine_parameters in the model.json of one'
    if len(claimants) > 1:
        return f"{what} that several models could claim: {', '.join(claimants)}. {settle}."
    facts = part.head.facts
    base = f" of {facts.base_model}" if facts is not None and facts.base_model else ""
    return f"{what}{base}: it waits for its model. {settle}."
