"""What the API and the command line show of models and events. Pure."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Literal

import msgspec
from msgspec import Struct

from janfs.catalogue.catalogue import Catalogue, files_of, find_model, present_models
from janfs.catalogue.entries import File, Model, Status
from janfs.engines.protocol import EngineState
from janfs.errors import ModelNotFound
from janfs.folder import paths
from janfs.log.records import Record
from janfs.manifest.schema import Manifest, SourceRef
from janfs.manifest.spellings import DEFAULT_ENGINE
from janfs.pipeline.snapshot import Arrival, Snapshot
from janfs.serving import Outsider, arrivals_by_place, availability, find_outsider, outsiders

StateOf = Callable[[str], EngineState]
_STOPPED = EngineState(state="stopped")
_encoder = msgspec.json.Encoder()


class JsonError(Struct, frozen=True):
    """Where a model.json cannot be read. Lines and columns count from 1; 0 where there is no position."""

    line: int
    column: int
    reason: str


class ModelView(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A model as OpenAI's clients expect it, with the fields of model.json and ours.

    `created` is in seconds since 1970 (0 for a file that is no model), `size` in bytes over all its GGUF
    files, `progress` in per cent of the bytes that its header announces. `folder` and file names are spelled
    as in the log. `reason` explains `status`, `state_reason` explains `state`; they are left out where there
    is nothing to explain.
    """

    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    name: str
    version: str
    description: str | None
    format: str
    engine: str
    sources: tuple[SourceRef, ...]
    engine_parameters: dict[str, Any]
    model_parameters: dict[str, Any]
    metadata: dict[str, Any]
    assets: tuple[str, ...]
    status: Status
    state: Literal["stopped", "loading", "running", "stopping", "failed"]
    folder: str
    size: int
    aliases: tuple[str, ...]
    reason: str | None = None
    state_reason: str | None = None
    progress: float | None = None
    json_error: JsonError | None = None


class EventView(Struct, frozen=True):
    """An event of the log. `data` is the event's own content, as it was recorded."""

    position: int
    type: str
    recorded_at: str
    stream: str
    actor: str
    cause: int | None
    correlation: int
    data: msgspec.Raw


def stopped(_: str) -> EngineState:
    """The state of every model where no engines run."""
    return _STOPPED


def stream_of(catalogue: Catalogue, name: str) -> str:
    """The stream of a model by id, alias or uid, and of the last removed one with that id.

    Raises `ModelNotFound`.
    """
    model = find_model(catalogue, name) or catalogue.models.get(name)
    if model is None:
        removed = [each for each in catalogue.models.values() if each.removed is not None and each.id == name]
        model = max(removed, key=lambda each: each.position, default=None)
    if model is None:
        raise ModelNotFound(name)
    return model.uid


def event_view(record: Record) -> EventView:
    """A record as it is shown."""
    return EventView(
        position=record.position,
        type=record.type,
        recorded_at=record.recorded_at,
        stream=record.stream,
        actor=record.actor,
        cause=record.cause,
        correlation=record.correlation,
        data=msgspec.Raw(record.data.encode()),
    )


def model_view(
    catalogue: Catalogue, model: Model, state: EngineState = _STOPPED, arrival: Arrival | None = None
) -> ModelView:
    """A model as it is shown; what its model.json leaves open has the specification's default."""
    files = files_of(catalogue, model.uid)
    json_file = next((file for file in files if paths.is_manifest(file.path)), None)
    manifest = json_file.manifest if json_file is not None and json_file.manifest is not None else Manifest()
    binaries = [file for file in files if paths.is_binary(file.path)]
    named = tuple(SourceRef(paths.shown_name(file.path), paths.shown_name(file.path)) for file in binaries)
    now = availability(model, arrival)
    return ModelView(
        id=model.id,
        object="model",
        created=_seconds(model.registered_at) if manifest.created is None else manifest.created,
        owned_by=manifest.owned_by or "you",
        name=manifest.name or model.id,
        version=manifest.version or "1",
        description=manifest.description,
        format=manifest.format or "gguf",
        engine=manifest.engine or DEFAULT_ENGINE,
        sources=manifest.sources or named,
        engine_parameters=manifest.engine_parameters,
        model_parameters=manifest.model_parameters,
        metadata=manifest.metadata,
        assets=manifest.assets,
        status=now.status,
        state=state.state,
        folder=model.folder,
        size=sum(file.stamp.size for file in binaries),
        aliases=model.aliases,
        reason=now.reason,
        state_reason=state.reason,
        progress=now.percentage,
        json_error=_json_error(json_file),
    )


def outsider_view(outsider: Outsider) -> ModelView:
    """A file that has no model yet, or never will, as it is shown among the models."""
    file_name = paths.shown_name(outsider.path)
    return ModelView(
        id=outsider.id,
        object="model",
        created=0,
        owned_by="you",
        name=file_name,
        version="1",
        description=None,
        format="gguf",
        engine=DEFAULT_ENGINE,
        sources=(SourceRef(file_name, file_name),),
        engine_parameters={},
        model_parameters={},
        metadata={},
        assets=(),
        status=outsider.availability.status,
        state="stopped",
        folder=paths.parent(outsider.path),
        size=outsider.size,
        aliases=(),
        reason=outsider.availability.reason,
        progress=outsider.availability.percentage,
    )


def find_view(snapshot: Snapshot, name: str, state_of: StateOf) -> ModelView | None:
    """The model, or the file without one, that is listed under this id or alias."""
    model = find_model(snapshot.catalogue, name)
    if model is not None:
        arrival = arrivals_by_place(snapshot).get(model.folder)
        return model_view(snapshot.catalogue, model, state_of(model.id), arrival)
    outsider = find_outsider(snapshot, name)
    return None if outsider is None else outsider_view(outsider)


class ModelList:
    """Lists every model as JSON; an entry that has not changed is not encoded again.

    An entry depends on the model's position and engine state alone, except while a file of it is arriving.
    """

    def __init__(self) -> None:
        self._order: list[Model] = []
        self._of: object = None  # the map of models that `_order` was made from
        self._encoded: dict[str, tuple[int, str, str | None, bytes]] = {}
        self._last: list[bytes] | None = None
        self._body = b""

    def encode(self, snapshot: Snapshot, state_of: StateOf) -> bytes:
        """The list in OpenAI's envelope, models by id, then the files without one."""
        catalogue = snapshot.catalogue
        self._arrange(catalogue)
        arrivals = arrivals_by_place(snapshot)
        entries: list[bytes] = []
        for model in self._order:
            state = state_of(model.id)
            if arrivals and model.folder in arrivals:
                view = model_view(catalogue, model, state, arrivals[model.folder])
                entries.append(_encoder.encode(view))
            else:
                entries.append(self._entry(catalogue, model, state))
        entries += [_encoder.encode(outsider_view(outsider)) for outsider in outsiders(snapshot)]
        if entries != self._last:  # cheap, as most entries are the very same objects
            # Joined, since formatting megabytes of bytes takes seven times as long.
            self._body = b"".join((b'{"object":"list","data":[', b",".join(entries), b"]}"))
            self._last = entries
        return self._body

    def _entry(self, catalogue: Catalogue, model: Model, state: EngineState) -> bytes:
        known = self._encoded.get(model.uid)
        if known is not None:
            position, state_name, reason, encoded = known
            if position == model.position and state_name == state.state and reason == state.reason:
                return encoded
        encoded = _encoder.encode(model_view(catalogue, model, state))
        self._encoded[model.uid] = (model.position, state.state, state.reason, encoded)
        return encoded

    def _arrange(self, catalogue: Catalogue) -> None:
        if catalogue.models is self._of:
            return
        self._order = sorted(present_models(catalogue), key=lambda model: model.id)
        present = {model.uid for model in self._order}
        for uid in self._encoded.keys() - present:
            del self._encoded[uid]
        self._of = catalogue.models


def _seconds(timestamp: str) -> int:
    return int(datetime.fromisoformat(timestamp).timestamp())


def _json_error(file: File | None) -> JsonError | None:
    refused = file.refused if file is not None else None
    return None if refused is None else JsonError(refused.line, refused.column, refused.reason)
