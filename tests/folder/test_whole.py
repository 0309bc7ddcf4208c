"""Files that appear whole, or not at all."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from janfs.folder import paths
from janfs.folder.whole import replace_content, sweep, unfinished, write_new
from tests.crash.dying import live
from tests.crash.syscalls import DIED


@pytest.fixture(params=["nameless", "hidden"])
def folder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """On a disk that knows files without a name, and on one that does not."""
    if request.param == "hidden":
        without_nameless_files(monkeypatch)
    return tmp_path


def without_nameless_files(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = os.open

    def refuse(path: str, flags: int, *rest: int) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
        return opened(path, flags, *rest)

    monkeypatch.setattr(os, "open", refuse)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_new_file_is_made_of_what_comes(folder: Path) -> None:
    assert write_new(folder / "ä 100%", [b"one", b"", b"two"]) == 6
    assert (folder / "ä 100%").read_bytes() == b"onetwo"
    assert names(folder) == ["ä 100%"]


def test_it_has_no_name_before_it_is_whole(folder: Path) -> None:
    def pieces() -> Iterator[bytes]:
        yield b"one"
        assert [name for name in names(folder) if not name.startswith(".")] == []
        raise OSError(errno.EIO, "broken")

    with pytest.raises(OSError, match="broken"):
        write_new(folder / "new", pieces())
    assert names(folder) == []


def test_it_overwrites_nothing(folder: Path) -> None:
    (folder / "new").write_bytes(b"mine")
    with pytest.raises(FileExistsError):
        write_new(folder / "new", [b"yours"])
    assert (folder / "new").read_bytes() == b"mine"
    assert names(folder) == ["new"]


def test_what_a_killed_one_left_goes_with_the_next_of_the_folder_and_what_is_being_written_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_nameless_files(monkeypatch)

    def killed() -> Iterator[bytes]:
        yield b"ha"
        os._exit(DIED)

    folder = tmp_path / "folder"
    folder.mkdir()
    live(lambda base: write_new(base / "old", killed()), folder, watched=False)
    [left] = names(folder)
    assert paths.is_ignored(left), f"{left} would be taken for somebody's"

    def pieces() -> Iterator[bytes]:
        yield b"wh"
        assert left not in names(folder)
        sweep(folder)
        assert len(names(folder)) == 1, "what is being written was swept away"
        yield b"ole"

    write_new(folder / "new", pieces())
    assert names(folder) == ["new"]
    assert (folder / "new").read_bytes() == b"whole"


def test_an_error_leaves_the_old_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "state"
    replace_content(path, b"old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="full"):
        replace_content(path, b"new")
    assert path.read_bytes() == b"old"
    assert not unfinished(path).exists()
