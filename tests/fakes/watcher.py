"""A watcher whose every hint waits for the test to deliver, double, drop or reorder it."""

from collections.abc import Sequence
from pathlib import Path

from janfs.folder.watcher import EVERYTHING, OnHint


class FakeWatcher:
    """Hints pile up in `pending` until the test says what becomes of each.

    Connect it to a disk with `fs.on_change = watcher.changed`. Only what lies in the watched folders counts.
    """

    name = "fake"

    def __init__(self) -> None:
        self.pending: list[str] = []
        self._folders: tuple[str, ...] = ()
        self._on_hint: OnHint | None = None
        self._alive = False

    # The port.

    def start(self, root: Path, folders: Sequence[str], on_hint: OnHint) -> None:
        self._folders = tuple(folders)
        self._on_hint = on_hint
        self._alive = True
        self.pending.append(EVERYTHING)

    def close(self) -> None:
        self._alive = False
        self.pending.clear()

    def alive(self) -> bool:
        return self._alive

    def problem(self) -> str:
        return ""

    # The test.

    def changed(self, path: str) -> None:
        """Something happened at `path`; the hint is not delivered yet."""
        if self._alive and path.partition("/")[0] in self._folders:
            self.pending.append(path)

    def deliver(self, index: int = 0) -> None:
        """Hand over one pending hint, not necessarily the oldest."""
        assert self._on_hint is not None, "the watcher was not started"
        self._on_hint(self.pending.pop(index))

    def deliver_all(self) -> None:
        """Hand over every pending hint, oldest first."""
        while self.pending:
            self.deliver()

    def double(self, index: int = 0) -> None:
        """A pending hint will come once more, after the others."""
        self.pending.append(self.pending[index])

    def drop(self, index: int = 0) -> None:
        """A pending hint gets lost, as no watcher should but some do."""
        del self.pending[index]

    def overflow(self) -> None:
        """Every pending hint is lost, and the watcher knows it."""
        self.pending[:] = [EVERYTHING]

    def die(self) -> None:
        """No hint comes any more, and what was pending is lost."""
        self.close()
