"""What the API and the command line show of engines and their files. Pure."""

from typing import Any, Literal

from msgspec import Struct

from janfs.catalogue.catalogue import Catalogue
from janfs.catalogue.entries import File
from janfs.configuration import engine_file_of
from janfs.manifest.engine_file import engine_of
from janfs.manifest.spellings import DEFAULT_ENGINE


class FileProblem(Struct, frozen=True):
    """Why a file is not read, or not as it is now. Lines and columns count from 1; 0 where there is none."""

    file: str
    line: int
    column: int
    reason: str


class EngineView(Struct, frozen=True, kw_only=True):
    """An engine and its settings, the last good ones of `file`. Secrets are shown as `***`."""

    id: str
    object: Literal["engine"] = "engine"
    file: str | None
    engine_parameters: dict[str, Any]
    notes: tuple[str, ...]
    problems: tuple[FileProblem, ...]


class EngineList(Struct, frozen=True):
    """OpenAI's envelope of a list."""

    data: list[EngineView]
    object: Literal["list"] = "list"


def engine_list(catalogue: Catalogue) -> EngineList:
    """The engine in the box, and every other that has a file."""
    named = {DEFAULT_ENGINE, *map(engine_of, catalogue.engine_files)}
    return EngineList([_view(catalogue, engine) for engine in sorted(named)])


def _view(catalogue: Catalogue, engine: str) -> EngineView:
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
    )


def _problem(file: File, counts: File | None) -> FileProblem | None:
    if file.refused is not None:
        kept = " The last good one stays in force." if file.manifest is not None else ""
        return FileProblem(file.path, file.refused.line, file.refused.column, file.refused.reason + kept)
    if counts is not None and file != counts:
        return FileProblem(file.path, 0, 0, f"{file.path} is not read, because {counts.path} is there too.")
    return None
