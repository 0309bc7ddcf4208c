"""The versions of a model's model.json, from the events of its stream. Pure."""

from collections.abc import Callable, Iterable, Sequence

from msgspec import Struct

from janfs.catalogue.entries import Problem
from janfs.events import types as e
from janfs.events.types import type_name
from janfs.folder import paths
from janfs.history.happening import Happening

# Looks up the text of a model.json that comes from another stream: its path, and the position it came at.
Foreign = Callable[[str, int], str | None]
TEXTS = e.JsonEdited | e.JsonWritten | e.JsonReverted


class Version(Struct, frozen=True, omit_defaults=True):
    """What a model.json was from one position of the log on.

    `sha256` names its text; None when there is no file, or none that is a file. `problem` says why the text
    cannot be read: the version before it is in force then.
    """

    position: int
    recorded_at: str
    actor: str
    type: str
    cause: int | None
    path: str
    sha256: str | None = None
    problem: Problem | None = None


def versions(
    happenings: Iterable[Happening], foreign: Foreign, archived: Version | None = None
) -> list[Version]:
    """Every version in order, the one that archived events had come to first.

    What we wrote has the actor who had it planned.
    """
    found = [] if archived is None else [archived]
    planned: dict[str, str] = {}
    for happening in happenings:
        event = happening.event
        if isinstance(event, e.WritePlanned):
            planned[event.op] = happening.actor
        version = _version(happening, event, found, planned, foreign)
        if version is not None:
            found.append(version)
    return found


def in_force(found: Sequence[Version], position: int) -> Version | None:
    """The version whose text ruled at a position: the last one that could be read; None without a file."""
    for version in reversed([each for each in found if each.position <= position]):
        if version.problem is None:
            return None if version.sha256 is None else version
    return None


def on_disk(found: Sequence[Version], position: int) -> Version | None:
    """The version that lay in the folder at a position, readable or not; None without a file."""
    last = next((each for each in reversed(found) if each.position <= position), None)
    return None if last is None or last.sha256 is None else last


def last_change(found: Sequence[Version]) -> tuple[int, int]:
    """The positions before and after the last change; twice 0 if there never was a model.json."""
    return (found[-1].position - 1, found[-1].position) if found else (0, 0)


def _version(
    happening: Happening,
    event: e.Event,
    found: Sequence[Version],
    planned: dict[str, str],
    foreign: Foreign,
) -> Version | None:
    here = found[-1].path if found and found[-1].sha256 is not None else None
    match event:
        case e.JsonEdited():
            return _of(happening, event.path, event.sha256)
        case e.JsonWritten() | e.JsonReverted():
            return _of(happening, event.path, event.sha256, actor=planned.get(event.op))
        case e.JsonRejected():
            problem = Problem("json_invalid", event.reason, event.line, event.column)
            return _of(happening, event.path, event.sha256, problem)
        case e.FileRefused() if paths.is_manifest(event.path):
            return _of(happening, event.path, None, Problem(event.code, event.reason))
        case e.JsonRemoved():
            return _of(happening, event.path, None) if event.path == here else None
        case e.FileMoved() if paths.is_manifest(event.target):
            own = event.source == here
            digest = found[-1].sha256 if own else foreign(event.source, happening.position)
            return _of(happening, event.target, digest, found[-1].problem if own else None)
        case e.FileMoved() if event.source == here:
            return _of(happening, event.source, None)
        case e.ModelSwapped() if here is not None and paths.parent(here) == event.left:
            path = paths.join(event.folder, paths.name(here))
            return _of(happening, path, found[-1].sha256, found[-1].problem)
        case e.MoveCompleted(stamp=None) if here is not None and paths.is_inside(here, event.source):
            return _of(happening, here, None)
    return None


def _of(
    happening: Happening,
    path: str,
    sha256: str | None,
    problem: Problem | None = None,
    actor: str | None = None,
) -> Version:
    return Version(
        position=happening.position,
        recorded_at=happening.recorded_at,
        actor=actor or happening.actor,
        type=type_name(type(happening.event)),
        cause=happening.cause,
        path=path,
        sha256=sha256,
        problem=problem,
    )
