"""One file system behaves like the other: what janfs relies on, asked of the real one and the fake."""

import errno
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from janfs.folder import paths, real
from janfs.folder.filesystem import FileSystem, Stamp
from janfs.folder.real import RealFileSystem
from tests.fakes.faults import Faults, HookedFileSystem
from tests.fakes.filesystem import FakeFileSystem

BLOCK = 4096


class Writing(Protocol):
    def write(self, data: bytes) -> object: ...
    def close(self) -> None: ...


class Disk(Protocol):
    """A file system under test, and a person's hands on the same disk."""

    fs: FileSystem

    def write(self, path: str, data: bytes) -> None: ...
    def start_write(self, path: str) -> Writing: ...
    def grow(self, path: str, size: int) -> None: ...
    def write_at(self, path: str, offset: int, data: bytes) -> None: ...
    def hard_link(self, existing: str, path: str) -> None: ...
    def fifo(self, path: str) -> None: ...
    def chmod(self, path: str, mode: int) -> None: ...
    def mode(self, path: str) -> int: ...
    def absolute(self, path: str) -> str: ...


class OnRealDisk:
    def __init__(self, root: Path) -> None:
        self.fs: FileSystem = RealFileSystem(root)
        self.root = os.fsencode(root)

    def _at(self, path: str) -> bytes:
        return self.root + b"/" + paths.decode_path(path)

    def write(self, path: str, data: bytes) -> None:
        Path(os.fsdecode(self._at(path))).write_bytes(data)

    def start_write(self, path: str) -> Writing:
        return Path(os.fsdecode(self._at(path))).open("wb", buffering=0)

    def grow(self, path: str, size: int) -> None:
        os.truncate(self._at(path), size)

    def write_at(self, path: str, offset: int, data: bytes) -> None:
        with Path(os.fsdecode(self._at(path))).open("r+b") as file:
            file.seek(offset)
            file.write(data)

    def hard_link(self, existing: str, path: str) -> None:
        os.link(self._at(existing), self._at(path))

    def fifo(self, path: str) -> None:
        os.mkfifo(self._at(path))

    def chmod(self, path: str, mode: int) -> None:
        os.chmod(self._at(path), mode)  # noqa: PTH101

    def mode(self, path: str) -> int:
        return stat.S_IMODE(os.stat(self._at(path)).st_mode)  # noqa: PTH116

    def absolute(self, path: str) -> str:
        return "/".join(paths.encode_name(part) for part in self._at(path).split(b"/"))


class OnFakeDisk:
    def __init__(self) -> None:
        self.fake = FakeFileSystem()
        self.fs: FileSystem = self.fake

    def write(self, path: str, data: bytes) -> None:
        self.fake.put(path, data)

    def start_write(self, path: str) -> Writing:
        return self.fake.start_write(path)

    def grow(self, path: str, size: int) -> None:
        self.fake.start_write(path, size, truncate=False).close()

    def write_at(self, path: str, offset: int, data: bytes) -> None:
        writer = self.fake.start_write(path, truncate=False)
        writer.offset = offset
        writer.write(data)
        writer.close()

    def hard_link(self, existing: str, path: str) -> None:
        self.fake.hard_link(existing, path)

    def fifo(self, path: str) -> None:
        self.fake.fifo(path)

    def chmod(self, path: str, mode: int) -> None:
        self.fake.chmod(path, mode)

    def mode(self, path: str) -> int:
        return self.fake.mode(path)

    def absolute(self, path: str) -> str:
        return f"{self.fake.root}/{path}"


def _real(root: Path) -> Disk:
    return OnRealDisk(root)


def _fake(_: Path) -> Disk:
    return OnFakeDisk()


def _hooked(root: Path) -> Disk:
    disk = OnRealDisk(root)
    disk.fs = HookedFileSystem(disk.fs, Faults())
    return disk


@pytest.fixture(params=[_real, _fake, _hooked], ids=["real", "fake", "hooked"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Disk:
    make: Callable[[Path], Disk] = request.param
    made = make(tmp_path)
    made.fs.make_folder("models")
    return made


def read(fs: FileSystem, path: str) -> bytes:
    with fs.open(path) as file:
        return file.read_at(0, 1 << 20)


def stamp(fs: FileSystem, path: str) -> Stamp:
    found = fs.stat(path)
    assert found is not None, f"nothing at {path!r}"
    assert found.stamp is not None, f"{path!r} has no stamp: {found}"
    return found.stamp


# Looking.


def test_nothing_there_has_no_stat(disk: Disk) -> None:
    assert disk.fs.stat("models/none") is None
    assert disk.fs.stat("none/none") is None


def test_a_name_below_a_file_is_not_there(disk: Disk) -> None:
    disk.write("models/file", b"x")
    assert disk.fs.stat("models/file/below") is None


def test_the_root_itself_is_a_folder(disk: Disk) -> None:
    found = disk.fs.stat("")
    assert found is not None
    assert found.is_dir
    assert list(disk.fs.list("")) == ["models"]


def test_a_file_shows_size_and_names(disk: Disk) -> None:
    disk.write("models/a", b"12345")
    disk.hard_link("models/a", "models/b")
    found = disk.fs.stat("models/a")
    assert found is not None
    assert found.stamp is not None
    assert (found.stamp.size, found.nlink, found.is_dir, found.link) == (5, 2, False, None)
    assert disk.fs.list("models") == {"a": found, "b": found}


def test_a_folder_has_no_stamp(disk: Disk) -> None:
    found = disk.fs.stat("models")
    assert found is not None
    assert (found.is_dir, found.stamp, found.link) == (True, None, None)


def test_a_fifo_has_no_stamp_and_does_not_hang(disk: Disk) -> None:
    disk.fifo("models/pipe.gguf")
    found = disk.fs.stat("models/pipe.gguf")
    assert found is not None
    assert (found.is_dir, found.stamp, found.link) == (False, None, None)
    with disk.fs.open("models/pipe.gguf") as file, pytest.raises(OSError, match="seek"):
        file.read_at(0, 4)


def test_listing_what_is_no_folder_fails(disk: Disk) -> None:
    disk.write("models/file", b"")
    with pytest.raises(NotADirectoryError):
        disk.fs.list("models/file")
    with pytest.raises(FileNotFoundError):
        disk.fs.list("models/none")


def test_a_listing_says_the_same_as_looking_at_each(disk: Disk) -> None:
    disk.fs.make_folder("models/folder")
    disk.write("models/file", b"abc")
    disk.fs.make_link("models/to-file", "file")
    disk.fs.make_link("models/to-folder", "folder")
    disk.fs.make_link("models/dangling", "none")
    listed = disk.fs.list("models")
    assert set(listed) == {"folder", "file", "to-file", "to-folder", "dangling"}
    for name, found in listed.items():
        assert found == disk.fs.stat(f"models/{name}"), f"list and stat differ on {name}"


# Reading.


def test_reading_ends_at_the_end_of_the_file(disk: Disk) -> None:
    disk.write("models/a", bytes(range(200)))
    with disk.fs.open("models/a") as file:
        assert file.read_at(0, 4) == bytes(range(4))
        assert file.read_at(198, 10) == bytes([198, 199])
        assert file.read_at(200, 10) == b""
        assert file.read_at(10_000, 10) == b""


def test_an_open_file_stays_itself_when_its_name_goes(disk: Disk) -> None:
    disk.write("models/a", b"first")
    before = stamp(disk.fs, "models/a")
    with disk.fs.open("models/a") as file:
        disk.fs.unlink("models/a")
        disk.write("models/a", b"second, longer")
        assert file.read_at(0, 100) == b"first"
        assert file.stamp() == before


def test_opening_what_is_not_there_fails(disk: Disk) -> None:
    with pytest.raises(FileNotFoundError), disk.fs.open("models/none"):
        pass


def test_a_folder_cannot_be_read(disk: Disk) -> None:
    with disk.fs.open("models") as file, pytest.raises(IsADirectoryError):
        file.read_at(0, 4)


def test_rewriting_in_place_keeps_the_inode_and_changes_the_stamp(disk: Disk) -> None:
    disk.write("models/a", b"one")
    before = stamp(disk.fs, "models/a")
    disk.write("models/a", b"three")
    after = stamp(disk.fs, "models/a")
    assert after.inode == before.inode
    assert after != before


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


# Links.


def test_a_link_shows_its_target(disk: Disk) -> None:
    disk.write("models/a", b"abc")
    disk.fs.make_folder("models/x")
    disk.fs.make_link("models/x/up", "../a")
    disk.fs.make_link("models/x/whole", disk.absolute("models/a"))
    for name in ("up", "whole"):
        found = disk.fs.stat(f"models/x/{name}")
        assert found is not None, name
        assert found.stamp == stamp(disk.fs, "models/a"), name
        assert not found.is_dir, name
        assert read(disk.fs, f"models/x/{name}") == b"abc", name


def test_a_linked_folder_is_a_folder_with_a_link(disk: Disk) -> None:
    disk.fs.make_folder("models/x")
    disk.write("models/x/a", b"abc")
    disk.fs.make_link("models/y", "x")
    found = disk.fs.stat("models/y")
    assert found is not None
    assert (found.is_dir, found.link, found.stamp) == (True, "x", None)
    assert set(disk.fs.list("models/y")) == {"a"}
    assert read(disk.fs, "models/y/a") == b"abc"


@pytest.mark.parametrize("target", ["none", "self", "../../../none/none", "file/below"])
def test_a_link_that_leads_nowhere_has_no_stamp(disk: Disk, target: str) -> None:
    disk.write("models/file", b"")
    disk.fs.make_link("models/self", target)
    found = disk.fs.stat("models/self")
    assert found is not None
    assert (found.stamp, found.is_dir, found.link) == (None, False, target)
    with (
        pytest.raises(OSError, match=r"No such file|symbolic links|Not a directory"),
        disk.fs.open("models/self"),
    ):
        pass


# Writers and holes.


def test_a_file_is_being_written_while_a_writer_has_it_open(disk: Disk) -> None:
    writer = disk.start_write("models/a")
    try:
        writer.write(b"abc")
        assert disk.fs.being_written("models/a") is True
        disk.hard_link("models/a", "models/b")
        assert disk.fs.being_written("models/b") is True, "the file is open, whatever name is asked"
        disk.fs.rename("models/a", "models/c")
        assert disk.fs.being_written("models/c") is True
        assert stamp(disk.fs, "models/c").size == 3
    finally:
        writer.close()
    assert disk.fs.being_written("models/b") is False
    assert disk.fs.being_written("models/c") is False


def test_a_reader_is_no_writer(disk: Disk) -> None:
    disk.write("models/a", b"abc")
    with disk.fs.open("models/a"):
        assert disk.fs.being_written("models/a") is False


def test_asking_about_what_is_not_there_fails(disk: Disk) -> None:
    with pytest.raises(FileNotFoundError):
        disk.fs.being_written("models/none")
    with pytest.raises(FileNotFoundError):
        disk.fs.has_holes("models/none")


def test_holes_show_until_they_are_written(disk: Disk) -> None:
    disk.write("models/a", b"x" * BLOCK)
    assert not disk.fs.has_holes("models/a")
    disk.grow("models/a", 3 * BLOCK)
    assert disk.fs.has_holes("models/a")
    disk.write_at("models/a", 2 * BLOCK, b"y" * BLOCK)
    assert disk.fs.has_holes("models/a"), "the second block is still missing"
    assert read(disk.fs, "models/a") == b"x" * BLOCK + bytes(BLOCK) + b"y" * BLOCK
    disk.write_at("models/a", BLOCK, b"z" * BLOCK)
    assert not disk.fs.has_holes("models/a")


def test_an_empty_file_has_no_holes(disk: Disk) -> None:
    disk.write("models/a", b"")
    assert not disk.fs.has_holes("models/a")


def test_a_preallocated_file_has_holes(disk: Disk) -> None:
    disk.write("models/a", b"")
    disk.grow("models/a", 10 * BLOCK)
    assert disk.fs.has_holes("models/a")
    assert stamp(disk.fs, "models/a").size == 10 * BLOCK


# Names.


@pytest.mark.parametrize(
    "raw",
    [
        b"100%.gguf",
        b"%41.gguf",
        b"new\nline",
        b"quote\"s and 'these'",
        b"back\\slash",
        b"\xff\xfe.gguf",
        b"caf\xe9",
        b"caf\xc3\xa9",
        b" leading and trailing ",
        b"-rf",
        b"a" * 255,
        "模型.gguf".encode(),
    ],
)
def test_a_name_comes_back_as_it_was_made(disk: Disk, raw: bytes) -> None:
    name = paths.encode_name(raw)
    disk.fs.create(f"models/{name}", b"abc")
    assert set(disk.fs.list("models")) == {name}
    assert read(disk.fs, f"models/{name}") == b"abc"
    disk.fs.make_link("models/link", name)
    found = disk.fs.stat("models/link")
    assert found is not None
    assert found.link == name
    disk.fs.unlink("models/link")
    disk.fs.rename(f"models/{name}", "models/plain")
    disk.fs.rename("models/plain", f"models/{name}")
    disk.fs.unlink(f"models/{name}")
    assert disk.fs.list("models") == {}


def test_a_name_longer_than_the_disk_takes_is_refused(disk: Disk) -> None:
    with pytest.raises(OSError, match="too long") as failed:
        disk.fs.create("models/" + "a" * 256, b"")
    assert failed.value.errno == errno.ENAMETOOLONG


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
