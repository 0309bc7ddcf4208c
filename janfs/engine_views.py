"""What the API and the command line show of engines, their files and the models they have loaded."""

from collections.abc import Callable, Iterable
from typing import Any, Literal

from msgspec import Struct

from janfs.catalogue.entries import File
from janfs.configuration import engine_file_of
from janfs.engines.free_memory import resident
from janfs.engines.protocol import EngineState
from janfs.engines.remote.upstream import UpstreamState
from janfs.folder import paths
from janfs.manifest.engine_file import engine_of, stream_of
from janfs.manifest.remote import RemoteEngine
from janfs.manifest.spellings import DEFAULT_ENGINE
from janfs.pipeline.snapshot import Snapshot
from janfs.remotes import engines_elsewhere


class LoadedModel(Struct, frozen=True, kw_only=True):
    """A model that is loaded, or being so.

    Times are in seconds since 1970, sizes in bytes: `memory` is what it was thought to take, `resident` what
    its process has. `requests` are computed, `waiting` ones wait. `unloads_at` is when it goes if nobody asks
    for it. `lowered` has the settings that nobody asked for and that are lower, so that it fits.
    """

    id: str
    state: Literal["loading", "running", "stopping"]
    since: float | None
    pid: int | None
    context: int | None
    parallel: int | None
    requests: int
    waiting: int
    tokens_per_second: float
    memory: int
    resident: int | None
    load_seconds: float | None
    last_used: float | None
    unloads_at: float | None
    pinned: bool
    lowered: dict[str, int]
    fingerprint: str | None


def loaded_model(model_id: str, now: EngineState) -> LoadedModel | None:
    """A model as it is loaded; None for one that is not."""
    if now.state not in ("loading", "running", "stopping"):
        return None
    info = now.info
    return LoadedModel(
        id=model_id,
        state=now.state,
        since=now.since,
        pid=info.pid if info else None,
        context=info.n_ctx if info else None,
        parallel=info.n_parallel if info else None,
        requests=now.active,
        waiting=now.waiting,
        tokens_per_second=now.tokens_per_second,
        memory=now.memory,
        resident=resident(info.pid) if info else None,
        load_seconds=round(info.load_seconds, 3) if info else None,
        last_used=now.last_used,
        unloads_at=now.unloads_at,
        pinned=now.pinned,
        lowered=now.lowered,
        fingerprint=now.fingerprint,
    )


class FileProblem(Struct, frozen=True, omit_defaults=True):
    """Why a file is not read, or not as it is now. Lines and columns count from 1; 0 where that is of no one
    place.
    """

    file: str
    reason: str
    line: int = 0
    column: int = 0


class EngineView(Struct, frozen=True, kw_only=True):
    """An engine and its settings, the last good ones of `file`. Secrets are shown as `***`.

    `models` are those that it has loaded, `upstreams` the servers of one that is elsewhere.
    """

    id: str
    object: Literal["engine"] = "engine"
    file: str | None
    engine_parameters: dict[str, Any]
    notes: tuple[str, ...]
    problems: tuple[FileProblem, ...]
    models: tuple[LoadedModel, ...] = ()
    upstreams: tuple[UpstreamState, ...] = ()


class EngineList(Struct, frozen=True):
    """OpenAI's envelope of a list."""

    data: list[EngineView]
    object: Literal["list"] = "list"


HealthOf = Callable[[RemoteEngine], tuple[UpstreamState, ...]]


def not_asked(engine: RemoteEngine) -> tuple[UpstreamState, ...]:
    """The servers of an engine, where nobody has asked them anything."""
    return tuple(UpstreamState(address.base, "unknown") for address in engine.addresses)


def engine_list(
    snapshot: Snapshot,
    health_of: HealthOf = not_asked,
    states: Iterable[tuple[str, EngineState]] = (),
) -> EngineList:
    """The engine in the box, and every other that has a file; `states` are those of models, by id."""
    catalogue = snapshot.catalogue
    loaded = tuple(
        found
        for model_id, now in sorted(states, key=lambda each: each[0])
        if (found := loaded_model(model_id, now)) is not None
    )
    named = {DEFAULT_ENGINE, *map(engine_of, catalogue.engine_files)}
    elsewhere = engines_elsewhere(catalogue)
    return EngineList(
        [
            _view(
                snapshot,
                engine,
                health_of(elsewhere[engine]) if engine in elsewhere else (),
                loaded if engine == DEFAULT_ENGINE else (),
            )
            for engine in sorted(named)
        ]
    )


def _view(
    snapshot: Snapshot,
    engine: str,
    upstreams: tuple[UpstreamState, ...],
    loaded: tuple[LoadedModel, ...],
) -> EngineView:
    catalogue = snapshot.catalogue
    counts = engine_file_of(catalogue, engine)
    files = [file for path, file in sorted(catalogue.engine_files.items()) if engine_of(path) == engine]
    problems = [_problem(file, counts) for file in files]
    unsettled = snapshot.unsettled.get(stream_of(paths.join(paths.ENGINES, f"{engine}.json")))
    if unsettled is not None:
        problems.append(FileProblem(unsettled.plan.target, unsettled.reason))
    return EngineView(
        id=engine,
        file=None if counts is None else counts.path,
        engine_parameters={}
        if counts is None or counts.manifest is None
        else counts.manifest.engine_parameters,
        notes=() if counts is None else counts.notes,
        problems=tuple(problem for problem in problems if problem is not None),
        models=loaded,
        upstreams=upstreams,
    )


def _problem(file: File, counts: File | None) -> FileProblem | None:
    if file.refused is not None:
        kept = " The last good one stays in force." if file.manifest is not None else ""
        return FileProblem(file.path, file.refused.reason + kept, file.refused.line, file.refused.column)
    if file.stuck is not None:
        return FileProblem(file.path, file.stuck)
    if counts is not None and file != counts:
        return FileProblem(file.path, f"{file.path} is not read, because {counts.path} is there too.")
    return None
