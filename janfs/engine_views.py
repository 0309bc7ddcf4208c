"""What the API and the command line show of engines and their files. Pure."""

from collections.abc import Callable
from typing import Any, Literal

from msgspec import Struct

from janfs.catalogue.catalogue import Catalogue
from janfs.catalogue.entries import File
from janfs.configuration import engine_file_of
from janfs.engines.remote.upstream import UpstreamState
from janfs.manifest.engine_file import engine_of
from janfs.manifest.remote import RemoteEngine
from janfs.manifest.spellings import DEFAULT_ENGINE
from janfs.remotes import engines_elsewhere


class FileProblem(Struct, frozen=True):
    """Why a file is not read, or not as it is now. Lines and columns count from 1; 0 where there is none."""

    file: str
    line: int
    column: int
    reason: str


class EngineView(Struct, frozen=True, kw_only=True):
    """An engine and its settings, the last good ones of `file`. Secrets are shown as `***`.

    `upstreams` are the servers of one that is elsewhere.
    """

    id: str
    object: Literal["engine"] = "engine"
    file: str | None
    engine_parameters: dict[str, Any]
    notes: tuple[str, ...]
    problems: tuple[FileProblem, ...]
    upstreams: tuple[UpstreamState, ...] = ()


class EngineList(Struct, frozen=True):
    """OpenAI's envelope of a list."""

    data: list[EngineView]
    object: Literal["list"] = "list"


HealthOf = Callable[[RemoteEngine], tuple[UpstreamState, ...]]


def not_asked(engine: RemoteEngine) -> tuple[UpstreamState, ...]:
    """The servers of an engine, where nobody has asked them anything."""
    return tuple(UpstreamState(address.base, "unknown") for address in engine.addresses)


def engine_list(catalogue: Catalogue, health_of: HealthOf = not_asked) -> EngineList:
    """The engine in the box, and every other that has a file."""
    named = {DEFAULT_ENGINE, *map(engine_of, catalogue.engine_files)}
    elsewhere = engines_elsewhere(catalogue)
    return EngineList(
        [
            _view(catalogue, engine, health_of(elsewhere[engine]) if engine in elsewhere else ())
            for engine in sorted(named)
        ]
    )


def _view(catalogue: Catalogue, engine: str, upstreams: tuple[UpstreamState, ...]) -> EngineView:
    counts = engine_file_of(catalogue, engine)
    files = [file for path, file in sorted(catalogue.engine_files.items()) if engine_of(path) == engine]
    problems = [_problem(file, counts) for file in files]
    return EngineView(
        id=engine,
        file=None if counts is None else counts.path,
        engine_parameters={}
        if counts is None or counts.manifest is None
        else counts.manifest.engine_parameters,
        notes=() if counts is None else counts.notes,
        problems=tuple(problem for problem in problems if problem is not None),
        upstreams=upstreams,
    )


def _problem(file: File, counts: File | None) -> FileProblem | None:
    if file.refused is not None:
        kept = " The last good one stays in force." if file.manifest is not None else ""
        return FileProblem(file.path, file.refused.line, file.refused.column, file.refused.reason + kept)
    if counts is not None and file != counts:
        return FileProblem(file.path, 0, 0, f"{file.path} is not read, because {counts.path} is there too.")
    return None
