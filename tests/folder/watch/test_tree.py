"""Which folders of a tree are watched, by kernels that refuse and folders that go."""

import shutil
from pathlib import Path

import pytest
from watchdog.observers.inotify_c import InotifyConstants, InotifyEvent, InotifyFD, Mask, WatchDescriptor

from janfs.folder.watch.tree import WatchedTree


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "models/old").mkdir(parents=True)
    return tmp_path


class Scarce:
    """A kernel that has only so many watches."""

    def __init__(self, watches: int) -> None:
        self.watches = watches
        self.given = 0

    def add_callback(self, path: bytes, *_: object) -> WatchDescriptor:
        if self.given == self.watches:
            raise OSError(28, "inotify watch limit reached")
        self.given += 1
        return WatchDescriptor(self.given)

    def remove_callbacks(self, callbacks: list[object]) -> None:
        self.given -= len(callbacks)


def test_folders_beyond_the_limit_are_told_and_tried_again(root: Path) -> None:
    for number in range(10):
        (root / f"models/m{number}").mkdir()
    kernel = Scarce(5)
    tree = WatchedTree(kernel, root, ["models"], lambda path: None)  # type: ignore[arg-type]
    tree.watch_all()
    failed = tree.failed()
    assert len(failed) == 12 - 5, "11 folders and models itself, less those that were watched"
    assert {str(error.errno) for error in failed.values()} == {"28"}
    kernel.watches = 100
    tree.retry()
    assert tree.failed() == {}
    assert kernel.given == 12


def test_a_folder_that_may_not_be_read_is_told(root: Path) -> None:
    class Refusing(Scarce):
        def add_callback(self, path: bytes, *_: object) -> WatchDescriptor:
            return WatchDescriptor(-1) if path.endswith(b"old") else super().add_callback(path)

    tree = WatchedTree(Refusing(10), root, ["models"], lambda path: None)  # type: ignore[arg-type]
    tree.watch_all()
    assert {path: type(error) for path, error in tree.failed().items()} == {"models/old": PermissionError}


def test_a_folder_that_was_gone_when_it_was_to_be_watched_is_watched_once_it_is_back(root: Path) -> None:
    """It may come back with the number of the one that went, as new folders of ext4 do."""

    class Late(Scarce):
        def add_callback(self, path: bytes, *_: object) -> WatchDescriptor:
            if not self.given and path.endswith(b"models"):
                self.given += 1
                raise FileNotFoundError(path)
            return super().add_callback(path)

    tree = WatchedTree(Late(10), root, ["models"], lambda path: None)  # type: ignore[arg-type]
    tree.watch_all()
    assert tree.replaced(), "nobody will ever look at it again"
    tree.watch_all()
    assert not tree.replaced(), "it is walked again and again"


def test_a_file_in_a_folders_place_is_looked_at_once(root: Path) -> None:
    shutil.rmtree(root / "models")
    (root / "models").write_bytes(b"")
    reader = InotifyFD()
    reader.start()
    try:
        tree = WatchedTree(reader, root, ["models"], lambda path: None)
        tree.watch_all()
        assert not tree.replaced(), "it is walked again and again"
        (root / "models").unlink()
        (root / "models").mkdir()
        assert tree.replaced()
    finally:
        reader.stop()
        reader.join()


def test_an_event_of_an_unknown_watch_says_nothing(root: Path) -> None:
    hints: list[str] = []
    tree = WatchedTree(Scarce(10), root, ["models"], hints.append)  # type: ignore[arg-type]
    tree.on_event(InotifyEvent(WatchDescriptor(99), InotifyConstants.IN_CREATE, 0, b"a.gguf"))
    tree.on_event(InotifyEvent(WatchDescriptor(99), Mask(0), 0, b""))
    assert hints == []
