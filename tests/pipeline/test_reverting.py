"""Bringing a model.json back to what it was, and a deleted model out of the trash."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from janfs.errors import CannotRevert, EventDamaged, FolderError, ModelNotFound, NotFound
from janfs.manifest.jsonc import MAX_SIZE
from janfs.past import reasons, reverts, texts
from janfs.past.moments import AsOf
from janfs.pipeline.commands import Revert, Submitted
from tests.folder import gguf_bytes as make
from tests.log.kit import by_hand
from tests.pipeline.world import World, gguf

MANIFEST = "models/x/model.json"


@pytest.fixture
def tended(world: World) -> World:
    """A root with the model x, organised."""
    world.fs.put("models/x.gguf", gguf("x"))
    world.come_to_rest()
    return world


def edit(world: World, text: str | bytes) -> int:
    """Someone writes the file; the position after it."""
    world.fs.put(MANIFEST, text.encode() if isinstance(text, str) else text)
    world.come_to_rest()
    return world.catalogue.position


def revert(world: World, to: int, model_id: str = "x") -> None:
    submitted = Submitted(Revert(model_id, to, "api:me"))
    world.pipeline.tick([], [submitted])
    submitted.done.result(0)


COMMENTED = (
    '{\r\n  // mine\r\n  "name": "First", /* and so on */ "engine_parameters": {"ctx_len": 512,},\r\n}'
)


def test_the_text_of_then_is_back_to_the_byte_comments_included(tended: World) -> None:
    then = edit(tended, COMMENTED)
    edit(tended, '{"name": "Second"}')
    revert(tended, then)
    assert tended.fs.read(MANIFEST) == COMMENTED.encode()
    last = tended.records()[-1]
    assert (last.type, last.actor) == ("json-reverted", "api:me")
    manifest = tended.file(MANIFEST).manifest
    assert manifest is not None
    assert manifest.name == "First"


def test_what_was_reverted_is_in_the_log_and_can_be_brought_back(tended: World) -> None:
    first = tended.catalogue.position
    edit(tended, '{"name": "Second"}')
    tended.fs.put(MANIFEST, b'{"name": "Third, not seen yet"}')
    revert(tended, first)
    third = next(
        each for each in texts.versions_of(tended.log, tended.model("x").uid) if "edited" in each.type
    )
    revert(tended, tended.catalogue.position - 2)
    assert tended.fs.read(MANIFEST) == b'{"name": "Third, not seen yet"}', third


def test_a_text_that_is_damaged_in_the_log_is_not_brought_back(tended: World, tmp_path: Path) -> None:
    then = edit(tended, '{"name": "First"}')
    edit(tended, '{"name": "Second"}')
    change = "UPDATE documents SET content = CAST(replace(CAST(content AS TEXT), 'First', 'Fjrst') AS BLOB)"
    by_hand(tmp_path / "log.db", change, guarded=False)
    with pytest.raises(NotFound, match="does not have the text"):
        revert(tended, then)
    assert tended.fs.read(MANIFEST) == b'{"name": "Second"}'


def test_a_revert_to_what_is_there_does_nothing(tended: World) -> None:
    before = tended.catalogue.position
    revert(tended, before)
    assert tended.catalogue.position == before


def test_a_file_that_cannot_be_read_is_replaced_by_the_last_good_one(tended: World) -> None:
    good = tended.fs.read(MANIFEST)
    edit(tended, '{"name": ')
    revert(tended, tended.catalogue.position)
    assert tended.fs.read(MANIFEST) == good
    assert tended.file(MANIFEST).refused is None


def test_a_file_that_is_too_large_to_be_read_stays_until_it_is_moved_away(tended: World) -> None:
    then = edit(tended, COMMENTED)
    edit(tended, bytes(MAX_SIZE + 1))
    with pytest.raises(FolderError, match=r"1,048,576 are allowed\. Move it away first"):
        revert(tended, then)
    assert tended.fs.read(MANIFEST) == bytes(MAX_SIZE + 1)
    tended.fs.rename_over(MANIFEST, "/home/user/large")
    tended.come_to_rest()
    revert(tended, then)
    assert tended.fs.read(MANIFEST) == COMMENTED.encode()


def test_what_is_no_file_stays_and_is_called_what_it_is(tended: World) -> None:
    then = tended.catalogue.position
    tended.fs.remove(MANIFEST)
    tended.fs.fifo(MANIFEST)
    with pytest.raises(FolderError, match="is no regular file, and is left as it is"):
        revert(tended, then)


def test_what_was_reverted_is_the_persons_and_is_not_generated_over(tended: World) -> None:
    then = tended.catalogue.position
    old = json.loads(tended.fs.read(MANIFEST))
    tended.fs.put("models/x/x.gguf", gguf("y", llama__context_length=make.uint32(4096)))
    tended.come_to_rest()
    generated = json.loads(tended.fs.read(MANIFEST))
    assert generated != old, "nothing was generated anew, so that this proves nothing"
    revert(tended, then)
    assert json.loads(tended.fs.read(MANIFEST)) == old
    tended.come_to_rest()
    tended.fs.put("models/x/x.gguf", gguf("z", llama__context_length=make.uint32(1024)))
    tended.come_to_rest()
    after = json.loads(tended.fs.read(MANIFEST))
    kept = {key for key in old if old[key] != generated.get(key) and not isinstance(old[key], dict)}
    assert kept
    assert {key: after[key] for key in kept} == {key: old[key] for key in kept}
    assert "ctx_len" not in after["engine_parameters"], "it was not there in the text of then"


def test_a_deleted_model_comes_back_as_itself(tended: World) -> None:
    edited = edit(tended, COMMENTED)
    uid = tended.model("x").uid
    tended.delete("x").done.result(0)
    assert MANIFEST not in tended.fs.files()
    revert(tended, edited)
    tended.come_to_rest()
    model = tended.model("x")
    assert (model.uid, model.folder, model.status) == (uid, "models/x", "ready")
    assert tended.fs.read(MANIFEST) == COMMENTED.encode()
    assert tended.fs.read("models/x/x.gguf") == gguf("x")
    assert "model-restored" in tended.events(edited)


def test_a_moment_after_the_deletion_is_answered_with_the_last_one_before(tended: World) -> None:
    last = tended.file(MANIFEST).position
    tended.delete("x").done.result(0)
    with pytest.raises(CannotRevert, match=f"Its last one before was of #{last}") as refused:
        revert(tended, tended.catalogue.position)
    assert (
        f"It was put into the trash: `janfs revert x --to {last}` brings it back, unless that"
        in refused.value.detail
    )
    revert(tended, last)
    assert tended.model("x").status == "ready"


def test_a_moment_before_the_first_text_of_a_deleted_model_is_answered_with_a_way_back(tended: World) -> None:
    edit(tended, COMMENTED)
    last = tended.file(MANIFEST).position
    tended.delete("x").done.result(0)
    with pytest.raises(CannotRevert, match=f"`janfs revert x --to {last}` brings it back"):
        revert(tended, 1)


def test_the_way_back_is_that_of_the_deleted_model_where_another_has_its_id_now(tended: World) -> None:
    uid, last = tended.model("x").uid, tended.file(MANIFEST).position
    tended.delete("x").done.result(0)
    tended.fs.put("models/x.gguf", gguf("another"))
    tended.come_to_rest()
    with pytest.raises(CannotRevert, match=f"`janfs revert {uid} --to {last}` brings it back"):
        revert(tended, tended.catalogue.position, uid)
    revert(tended, last, uid)
    assert tended.model("x-2").uid == uid


def test_a_model_that_is_there_is_not_said_to_lie_in_the_trash(tended: World) -> None:
    with pytest.raises(CannotRevert) as refused:
        revert(tended, 1)
    assert "trash" not in refused.value.detail


def test_a_deleted_model_gets_the_text_of_the_moment_that_is_asked_for(tended: World) -> None:
    first, text = tended.catalogue.position, tended.fs.read(MANIFEST)
    edit(tended, COMMENTED)
    tended.delete("x").done.result(0)
    revert(tended, first)
    tended.come_to_rest()
    assert tended.fs.read(MANIFEST) == text
    assert tended.model("x").status == "ready"


def test_a_deleted_model_whose_place_is_taken_gets_another(tended: World) -> None:
    then = tended.catalogue.position
    uid = tended.model("x").uid
    tended.delete("x").done.result(0)
    tended.fs.put("models/y/other.gguf", gguf("other"))
    tended.come_to_rest()
    tended.fs.rename_over("models/y", "models/x")
    tended.come_to_rest()
    assert tended.model("x").uid != uid
    revert(tended, then, uid)
    tended.come_to_rest()
    assert tended.catalogue.models[uid].id == "x-2"
    assert tended.fs.read("models/x-2/x.gguf") == gguf("x")
    assert tended.fs.read("models/x/other.gguf") == gguf("other")


@pytest.mark.parametrize("there", ["folder", "link", "other spelling"])
def test_a_deleted_model_gets_another_folder_where_something_lies_that_is_no_model(
    tended: World, there: str
) -> None:
    then, uid = tended.catalogue.position, tended.model("x").uid
    tended.delete("x").done.result(0)
    if there == "link":
        tended.fs.mkdir("/home/user/mine")
        tended.fs.symlink("models/x", "/home/user/mine")
    else:
        tended.fs.mkdir("models/x")
        tended.fs.mkdir("models/x-2" if there == "folder" else "models/X-2")
    revert(tended, then)
    tended.come_to_rest()
    free = "x-2" if there == "link" else "x-3"
    assert (tended.model(free).uid, tended.model(free).status) == (uid, "ready")
    assert tended.fs.read(f"models/{free}/x.gguf") == gguf("x")


def test_what_is_not_possible_is_said_with_what_is(tended: World) -> None:
    then = tended.catalogue.position
    with pytest.raises(CannotRevert, match=r"no model\.json at #0"):
        revert(tended, 0)
    with pytest.raises(ModelNotFound):
        revert(tended, then, "nope")
    tended.fs.remove_tree("models/x")
    tended.come_to_rest()
    with pytest.raises(CannotRevert, match=r"Put its \.gguf back into models/x") as refused:
        revert(tended, then)
    assert f"janfs show x --at {then}" in refused.value.detail


def test_an_engines_file_is_not_reverted(tended: World) -> None:
    tended.fs.put("engines/llama-cpp.json", b'{"ngl": 0}')
    tended.come_to_rest()
    with pytest.raises(CannotRevert, match="an engine's file"):
        revert(tended, tended.catalogue.position, "engine-llama-cpp")
    told = reasons.why(tended.log, tended.pipeline.snapshot, "engine-llama-cpp")
    assert [reason.type for reason in told.reasons] == ["json-edited"]


def test_an_emptied_trash_is_said_to_be_empty(tended: World) -> None:
    then = tended.catalogue.position
    tended.delete("x").done.result(0)
    trash = next(model.trash for model in tended.catalogue.models.values())
    assert trash is not None
    tended.fs.remove_tree(trash)
    with pytest.raises(CannotRevert, match="no longer in the trash"):
        revert(tended, then)


def test_a_read_only_folder_is_told_and_the_text_stays(tended: World) -> None:
    then = tended.catalogue.position
    edit(tended, COMMENTED)
    tended.fs.read_only = True
    with pytest.raises(FolderError, match="read-only"):
        revert(tended, then)
    assert tended.fs.read(MANIFEST) == COMMENTED.encode()


def test_a_dry_run_says_what_would_change_and_changes_nothing(tended: World) -> None:
    then = edit(tended, '{"name": "First"}')
    edit(tended, '{"name": "Second", "assets": []}')
    before = tended.catalogue.position
    found = reverts.preview(tended.log, tended.catalogue, "x", then)
    assert [(change.path, change.kind) for change in found.changes] == [
        (("name",), "changed"),
        (("assets",), "removed"),
    ]
    assert '+{"name": "First"}' in found.text
    assert tended.catalogue.position == before


texts_written = st.lists(
    st.tuples(
        st.sampled_from(["edit", "break", "revert"]),
        st.sampled_from(['{"name": "%s"}', '{\n // c\n "name": "%s",\n}', '{"assets": ["%s"]}']),
        st.integers(0, 40),
    ),
    max_size=6,
)


@settings(max_examples=25, deadline=None)
@given(texts_written)
def test_a_revert_to_any_position_gives_the_text_of_that_position(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, str, int]]
) -> None:
    world = World(tmp_path_factory.mktemp("world") / "log.db")
    world.fs.put("models/x.gguf", gguf("x"))
    world.come_to_rest()
    for number, (kind, text, position) in enumerate(steps):
        if kind == "revert":
            to = min(position, world.catalogue.position)
            file = AsOf(world.log).at(to).files.get(MANIFEST)
            if file is None or file.document is None:
                with pytest.raises(CannotRevert):
                    revert(world, to)
                continue
            revert(world, to)
            assert world.fs.read(MANIFEST) == world.log.document(file.document)
        else:
            edit(world, (text % number) if kind == "edit" else text % number + "]")
    world.stop()


def test_what_a_damaged_event_keeps_from_being_brought_back_is_said_and_all_else_is_done(
    tended: World, tmp_path: Path
) -> None:
    then = edit(tended, COMMENTED)
    edit(tended, '{"name": "Second"}')
    tended.fs.put("models/y.gguf", gguf("y"))
    tended.come_to_rest()
    damage = "UPDATE events SET data = CAST(data || x'ff' AS TEXT) WHERE position = "
    by_hand(tmp_path / "log.db", f"{damage}{then}", guarded=False)
    asked = [Submitted(Revert(name, tended.catalogue.position, "api:me")) for name in "xy"]
    tended.pipeline.tick([], asked)
    with pytest.raises(EventDamaged, match=rf"^Event {then} of the log \(json-edited\) is damaged"):
        asked[0].done.result(0)
    assert asked[1].done.result(0), "the other model was not brought back"
    assert tended.pipeline.snapshot.failing is None
    assert tended.fs.read(MANIFEST) == b'{"name": "Second"}'
