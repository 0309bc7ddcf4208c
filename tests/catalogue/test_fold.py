"""The fold: the same events give the same catalogue, however they are taken."""

from hypothesis import given, settings
from hypothesis import strategies as st

from janfs.catalogue.catalogue import Catalogue, Key, files_in, find_model, uid_at
from janfs.catalogue.entries import Plan, Problem, Root
from janfs.catalogue.fold import _HANDLERS, Recorded, Unreadable, fold
from janfs.catalogue.rows import changed_rows, to_rows
from janfs.events import types as e
from janfs.manifest.schema import Manifest
from tests.catalogue.strategies import STAMPS, facts, histories, recorded

ONE, OTHER, _ = STAMPS


def folded(*said: tuple[str, e.Event]) -> Catalogue:
    return fold(Catalogue(), recorded(list(said)))[0]


REGISTERED = ("u1", e.ModelRegistered("a", "models/a"))
DROPPED = ("u1", e.FileDropped("models/a/x.gguf", ONE, facts=facts()))


def test_every_event_is_understood() -> None:
    assert set(_HANDLERS) - {Unreadable} == set(e.EVENT_TYPES)


def test_a_file_that_goes_over_to_another_stream_is_missed_where_it_was() -> None:
    other = ("u2", e.FileDropped("models/a/x.gguf", OTHER, facts=facts()))
    at_once = folded(DROPPED, REGISTERED, other)
    assert at_once.models["u1"].binary is None
    assert at_once.models["u1"].status == "missing"


def test_what_kept_a_model_from_its_model_json_is_past_when_it_comes_back() -> None:
    failed = ("u1", e.WriteFailed("op", "models/a/model.json", "No such file."))
    gone = ("u1", e.ModelRemoved("Nothing is left in its folder."))
    back = ("u1", e.ModelRestored("a", "models/a"))
    assert folded(DROPPED, REGISTERED, failed).models["u1"].stuck is not None
    assert folded(DROPPED, REGISTERED, failed, gone, back).models["u1"].stuck is None


def test_what_is_past_for_a_moment_only_is_past_however_the_events_are_taken() -> None:
    failed = ("u1", e.WriteFailed("op", "models/a/model.json", "Someone else wrote it meanwhile."))
    there = ("u1", e.FileRefused("models/a/model.json", OTHER, "unreadable", "Permission denied."))
    unclear = ("u1", e.FileDropped("models/a/y.gguf", ONE, facts=facts()))
    history = recorded([DROPPED, REGISTERED, failed, there, unclear])
    one_by_one = Catalogue()
    for item in history:
        one_by_one, _ = fold(one_by_one, [item])
    assert one_by_one.models["u1"].stuck is None, "there is a model.json now"
    assert fold(Catalogue(), history)[0] == one_by_one


# Properties of any history, however senseless.


@settings(max_examples=100, deadline=None)
@given(histories, st.data())
def test_a_history_may_be_taken_in_any_portions(history: list[Recorded], data: st.DataObject) -> None:
    whole, touched = fold(Catalogue(), history)
    cut = data.draw(st.integers(0, len(history)))
    part, first = fold(Catalogue(), history[:cut])
    rest, second = fold(part, history[cut:])
    assert rest == whole
    assert first | second == touched
    assert fold(Catalogue(), history[:cut])[0] == part, "the part was changed by going on from it"


@settings(max_examples=100, deadline=None)
@given(histories)
def test_the_rows_touched_are_exactly_the_rows_that_changed(history: list[Recorded]) -> None:
    catalogue = Catalogue()
    rows: dict[Key, str] = {}
    for item in history:
        catalogue, touched = fold(catalogue, [item])
        after = dict(to_rows(catalogue))
        differing = {key for key in rows.keys() | after.keys() if rows.get(key) != after.get(key)}
        assert touched == differing, item.event
        assert changed_rows(catalogue, touched) == {key: after.get(key) for key in differing}
        rows = after
        assert catalogue.position == item.position


@settings(max_examples=100, deadline=None)
@given(histories)
def test_what_is_derived_is_what_can_be_found_by_looking_at_everything(history: list[Recorded]) -> None:
    catalogue, _ = fold(Catalogue(), history)
    children: dict[str, set[str]] = {}
    for path in catalogue.files:
        children.setdefault(path.rpartition("/")[0], set()).add(path)
    assert {folder: set(names) for folder, names in catalogue.children.items()} == children
    present = [model for model in catalogue.models.values() if model.removed is None]
    removed = [model for model in catalogue.models.values() if model.removed is not None]
    assert set(catalogue.folders) == {model.folder for model in present}
    assert set(catalogue.graves) == {model.folder for model in removed}
    assert set(catalogue.ids) == {name for model in present for name in (model.id, *model.aliases)}
    for folder, uid in catalogue.folders.items():
        assert (catalogue.models[uid].folder, catalogue.models[uid].removed) == (folder, None)
    for folder, uid in catalogue.graves.items():
        dead = catalogue.models[uid]
        assert dead.removed == max(model.removed or "" for model in removed if model.folder == folder)
    for name, uid in catalogue.ids.items():
        model = catalogue.models[uid]
        assert name == model.id or all(name != other.id for other in present), "an alias beat an id"
        assert find_model(catalogue, name) is model
    for uid, model in catalogue.models.items():
        assert model.uid == uid
        assert model.loose is None or model.loose in catalogue.files or model.removed is not None


@settings(max_examples=100, deadline=None)
@given(histories)
def test_the_files_are_those_that_came_and_did_not_go(history: list[Recorded]) -> None:
    """An oracle that knows paths and streams only."""
    files: dict[str, str] = {}
    known: set[str] = set()
    for item in history:
        match item.event:
            case (
                e.FileDropped(path=path)
                | e.FileChanged(path=path)
                | e.FileRefused(path=path)
                | e.JsonEdited(path=path)
                | e.JsonWritten(path=path)
                | e.JsonReverted(path=path)
                | e.JsonRejected(path=path)
            ):
                files[path] = item.stream
            case e.FileRemoved(path=path) | e.JsonRemoved(path=path):
                files.pop(path, None)
            case e.MoveCompleted(reason="delete", source=folder):
                for path in [path for path in files if folder in (path, path.rpartition("/")[0])]:
                    del files[path]
            case e.MoveCompleted(stamp=None):
                pass
            case e.CopyCompleted(target=target):
                files[target] = item.stream
            case e.PartPaired(path=path) if path in files:
                files[path] = item.stream
            case e.ModelRegistered(files=taken) | e.ModelRestored(files=taken):
                if isinstance(item.event, e.ModelRegistered) or item.stream in known:
                    known.add(item.stream)
                    files.update({path: item.stream for path in taken if path in files})
            case e.FileMoved(source=source, target=target) | e.MoveCompleted(source=source, target=target):
                if files.pop(source, None) is not None:
                    files[target] = item.stream
            case _:
                pass
    catalogue, _ = fold(Catalogue(), history)
    known_files = [*catalogue.files.values(), *catalogue.engine_files.values()]
    assert {file.path: file.uid for file in known_files} == files
    assert all(path.startswith("engines/") for path in catalogue.engine_files)


# What single events mean.


def test_a_dropped_file_makes_its_model_ready() -> None:
    catalogue = folded(REGISTERED, DROPPED)
    model = catalogue.models["u1"]
    assert (model.status, model.binary, model.position) == ("ready", "models/a/x.gguf", 2)
    assert model.registered_at == "2026-01-01T00:00:01.000000Z"


def test_a_loose_file_counts_until_it_is_moved_in() -> None:
    loose = ("u1", e.FileDropped("models/x.gguf", ONE, facts=facts()))
    before = folded(loose, ("u1", e.ModelRegistered("a", "models/a", "models/x.gguf")))
    assert (before.models["u1"].binary, before.models["u1"].loose) == ("models/x.gguf", "models/x.gguf")
    after, _ = fold(
        before,
        recorded(
            [
                ("u1", e.MovePlanned("op1", "models/x.gguf", "models/a/x.gguf", "organise", ONE)),
                ("u1", e.MoveCompleted("op1", "models/x.gguf", "models/a/x.gguf", "organise", OTHER)),
            ],
            start=3,
        ),
    )
    assert (after.models["u1"].binary, after.models["u1"].loose) == ("models/a/x.gguf", None)
    assert after.files["models/a/x.gguf"].stamp == OTHER
    assert (len(after.files), len(after.plans)) == (1, 0)


def test_a_broken_file_that_could_not_move_in_says_why_and_keeps_nothing_waiting() -> None:
    broken = ("u1", e.FileRefused("models/b/y.gguf", OTHER, "gguf_truncated", "It ends."))
    failed = ("u1", e.MoveFailed("op", "models/b/y.gguf", "models/a/y.gguf", "organise", "It exists."))
    model = folded(DROPPED, REGISTERED, broken, failed).models["u1"]
    assert (model.status, model.reason, model.loose) == ("ready", "It exists.", None)


def test_a_failed_move_says_why_on_the_model() -> None:
    loose = ("u1", e.FileDropped("models/x.gguf", ONE, facts=facts()))
    failed = e.MoveFailed("op1", "models/x.gguf", "models/a/x.gguf", "organise", "The disk is full.")
    catalogue = folded(loose, ("u1", e.ModelRegistered("a", "models/a", "models/x.gguf")), ("u1", failed))
    assert catalogue.models["u1"].reason == "The disk is full."
    assert catalogue.files["models/x.gguf"].stuck == "The disk is full."


def test_a_plan_stands_until_it_has_an_outcome() -> None:
    wanted = e.WritePlanned("op1", "models/a/model.json", "ab")
    planned = ("u1", wanted)
    catalogue = folded(REGISTERED, planned)
    assert catalogue.plans["op1"] == Plan(
        op="op1", uid="u1", position=2, target="models/a/model.json", reason="write", write=wanted
    )
    failed = folded(REGISTERED, DROPPED, planned, ("u1", e.WriteFailed("op1", "x", "The disk is full.")))
    assert not failed.plans
    assert failed.models["u1"].stuck == failed.models["u1"].reason == "The disk is full."
    written = e.JsonWritten("op2", "models/a/model.json", ONE, "ab", Manifest())
    healed, _ = fold(failed, recorded([("u1", written)], start=5))
    assert (healed.models["u1"].stuck, healed.models["u1"].reason) == (None, None)


def test_a_rejected_edit_keeps_the_last_good_one_in_force() -> None:
    path = "models/a/model.json"
    good = ("u1", e.JsonEdited(path, ONE, "ab", Manifest(name="Good")))
    catalogue = folded(REGISTERED, DROPPED, good, ("u1", e.JsonRejected(path, OTHER, "cd", "A comma.", 3, 4)))
    file = catalogue.files[path]
    assert file.manifest == Manifest(name="Good")
    assert file.refused == Problem("json_invalid", "model.json, line 3, column 4: A comma.", 3, 4)
    assert (file.document, file.stamp) == ("ab", OTHER)
    assert catalogue.models["u1"].status == "ready"
    mended, _ = fold(catalogue, recorded([("u1", e.JsonEdited(path, ONE, "ef", Manifest()))], start=5))
    assert mended.files[path].refused is None


def test_an_edit_remembers_what_was_generated_and_what_was_the_person_s_already() -> None:
    path = "models/a/model.json"
    written = ("u1", e.JsonWritten("op1", path, ONE, "ab", Manifest(), "ef", "from", ("/name",)))
    edited = ("u1", e.JsonEdited(path, OTHER, "cd", Manifest(), owned=("/engine",)))
    file = folded(REGISTERED, written, edited).files[path]
    assert (file.base, file.document, file.made_from) == ("ef", "cd", "from")
    assert file.owned == ("/engine", "/name")


def test_what_was_written_before_people_s_words_were_remembered_was_generated_as_it_is() -> None:
    path = "models/a/model.json"
    file = folded(REGISTERED, ("u1", e.JsonWritten("op1", path, ONE, "ab", Manifest()))).files[path]
    assert (file.base, file.owned) == ("ab", ())


def test_a_file_that_was_never_generated_is_the_person_s_own_and_stays_so_when_it_is_edited_through_us() -> (
    None
):
    path = "models/a/model.json"
    own = folded(REGISTERED, ("u1", e.JsonEdited(path, ONE, "ab", Manifest())))
    assert own.files[path].base is None
    edited, _ = fold(own, recorded([("u1", e.JsonWritten("op1", path, ONE, "cd", Manifest(), ""))], start=3))
    assert edited.files[path].base is None


def test_a_kept_file_has_another_base_and_no_other_content() -> None:
    path = "models/a/model.json"
    written = ("u1", e.JsonWritten("op1", path, ONE, "ab", Manifest(name="N")))
    kept = ("u1", e.JsonKept(path, "ef", "from", ("/name",)))
    file = folded(REGISTERED, written, kept).files[path]
    assert (file.document, file.manifest) == ("ab", Manifest(name="N"))
    assert (file.base, file.made_from, file.owned) == ("ef", "from", ("/name",))


def test_a_model_json_that_could_not_be_brought_up_to_date_says_why_and_is_served() -> None:
    path = "models/a/model.json"
    written = ("u1", e.JsonWritten("op1", path, ONE, "ab", Manifest()))
    failed = ("u1", e.WriteFailed("op2", path, "It is read-only."))
    catalogue = folded(REGISTERED, DROPPED, written, failed)
    assert catalogue.files[path].stuck == "It is read-only."
    model = catalogue.models["u1"]
    assert (model.status, model.reason, model.stuck) == ("ready", "It is read-only.", None)


def test_a_file_name_that_janfs_wrote_and_that_is_gone_says_nothing() -> None:
    path = "models/a/model.json"
    named = Manifest(engine_parameters={"llama_model_path": "gone.gguf"})
    ours = ("u1", e.JsonWritten("op1", path, ONE, "ab", named, "ab", "from"))
    assert folded(REGISTERED, DROPPED, ours).models["u1"].status == "ready"
    theirs = ("u1", e.JsonEdited(path, ONE, "ab", named, owned=("/engine_parameters/llama_model_path",)))
    assert folded(REGISTERED, DROPPED, ours, theirs).models["u1"].status == "missing"
    assert (
        folded(REGISTERED, DROPPED, ("u1", e.JsonEdited(path, ONE, "ab", named))).models["u1"].status
        == "missing"
    )


def test_a_renamed_model_keeps_its_old_names() -> None:
    catalogue = folded(
        REGISTERED,
        ("u1", e.ModelRenamed("b", "models/b", "a")),
        ("u1", e.ModelRenamed("c", "models/c", "b")),
        ("u1", e.ModelRenamed("a", "models/a", "c")),
    )
    model = catalogue.models["u1"]
    assert (model.id, model.folder, model.aliases) == ("a", "models/a", ("b", "c"))
    assert {name: find_model(catalogue, name) for name in "abc"} == dict.fromkeys("abc", model)
    assert dict(catalogue.folders) == {"models/a": "u1"}


def test_a_name_that_its_owner_gave_up_goes_to_whoever_had_it_before() -> None:
    """u1 was called `a` once; u2 is called so now, and goes."""
    catalogue = folded(
        REGISTERED, ("u1", e.ModelRenamed("b", "models/b", "a")), ("u2", e.ModelRegistered("a", "models/a"))
    )
    assert catalogue.ids["a"] == "u2", "an id goes before an alias"
    after, _ = fold(catalogue, recorded([("u2", e.ModelRemoved("gone"))], start=4))
    assert after.ids["a"] == "u1"


def test_a_removed_model_is_remembered_where_it_was_and_comes_back() -> None:
    removed = folded(REGISTERED, ("u1", e.ModelRemoved("Nothing is left.")))
    assert find_model(removed, "a") is None
    assert uid_at(removed, "models/a") == "u1"
    restored, _ = fold(removed, recorded([("u1", e.ModelRestored("b", "models/b"))], start=3))
    assert (restored.models["u1"].removed, restored.models["u1"].folder) == (None, "models/b")
    assert uid_at(restored, "models/a") is None, "it lives elsewhere now"
    assert uid_at(restored, "models/b") == "u1"


def test_a_deleted_model_takes_its_files_along() -> None:
    catalogue = folded(
        REGISTERED,
        DROPPED,
        ("u2", e.FileDropped("models/b/x.gguf", OTHER)),
        ("u1", e.MovePlanned("op1", "models/a", ".janfs/trash/1", "delete")),
        ("u1", e.MoveCompleted("op1", "models/a", ".janfs/trash/1", "delete")),
        ("u1", e.ModelDeleted("a", ".janfs/trash/1")),
    )
    assert set(catalogue.files) == {"models/b/x.gguf"}
    model = catalogue.models["u1"]
    assert (model.trash, model.removed) == (".janfs/trash/1", "2026-01-01T00:00:06.000000Z")
    assert files_in(catalogue, "models/a") == []


def test_the_root_comes_and_goes() -> None:
    gone = folded(("root", e.RootUnavailable("not mounted")))
    assert gone.root == Root(available=False, reason="not mounted", position=1)
    back, touched = fold(gone, recorded([("root", e.RootReturned())], start=2))
    assert back.root == Root(position=2)
    assert touched == {("root", "")}
