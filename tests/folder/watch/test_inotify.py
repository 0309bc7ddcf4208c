"""What people and programs do to a real folder, and the hint that must follow."""

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from watchdog.observers.inotify_c import InotifyFD, WatchDescriptor

from janfs.folder.watch.inotify import InotifyWatcher
from tests.folder.hints import Hints
from tests.support.patience import PATIENCE


@pytest.fixture
def hints(root: Path) -> Iterator[Hints]:
    told = Hints()
    watching = InotifyWatcher(check_every=0.1)
    watching.start(root, ["models", "engines"], told)
    told.wait_for("")
    told.forget()
    yield told
    assert watching.alive(), "the watcher died on the way"
    watching.close()


def copy_slowly(root: Path) -> None:
    with (root / "models/a.gguf").open("wb") as file:
        for _ in range(5):
            file.write(b"x" * 1000)
            file.flush()
            time.sleep(0.02)


def save_like_vim(root: Path) -> None:
    folder = root / "models/old"
    (folder / "4913").write_bytes(b"")
    (folder / "4913").unlink()
    (folder / "model.json").rename(folder / "model.json~")
    (folder / "model.json").write_text('{"a": 1}')
    (folder / "model.json~").unlink()


def replace(root: Path) -> None:
    (root / "models/old/.model.json.tmp").write_text('{"a": 1}')
    (root / "models/old/.model.json.tmp").replace(root / "models/old/model.json")


def move_folder_in(root: Path) -> None:
    (root / "outside/new/deep").mkdir(parents=True)
    (root / "outside/new/deep/a.gguf").write_bytes(b"x")
    (root / "outside/new").rename(root / "models/new")


def make_folders_and_a_file_at_once(root: Path) -> None:
    (root / "models/p/q/r").mkdir(parents=True)
    (root / "models/p/q/r/a.gguf").write_bytes(b"x")


ACTS: dict[str, tuple[Callable[[Path], object], list[str]]] = {
    "a slow copy": (copy_slowly, ["models/a.gguf"]),
    "a file moved in": (
        lambda r: (r / "models/old/old.gguf").rename(r / "models/in.gguf"),
        ["models/in.gguf"],
    ),
    "a hard link": (
        lambda r: (r / "models/b.gguf").hardlink_to(r / "models/old/old.gguf"),
        ["models/b.gguf"],
    ),
    "a symbolic link": (lambda r: (r / "models/l.gguf").symlink_to("old/old.gguf"), ["models/l.gguf"]),
    "a link to a folder": (lambda r: (r / "models/l").symlink_to("old"), ["models/l"]),
    "a save as vim does it": (save_like_vim, ["models/old/model.json"]),
    "a temporary file and a rename": (replace, ["models/old/model.json"]),
    "a write in place": (lambda r: (r / "models/old/model.json").write_text("[]"), ["models/old/model.json"]),
    "a truncation": (lambda r: (r / "models/old/old.gguf").write_bytes(b""), ["models/old/old.gguf"]),
    "a touch": (lambda r: os.utime(r / "models/old/old.gguf"), ["models/old/old.gguf"]),
    "a change of mode": (lambda r: (r / "models/old/old.gguf").chmod(0o600), ["models/old/old.gguf"]),
    "folders and a file at once": (make_folders_and_a_file_at_once, ["models/p/q/r/a.gguf"]),
    "a folder moved in": (move_folder_in, ["models/new/deep/a.gguf"]),
    "a tree copied in": (
        lambda r: shutil.copytree(r / "models/old", r / "models/copy"),
        ["models/copy/old.gguf", "models/copy/model.json"],
    ),
    "a folder renamed": (
        lambda r: (r / "models/old").rename(r / "models/new"),
        ["models/old/old.gguf", "models/new/old.gguf"],
    ),
    "a folder moved out": (lambda r: (r / "models/old").rename(r / "outside/old"), ["models/old/old.gguf"]),
    "a file moved out": (lambda r: (r / "models/old/old.gguf").rename(r / "o"), ["models/old/old.gguf"]),
    "a file removed": (lambda r: (r / "models/old/old.gguf").unlink(), ["models/old/old.gguf"]),
    "a tree removed": (lambda r: shutil.rmtree(r / "models/old"), ["models/old/old.gguf"]),
    "an engine's settings": (lambda r: (r / "engines/e.json").write_text("{}"), ["engines/e.json"]),
}


@pytest.mark.parametrize("act", ACTS)
def test_a_hint_follows(root: Path, hints: Hints, act: str) -> None:
    do, changed = ACTS[act]
    do(root)
    for path in changed:
        hints.wait_for_cover(path)


def test_a_copy_is_hinted_at_again_when_it_is_done(root: Path, hints: Hints) -> None:
    with (root / "models/a.gguf").open("wb") as file:
        hints.wait_for("models/a.gguf")
        hints.settle(root)
        hints.forget()
        file.write(b"x")
    hints.wait_for("models/a.gguf")


def test_a_name_that_is_no_text_is_spelled(root: Path, hints: Hints) -> None:
    (root / "models" / os.fsdecode(b"caf\xe9%.gguf")).write_bytes(b"x")
    hints.wait_for("models/caf%E9%25.gguf")


@pytest.mark.parametrize("name", ["a.gguf.part", ".hidden", "4913", "model.json~", "#model.json#"])
def test_nothing_is_said_of_ignored_names(root: Path, hints: Hints, name: str) -> None:
    (root / "models" / name).write_bytes(b"x")
    (root / "models" / ".cache").mkdir()
    (root / "models" / ".cache" / "a.gguf").write_bytes(b"x")
    assert hints.settle(root) == []


def test_nothing_is_said_of_reading(root: Path, hints: Hints) -> None:
    (root / "models/old/old.gguf").read_bytes()
    list((root / "models/old").iterdir())
    assert hints.settle(root) == []


def test_nothing_is_said_of_what_lies_behind_a_link(root: Path, hints: Hints) -> None:
    (root / "models/link").symlink_to(root / "outside")
    hints.wait_for("models/link")
    hints.settle(root)
    hints.forget()
    (root / "outside/a.gguf").write_bytes(b"x")
    assert hints.settle(root) == []


def test_an_unfinished_download_is_hinted_at_when_it_gets_its_name(root: Path, hints: Hints) -> None:
    (root / "models/a.gguf.part").write_bytes(b"x")
    (root / "models/a.gguf.part").rename(root / "models/a.gguf")
    hints.wait_for("models/a.gguf")


def test_a_folder_is_watched_once_it_loses_its_temporary_name(root: Path, hints: Hints) -> None:
    (root / "models/new.part").mkdir()
    (root / "models/new.part").rename(root / "models/new")
    hints.wait_for("models/new")
    (root / "models/new/a.gguf").write_bytes(b"x")
    hints.wait_for("models/new/a.gguf")


@pytest.mark.parametrize("old", ["models/old", "outside/old"])
def test_a_folder_that_was_moved_is_watched_under_its_new_name(root: Path, hints: Hints, old: str) -> None:
    (root / "models/old/deep").mkdir()
    hints.wait_for("models/old/deep")
    if old != "models/old":
        (root / "models/old").rename(root / old)
    (root / old).rename(root / "models/new")
    hints.wait_for("models/new")
    (root / "models/new/deep/a.gguf").write_bytes(b"x")
    hints.wait_for("models/new/deep/a.gguf")
    assert "models/old/deep/a.gguf" not in hints.settle(root)


def test_a_folder_that_was_moved_out_is_not_watched_any_more(root: Path, hints: Hints) -> None:
    (root / "models/old").rename(root / "outside/old")
    hints.wait_for("models/old")
    hints.settle(root)
    hints.forget()
    (root / "outside/old/a.gguf").write_bytes(b"x")
    assert hints.settle(root) == []


def test_a_name_used_again_is_watched_again(root: Path, hints: Hints) -> None:
    for number in range(20):
        shutil.rmtree(root / "models/old")
        (root / "models/old").mkdir()
        (root / "models/old" / f"{number}.gguf").write_bytes(b"x")
    hints.settle(root)
    hints.forget()
    (root / "models/old/last.gguf").write_bytes(b"x")
    hints.wait_for("models/old/last.gguf")


def test_racing_folders_lose_nothing_and_kill_nothing(root: Path, hints: Hints) -> None:
    made = [f"models/m{number % 40}/s{number}" for number in range(200)]
    for path in made:
        (root / path).mkdir(parents=True)
        (root / path / "a.gguf").write_bytes(b"x")
    for number in range(0, 40, 4):
        (root / f"models/m{number}").rename(root / f"models/n{number}")
        shutil.rmtree(root / f"models/n{number}")
    for path in made:
        hints.wait_for_cover(f"{path}/a.gguf")


def test_folders_that_come_later_are_watched_when_they_come(tmp_path: Path) -> None:
    hints = Hints()
    watching = InotifyWatcher(check_every=0.05)
    watching.start(tmp_path / "jan", ["models", "engines"], hints)
    try:
        hints.wait_for("")
        hints.forget()
        (tmp_path / "jan/models").mkdir(parents=True)
        hints.wait_for("")
        (tmp_path / "jan/models/a.gguf").write_bytes(b"x")
        hints.wait_for("models/a.gguf")
    finally:
        watching.close()


@pytest.mark.parametrize("leave", ["removed", "moved away", "swapped"])
def test_a_watched_folder_that_leaves_and_returns_is_watched_again(
    root: Path, hints: Hints, tmp_path: Path, leave: str
) -> None:
    if leave == "removed":
        shutil.rmtree(root)
        hints.wait_for("")
        hints.forget()
        (root / "models").mkdir(parents=True)
    elif leave == "moved away":
        root.rename(tmp_path / "away")
        hints.wait_for("")
        hints.forget()
        (tmp_path / "away").rename(root)
    else:
        (root / "models").rename(root / "models-2")
        (root / "models").mkdir()
    hints.wait_for("")
    (root / "models/a.gguf").write_bytes(b"x")
    hints.wait_for("models/a.gguf")


def test_a_models_folder_that_is_a_link_is_watched(tmp_path: Path) -> None:
    (tmp_path / "big/deep").mkdir(parents=True)
    (tmp_path / "models").symlink_to("big")
    hints = Hints()
    watching = InotifyWatcher()
    watching.start(tmp_path, ["models"], hints)
    try:
        hints.wait_for("")
        (tmp_path / "big/deep/a.gguf").write_bytes(b"x")
        hints.wait_for("models/deep/a.gguf")
    finally:
        watching.close()


class HeldUp(Hints):
    """Holds the watcher up in its first hint, while events queue up in the kernel."""

    def __init__(self) -> None:
        super().__init__()
        self.held = threading.Event()
        self.go_on = threading.Event()

    def __call__(self, path: str) -> None:
        if path:
            self.held.set()
            self.go_on.wait(PATIENCE)
        super().__call__(path)


def test_after_an_overflow_everything_is_looked_at_and_watched_again(root: Path) -> None:
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    if limit > 20_000:
        pytest.skip(f"the kernel queues {limit} events, too many to fill here")
    hints = HeldUp()
    watching = InotifyWatcher()
    watching.start(root, ["models"], hints)
    try:
        hints.wait_for("")
        hints.forget()
        (root / "models/first").write_bytes(b"")
        assert hints.held.wait(PATIENCE)
        one, other = root / "models/one", root / "models/other"
        one.write_bytes(b"")
        for _ in range(limit // 4 + 100):
            one.rename(other)
            other.rename(one)
        (root / "models/unseen").mkdir()
        hints.go_on.set()
        hints.wait_for("")
        (root / "models/unseen/a.gguf").write_bytes(b"x")
        hints.wait_for("models/unseen/a.gguf")
        assert watching.alive()
    finally:
        hints.go_on.set()
        watching.close()


def test_a_folder_found_under_its_new_name_before_its_move_was_told_stays_watched(root: Path) -> None:
    hints = HeldUp()
    watching = InotifyWatcher()
    watching.start(root, ["models"], hints)
    try:
        hints.wait_for("")
        (root / "models/first").write_bytes(b"")
        assert hints.held.wait(PATIENCE)
        (root / "models/new").mkdir()
        (root / "models/old").rename(root / "models/new/old")
        hints.go_on.set()
        hints.wait_for("models/old")
        (root / "models/new/old/a.gguf").write_bytes(b"x")
        hints.wait_for("models/new/old/a.gguf")
    finally:
        hints.go_on.set()
        watching.close()


def test_a_watcher_that_cannot_watch_all_says_so_and_polls(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = InotifyFD.add_callback

    def refuse_old(self: InotifyFD, path: bytes, *rest: object) -> WatchDescriptor:
        if path.endswith(b"old"):
            raise OSError(28, "inotify watch limit reached")
        return whole(self, path, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(InotifyFD, "add_callback", refuse_old)
    hints = Hints()
    watching = InotifyWatcher(check_every=0.02, poll_every=0.05)
    assert watching.problem() == ""
    watching.start(root, ["models"], hints)
    try:
        hints.wait_for("")
        assert "models/old" in watching.problem()
        assert "max_user_watches" in watching.problem()
        for _ in range(2):
            hints.forget()
            hints.wait_for("")

        def take_it(self: InotifyFD, path: bytes, *rest: object) -> WatchDescriptor:
            hints.forget()  # what was said before the folder was watched
            return whole(self, path, *rest)  # type: ignore[arg-type]

        monkeypatch.setattr(InotifyFD, "add_callback", take_it)
        until = time.monotonic() + PATIENCE
        while watching.problem():
            assert time.monotonic() < until, "it was not tried again"
            time.sleep(0.01)
        hints.wait_for("")
    finally:
        watching.close()


def test_a_dead_reader_is_noticed(root: Path) -> None:
    """In a process of its own: pytest rightly objects to a thread that dies."""
    script = f"""
import time
from pathlib import Path
from janfs.folder.watch.inotify import InotifyWatcher

def on_hint(path):
    if path:
        raise RuntimeError("the receiver is broken")

root = Path({str(root)!r})
watcher = InotifyWatcher()
watcher.start(root, ["models"], on_hint)
deadline = time.monotonic() + {PATIENCE}
while watcher.alive() and time.monotonic() < deadline:
    (root / "models/a.gguf").write_bytes(b"x")
    time.sleep(0.02)
assert not watcher.alive(), "still alive"
watcher.close()
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=2 * PATIENCE, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "the receiver is broken" in done.stderr
