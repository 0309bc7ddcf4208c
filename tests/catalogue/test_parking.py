"""What cannot be applied is left out and named, and everything else is as if it had never been there."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from janfs.catalogue import fold as module
from janfs.catalogue import parking, rows
from janfs.catalogue.catalogue import Catalogue
from janfs.catalogue.fold import Recorded, Unreadable, fold
from janfs.catalogue.parking import fold_what_applies
from janfs.events import types as e
from janfs.folder.filesystem import Stamp
from janfs.folder.gguf import GgufFacts
from janfs.organise.planner import next_step

FACTS = GgufFacts(header_sha256="0" * 64, data_end=10, architecture="llama")


def life(models: int) -> list[e.Event]:
    return [event for number in range(models) for event in born(number)]


def born(number: int) -> list[e.Event]:
    home = f"models/m{number}"
    return [
        e.FileDropped(f"{home}/m.gguf", Stamp(10, 1, number + 1), None, FACTS),
        e.ModelRegistered(f"m{number}", home),
        e.FileRefused(f"{home}/b.gguf", Stamp(1, 1, 900 + number), "gguf_invalid", "no magic"),
        e.ModelRenamed(f"n{number}", home, f"m{number}"),
    ]


def recorded(events: list[e.Event]) -> list[Recorded]:
    return [
        Recorded(number, f"uid-{(number - 1) // 4}", "2026-01-01T00:00:00.000000Z", event)
        for number, event in enumerate(events, 1)
    ]


def without(catalogue: Catalogue, uids: set[str]) -> dict[Any, str]:
    """The rows of a catalogue that are not of these streams."""
    return {
        key: value
        for key, value in rows.to_rows(catalogue)
        if not any(f'"uid":"{uid}"' in value for uid in uids)
    }


@given(bad=st.sets(st.integers(1, 16)), step=st.integers(1, 20))
def test_streams_without_a_bad_event_are_as_if_there_were_none(bad: set[int], step: int) -> None:
    whole = recorded(life(4))
    damaged = [
        Recorded(item.position, item.stream, item.recorded_at, Unreadable("t", "it does not fit"))
        if item.position in bad
        else item
        for item in whole
    ]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(parking, "STEP", step)
        found, touched = fold_what_applies(Catalogue(), damaged)
    hit = {f"uid-{(position - 1) // 4}" for position in bad}
    expected, _ = fold(Catalogue(), whole)
    assert without(found, hit) == without(expected, hit)
    assert found.position == 16
    assert set(found.parked.keys()) == hit
    assert sum(parked.count for parked in found.parked.values()) == len(bad)
    firsts = {min(position for position in bad if f"uid-{(position - 1) // 4}" == uid) for uid in hit}
    assert {parked.position for parked in found.parked.values()} == firsts
    assert {key for key, _ in rows.to_rows(found)} <= touched
    for uid in hit:
        model = found.models.get(uid)
        assert model is None or model.status == "invalid"
        assert model is None or f"Event {found.parked[uid].position} (t" in (model.reason or "")
        assert found.parked[uid].reason == "LogCorrupt: it does not fit"
        assert next_step(found, f"models/m{uid[-1]}") is None, "what is not known whole is not touched"
    stored = [(*key, value) for key, value in rows.to_rows(found)]
    assert rows.from_rows(stored, found.position) == found, "it must survive being stored"


def test_a_handler_that_fails_halfway_leaves_nothing_of_its_event(monkeypatch: pytest.MonkeyPatch) -> None:
    events = recorded(life(2))
    real: Callable[..., None] = module._HANDLERS[e.ModelRenamed]

    def fails_halfway(draft: Any, item: Recorded, event: e.ModelRenamed) -> None:
        real(draft, item, event)
        if item.stream == "uid-1":
            raise ZeroDivisionError("half done")

    monkeypatch.setattr(module, "_HANDLERS", {**module._HANDLERS, e.ModelRenamed: fails_halfway})
    found, _ = fold_what_applies(Catalogue(), events)
    assert set(found.ids.keys()) == {"n0", "m0", "m1"}, "half a renaming was kept"
    assert found.models["uid-1"].id == "m1"
    assert "ZeroDivisionError: half done" in (found.models["uid-1"].reason or "")
    with pytest.raises(ZeroDivisionError):
        fold(Catalogue(), events)


def test_an_assessment_that_fails_still_lets_the_model_be_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object) -> None:
        raise RecursionError("assess")

    monkeypatch.setattr(module, "assess", broken)
    found, _ = fold_what_applies(Catalogue(), recorded(life(1)))
    assert found.parked["uid-0"].count > 0
    assert found.position == 4
