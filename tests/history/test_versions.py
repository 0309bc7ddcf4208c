"""Versions of a model.json out of the events of its stream, and who set what in them."""

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from janfs.catalogue.catalogue import Catalogue
from janfs.catalogue.fold import Recorded, fold
from janfs.events import types as e
from janfs.events.types import EVENT_TYPES
from janfs.folder.filesystem import Stamp
from janfs.history.blame import blame
from janfs.history.happening import Happening
from janfs.history.versions import TEXTS, Version, in_force, last_change, on_disk, versions
from janfs.manifest.leaves import leaves, same
from janfs.manifest.schema import Manifest
from tests.history.texts import documents

PATH = "models/x/model.json"
STAMP = Stamp(1, 1, 1)


def digest(document: Any) -> str:
    return hashlib.sha256(json.dumps(document).encode()).hexdigest()


def happened(*events: e.Event, actor: str = "folder") -> list[Happening]:
    return [
        Happening(position, "u1", f"2026-01-01T00:00:{position:02}.000000Z", actor, None, event)
        for position, event in enumerate(events, 1)
    ]


def of(*events: e.Event) -> list[Version]:
    return versions(happened(*events), lambda path, before: None)


def edited(document: Any, path: str = PATH) -> e.JsonEdited:
    return e.JsonEdited(path, STAMP, digest(document), Manifest(extra={"is": document}))


@st.composite
def lives(draw: st.DrawFn) -> list[tuple[e.Event, Any]]:
    """Edits, mistakes and removals of one model.json, each with what is written."""
    told: list[tuple[e.Event, Any]] = []
    for document in draw(st.lists(documents, max_size=8)):
        kind = draw(st.sampled_from(["edited", "written", "rejected", "removed"]))
        event: e.Event = edited(document)
        if kind == "written":
            event = e.JsonWritten("op", PATH, STAMP, digest(document), Manifest(extra={"is": document}))
        elif kind == "rejected":
            event = e.JsonRejected(PATH, STAMP, digest(document), "It is wrong.", 1, 1)
        elif kind == "removed":
            event = e.JsonRemoved(PATH)
        told.append((event, document))
    return told


@given(lives())
def test_the_version_in_force_is_what_the_catalogue_says_at_every_position(
    life: list[tuple[e.Event, Any]],
) -> None:
    found = of(*(event for event, _ in life))
    catalogue = Catalogue()
    for item in happened(*(event for event, _ in life)):
        catalogue, _ = fold(catalogue, [Recorded(item.position, "u1", item.recorded_at, item.event)])
        file = catalogue.files.get(PATH)
        version = in_force(found, item.position)
        assert (None if version is None else version.sha256) == (None if file is None else file.document)


@given(lives())
def test_the_version_on_disk_is_what_was_seen_or_written_last(life: list[tuple[e.Event, Any]]) -> None:
    found = of(*(event for event, _ in life))
    for position, (event, document) in enumerate(life, 1):
        version = on_disk(found, position)
        there = None if isinstance(event, e.JsonRemoved) else digest(document)
        assert (None if version is None else version.sha256) == there


@given(lives())
def test_blame_agrees_with_a_search_for_each_leaf(life: list[tuple[e.Event, Any]]) -> None:
    readable = [
        (version, document)
        for version in of(*(event for event, _ in life))
        for event, document in [life[version.position - 1]]
        if version.sha256 is not None and version.problem is None
    ]
    found = {leaf.path: leaf for leaf in blame(readable)}
    assert found.keys() == (leaves(readable[-1][1]).keys() if readable else set())
    for path, leaf in found.items():
        # From the last version backwards for as long as the leaf has the same value.
        since = len(readable) - 1
        while since > 0 and path in leaves(readable[since - 1][1]):
            if not same(leaves(readable[since - 1][1])[path], leaf.value):
                break
            since -= 1
        assert leaf.position == readable[since][0].position


def test_what_we_wrote_has_the_actor_who_had_it_planned() -> None:
    planned = happened(e.WritePlanned("op", PATH, "0" * 64), actor="api:me")
    written = Happening(2, "u1", "", "janfs", 1, e.JsonWritten("op", PATH, STAMP, "0" * 64, Manifest()))
    (version,) = versions([*planned, written], lambda path, before: None)
    assert version.actor == "api:me"


def test_a_renamed_folder_takes_its_text_along() -> None:
    found = of(
        edited({"a": 1}), e.FileMoved(PATH, "models/y/model.json", STAMP), edited({}, "models/y/model.json")
    )
    assert [version.path for version in found] == [PATH, "models/y/model.json", "models/y/model.json"]
    assert found[0].sha256 == found[1].sha256


def test_a_folder_that_changed_names_with_another_takes_its_text_along() -> None:
    swapped = e.ModelSwapped("y", "models/y", "x", "models/x")
    found = of(edited({"a": 1}), swapped, e.JsonRemoved("models/y/model.json"))
    assert [version.path for version in found] == [PATH, "models/y/model.json", "models/y/model.json"]
    assert found[0].sha256 == found[1].sha256
    assert found[2].sha256 is None


def test_a_text_that_comes_from_another_model_is_looked_up() -> None:
    asked: list[tuple[str, int]] = []

    def foreign(path: str, before: int) -> str:
        asked.append((path, before))
        return "1" * 64

    (version,) = versions(happened(e.FileMoved("models/other/model.json", PATH, STAMP)), foreign)
    assert version.sha256 == "1" * 64
    assert asked == [("models/other/model.json", 1)]


def test_a_deleted_folder_has_no_version_any_more() -> None:
    gone = e.MoveCompleted("op", "models/x", ".janfs/trash/x", "delete")
    found = of(edited({}), gone)
    assert in_force(found, 1) is not None
    assert in_force(found, 2) is None


def test_a_file_that_is_none_leaves_the_last_good_one_in_force() -> None:
    found = of(edited({}), e.FileRefused(PATH, STAMP, "not_a_file", "It is no regular file."))
    version = in_force(found, 2)
    assert version is not None
    assert version.position == 1
    assert on_disk(found, 2) is None


def test_the_last_change_is_from_just_before_the_last_version() -> None:
    assert last_change(of(edited({}), e.FileRemoved("models/x/x.gguf"), edited({"a": 1}))) == (2, 3)
    assert last_change([]) == (0, 0)


@pytest.mark.parametrize("kind", [kind for kind in EVENT_TYPES if "manifest" in kind.__struct_fields__])
def test_every_event_that_brings_a_text_makes_a_version(kind: type[e.Event]) -> None:
    assert issubclass(kind, TEXTS), f"{kind.__name__} is unknown to janfs.history.versions"
