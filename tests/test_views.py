"""What is shown of models and events."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from janfs import listing
from janfs.catalogue.catalogue import Catalogue
from janfs.catalogue.entries import Model
from janfs.engines.protocol import EngineState
from janfs.events import types as e
from janfs.folder.filesystem import Stamp
from janfs.listing import ModelList
from janfs.log.records import Record
from janfs.manifest.schema import Manifest, SourceRef
from janfs.pipeline.snapshot import Arrival, Snapshot
from janfs.views import ModelView, event_view, find_view, model_view
from tests.fakes.snapshots import AT, STAMP, catalogue_of, model_events

STOPPED = EngineState(state="stopped")


def stopped(_: str) -> EngineState:
    return STOPPED


def listed(snapshot: Snapshot, models: ModelList | None = None, state: EngineState = STOPPED) -> list[Any]:
    body = msgspec.json.decode((models or ModelList()).encode(snapshot, lambda _: state))
    assert body["object"] == "list"
    entries: list[Any] = body["data"]
    return entries


def view_of(snapshot: Snapshot, name: str) -> ModelView:
    view = find_view(snapshot, name, stopped)
    assert view is not None, f"'{name}' is not shown"
    return view


def test_a_time_that_a_damaged_log_says_costs_nobody_the_list() -> None:
    known = catalogue_of(*model_events("tiny", Manifest()))
    [(uid, model)] = known.models.items()
    damaged = msgspec.structs.replace(model, registered_at=f"X{model.registered_at[1:]}")
    snapshot = Snapshot(msgspec.structs.replace(known, models=known.models.set(uid, damaged)))
    [entry] = listed(snapshot)
    assert (entry["id"], entry["created"]) == ("tiny", 0)


def test_a_model_has_openais_fields_and_the_specifications_defaults() -> None:
    [entry] = listed(Snapshot(catalogue_of(*model_events("tiny", Manifest()))))
    assert entry == {
        "id": "tiny",
        "object": "model",
        "created": 1767323045,
        "owned_by": "you",
        "name": "tiny",
        "version": "1",
        "description": None,
        "format": "gguf",
        "engine": "llama-cpp",
        "sources": [{"filename": "tiny.gguf", "url": "tiny.gguf"}],
        "engine_parameters": {},
        "model_parameters": {},
        "metadata": {},
        "assets": [],
        "status": "ready",
        "state": "stopped",
        "folder": "models/tiny",
        "size": 1000,
        "aliases": [],
    }


def test_a_model_shows_what_its_model_json_says() -> None:
    manifest = Manifest(
        name="Tiny One",
        owned_by="me",
        created=5,
        version="2",
        description="Small.",
        sources=(SourceRef("a", "b"),),
        engine_parameters={"ctx_len": 1},
        model_parameters={"stop": ["x"]},
        metadata={"tags": ["t"]},
        assets=("file:///x",),
    )
    view = view_of(Snapshot(catalogue_of(*model_events("tiny", manifest))), "tiny")
    assert (view.name, view.owned_by, view.created, view.version) == ("Tiny One", "me", 5, "2")
    assert (view.description, view.sources, view.assets) == ("Small.", manifest.sources, manifest.assets)
    assert view.engine_parameters == {"ctx_len": 1}
    assert view.model_parameters == {"stop": ["x"]}
    assert view.metadata == {"tags": ["t"]}


def test_a_model_json_that_cannot_be_read_shows_where_and_the_last_good_one_stays() -> None:
    broken = (
        "uid-tiny",
        e.JsonRejected("models/tiny/model.json", STAMP, "11" * 32, "A comma is missing.", 3, 7),
    )
    view = view_of(Snapshot(catalogue_of(*model_events("tiny", Manifest(name="Good")), broken)), "tiny")
    assert view.json_error is not None
    assert (view.json_error.line, view.json_error.column) == (3, 7)
    assert "A comma is missing." in view.json_error.reason
    assert (view.status, view.name) == ("ready", "Good")


def test_what_is_no_file_in_place_of_a_model_json_is_wrong_at_no_line() -> None:
    pipe = e.FileRefused(
        "models/tiny/model.json", Stamp(0, 0, 0), "not_a_file", "It is no regular file.", None
    )
    view = view_of(Snapshot(catalogue_of(*model_events("tiny", Manifest()), ("uid-tiny", pipe))), "tiny")
    assert msgspec.json.decode(msgspec.json.encode(view))["json_error"] == {
        "reason": "model.json: It is no regular file."
    }
    assert view.reason == "model.json: It is no regular file. The last good model.json stays in force."


def test_a_model_json_that_never_could_be_read_makes_the_model_invalid() -> None:
    broken = ("uid-tiny", e.JsonRejected("models/tiny/model.json", STAMP, "11" * 32, "Not an object."))
    view = view_of(Snapshot(catalogue_of(*model_events("tiny"), broken)), "tiny")
    assert (view.status, view.reason) == ("invalid", "model.json: Not an object.")


def test_a_model_is_found_under_its_aliases() -> None:
    renamed = ("uid-old", e.ModelRenamed("new", "models/new", "old"))
    view = view_of(Snapshot(catalogue_of(*model_events("old"), renamed)), "old")
    assert (view.id, view.aliases) == ("new", ("old",))


def test_the_engines_state_and_its_reason_are_shown() -> None:
    failed = EngineState(state="failed", reason="Out of memory.")
    [entry] = listed(Snapshot(catalogue_of(*model_events("tiny"))), state=failed)
    assert (entry["state"], entry["state_reason"]) == ("failed", "Out of memory.")


def test_a_file_on_its_way_is_listed_with_its_percentage() -> None:
    arrival = Arrival("models/Big.gguf", "1 of 4 bytes are here.", 25.0, 1)
    [entry] = listed(Snapshot(arrivals={arrival.path: arrival}))
    assert (entry["id"], entry["status"], entry["progress"]) == ("big", "arriving", 25.0)
    assert entry["reason"] == "1 of 4 bytes are here."


def test_a_model_whose_file_is_on_its_way_is_listed_once() -> None:
    gone = ("uid-tiny", e.FileRemoved("models/tiny/tiny.gguf"))
    arrival = Arrival("models/tiny/tiny.gguf", "Being written.", 50.0, 1)
    snapshot = Snapshot(catalogue_of(*model_events("tiny", Manifest()), gone), {arrival.path: arrival})
    [entry] = listed(snapshot)
    assert (entry["id"], entry["status"], entry["progress"]) == ("tiny", "arriving", 50.0)


def test_a_model_json_on_its_way_is_no_model_on_its_way() -> None:
    arrival = Arrival("models/tiny/model.json", "It cannot be read yet.", None, 1)
    [entry] = listed(Snapshot(catalogue_of(*model_events("tiny")), {arrival.path: arrival}))
    assert entry["status"] == "ready"


def test_a_refused_loose_file_is_listed_as_invalid_beside_the_others() -> None:
    refused = ("u", e.FileRefused("models/notes.gguf", STAMP, "gguf_invalid", "It is text."))
    entries = listed(Snapshot(catalogue_of(*model_events("tiny"), refused)))
    assert [(entry["id"], entry["status"]) for entry in entries] == [("tiny", "ready"), ("notes", "invalid")]
    assert entries[1]["reason"] == "notes.gguf: It is text."


def test_a_refused_file_that_is_written_anew_is_listed_once() -> None:
    refused = ("u", e.FileRefused("models/notes.gguf", STAMP, "gguf_invalid", "It is text."))
    arrival = Arrival("models/notes.gguf", "Being written.", None, 1)
    [entry] = listed(Snapshot(catalogue_of(refused), {arrival.path: arrival}))
    assert entry["status"] == "arriving"


def test_removed_models_are_not_listed() -> None:
    gone = ("uid-a", e.ModelRemoved("gone"))
    entries = listed(Snapshot(catalogue_of(*model_events("a"), *model_events("b"), gone)))
    assert [entry["id"] for entry in entries] == ["b"]


def test_a_list_that_is_kept_shows_every_change() -> None:
    models = ModelList()
    first = catalogue_of(*model_events("tiny", Manifest(name="One")))
    assert listed(Snapshot(first), models)[0]["name"] == "One"
    edited = e.JsonEdited("models/tiny/model.json", Stamp(9, 2, 8), "22" * 32, Manifest(name="Two"))
    second = catalogue_of(("uid-tiny", edited), base=first)
    assert listed(Snapshot(second), models)[0]["name"] == "Two"
    running = EngineState(state="running")
    assert listed(Snapshot(second), models, running)[0]["state"] == "running"
    arrival = Arrival("models/tiny/tiny.gguf", "", 1.0, 1)
    assert listed(Snapshot(second, {arrival.path: arrival}), models)[0]["status"] == "arriving"
    assert listed(Snapshot(second), models)[0]["status"] == "ready", "an entry of a moment was kept"


_steps = st.one_of(
    st.tuples(st.just("edit"), st.sampled_from("abc"), st.text(max_size=5)),
    st.tuples(st.just("remove"), st.sampled_from("abc"), st.just("")),
    st.tuples(st.just("refuse"), st.sampled_from("abc"), st.text(max_size=5)),
    st.tuples(st.just("restore"), st.sampled_from("abc"), st.just("")),
    st.tuples(st.just("fail"), st.sampled_from("abc"), st.text(max_size=5)),
)


@given(st.lists(_steps, max_size=12))
def test_a_list_that_is_kept_equals_one_made_anew(steps: list[tuple[str, str, str]]) -> None:
    kept = ModelList()
    states: dict[str, EngineState] = {}
    catalogue = catalogue_of(*(event for name in "abc" for event in model_events(name)))
    for kind, name, text in steps:
        folder = f"models/{name}"
        happened: dict[str, e.Event] = {
            "edit": e.JsonEdited(f"{folder}/model.json", STAMP, "00" * 32, Manifest(name=text)),
            "remove": e.ModelRemoved("gone"),
            "refuse": e.FileRefused(f"{folder}/{name}.gguf", STAMP, "bad", text),
            "restore": e.ModelRestored(name, folder),
        }
        if kind == "fail":
            states[f"uid-{name}"] = EngineState(state="failed", reason=text)
        else:
            catalogue = catalogue_of((f"uid-{name}", happened[kind]), base=catalogue)

        def state_of(uid: str) -> EngineState:
            return states.get(uid, STOPPED)

        live = kept.encode(Snapshot(catalogue), state_of)
        assert live == ModelList().encode(Snapshot(catalogue), state_of), f"differs after {kind} of {name}"


def test_of_a_list_that_is_kept_only_what_changed_is_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []

    def noted(catalogue: Catalogue, model: Model, *rest: Any, **more: Any) -> ModelView:
        made.append(model.id)
        return model_view(catalogue, model, *rest, **more)

    monkeypatch.setattr(listing, "model_view", noted)
    many = catalogue_of(*(event for number in range(50) for event in model_events(f"m{number}")))
    models = ModelList()
    models.encode(Snapshot(many), stopped)
    assert len(made) == 50
    made.clear()
    models.encode(Snapshot(many, caught_up=True), stopped)
    assert made == [], "nothing had changed"
    edited = e.JsonEdited("models/m7/model.json", STAMP, "22" * 32, Manifest(name="Two"))
    models.encode(Snapshot(catalogue_of(("uid-m7", edited), base=many)), stopped)
    assert made == ["m7"]


def test_an_event_shows_its_data_as_it_was_recorded() -> None:
    record = Record(3, "uid", 2, "file-removed", 1, AT, "folder", 1, 1, '{"path":"models/x"}')
    assert msgspec.json.decode(msgspec.json.encode(event_view(record))) == {
        "position": 3,
        "type": "file-removed",
        "recorded_at": AT,
        "stream": "uid",
        "actor": "folder",
        "cause": 1,
        "correlation": 1,
        "data": {"path": "models/x"},
    }
