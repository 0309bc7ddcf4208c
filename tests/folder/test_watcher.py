"""Which way of watching is chosen, and looking again and again where nothing is told."""

import sys
from functools import partial
from pathlib import Path

import pytest

from janfs.folder.watch import probe as probing
from janfs.folder.watch.probe import probe
from janfs.folder.watcher import PollingWatcher, choose_watcher
from tests.folder.hints import Hints
from tests.support.patience import PATIENCE


def test_inotify_is_chosen_on_a_local_disk_and_for_a_folder_to_come(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probing, "probe", partial(probe, timeout=PATIENCE))
    assert choose_watcher(root).name == "inotify"
    assert choose_watcher(root / "none").name == "inotify"


def test_polling_is_chosen_where_no_events_come(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probing, "probe", lambda root, folder: False)
    chosen = choose_watcher(root, interval=3)
    assert chosen.name == "polling"
    assert "sends no events" in chosen.problem()
    assert "3 s" in chosen.problem()


def test_polling_is_chosen_where_the_kernel_has_no_watch_left(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(root: Path, folder: str) -> bool:
        raise OSError(24, "inotify instance limit reached")

    monkeypatch.setattr(probing, "probe", refuse)
    chosen = choose_watcher(root)
    assert chosen.name == "polling"
    assert "instance limit" in chosen.problem()


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "9p", "fuse.sshfs", "virtiofs"])
def test_polling_is_chosen_on_a_disk_that_others_change(
    root: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(probing, "file_system_type", lambda mountinfo, path: kind)
    chosen = choose_watcher(root)
    assert chosen.name == "polling"
    assert kind in chosen.problem()


def test_elsewhere_than_on_linux_polling_is_chosen(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert choose_watcher(root).name == "polling"


def test_polling_says_everything_again_and_again(tmp_path: Path) -> None:
    hints = Hints()
    polling = PollingWatcher(0.01)
    polling.start(tmp_path, ["models"], hints)
    try:
        for _ in range(3):
            hints.forget()
            hints.wait_for("")
    finally:
        polling.close()
