"""One file system is changed as the other is: what janfs relies on, asked of the real one and the fake."""

import errno
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from janfs.folder import real
from janfs.folder.filesystem import FileSystem
from janfs.folder.real import RealFileSystem
from tests.conformance.disks import Disk, OnFakeDisk, read, stamp
from tests.fakes.filesystem import FakeFileSystem

# Making.


def test_create_makes_a_file_with_its_content(disk: Disk) -> None:
    disk.fs.create("models/model.json", b'{"a": 1}')
    assert read(disk.fs, "models/model.json") == b'{"a": 1}'
    assert disk.fs.being_written("models/model.json") is False


@pytest.mark.parametrize("mode", [0o600, 0o664, 0o444])
def test_a_file_made_like_another_has_its_mode(disk: Disk, mode: int) -> None:
    disk.write("models/a", b"theirs")
    disk.chmod("models/a", mode)
    disk.fs.create("models/b", b"ours", "models/a")
    assert disk.mode("models/b") == mode
    for path in ("models/a", "models/b"):
        found = disk.fs.stat(path)
        assert found is not None
        assert found.writable == bool(mode & 0o222)


@pytest.mark.parametrize("there", ["file", "folder", "link", "dangling"])
@pytest.mark.parametrize("make", ["create", "make_folder", "make_link", "rename file", "rename folder"])
def test_nothing_is_ever_overwritten(disk: Disk, there: str, make: str) -> None:
    fs = disk.fs
    disk.write("models/file", b"theirs")
    fs.make_folder("models/folder")
    fs.make_link("models/link", "file")
    fs.make_link("models/dangling", "none")
    disk.write("models/ours", b"ours")
    fs.make_folder("models/our-folder")
    before = {name: (found.stamp, found.is_dir, found.link) for name, found in fs.list("models").items()}
    target = f"models/{there}"
    acts: dict[str, Callable[[], None]] = {
        "create": lambda: fs.create(target, b"ours"),
        "make_folder": lambda: fs.make_folder(target),
        "make_link": lambda: fs.make_link(target, "ours"),
        "rename file": lambda: fs.rename("models/ours", target),
        "rename folder": lambda: fs.rename("models/our-folder", target),
    }
    with pytest.raises(FileExistsError):
        acts[make]()
    after = {name: (found.stamp, found.is_dir, found.link) for name, found in fs.list("models").items()}
    assert after == before
    assert read(fs, "models/file") == b"theirs"


@pytest.mark.parametrize("make", ["create", "make_folder", "make_link", "rename"])
def test_making_below_what_is_no_folder_fails(disk: Disk, make: str) -> None:
    fs = disk.fs
    disk.write("models/file", b"")
    acts: dict[str, Callable[[str], None]] = {
        "create": lambda path: fs.create(path, b""),
        "make_folder": fs.make_folder,
        "make_link": lambda path: fs.make_link(path, "x"),
        "rename": lambda path: fs.rename("models/file", path),
    }
    with pytest.raises(FileNotFoundError):
        acts[make]("models/none/new")
    with pytest.raises(NotADirectoryError):
        acts[make]("models/file/new")
    assert set(fs.list("models")) == {"file"}


# Moving.


def test_a_rename_keeps_the_stamp(disk: Disk) -> None:
    disk.write("models/a", b"abc")
    before = stamp(disk.fs, "models/a")
    disk.fs.make_folder("models/x")
    disk.fs.rename("models/a", "models/x/b")
    assert stamp(disk.fs, "models/x/b") == before
    assert disk.fs.stat("models/a") is None


def test_a_folder_moves_with_what_is_in_it(disk: Disk) -> None:
    disk.fs.make_folder("models/x")
    disk.write("models/x/a", b"abc")
    disk.fs.rename("models/x", "models/y")
    assert disk.fs.stat("models/x") is None
    assert read(disk.fs, "models/y/a") == b"abc"


def test_a_link_is_moved_as_a_link(disk: Disk) -> None:
    disk.write("models/blob", b"abc")
    disk.fs.make_link("models/a", "blob")
    disk.fs.rename("models/a", "models/b")
    found = disk.fs.stat("models/b")
    assert found is not None
    assert found.link == "blob"
    assert read(disk.fs, "models/blob") == b"abc"


def test_moving_what_is_not_there_fails(disk: Disk) -> None:
    disk.write("models/b", b"")
    for target in ("models/a", "models/b"):
        with pytest.raises(FileNotFoundError):
            disk.fs.rename("models/none", target)


def test_a_folder_cannot_move_into_itself_and_is_left_as_it_was(disk: Disk) -> None:
    disk.fs.make_folder("models/x")
    with pytest.raises(OSError, match="Invalid argument") as failed:
        disk.fs.rename("models/x", "models/x/y")
    assert failed.value.errno == errno.EINVAL
    assert disk.fs.list("models/x") == {}


# Removing.


def test_unlink_takes_one_name_of_a_file(disk: Disk) -> None:
    disk.write("models/a", b"abc")
    disk.hard_link("models/a", "models/b")
    disk.fs.unlink("models/a")
    found = disk.fs.stat("models/b")
    assert found is not None
    assert found.nlink == 1
    assert read(disk.fs, "models/b") == b"abc"


def test_unlink_takes_a_link_and_leaves_its_target(disk: Disk) -> None:
    disk.write("models/a", b"abc")
    disk.fs.make_link("models/b", "a")
    disk.fs.unlink("models/b")
    assert set(disk.fs.list("models")) == {"a"}


def test_unlink_refuses_folders_and_what_is_not_there(disk: Disk) -> None:
    with pytest.raises(IsADirectoryError):
        disk.fs.unlink("models")
    with pytest.raises(FileNotFoundError):
        disk.fs.unlink("models/none")


def test_only_an_empty_folder_is_removed(disk: Disk) -> None:
    disk.fs.make_folder("models/x")
    disk.write("models/x/a", b"")
    with pytest.raises(OSError, match="not empty") as failed:
        disk.fs.remove_folder("models/x")
    assert failed.value.errno == errno.ENOTEMPTY
    disk.fs.unlink("models/x/a")
    disk.fs.remove_folder("models/x")
    assert disk.fs.stat("models/x") is None


def test_remove_folder_refuses_all_but_folders(disk: Disk) -> None:
    disk.write("models/a", b"")
    disk.fs.make_folder("models/x")
    disk.fs.make_link("models/link", "x")
    with pytest.raises(NotADirectoryError):
        disk.fs.remove_folder("models/a")
    with pytest.raises(NotADirectoryError):
        disk.fs.remove_folder("models/link")
    with pytest.raises(FileNotFoundError):
        disk.fs.remove_folder("models/none")


def test_folders_can_be_synced_and_files_cannot(disk: Disk) -> None:
    disk.write("models/a", b"")
    disk.fs.sync_folder("models")
    disk.fs.sync_folder("")
    with pytest.raises(NotADirectoryError):
        disk.fs.sync_folder("models/a")
    with pytest.raises(FileNotFoundError):
        disk.fs.sync_folder("models/none")


# Second names and copies.


def test_a_second_name_is_the_same_file_and_overwrites_nothing(disk: Disk) -> None:
    disk.write("a", b"content")
    disk.fs.link_file("a", "b")
    one, other = disk.fs.stat("a"), disk.fs.stat("b")
    assert one is not None
    assert other is not None
    assert one.stamp == other.stamp
    assert one.nlink == other.nlink == 2
    with pytest.raises(FileExistsError):
        disk.fs.link_file("a", "b")
    with pytest.raises(FileNotFoundError):
        disk.fs.link_file("nothing", "c")


def test_a_second_name_of_a_link_is_a_link(disk: Disk) -> None:
    disk.write("a", b"content")
    disk.fs.make_link("link", "a")
    disk.fs.link_file("link", "b")
    found = disk.fs.stat("b")
    assert found is not None
    assert found.link == "a"


def test_a_copy_has_the_content_and_the_time_and_is_another_file(disk: Disk) -> None:
    disk.write("a", b"content" * 1000)
    disk.fs.copy_file("a", "b")
    one, other = disk.fs.stat("a"), disk.fs.stat("b")
    assert one is not None
    assert other is not None
    assert one.stamp is not None
    assert other.stamp is not None
    assert (other.stamp.size, other.stamp.mtime_ns) == (one.stamp.size, one.stamp.mtime_ns)
    assert other.stamp.inode != one.stamp.inode
    with disk.fs.open("b") as file:
        assert file.read_at(0, 10_000) == b"content" * 1000


def test_a_copy_overwrites_nothing_and_leaves_nothing_behind(disk: Disk) -> None:
    disk.write("a", b"content")
    disk.write("b", b"mine")
    with pytest.raises(FileExistsError):
        disk.fs.copy_file("a", "b")
    with disk.fs.open("b") as file:
        assert file.read_at(0, 100) == b"mine"
    with pytest.raises(FileNotFoundError):
        disk.fs.copy_file("nothing", "c")
    assert disk.fs.stat("c") is None


# Changing places.


def test_two_files_change_places_at_once(disk: Disk) -> None:
    disk.write("a", b"one")
    disk.write("b", b"other")
    before = disk.fs.stat("a"), disk.fs.stat("b")
    disk.fs.exchange("a", "b")
    after = disk.fs.stat("a"), disk.fs.stat("b")
    assert [stat and stat.stamp for stat in after] == [stat and stat.stamp for stat in reversed(before)]
    with disk.fs.open("a", once=True) as file:
        assert file.read_at(0, 10) == b"other"


def test_a_file_that_is_set_aside_is_the_same_under_another_name(disk: Disk) -> None:
    disk.write("a", b"content")
    disk.write("b", b"of an earlier try")
    before = stamp(disk.fs, "a")
    disk.fs.set_aside("a", "b")
    assert (disk.fs.stat("a"), stamp(disk.fs, "b")) == (None, before)
    with pytest.raises(FileNotFoundError):
        disk.fs.set_aside("a", "c")
    assert read(disk.fs, "b") == b"content"


def test_a_disk_that_cannot_exchange_says_so_and_changes_nothing(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk.write("a", b"one")
    disk.write("b", b"other")
    if isinstance(disk, OnFakeDisk):
        disk.fake.exchanges = False
    else:
        monkeypatch.setattr(real, "_RENAME_EXCHANGE", 1 << 31)  # a flag that no disk knows
    with pytest.raises(OSError, match="Invalid argument") as refused:
        disk.fs.exchange("a", "b")
    assert refused.value.errno == errno.EINVAL
    assert (read(disk.fs, "a"), read(disk.fs, "b")) == (b"one", b"other")


def test_nothing_changes_places_with_nothing(disk: Disk) -> None:
    disk.write("a", b"one")
    for first, second in (("a", "b"), ("b", "a")):
        with pytest.raises(FileNotFoundError):
            disk.fs.exchange(first, second)
    assert disk.fs.stat("a") is not None


# Any sequence of calls.

NAMES = ["a", "b", "x", "x/a", "x/y", "x/y/a", "z"]
CALLS = ["create", "make_folder", "make_link", "rename", "unlink", "remove_folder", "list", "stat", "read"]


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("sequences")
    yield folder
    shutil.rmtree(folder)


def outcome(fs: FileSystem, call: str, first: str, second: str) -> object:
    """What a call answers: its result without times and inode numbers, or its error."""
    try:
        match call:
            case "create":
                fs.create(first, first.encode())
            case "make_folder":
                fs.make_folder(first)
            case "make_link":
                fs.make_link(first, second)
            case "rename":
                fs.rename(first, second)
            case "unlink":
                fs.unlink(first)
            case "remove_folder":
                fs.remove_folder(first)
            case "read":
                return read(fs, first)
            case "stat":
                found = fs.stat(first)
                return found and (found.stamp and found.stamp.size, found.is_dir, found.link, found.nlink)
            case "list":
                return sorted(
                    (name, found.stamp and found.stamp.size, found.is_dir, found.link)
                    for name, found in fs.list(first).items()
                )
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    return None


@given(
    st.lists(st.tuples(st.sampled_from(CALLS), st.sampled_from(NAMES), st.sampled_from(NAMES)), max_size=12)
)
@example([("create", "x", ""), ("rename", "a", "x/a")])
@example([("make_folder", "x", ""), ("rename", "x", "x/y")])
def test_any_sequence_of_calls_ends_alike_on_both(scratch: Path, calls: list[tuple[str, str, str]]) -> None:
    root = scratch / "root"
    root.mkdir()
    try:
        real, fake = RealFileSystem(root), FakeFileSystem()
        for number, (call, first, second) in enumerate(calls):
            told = outcome(real, call, first, second), outcome(fake, call, first, second)
            assert told[0] == told[1], f"call {number}, {call}({first}, {second}): real, fake differ"
    finally:
        shutil.rmtree(root)
