"""Every way in which a model.json has been written, read into the one of `schema`.

The specification changed its words several times (settings, parameters, source_url, ...), the programs that
wrote files changed more, and some of them wrote text for numbers, milliseconds for seconds, or "N/A".
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

from janfs.errors import InvalidInput, ManifestError
from janfs.manifest import jsonc
from janfs.manifest.parameters import ENGINE_PARAMETERS, MODEL_PARAMETERS, WITHOUT_EFFECT, Parameter, checked
from janfs.manifest.positions import placed
from janfs.manifest.schema import Manifest, SourceRef

DEFAULT_ENGINE = "llama-cpp"
_ENGINES = {
    "nitro": DEFAULT_ENGINE,
    "llamacpp": DEFAULT_ENGINE,
    "llama.cpp": DEFAULT_ENGINE,
    "llama_cpp": DEFAULT_ENGINE,
    "cortex": DEFAULT_ENGINE,
    "cortex.llamacpp": DEFAULT_ENGINE,
    "triton_tensorrtllm": "triton_trtllm",
}
_FORMATS = {"ggufv3": "gguf", "api": "api"}
RENAMED = {
    "model_path": "llama_model_path",
    "textModel": "text_model",
    "visionModel": "vision_model",
    "token_limit": "max_tokens",
}
FROM_METADATA = {"ggml_binary": "llama_model_path", "mmproj_binary": "mmproj"}
_PLACEHOLDERS = frozenset({"", "N/A"})
LAST_SECOND = 100_000_000_000  # of the year 5138; a later time is one in milliseconds
_BINARY_NAME = re.compile(r"([^/\\?#]+\.gguf)([?#].*)?", re.IGNORECASE)


def read_manifest(text: str | bytes) -> tuple[Manifest, tuple[str, ...]]:
    """A model.json's content, and notes on what was read differently from how it is written.

    Raises `ManifestError` with line and column, and with the path if it is a value that has a wrong type.
    """
    raw = jsonc.parse(text)
    try:
        return canonical(raw)
    except ManifestError as error:
        raise placed(error, text) from error


def canonical_engine_file(raw: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The engine parameters in the parsed JSON of an engines/<engine>.json, which holds them side by side.

    And notes. Raises `ManifestError`.
    """
    reader = _Reader(raw)
    reader.left.pop("$schema", None)
    found: dict[str, Any] = {}
    reader.read_parameters(found, reader.left, ENGINE_PARAMETERS, "")
    return found, tuple(reader.notes)


def paths_of_parameters(raw: Any, *, side_by_side: bool = False) -> dict[tuple[str, str], str]:
    """Where in a parsed model.json, or an engine's file, each parameter was read from.

    By the block, such as `engine_parameters`, and the name that it has today. Raises `ManifestError`.
    """
    reader = _Reader(raw)
    if side_by_side:
        reader.read_parameters({}, reader.left, ENGINE_PARAMETERS, "")
    else:
        reader.parameters(reader.object("metadata"))
    return reader.read_from


def canonical(raw: Any) -> tuple[Manifest, tuple[str, ...]]:
    """The parsed JSON of a model.json in the specification's spelling, and notes. Raises `ManifestError`."""
    reader = _Reader(raw)
    metadata = reader.object("metadata")
    engine_parameters, model_parameters = reader.parameters(metadata)
    manifest = Manifest(
        id=reader.name("id"),
        object=reader.text("object"),
        name=reader.text("name"),
        owned_by=reader.text("owned_by"),
        version=reader.version(),
        created=reader.created(),
        description=reader.text("description"),
        format=reader.name("format", _FORMATS),
        engine=reader.name("engine", _ENGINES) or reader.engine_in(metadata),
        sources=reader.sources(),
        engine_parameters=engine_parameters,
        model_parameters=model_parameters,
        metadata=metadata,
        assets=reader.assets(),
        extra=reader.rest(),
    )
    return manifest, tuple(reader.notes)


def canonical_engine(name: str) -> str:
    """An engine's id, whatever older name it is given by."""
    return _ENGINES.get(name.lower(), name)


class _Reader:
    """Takes one field after the other out of a copy of the object; what is `left` nobody knew."""

    def __init__(self, raw: Any) -> None:
        if not isinstance(raw, dict):
            raise ManifestError(f"The file must hold an object, {{...}}, not {_kind(raw)}.")
        self.left = dict(raw)
        self.notes: list[str] = []
        self.read_from: dict[tuple[str, str], str] = {}

    def text(self, key: str) -> str | None:
        return _text(self.left.pop(key, None), key)

    def name(self, key: str, older: Mapping[str, str] | None = None) -> str | None:
        """A text that names something: empty ones and placeholders name nothing."""
        value = self.text(key)
        if value is None or value in _PLACEHOLDERS:
            return None
        now = (older or {}).get(value.lower(), value)
        if now != value:
            self.notes.append(f"{key}: {value!r} is read as {now!r}.")
        return now

    def object(self, key: str) -> dict[str, Any]:
        value = self.left.pop(key, None)
        if value is None:
            return {}
        if not isinstance(value, dict):
            _wrong(key, "an object", value)
        return dict(value)

    def version(self) -> str | None:
        value = self.left.pop("version", None)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return str(value)
        return _text(value, "version")

    def created(self) -> int | None:
        """Seconds since 1970, from seconds or milliseconds."""
        value = self.left.pop("created", None)
        if isinstance(value, str) and value in _PLACEHOLDERS:
            self.notes.append("created holds a placeholder and is ignored.")
            return None
        try:
            seconds = checked("created", Parameter("number", low=0, high=2**53), value)
        except InvalidInput as error:
            raise ManifestError(error.detail, path="created") from error
        if seconds is not None and seconds > LAST_SECOND:
            self.notes.append("created is read as milliseconds.")
            seconds /= 1000
        return None if seconds is None else int(seconds)

    def engine_in(self, metadata: Mapping[str, Any]) -> str | None:
        value = metadata.get("engine")
        return canonical_engine(value) if isinstance(value, str) and value not in _PLACEHOLDERS else None

    def sources(self) -> tuple[SourceRef, ...]:
        """From `sources`, else `source`, else `source_url`; each a list, an entry or a text."""
        found: tuple[SourceRef, ...] = ()
        for key in ("sources", "source", "source_url"):
            value = self.left.pop(key, None)
            if value is None:
                continue
            entries = value if isinstance(value, list) else [value]
            if found:
                self.notes.append(f"{key} is ignored: sources are given already.")
            elif key != "sources":
                self.notes.append(f"{key} is read as sources.")
            read = [self._source(entry, f"{key}[{number}]") for number, entry in enumerate(entries)]
            found = found or tuple(source for source in read if source is not None)
        return found

    def _source(self, entry: Any, path: str) -> SourceRef | None:
        fields = {"url": entry} if isinstance(entry, str) else entry
        if not isinstance(fields, dict):
            _wrong(path, 'a text or {"filename": ..., "url": ...}', entry)
        filename, url = (_text(fields.get(key), f"{path}.{key}") for key in ("filename", "url"))
        if url in _PLACEHOLDERS:
            url = None
        if filename in _PLACEHOLDERS:
            filename = None
        if filename is None and url is None:
            self.notes.append(f"{path} names no file and is ignored.")
            return None
        binary = _BINARY_NAME.search(url) if filename is None and url is not None else None
        return SourceRef(filename=binary.group(1) if binary else filename, url=url)

    def assets(self) -> tuple[str, ...]:
        value = self.left.pop("assets", None)
        entries = [] if value is None else [value] if isinstance(value, str) else value
        if not isinstance(entries, list) or not all(isinstance(entry, str) for entry in entries):
            _wrong("assets", "a list of texts", value)
        return tuple(entries)

    def parameters(self, metadata: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Engine and model parameters out of all blocks that have held them; the current block wins."""
        engine: dict[str, Any] = {}
        model: dict[str, Any] = {}
        self.read_parameters(
            engine, self.object("engine_parameters"), ENGINE_PARAMETERS, "engine_parameters."
        )
        self.read_parameters(model, self.object("model_parameters"), MODEL_PARAMETERS, "model_parameters.")
        self._older_block(engine, self.object("settings"), ENGINE_PARAMETERS, "settings")
        mixed = self.object("parameters")
        for part, block, known in (("init", engine, ENGINE_PARAMETERS), ("runtime", model, MODEL_PARAMETERS)):
            if isinstance(mixed.get(part), dict):
                self._older_block(block, mixed.pop(part), known, f"parameters.{part}")
        load_time = {key for key in mixed if RENAMED.get(key, key) in ENGINE_PARAMETERS}
        flat = {key: value for key, value in mixed.items() if key in load_time}
        self._older_block(engine, flat, ENGINE_PARAMETERS, "parameters")
        rest = {key: value for key, value in mixed.items() if key not in load_time}
        self._older_block(model, rest, MODEL_PARAMETERS, "parameters")
        named = {FROM_METADATA[key]: metadata[key] for key in FROM_METADATA if key in metadata}
        self._older_block(engine, named, ENGINE_PARAMETERS, "metadata")
        return engine, model

    def _older_block(
        self, into: dict[str, Any], block: Mapping[str, Any], known: Mapping[str, Parameter], name: str
    ) -> None:
        if block:
            self.notes.append(f"{name} is read as {_block(known)}: {', '.join(block)}.")
            self.read_parameters(into, block, known, f"{name}.")

    def read_parameters(
        self, into: dict[str, Any], block: Mapping[str, Any], known: Mapping[str, Parameter], prefix: str
    ) -> None:
        """Adds a block's parameters to those found already, which stay."""
        for key, value in _current_names_first(block):
            name, path = RENAMED.get(key, key), f"{prefix}{key}"
            parameter = known.get(name)
            if parameter is None:
                self.notes.append(f"{path} is not a setting that is known here; it is kept.")
                name = key
            elif parameter.kind == "text" and value == "N/A":
                self.notes.append(f"{path} holds a placeholder and is ignored.")
                continue
            if name in WITHOUT_EFFECT:
                self.notes.append(f"{path} is without effect: {WITHOUT_EFFECT[name]}.")
            if name in into:
                if into[name] != value:
                    self.notes.append(f"{path} is ignored: {name} is given already.")
                continue
            self.read_from[_block(known), name] = path
            try:
                into[name] = value if parameter is None else checked(path, parameter, value)
            except InvalidInput as error:
                raise ManifestError(error.detail, path=path) from error

    def rest(self) -> dict[str, Any]:
        """What no field has claimed. `state` was once required, `$schema` is for editors; neither counts."""
        self.left.pop("$schema", None)
        if self.left.pop("state", None) is not None:
            self.notes.append("state is ignored: it is seen from the folder.")
        self.notes.extend(f"{key} is not a field that is known here; it is kept." for key in self.left)
        return self.left


def _block(known: Mapping[str, Parameter]) -> str:
    return "engine_parameters" if known is ENGINE_PARAMETERS else "model_parameters"


def _current_names_first(block: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    return sorted(block.items(), key=lambda item: item[0] in RENAMED)


def _text(value: Any, path: str) -> str | None:
    if value is not None and not isinstance(value, str):
        _wrong(path, "text", value)
    return value


def _wrong(path: str, expected: str, value: Any) -> NoReturn:
    raise ManifestError(f"{path} must be {expected}, not {_kind(value)}.", path=path)


def _kind(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    kinds = {str: "text", int: "a number", float: "a number", list: "a list", dict: "an object"}
    return kinds[type(value)]
