"""Files that appear whole, or not at all."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from janfs.folder.whole import replace_content, unfinished, write_new


@pytest.fixture(params=["nameless", "hidden"])
def folder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """On a disk that knows files without a name, and on one that does not."""
    if request.param == "hidden":
        opened = os.open

        def refuse(path: str, flags: int, *rest: int) -> int:
            if flags & os.O_TMPFILE == os.O_TMPFILE:
                raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
            return opened(path, flags, *rest)

        monkeypatch.setattr(os, "open", refuse)
    return tmp_path


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


def test_a_try_that_was_killed_is_in_nobodys_way(folder: Path) -> None:
    (folder / ".new.part").write_bytes(b"ha")
    write_new(folder / "new", [b"whole"])
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
