"""The chain of causes, in words."""

from typing import Any

import pytest
from hypothesis import given

from janfs.events import types as e
from janfs.events.types import EVENT_TYPES, type_name
from janfs.folder.filesystem import Stamp
from janfs.history.happening import Happening
from janfs.history.why import chain, explains_model, explains_path
from janfs.history.words import in_words, who
from tests.events import strategies

STAMP = Stamp(1, 1, 1)
LOOSE, HOME = "models/x.gguf", "models/x/x.gguf"


def log(*entries: tuple[e.Event, str, int | None]) -> list[Happening]:
    return [
        Happening(position, "u1", "2026-01-01T00:00:00.000000Z", actor, cause, event)
        for position, (event, actor, cause) in enumerate(entries, 1)
    ]


def told(happenings: list[Happening], last: int | None = None) -> list[tuple[str, int, str]]:
    def at(position: int) -> Happening | None:
        return happenings[position - 1]

    def earlier(path: str, before: int) -> Happening | None:
        of_path = [each for each in happenings[: before - 1] if explains_path(each.event, path)]
        return of_path[-1] if of_path else None

    reasons = chain(happenings[(last or len(happenings)) - 1], at, earlier)
    return [(reason.link, reason.position, reason.words) for reason in reasons]


DROPPED = (e.FileDropped(LOOSE, STAMP), "folder", None)
ORGANISED = log(
    DROPPED,
    (e.ModelRegistered("x", "models/x", LOOSE), "janfs", 1),
    (e.MovePlanned("op", LOOSE, HOME, "organise", STAMP), "janfs", 2),
    (e.MoveCompleted("op", LOOSE, HOME, "organise", STAMP), "janfs", 3),
)


def test_a_file_is_explained_back_to_when_it_was_dropped() -> None:
    assert told(ORGANISED) == [
        ("first", 4, f"janfs moved {LOOSE} to {HOME}"),
        ("because", 2, "the model x was registered, with the folder models/x"),
        ("because", 1, f"someone put the file {LOOSE} there"),
    ]


def test_a_deed_is_whose_who_had_it_planned() -> None:
    happenings = log(
        DROPPED,
        (e.MovePlanned("op", "models/x", ".janfs/trash/x", "delete"), "api:me", None),
        (e.MoveCompleted("op", "models/x", ".janfs/trash/x", "delete"), "janfs", 2),
        (e.ModelDeleted("x", ".janfs/trash/x"), "janfs", 2),
    )
    assert told(happenings, 3) == [
        ("first", 3, "a caller of the API (me) moved models/x to the trash, as .janfs/trash/x")
    ]
    assert told(happenings) == [
        ("first", 4, "a caller of the API (me) deleted the model x; its folder is .janfs/trash/x")
    ]


def test_a_file_that_someone_moved_is_explained_from_where_it_was() -> None:
    moved = (e.FileMoved(HOME, "models/y/x.gguf", STAMP), "folder", None)
    links = told([*ORGANISED, *[Happening(5, "u1", "", moved[1], None, moved[0])]])
    assert [(link, position) for link, position, _ in links] == [
        ("first", 5),
        ("before", 4),
        ("because", 2),
        ("because", 1),
    ]


def test_what_is_noticed_on_the_side_explains_nothing() -> None:
    hashed = e.FileHashed(HOME, STAMP, "0" * 64)
    started = e.ModelStarted("llama-cpp", "f" * 16, 1.0, 1)
    assert not explains_path(hashed, HOME)
    assert not explains_model(hashed)
    assert not explains_model(started)


@pytest.mark.parametrize(
    ("event", "explains"),
    [
        (e.FileDropped(HOME, STAMP), True),
        (e.FileDropped("models/x/x.gguf.txt", STAMP), False),
        (e.FileMoved(HOME, "models/y.gguf", STAMP), True),
        (e.MovePlanned("op", LOOSE, HOME, "organise"), False),
        (e.ModelSwapped("x", "models/x", "y", "models/y"), True),
        (e.MoveCompleted("op", "models/x", ".janfs/trash/x", "delete"), True),
        (e.MoveCompleted("op", "models/xy", ".janfs/trash/x", "delete"), False),
        (e.ModelRegistered("x", "models/x", None, (HOME,)), True),
        (e.ModelRegistered("x", "models/x"), False),
        (e.RootReturned(), False),
    ],
)
def test_whether_an_event_explains_a_path(event: e.Event, explains: bool) -> None:
    assert explains_path(event, HOME) == explains


@pytest.mark.parametrize("kind", EVENT_TYPES, ids=type_name)
def test_every_event_has_words(kind: type[e.Event]) -> None:
    @given(strategies.of(kind))
    def check(event: Any) -> None:
        words = in_words(event, "folder")
        assert words.strip(), "it says nothing"

    check()


def test_actors_are_named_for_people() -> None:
    assert who("folder") == "someone"
    assert who("janfs") == "janfs"
    assert who("cli") == "someone at the command line"
    assert who("api:key-1") == "a caller of the API (key-1)"
