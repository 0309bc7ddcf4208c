"""Files that people edit, as they are read and recorded; and the engines/<engine>.json that janfs makes."""

from typing import NamedTuple

from janfs.errors import ManifestError
from janfs.folder import paths
from janfs.manifest import jsonc
from janfs.manifest.generate import encode
from janfs.manifest.json_schema import ENGINE, reference
from janfs.manifest.parameters import ENGINE_PARAMETERS
from janfs.manifest.positions import placed
from janfs.manifest.schema import Manifest
from janfs.manifest.secrets import without_secrets
from janfs.manifest.spellings import DEFAULT_ENGINE, canonical_engine, canonical_engine_file, read_manifest

# `ctx_len` is each model's own, from its header; the rest has no default, or is about one model.
_OFFERED = (
    *("ngl", "n_parallel", "cont_batching", "cpu_threads", "n_batch"),
    *("flash_attn", "cache_type", "use_mmap", "mlock"),
)


class FileText(NamedTuple):
    """What may be known of a file that people edit: its settings, and its text, both without secrets."""

    manifest: Manifest
    notes: tuple[str, ...]
    text: bytes


def read_file(path: str, text: bytes) -> FileText:
    """Read the model.json or the engine's file at `path`.

    Raises `ManifestError` with line and column; no secret is in its words.
    """
    if paths.is_engine_file(path):
        return read_engine_file(path, text)
    kept = without_secrets(path, text)
    manifest, notes = read_manifest(kept)
    return FileText(manifest, notes, kept)


def read_engine_file(path: str, text: bytes) -> FileText:
    """The same of what is known to be an engine's file."""
    kept = without_secrets(path, text)
    try:
        found, notes = canonical_engine_file(jsonc.parse(kept))
    except ManifestError as error:
        raise placed(error, text) from error
    return FileText(Manifest(engine=engine_of(path), engine_parameters=found), notes, kept)


def engine_of(path: str) -> str:
    """The id of the engine whose settings are at a path; `nitro.json` is that of `llama-cpp`."""
    return canonical_engine(paths.shown_name(path).removesuffix(".json"))


def stream_of(path: str) -> str:
    """The stream of what happens to an engine's settings, whatever name their file has."""
    return f"engine-{engine_of(path)}"


def default_engine_file() -> bytes:
    """The file of an engine that has none: every setting that may be wanted there, as it is built in."""
    offered = {name: ENGINE_PARAMETERS[name].default for name in _OFFERED}
    return encode({"$schema": reference(f"{paths.ENGINES}/{DEFAULT_ENGINE}.json", ENGINE), **offered})
