"""What is said of a watcher that cannot see everything at once."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from structlog.testing import capture_logs

from janfs.folder.keeper import WatchKeeper
from janfs.folder.watcher import OnHint
from tests.support.patience import PATIENCE


class Troubled:
    """A watcher whose problem can be set."""

    name = "troubled"

    def __init__(self) -> None:
        self.trouble = ""

    def start(self, root: Path, folders: Sequence[str], on_hint: OnHint) -> None:
        """Nothing to watch."""

    def close(self) -> None:
        """Nothing to stop."""

    def alive(self) -> bool:
        return True

    def problem(self) -> str:
        return self.trouble


def wait(happened: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < until, "it was not said"
        time.sleep(0.005)


def test_a_problem_that_comes_later_is_said_once_and_so_is_its_end(tmp_path: Path) -> None:
    watcher = Troubled()
    with capture_logs() as said:
        keeper = WatchKeeper(tmp_path, lambda: watcher, lambda path: None, check_every=0.005)
        try:
            watcher.trouble = "There are no watches left."
            wait(lambda: len(said) == 1)
            time.sleep(0.05)
            watcher.trouble = ""
            wait(lambda: len(said) > 1)
            time.sleep(0.05)
        finally:
            keeper.close()
    assert [each["event"] for each in said] == ["changes-seen-late", "changes-seen-at-once-again"]
    assert said[0]["reason"] == "There are no watches left."
