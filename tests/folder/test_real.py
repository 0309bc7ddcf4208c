"""What only the real file system has to prove: calls that reach the disk, ways around what a disk lacks."""

import ctypes
import errno
import fcntl
import os
import signal
from pathlib import Path

import pytest

from janfs.folder import real
from janfs.folder.real import RealFileSystem


@pytest.fixture
def fs(tmp_path: Path) -> RealFileSystem:
    return RealFileSystem(tmp_path)


class WithoutNoReplace:
    """A C library on a file system that does not know RENAME_NOREPLACE (NFS, some FUSE)."""

    def __init__(self, code: int) -> None:
        self.code = code

    def renameat2(self, *_: object) -> int:
        ctypes.set_errno(self.code)
        return -1


@pytest.fixture(params=[errno.EINVAL, errno.ENOSYS], ids=["EINVAL", "ENOSYS"])
def plain(
    request: pytest.FixtureRequest, fs: RealFileSystem, monkeypatch: pytest.MonkeyPatch
) -> RealFileSystem:
    monkeypatch.setattr(real, "_libc", WithoutNoReplace(request.param))
    return fs


def test_content_is_flushed_before_create_returns(
    fs: RealFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: sizes.append(os.fstat(descriptor).st_size))
    fs.create("model.json", b"12345")
    assert sizes == [5], "create must fsync once, after everything is written"


def test_create_writes_on_after_a_short_write(
    fs: RealFileSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: whole(descriptor, data[:3]))
    fs.create("a", b"0123456789")
    assert (tmp_path / "a").read_bytes() == b"0123456789"


def test_without_noreplace_a_file_still_moves(plain: RealFileSystem, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    plain.rename("a", "b")
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("b", b"abc")]


def test_without_noreplace_nothing_is_overwritten(plain: RealFileSystem, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"ours")
    (tmp_path / "b").write_bytes(b"theirs")
    (tmp_path / "x").mkdir()
    (tmp_path / "y").mkdir()
    with pytest.raises(FileExistsError):
        plain.rename("a", "b")
    with pytest.raises(FileExistsError):
        plain.rename("x", "y")
    assert (tmp_path / "a").read_bytes() == b"ours"
    assert (tmp_path / "b").read_bytes() == b"theirs"


@pytest.mark.parametrize("code", [errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP])
def test_without_noreplace_and_second_names_a_file_stays(
    plain: RealFileSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "link", refuse)
    (tmp_path / "a").write_bytes(b"abc")
    with pytest.raises(OSError, match="not supported") as failed:
        plain.rename("a", "b")
    assert failed.value.errno == errno.EOPNOTSUPP
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("a", b"abc")]


def test_without_noreplace_a_link_moves_as_a_link(plain: RealFileSystem, tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("none")
    plain.rename("a", "b")
    assert str((tmp_path / "b").readlink()) == "none"
    assert not (tmp_path / "a").is_symlink()


def test_without_noreplace_a_folder_moves_whole(plain: RealFileSystem, tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "a").write_bytes(b"abc")
    plain.rename("x", "y")
    assert (tmp_path / "y" / "a").read_bytes() == b"abc"
    assert not (tmp_path / "x").exists()


def test_without_noreplace_a_failed_move_leaves_no_folder_behind(
    plain: RealFileSystem, tmp_path: Path
) -> None:
    (tmp_path / "x").mkdir()
    with pytest.raises(OSError, match="Invalid argument"):
        plain.rename("x", "x/y")
    assert list((tmp_path / "x").iterdir()) == []


def test_another_failure_of_rename_is_told_with_both_paths(fs: RealFileSystem, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as failed:
        fs.rename("none", "b")
    assert (failed.value.filename, failed.value.filename2) == (str(tmp_path / "none"), str(tmp_path / "b"))


def test_a_writer_that_comes_while_we_ask_does_not_kill_us(
    fs: RealFileSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"abc")
    signals: list[int] = []
    before = signal.signal(signal.SIGURG, lambda number, frame: signals.append(number))
    plain_fcntl = fcntl.fcntl

    def let_a_writer_in(descriptor: int, command: int, argument: int) -> int:
        done = plain_fcntl(descriptor, command, argument)
        if (command, argument) == (fcntl.F_SETLEASE, fcntl.F_RDLCK):
            # O_NONBLOCK: the writer is told to come back instead of waiting for the lease to be given up.
            with pytest.raises(BlockingIOError):
                os.open(file, os.O_WRONLY | os.O_NONBLOCK)
        return int(done)

    monkeypatch.setattr(fcntl, "fcntl", let_a_writer_in)
    try:
        assert fs.being_written("a") is False
    finally:
        signal.signal(signal.SIGURG, before)
    assert signals == [signal.SIGURG], "the lease break must come as SIGURG, whose default is to be ignored"


def test_where_leases_are_not_allowed_a_writer_is_not_known(
    fs: RealFileSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_bytes(b"abc")

    def refuse(*_: object) -> int:
        raise PermissionError(errno.EACCES, "not the owner")

    monkeypatch.setattr(fcntl, "fcntl", refuse)
    assert fs.being_written("a") is None


def test_where_holes_are_not_known_there_are_none(
    fs: RealFileSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_bytes(b"abc")

    def refuse(*_: object) -> int:
        raise OSError(errno.EINVAL, "no SEEK_HOLE")

    monkeypatch.setattr(os, "lseek", refuse)
    assert fs.has_holes("a") is False


@pytest.mark.parametrize(("code", "told"), [(errno.EINVAL, False), (errno.EIO, True)])
def test_a_folder_that_cannot_be_synced_is_fine_a_failing_disk_is_not(
    fs: RealFileSystem, monkeypatch: pytest.MonkeyPatch, code: int, told: bool
) -> None:
    def fail(_: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fail)
    if told:
        with pytest.raises(OSError, match="Input/output"):
            fs.sync_folder("")
    else:
        fs.sync_folder("")


def test_no_call_leaks_a_descriptor(fs: RealFileSystem, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    descriptors = Path("/proc/self/fd")
    before = len(list(descriptors.iterdir()))
    for _ in range(3):
        fs.being_written("a")
        fs.has_holes("a")
        fs.list("")
        fs.sync_folder("")
        with fs.open("a") as file:
            file.stamp()
        with pytest.raises(FileExistsError):
            fs.create("a", b"")
    assert len(list(descriptors.iterdir())) == before


def test_a_link_that_vanishes_while_we_look_is_not_there(
    fs: RealFileSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "link").symlink_to("none")
    (tmp_path / "file").write_bytes(b"")

    def too_late(_: object) -> bytes:
        raise FileNotFoundError(errno.ENOENT, "gone")

    monkeypatch.setattr(os, "readlink", too_late)
    assert fs.stat("link") is None
    assert set(fs.list("")) == {"file"}
