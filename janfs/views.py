"""What the API and the command line show of models and events. Pure."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec
from msgspec import Struct

from janfs.availability import Availability, NowStatus, Outsider, availability, availability_of, find_outsider
from janfs.catalogue.catalogue import Catalogue, files_of, find_model
from janfs.catalogue.duplicates import original_of
from janfs.catalogue.entries import File, Model
from janfs.engine_views import LoadedModel
from janfs.engines.protocol import EngineState
from janfs.errors import ModelNotFound
from janfs.folder import paths
from janfs.log.records import Record
from janfs.manifest.schema import Manifest, SourceRef
from janfs.manifest.spellings import DEFAULT_ENGINE
from janfs.pipeline.snapshot import Snapshot

StateOf = Callable[[str], EngineState]
"""What a model is doing now, by its uid."""
_STOPPED = EngineState(state="stopped")


class JsonError(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a model.json cannot be read. Lines and columns count from 1; 0 where that is of no one place."""

    line: int = 0
    column: int = 0
    reason: str


class ModelView(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A model as OpenAI's clients expect it, with the fields of model.json and ours.

    `created` is in seconds since 1970 (0 for a file that is no model), `size` in bytes over all its GGUF
    files, `progress` in per cent of the bytes that its header announces. `folder` and file names are spelled
    as in the log. `reason` explains `status`, `state_reason` explains `state`; they are left out where there
    is nothing to explain. `loaded` is there for one model alone, while it is loaded here. `duplicate_of` is
    an older model with a file of the same content.
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
    status: NowStatus
    state: Literal["stopped", "loading", "running", "stopping", "failed"]
    folder: str
    size: int
    aliases: tuple[str, ...]
    reason: str | None = None
    state_reason: str | None = None
    progress: float | None = None
    duplicate_of: str | None = None
    json_error: JsonError | None = None
    loaded: LoadedModel | None = None
    at: int | None = None
    model_json: str | None = None


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

    `engine-ID` is that of an engine's file. Raises `ModelNotFound`.
    """
    model = find_model(catalogue, name) or catalogue.models.get(name)
    if model is None and any(file.uid == name for file in catalogue.engine_files.values()):
        return name
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
    catalogue: Catalogue,
    model: Model,
    state: EngineState = _STOPPED,
    now: Availability | None = None,
    files: Sequence[File] | None = None,
) -> ModelView:
    """A model as it is shown; what its model.json leaves open has the specification's default.

    `now` is its status, where more is known than the catalogue has; `files` are its files, where they are at
    hand.
    """
    files = files_of(catalogue, model.uid) if files is None else files
    json_file = next((file for file in files if paths.is_manifest(file.path)), None)
    manifest = json_file.manifest if json_file is not None and json_file.manifest is not None else Manifest()
    binaries = [file for file in files if paths.is_binary(file.path)]
    now = now or availability(catalogue, model, None)
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
        sources=manifest.sources or tuple(map(_source, binaries)),
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
        duplicate_of=_duplicate_of(catalogue, files),
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
        now = availability_of(snapshot, model)
        return model_view(snapshot.catalogue, model, state_of(model.uid), now)
    outsider = find_outsider(snapshot, name)
    return None if outsider is None else outsider_view(outsider)


def _seconds(timestamp: str) -> int:
    """In seconds since 1970; 0 for what a damaged log says, so that all else is listed."""
    try:
        return int(datetime.fromisoformat(timestamp).timestamp())
    except ValueError:
        return 0


def _source(file: File) -> SourceRef:
    file_name = paths.shown_name(file.path)
    return SourceRef(file_name, file_name)


def _duplicate_of(catalogue: Catalogue, files: Sequence[File]) -> str | None:
    for file in files:
        original = original_of(catalogue, file)
        owner = None if original is None else catalogue.models.get(original.uid)
        if owner is not None:
            return owner.id
    return None


def _json_error(file: File | None) -> JsonError | None:
    refused = file.refused if file is not None else None
    if refused is None:
        return None
    return JsonError(line=refused.line, column=refused.column, reason=refused.reason)
