"""One file system shows what the other shows: what janfs relies on, asked of the real one and the fake."""

import errno
import time

import pytest

from janfs.folder import paths
from tests.conformance.disks import Disk, read, stamp
from tests.support.patience import PATIENCE

BLOCK = 4096

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


def is_let_go(disk: Disk, path: str) -> None:
    """Wait until nobody writes a file; a busy kernel may need a moment after `close` returned."""
    until = time.monotonic() + PATIENCE
    while disk.fs.being_written(path) is not False:
        assert time.monotonic() < until, f"{path} goes on being written"
        time.sleep(0.001)


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
    is_let_go(disk, "models/b")
    is_let_go(disk, "models/c")


def test_a_reader_is_no_writer(disk: Disk) -> None:
    disk.write("models/a", b"abc")
    is_let_go(disk, "models/a")
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


def test_a_name_longer_than_the_disk_takes_is_not_there(disk: Disk) -> None:
    assert disk.fs.stat("models/" + "a" * 256) is None
