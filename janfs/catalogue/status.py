"""What a model's files make of it: its binary, its status, and the reason in words."""

from collections.abc import Sequence

from msgspec import Struct

from janfs.catalogue.entries import File, Status
from janfs.folder import paths
from janfs.manifest.schema import Manifest


class Assessment(Struct, frozen=True, gc=False):
    """The outcome of looking at a model's files. `binary` is the path that an engine would load."""

    status: Status
    reason: str | None = None
    binary: str | None = None


def manifest_of(files: Sequence[File]) -> Manifest | None:
    """What the model.json among these files says, or said when it last could be read."""
    return next((file.manifest for file in files if paths.is_manifest(file.path)), None)


def assess(files: Sequence[File]) -> Assessment:
    """The status of a model from the files in its folder."""
    json_file: File | None = None
    binaries: list[File] = []
    for file in files:
        if paths.is_binary(file.path):
            binaries.append(file)
        elif paths.is_manifest(file.path):
            json_file = file
    manifest = json_file.manifest if json_file is not None else None
    usable = [file for file in binaries if file.refused is None and _is_model(file)]
    chosen = _choose(usable, manifest) if usable else None
    wrong = json_file.refused.reason if json_file is not None and json_file.refused is not None else None
    if wrong is not None and manifest is None:
        return Assessment("invalid", wrong, chosen.path if isinstance(chosen, File) else None)
    if not usable:
        return _without_binary(binaries, manifest)
    if chosen is None:
        names = ", ".join(paths.shown_name(file.path) for file in usable)
        return Assessment(
            "invalid",
            f"{len(usable)} model files are in this folder ({names}). Give each a folder of its own, or name "
            "one of them as engine_parameters.llama_model_path in model.json.",
        )
    if isinstance(chosen, str):
        return Assessment("missing", chosen)
    absent = _missing_shards(chosen, usable)
    if absent:
        return Assessment("incomplete", f"Shards are missing: {', '.join(absent)}.", chosen.path)
    reason = None if wrong is None else f"{wrong} The last good model.json stays in force."
    return Assessment("ready", reason, chosen.path)


def _without_binary(binaries: Sequence[File], manifest: Manifest | None) -> Assessment:
    refused = next((file for file in binaries if file.refused is not None), None)
    if refused is not None and refused.refused is not None:
        return Assessment("invalid", f"{paths.shown_name(refused.path)}: {refused.refused.reason}")
    if binaries:
        kinds = ", ".join(
            f"{paths.shown_name(f.path)} ({f.facts.type if f.facts else 'unknown'})" for f in binaries
        )
        return Assessment("invalid", f"No file here can be run by itself: {kinds}.")
    urls = [source.url for source in manifest.sources if source.url] if manifest is not None else []
    if any(url.startswith(("http://", "https://")) for url in urls):
        return Assessment("to-download", "The model file is not here yet; model.json says where to get it.")
    return Assessment("missing", "The model file is not in the folder. Put it back, or delete the folder.")


def _is_model(file: File) -> bool:
    return file.facts is not None and file.facts.type not in ("mmproj", "adapter", "imatrix", "vocab")


def _choose(usable: Sequence[File], manifest: Manifest | None) -> File | str | None:
    """The binary to load; None when several could be meant; a text when the named one is not there."""
    named = (manifest.engine_parameters or {}).get("llama_model_path") if manifest is not None else None
    if isinstance(named, str) and named:
        for file in usable:
            if paths.shown_name(file.path) == named.rpartition("/")[2]:
                return file
        return f"model.json names {named} as llama_model_path, and that file is not in the folder."
    heads = [file for file in usable if not _is_later_shard(file)]
    if len(heads) == 1:
        return heads[0]
    wanted = {source.filename for source in manifest.sources} if manifest is not None else set()
    listed = [file for file in heads if paths.shown_name(file.path) in wanted]
    if len(listed) == 1:
        return listed[0]
    return None if heads else usable[0]


def _is_later_shard(file: File) -> bool:
    return file.facts is not None and bool(file.facts.split_no)


def _missing_shards(chosen: File, usable: Sequence[File]) -> list[str]:
    count = chosen.facts.split_count if chosen.facts is not None else None
    if not count or count < 2:
        return []
    here = {
        file.facts.split_no for file in usable if file.facts is not None and file.facts.split_count == count
    }
    return [f"{number + 1:05d}-of-{count:05d}" for number in range(count) if number not in here][:100]
