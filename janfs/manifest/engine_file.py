"""engines/<engine>.json: what it says, without the secrets in it, and the one that janfs makes."""

import re
from typing import Any, NamedTuple

from janfs.errors import ManifestError
from janfs.folder import paths
from janfs.manifest import jsonc
from janfs.manifest.generate import encode
from janfs.manifest.json_schema import ENGINE, reference
from janfs.manifest.parameters import ENGINE_PARAMETERS
from janfs.manifest.positions import placed
from janfs.manifest.remote import HIDDEN
from janfs.manifest.schema import Manifest
from janfs.manifest.spellings import DEFAULT_ENGINE, canonical_engine, canonical_engine_file

_SECRET = re.compile(
    r"(?i)api[-_ ]?keys?|secret|passw|credential|authori[sz]ation|bearer|(access|auth)[-_]?token"
    r"|(^|[-_])token$|\bg?sk[-_]"
)
_IN_URL = re.compile(
    r"(?i)(?<=://)[^/@\s]+(?=@)|(?:(?<=key=)|(?<=token=)|(?<=secret=)|(?<=sig=)|(?<=code=))[^&#\s]+"
)
# `ctx_len` is each model's own, from its header; the rest has no default, or is about one model.
_OFFERED = (
    *("ngl", "n_parallel", "cont_batching", "cpu_threads", "n_batch"),
    *("flash_attn", "cache_type", "use_mmap", "mlock"),
)


class EngineText(NamedTuple):
    """What may be known of an engine's file: its settings, and its text, both without secrets."""

    manifest: Manifest
    notes: tuple[str, ...]
    text: bytes


def read_engine_file(path: str, text: bytes) -> EngineText:
    """Read the file at `path`. A text that holds a secret is replaced by its values, secrets hidden.

    Raises `ManifestError` with line and column; no secret is in its words.
    """
    raw = jsonc.parse(text)
    hidden = _hide(raw)
    try:
        found, notes = canonical_engine_file(hidden)
    except ManifestError as error:
        raise placed(error, text) from error
    kept = text if hidden == raw and not _comments_on_secrets(text) else encode(hidden)
    return EngineText(Manifest(engine=engine_of(path), engine_parameters=found), notes, kept)


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


def _hide(value: Any, *, secret: bool = False) -> Any:
    if isinstance(value, dict):
        return {key: _hide(part, secret=secret or _is_secret(key)) for key, part in value.items()}
    if isinstance(value, list):
        return [_hide(part, secret=secret) for part in value]
    if secret and value not in (None, ""):
        return HIDDEN
    return _IN_URL.sub(HIDDEN, value) if isinstance(value, str) else value


def _is_secret(key: str) -> bool:
    return _SECRET.search(key) is not None


def _comments_on_secrets(text: bytes) -> bool:
    decoded = jsonc.decode(text)
    comments = (decoded[t.start : t.end] for t in jsonc.tokenize(decoded) if t.kind == "comment")
    return any(_SECRET.search(comment) or _IN_URL.search(comment) for comment in comments)
