"""A root has one owner, and everyone can see who."""

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from janfs.errors import RootLocked, RootUnusable
from janfs.log.lock import Owner, RootLock, read_owner

HOLD = """
import sys
from pathlib import Path
from janfs.log.lock import RootLock
lock = RootLock(Path(sys.argv[1]))
lock.announce("http://127.0.0.1:1337")
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / ".janfs").mkdir()
    return tmp_path / ".janfs" / "lock"


@contextmanager
def another_process(path: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n", "the other process did not get the lock"
        try:
            yield process
        finally:
            process.kill()


def test_a_second_process_is_told_who_has_the_root_and_where(path: Path) -> None:
    with another_process(path) as owner:
        with pytest.raises(RootLocked) as refused:
            RootLock(path)
        assert f"process id {owner.pid} at http://127.0.0.1:1337" in refused.value.detail
        assert str(path.parent.parent) in refused.value.detail
        assert read_owner(path) == Owner(pid=owner.pid, url="http://127.0.0.1:1337")


def test_a_killed_owner_holds_nothing(path: Path) -> None:
    with another_process(path) as owner:
        owner.send_signal(signal.SIGKILL)
        owner.wait()
        assert read_owner(path) is None
        lock = RootLock(path)
        assert read_owner(path) == Owner(pid=os.getpid(), url=None), "the dead owner's address is still told"
        lock.release()


def test_nobody_owns_a_root_that_was_let_go_or_never_taken(path: Path) -> None:
    assert read_owner(path) is None
    lock = RootLock(path)
    lock.announce("http://127.0.0.1:1")
    assert read_owner(path) == Owner(pid=os.getpid(), url="http://127.0.0.1:1")
    lock.announce(None)
    assert read_owner(path) == Owner(pid=os.getpid())
    lock.release()
    assert read_owner(path) is None
    RootLock(path).release()


def test_an_owner_that_has_not_said_who_it_is_yet_still_owns(path: Path) -> None:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(RootLocked, match="another janfs"):
            RootLock(path)


def test_who_asks_for_the_owner_on_a_busy_machine_keeps_nobody_out(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.touch()
    asking = path.open()
    fcntl.flock(asking, fcntl.LOCK_SH)
    waited: list[float] = []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        if sum(waited) > 1:
            asking.close()

    monkeypatch.setattr("janfs.log.lock.time.sleep", sleep)
    RootLock(path).release()
    assert asking.closed


def test_a_lock_that_cannot_be_made_is_a_root_that_cannot_be_used(path: Path) -> None:
    path.mkdir()
    with pytest.raises(RootUnusable, match="lock"):
        RootLock(path)
