"""Moves and writes: nothing overwritten, and what others do meanwhile stays."""

from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from janfs.catalogue.entries import Plan
from janfs.errors import FolderError
from janfs.events.types import CopyHow
from janfs.folder import paths
from janfs.folder.filesystem import FileSystem, Stat
from janfs.organise import copier, executor, replacing, sharing
from tests.fakes.faults import Faults, HookedFileSystem
from tests.fakes.filesystem import FakeFileSystem
from tests.organise.hands import Hands, Make, Real, stamp
from tests.organise.plans import CONTENT, JSON, MANIFEST, SOURCE, TARGET, TRASH, WRITE, move_plan

# Moves.


def test_a_file_moves_into_a_folder_made_for_it(hands: Hands) -> None:
    hands.put(SOURCE, CONTENT)
    plan = move_plan(hands.port)
    assert executor.move(hands.port, plan) == executor.Moved(plan.stamp)
    assert hands.tree() == {"models": None, "models/x": None, TARGET: CONTENT}


@pytest.mark.parametrize("act", [executor.move, copier.copy])
def test_a_name_too_long_for_the_disk_is_given_up_and_not_waited_for(
    hands: Hands, act: Callable[[FileSystem, Plan], object]
) -> None:
    hands.put(SOURCE, CONTENT)
    hands.mkdir("models/x")
    with pytest.raises(FolderError, match="too long"):
        act(hands.port, move_plan(hands.port, target=f"models/x/{'x' * 256}"))
    assert {path: data for path, data in hands.tree().items() if data is not None} == {SOURCE: CONTENT}


def test_a_folder_moves_with_all_that_is_in_it(hands: Hands) -> None:
    hands.put("models/x/deep/y", b"y")
    hands.put(TARGET, CONTENT)
    assert executor.move(hands.port, TRASH) == executor.Moved(None)
    home = f"{paths.TRASH}/op1/x"
    assert hands.tree() == {
        "models": None,
        ".janfs": None,
        ".janfs/trash": None,
        ".janfs/trash/op1": None,
        home: None,
        f"{home}/deep": None,
        f"{home}/deep/y": b"y",
        f"{home}/x.gguf": CONTENT,
    }


@pytest.mark.parametrize("act", ["move in", "move out", "copy", "write", "replace", "share", "share with"])
def test_nothing_is_changed_behind_a_folder_that_became_a_link(hands: Hands, act: str) -> None:
    hands.put("elsewhere/x.gguf", CONTENT)
    hands.put("elsewhere/model.json", JSON)
    hands.put("models/y.gguf", CONTENT)
    hands.symlink("models/x", "../elsewhere")
    fs, before = hands.port, hands.tree()
    whole, there = stamp(fs, "models/y.gguf"), stamp(fs, TARGET)
    acts: dict[str, Callable[[], object]] = {
        "move in": lambda: executor.move(fs, Plan("op", "u", 1, "models/x/y.gguf", "models/y.gguf", whole)),
        "move out": lambda: executor.move(
            fs, Plan("op", "u", 1, "models/z/x.gguf", TARGET, stamp(fs, TARGET))
        ),
        "copy": lambda: copier.copy(
            fs, Plan("op", "u", 1, "models/x/y.gguf", "models/y.gguf", whole, how="copy")
        ),
        "write": lambda: executor.write(fs, Plan("op", "u", 1, "models/x/new.json"), JSON),
        "replace": lambda: replacing.replace(fs, Plan("op", "u", 1, MANIFEST), b"{}", JSON),
        "share": lambda: sharing.share(fs, Plan("op", "u", 1, TARGET, "models/y.gguf", whole), there),
        "share with": lambda: sharing.share(fs, Plan("op", "u", 1, "models/y.gguf", TARGET, there), whole),
    }
    with pytest.raises(FolderError, match="models/x is a link now"):
        acts[act]()
    assert hands.tree() == before


@pytest.mark.parametrize("there", ["file", "same content", "folder", "link", "dangling link"])
def test_what_is_there_already_is_never_overwritten(hands: Hands, there: str) -> None:
    hands.put(SOURCE, CONTENT)
    match there:
        case "file":
            hands.put(TARGET, b"other")
        case "same content":
            hands.put(TARGET, CONTENT)
        case "folder":
            hands.mkdir(TARGET)
        case "link":
            hands.put("models/other.gguf", b"other")
            hands.symlink(TARGET, "../other.gguf")
        case _:
            hands.symlink(TARGET, "nowhere")
    before = hands.tree()
    with pytest.raises(FolderError, match="exists already"):
        executor.move(hands.port, move_plan(hands.port))
    assert hands.tree() == before


def test_a_folder_that_is_there_already_is_never_merged_into(hands: Hands) -> None:
    hands.put(TARGET, CONTENT)
    hands.put(f"{TRASH.target}/y", b"y")
    before = hands.tree()
    with pytest.raises(FolderError, match="exists already"):
        executor.move(hands.port, TRASH)
    assert hands.tree() == before


def test_a_link_to_the_file_itself_is_not_taken_for_its_new_place(hands: Hands) -> None:
    """It has the file's size, time and inode; the file would be lost behind it."""
    hands.put(SOURCE, CONTENT)
    hands.symlink(TARGET, "../x.gguf")
    before = hands.tree()
    with pytest.raises(FolderError, match="exists already"):
        executor.move(hands.port, move_plan(hands.port))
    assert hands.tree() == before


def test_a_target_that_appears_at_the_last_moment_is_not_overwritten(hands: Hands) -> None:
    hands.put(SOURCE, CONTENT)

    class LastMoment(Faults):
        def __call__(self, name, perform, /, *args, **kwargs):  # type: ignore[no-untyped-def]
            if name == "rename":
                hands.put(TARGET, b"other")
            return super().__call__(name, perform, *args, **kwargs)

    with pytest.raises(FolderError, match="exists already"):
        executor.move(HookedFileSystem(hands.port, LastMoment()), move_plan(hands.port))
    assert hands.tree() == {"models": None, SOURCE: CONTENT, "models/x": None, TARGET: b"other"}


def test_a_file_that_changed_since_is_left_alone(hands: Hands) -> None:
    hands.put(SOURCE, CONTENT)
    plan = move_plan(hands.port)
    hands.put(SOURCE, CONTENT + b"!")
    before = hands.tree()
    with pytest.raises(FolderError, match="changed after its move was planned"):
        executor.move(hands.port, plan)
    assert hands.tree() == before


def test_a_move_is_done_though_the_folder_that_it_left_is_gone(hands: Hands) -> None:
    hands.put("models/old/x.gguf", CONTENT)
    plan = move_plan(hands.port, "models/old/x.gguf")
    moved = executor.move(hands.port, plan)
    hands.port.remove_folder("models/old")
    assert executor.move(hands.port, plan) == moved, "after a crash it is not seen to be done"


def test_a_file_that_is_gone_is_said_to_be_gone(hands: Hands) -> None:
    hands.put(SOURCE, CONTENT)
    plan = move_plan(hands.port)
    hands.port.unlink(SOURCE)
    with pytest.raises(FolderError, match="is gone"):
        executor.move(hands.port, plan)
    assert hands.tree() == {"models": None}


def test_a_move_without_a_source_is_refused(hands: Hands) -> None:
    with pytest.raises(FolderError, match="without a source"):
        executor.move(hands.port, Plan(op="op1", uid="u1", position=1, target=TARGET))


# Links: the blob behind one is never moved.


@pytest.mark.parametrize("blob", ["blobs/1", "../blobs/1", "./sub/../blobs/1"])
def test_a_relative_link_still_leads_to_its_blob(make: Make, blob: str) -> None:
    hands = make()
    hands.mkdir("models/sub")
    hands.put(f"models/{blob}" if not blob.startswith("../") else "blobs/1", CONTENT)
    hands.symlink(SOURCE, blob)
    before = stamp(hands.port, SOURCE)
    moved = executor.move(hands.port, move_plan(hands.port))
    assert moved.stamp == before
    assert moved.link is not None
    assert not moved.link.startswith("/")
    assert stamp(hands.port, TARGET) == before, "the link leads elsewhere now"
    assert hands.tree()[TARGET] == moved.link
    assert SOURCE not in hands.tree()
    assert CONTENT in hands.tree().values()


def test_an_absolute_link_is_moved_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "blob").write_bytes(CONTENT)
    (tmp_path / "root").mkdir()
    hands = Real(tmp_path / "root")
    hands.symlink(SOURCE, str(tmp_path / "blob"))
    moved = executor.move(hands.port, move_plan(hands.port))
    assert moved.link == str(tmp_path / "blob")
    assert (tmp_path / "blob").read_bytes() == CONTENT


def test_a_move_that_stopped_between_link_and_unlink_is_finished(hands: Hands) -> None:
    """A hard link at the target is what a stop between link and unlink leaves; both names are one file."""
    hands.put(SOURCE, CONTENT)
    hands.hard_link(SOURCE, TARGET)
    plan = move_plan(hands.port)
    assert executor.move(hands.port, plan) == executor.Moved(plan.stamp)
    assert hands.tree() == {"models": None, "models/x": None, TARGET: CONTENT}


def test_a_moved_link_does_not_lead_through_the_folder_that_it_left() -> None:
    fs = FakeFileSystem()
    fs.put("models/blobs/1", b"blob")
    fs.symlink("models/org/alpha/l.gguf", "../../blobs/1")
    stat = fs.stat("models/org/alpha/l.gguf")
    assert stat is not None
    plan = Plan("op", "u", 1, "models/alpha/l.gguf", "models/org/alpha/l.gguf", stat.stamp)
    assert executor.move(fs, plan).link == "../blobs/1"
    fs.remove_tree("models/org")
    assert fs.read("models/alpha/l.gguf") == b"blob"


def test_links_hold_where_the_models_folder_is_a_link_itself() -> None:
    fs = FakeFileSystem()
    fs.mkdir("/mnt/disk/big")
    fs.symlink("models", "/mnt/disk/big")
    fs.put("models/hub/snapshots/x.gguf", b"blob")
    fs.symlink("models/loose.gguf", "hub/snapshots/x.gguf")
    plan = Plan("op", "u", 1, "models/x/x.gguf", "models/hub/snapshots/x.gguf", how="symbolic-link")
    copier.copy(fs, plan)
    stat = fs.stat("models/loose.gguf")
    assert stat is not None
    executor.move(fs, Plan("op", "u", 1, "models/loose/loose.gguf", "models/loose.gguf", stat.stamp))
    assert fs.read("models/x/x.gguf") == fs.read("models/loose/loose.gguf") == b"blob"


# Writes.


def test_a_file_is_written_whole_and_nothing_is_left_beside_it(hands: Hands) -> None:
    hands.mkdir("models/x")
    assert executor.write(hands.port, WRITE, JSON) == stamp(hands.port, MANIFEST)
    assert hands.tree() == {"models": None, "models/x": None, MANIFEST: JSON}


@pytest.mark.parametrize("theirs", [b"{}", b"", JSON.swapcase()])
def test_a_file_that_someone_else_wrote_stays(hands: Hands, theirs: bytes) -> None:
    hands.put(MANIFEST, theirs)
    with pytest.raises(FolderError, match="theirs stays"):
        executor.write(hands.port, WRITE, JSON)
    assert hands.tree() == {"models": None, "models/x": None, MANIFEST: theirs}


def test_a_folder_where_a_file_is_to_be_written_stays_and_is_called_one(hands: Hands) -> None:
    hands.mkdir(MANIFEST)
    with pytest.raises(FolderError, match=f"{MANIFEST} is a folder, and is left as it is"):
        executor.write(hands.port, WRITE, JSON)
    assert hands.tree() == {"models": None, "models/x": None, MANIFEST: None}


def test_a_file_that_says_the_same_already_is_as_good_as_written(hands: Hands) -> None:
    hands.put(MANIFEST, JSON)
    assert executor.write(hands.port, WRITE, JSON) == stamp(hands.port, MANIFEST)


def test_a_folder_in_the_way_is_no_file_of_ours(hands: Hands) -> None:
    hands.mkdir(MANIFEST)
    with pytest.raises(FolderError):
        executor.write(hands.port, WRITE, JSON)


# What someone writes right after us.


class RightAfter(Faults):
    """Somebody writes to the file as soon as it has its name, or has another."""

    def __init__(self, hands: Hands, path: str) -> None:
        super().__init__()
        self._hands, self._path = hands, path

    def __call__(self, name, perform, /, *args, **kwargs):  # type: ignore[no-untyped-def]
        done = super().__call__(name, perform, *args, **kwargs)
        if name in ("rename", "exchange", "link_file") and self._path in args:
            self._hands.put(self._path, b"theirs, from now on")
        return done


def test_what_someone_writes_right_after_us_is_not_taken_for_ours(hands: Hands) -> None:
    hands.mkdir("models/x")
    told = executor.write(HookedFileSystem(hands.port, RightAfter(hands, MANIFEST)), WRITE, JSON)
    assert told != stamp(hands.port, MANIFEST), "the next look would not see that it was written"


def test_nor_is_what_they_write_into_a_text_that_took_the_place_of_another(hands: Hands) -> None:
    hands.put(MANIFEST, CONTENT)
    fs = HookedFileSystem(hands.port, RightAfter(hands, MANIFEST))
    assert replacing.replace(fs, WRITE, JSON, CONTENT) != stamp(hands.port, MANIFEST)


def test_nor_into_a_file_that_was_moved(hands: Hands) -> None:
    hands.put(SOURCE, CONTENT)
    plan = move_plan(hands.port)
    moved = executor.move(HookedFileSystem(hands.port, RightAfter(hands, TARGET)), plan)
    assert moved.stamp == plan.stamp != stamp(hands.port, TARGET)


@pytest.mark.parametrize("how", ["copy", "hard-link"])
def test_nor_into_a_copy(hands: Hands, how: CopyHow) -> None:
    hands.put(SOURCE, CONTENT)
    plan = replace(move_plan(hands.port), how=how)
    copied = copier.copy(HookedFileSystem(hands.port, RightAfter(hands, TARGET)), plan)
    assert copied.stamp != stamp(hands.port, TARGET)


def test_a_disk_that_gives_what_is_renamed_another_inode_is_believed(hands: Hands) -> None:
    hands.mkdir("models/x")

    class Renumbering(HookedFileSystem):
        def stat(self, path: str) -> Stat | None:
            found = super().stat(path)
            if found is None or found.stamp is None:
                return found
            return replace(found, stamp=replace(found.stamp, inode=len(path)))

    fs = Renumbering(hands.port, Faults())
    assert executor.write(fs, WRITE, JSON) == stamp(fs, MANIFEST)
