"""Why something is as it is: from its last event back through the causes to what was seen first. Pure."""

from collections.abc import Callable
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from janfs.events import types as e
from janfs.events.types import type_name
from janfs.folder import paths
from janfs.history.happening import Happening
from janfs.history.words import in_words

# What is noticed on the side, and explains neither where a file is nor what became of a model.
_ASIDE = (
    *(e.FileHashed, e.DuplicateFound, e.ModelExported, e.LogCompacted, e.LogDamaged),
    *(e.ModelStarted, e.ModelStopped, e.StartFailed, e.EngineCrashed),
)
_INTENTS = (e.MovePlanned, e.WritePlanned, e.CopyPlanned)


class Reason(Struct, frozen=True):
    """One link of the chain. `link` says how it leads to the one told before it."""

    position: int
    recorded_at: str
    stream: str
    type: str
    actor: str
    words: str
    link: Literal["first", "because", "before"]


def explains_model(event: e.Event) -> bool:
    """Whether an event of a model's stream has a part in what became of the model."""
    return not isinstance(event, _ASIDE)


def explains_path(event: e.Event, path: str) -> bool:
    """Whether an event put a file where it is, changed it, or took it away."""
    if isinstance(event, (*_ASIDE, *_INTENTS)):
        return False
    if path in (getattr(event, "path", None), getattr(event, "source", None), getattr(event, "target", None)):
        return True
    if isinstance(event, e.MoveCompleted) and event.stamp is None:
        return paths.is_inside(path, event.source)
    if isinstance(event, e.ModelSwapped):
        return paths.is_inside(path, event.folder)
    if isinstance(event, e.ModelRegistered | e.ModelRestored):
        return path in event.files
    return False


def chain(
    last: Happening,
    at: Callable[[int], Happening | None],
    earlier: Callable[[str, int], Happening | None],
) -> list[Reason]:
    """The reasons of the last event, that one first.

    `at` gives the event at a position, `earlier` the last one that explains a path before a position. An
    intent is told together with its outcome, which then has the intent's actor.
    """
    told: list[Reason] = []
    here: Happening | None = last
    link: Literal["first", "because", "before"] = "first"
    while here is not None:
        following = None if here.cause is None else at(here.cause)
        if following is not None and is_intent_of(following.event, here.event):
            here = replace(here, actor=following.actor)
            following = None if following.cause is None else at(following.cause)
        told.append(_reason(here, link))
        link = "because"
        if following is None and isinstance(here.event, e.FileMoved):
            following, link = earlier(here.event.source, here.position), "before"
        here = following
    return told


def is_intent_of(intent: e.Event, outcome: e.Event) -> bool:
    """Whether one event is the plan of which the other is the outcome."""
    if isinstance(outcome, e.ModelDeleted):
        return isinstance(intent, e.MovePlanned)  # the last of those that it was done by
    return isinstance(intent, _INTENTS) and intent.op == getattr(outcome, "op", None)


def _reason(happening: Happening, link: Literal["first", "because", "before"]) -> Reason:
    return Reason(
        position=happening.position,
        recorded_at=happening.recorded_at,
        stream=happening.stream,
        type=type_name(type(happening.event)),
        actor=happening.actor,
        words=in_words(happening.event, happening.actor),
        link=link,
    )
