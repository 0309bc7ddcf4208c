"""The fake watcher loses, doubles and reorders hints only when told."""

from pathlib import Path

import pytest

from tests.fakes.filesystem import FakeFileSystem
from tests.fakes.watcher import FakeWatcher


@pytest.fixture
def hints() -> list[str]:
    return []


@pytest.fixture
def watcher(hints: list[str]) -> FakeWatcher:
    made = FakeWatcher()
    made.start(Path("/home/user/jan"), ["models", "engines"], hints.append)
    made.deliver_all()
    assert hints == [""]
    hints.clear()
    for path in ("models/a", "models/b", "models/c"):
        made.changed(path)
    return made


def test_hints_wait_until_they_are_delivered(watcher: FakeWatcher, hints: list[str]) -> None:
    assert hints == []
    watcher.deliver_all()
    assert hints == ["models/a", "models/b", "models/c"]


def test_hints_can_be_reordered_doubled_and_dropped(watcher: FakeWatcher, hints: list[str]) -> None:
    watcher.deliver(2)
    watcher.double(0)
    watcher.drop(1)
    watcher.deliver_all()
    assert hints == ["models/c", "models/a", "models/a"]


def test_an_overflow_loses_all_and_says_so(watcher: FakeWatcher, hints: list[str]) -> None:
    watcher.overflow()
    watcher.deliver_all()
    assert hints == [""]


def test_a_dead_watcher_is_silent(watcher: FakeWatcher, hints: list[str]) -> None:
    watcher.die()
    watcher.changed("models/d")
    watcher.deliver_all()
    assert not watcher.alive()
    assert hints == []


def test_a_disk_can_be_watched_and_only_the_watched_folders_count(
    watcher: FakeWatcher, hints: list[str]
) -> None:
    watcher.deliver_all()
    hints.clear()
    fs = FakeFileSystem()
    fs.put("models/before", b"x")
    fs.on_change = watcher.changed
    fs.put("models/a", b"x")
    fs.put(".janfs/trash/a", b"x")
    fs.rename("models/a", "engines.json")
    watcher.deliver_all()
    assert hints == ["models/a", "models/a", "models/a"]
