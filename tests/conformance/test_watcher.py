"""What every watcher promises, whatever it watches with."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from janfs.folder.watch.inotify import InotifyWatcher
from janfs.folder.watcher import PollingWatcher, Watcher
from tests.fakes.watcher import FakeWatcher
from tests.support.patience import PATIENCE


class PromptWatcher(FakeWatcher):
    """The fake, delivering at once and announcing itself as the others do: from another thread."""

    def start(self, root: Path, folders: object, on_hint: Callable[[str], None]) -> None:
        super().start(root, ["models", "engines"], on_hint)
        threading.Thread(target=self.deliver_all, daemon=True).start()


WATCHERS: dict[str, Callable[[], Watcher]] = {
    "inotify": InotifyWatcher,
    "polling": lambda: PollingWatcher(0.05),
    "fake": PromptWatcher,
}


@pytest.fixture(params=list(WATCHERS.values()), ids=list(WATCHERS))
def watcher(request: pytest.FixtureRequest) -> Iterator[Watcher]:
    made: Watcher = request.param()
    yield made
    made.close()


def test_it_says_that_anything_may_have_changed_once_it_watches(watcher: Watcher, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    told = threading.Event()
    hints: list[str] = []

    def on_hint(path: str) -> None:
        hints.append(path)
        told.set()

    watcher.start(tmp_path, ["models", "engines"], on_hint)
    assert told.wait(PATIENCE), "no hint came after the start"
    assert hints[0] == ""
    assert watcher.alive()


def test_missing_folders_are_no_reason_not_to_start(watcher: Watcher, tmp_path: Path) -> None:
    told = threading.Event()
    watcher.start(tmp_path / "none", ["models", "engines"], lambda path: told.set())
    assert told.wait(PATIENCE)
    assert watcher.alive()


def test_it_is_not_alive_before_its_start_and_after_its_end(watcher: Watcher, tmp_path: Path) -> None:
    assert not watcher.alive()
    watcher.start(tmp_path, ["models"], lambda path: None)
    assert watcher.alive()
    watcher.close()
    assert not watcher.alive()


def test_no_hint_comes_after_it_is_closed(watcher: Watcher, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    hints: list[str] = []
    told = threading.Event()

    def on_hint(path: str) -> None:
        hints.append(path)
        told.set()

    watcher.start(tmp_path, ["models"], on_hint)
    assert told.wait(PATIENCE)
    watcher.close()
    before = len(hints)
    (tmp_path / "models" / "a.gguf").write_bytes(b"x")
    time.sleep(0.15)
    assert len(hints) == before


def test_closing_twice_or_without_a_start_is_fine(watcher: Watcher, tmp_path: Path) -> None:
    watcher.close()
    watcher.close()


def test_it_leaves_no_thread_and_no_descriptor_behind(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    descriptors = Path("/proc/self/fd")
    threads, open_ = set(threading.enumerate()), len(list(descriptors.iterdir()))
    for make in (InotifyWatcher, lambda: PollingWatcher(0.05)):
        for _ in range(3):
            watcher: Watcher = make()
            watcher.start(tmp_path, ["models"], lambda path: None)
            watcher.close()
    assert set(threading.enumerate()) <= threads  # those of other tests may end meanwhile
    assert len(list(descriptors.iterdir())) <= open_
