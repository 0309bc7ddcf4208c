"""Folders that organising left empty are removed, once whoever filled them must be done with them."""

import errno
from collections.abc import Iterable

from janfs.clock import Clock
from janfs.events import types as e
from janfs.folder import paths
from janfs.folder.filesystem import FileSystem
from janfs.log.store import EventLog
from janfs.pipeline.recorder import replay

QUIET = 5.0  # seconds; a copy that is still going on makes its next file much sooner
CLEARED_UP = 50_000  # events, beyond which folders that were left empty are not looked for any more
AGAIN = 60.0  # seconds until a folder that could not be removed is tried once more
_IN_USE_OR_GONE = (
    errno.ENOTEMPTY,
    errno.EEXIST,
    errno.ENOENT,
    errno.ENOTDIR,
)  # POSIX: either of the first two


class Emptied:
    """Remembers folders out of which files were moved, and removes those in which nothing is left.

    Only empty folders can be removed at all.
    """

    def __init__(self, fs: FileSystem, clock: Clock, left: Iterable[str] = ()) -> None:
        """`left` are paths that an earlier process moved files away from, and may not have lived to clear."""
        self._fs = fs
        self._clock = clock
        self._due: dict[str, float] = {}
        self._left = dict.fromkeys(map(paths.parent, left))

    @property
    def next_due(self) -> float | None:
        """When the next folder should be looked at, in the clock's monotonic seconds."""
        return min(self._due.values(), default=None)

    def note(self, sources: Iterable[str]) -> None:
        """Files were moved away from these paths."""
        for source in sources:
            self._await(paths.parent(source))

    def work(self) -> None:
        """Remove the folders whose time has come, and those above them that they leave empty."""
        now = self._clock.monotonic()
        for folder in self._left:
            self._recall(folder)
        self._left.clear()
        for folder in [folder for folder, due in self._due.items() if due <= now]:
            del self._due[folder]
            try:
                self._fs.remove_folder(folder)
            except OSError as error:
                if error.errno not in _IN_USE_OR_GONE:
                    self._due[folder] = now + AGAIN
            else:
                self.note([folder])

    def _await(self, folder: str) -> None:
        if paths.is_inside(folder, paths.MODELS) and folder != paths.MODELS:
            self._due[folder] = self._clock.monotonic() + QUIET

    def _recall(self, folder: str) -> None:
        """Wait for a folder if it is empty; if it is gone already, for the one above."""
        while folder and folder != paths.MODELS:
            try:
                if not self._fs.list(folder):
                    self._await(folder)
                return
            except FileNotFoundError:
                folder = paths.parent(folder)
            except OSError:  # it cannot be looked into, and so not be removed
                return


def left_lately(log: EventLog) -> list[str]:
    """Where the last moves took files from; a process that was killed may not have cleared up there."""
    moves = (
        item.event for item in replay(log, max(0, log.head.position - CLEARED_UP), only="move-completed")
    )
    return [
        event.source for event in moves if isinstance(event, e.MoveCompleted) and event.reason == "organise"
    ]
