"""What a watcher says, as it comes."""

import itertools
import threading
from pathlib import Path

from janfs.folder import paths
from tests.support.patience import PATIENCE

_marks = itertools.count()


class Hints:
    """Every hint so far, and waiting for the next that matters."""

    def __init__(self) -> None:
        self.all: list[str] = []
        self._came = threading.Condition()

    def __call__(self, path: str) -> None:
        with self._came:
            self.all.append(path)
            self._came.notify_all()

    def forget(self) -> None:
        with self._came:
            self.all.clear()

    def wait_for(self, hint: str, within: float = PATIENCE) -> None:
        """Wait for exactly this hint."""
        with self._came:
            assert self._came.wait_for(lambda: hint in self.all, within), f"no hint {hint!r}, only {self.all}"

    def wait_for_cover(self, path: str, within: float = PATIENCE) -> None:
        """Wait for a hint at `path` or above it; `""` would be too easy."""
        with self._came:
            covered = self._came.wait_for(
                lambda: any(h and paths.is_inside(path, h) for h in self.all), within
            )
            assert covered, f"no hint covers {path!r}, only {self.all}"

    def settle(self, root: Path) -> list[str]:
        """The hints at all that happened so far: the kernel tells of changes in their order."""
        mark = f"models/mark-{next(_marks)}"
        (root / mark).write_bytes(b"")
        self.wait_for(mark)
        with self._came:
            return [hint for hint in self.all if not hint.startswith("models/mark-")]
