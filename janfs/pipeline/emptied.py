"""Folders that organising left empty are removed, once whoever filled them must be done with them."""

from collections.abc import Iterable
from contextlib import suppress

from janfs.clock import Clock
from janfs.folder import paths
from janfs.folder.filesystem import FileSystem

QUIET = 5.0  # seconds; a copy that is still going on makes its next file much sooner


class Emptied:
    """Remembers folders out of which files were moved, and removes those in which nothing is left.

    What is forgotten at the end of the process leaves an empty folder behind and does no harm; only empty
    folders can be removed at all.
    """

    def __init__(self, fs: FileSystem, clock: Clock) -> None:
        self._fs = fs
        self._clock = clock
        self._due: dict[str, float] = {}

    @property
    def next_due(self) -> float | None:
        """When the next folder should be looked at, in the clock's monotonic seconds."""
        return min(self._due.values(), default=None)

    def note(self, sources: Iterable[str]) -> None:
        """Files were moved away from these paths."""
        for source in sources:
            folder = paths.parent(source)
            if paths.is_inside(folder, paths.MODELS) and folder != paths.MODELS:
                self._due[folder] = self._clock.monotonic() + QUIET

    def work(self) -> None:
        """Remove the folders whose time has come, and those above them that they leave empty."""
        now = self._clock.monotonic()
        for folder in [folder for folder, due in self._due.items() if due <= now]:
            del self._due[folder]
            with suppress(OSError):  # not empty, gone already, or not ours to remove
                self._fs.remove_folder(folder)
                self.note([folder])
