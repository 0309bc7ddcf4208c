"""One kernel watch for every folder of a tree, and hints from what the watches report."""

import errno
import itertools
import os
import stat
import threading
from collections.abc import Sequence
from pathlib import Path

from watchdog.observers.inotify_c import (
    CallbackId,
    InotifyConstants,
    InotifyEvent,
    InotifyFD,
    Mask,
    WatchDescriptor,
)

from janfs.folder import paths
from janfs.folder.watcher import OnHint

_MASK = Mask(
    InotifyConstants.IN_CREATE
    | InotifyConstants.IN_CLOSE_WRITE
    | InotifyConstants.IN_MOVED_FROM
    | InotifyConstants.IN_MOVED_TO
    | InotifyConstants.IN_DELETE
    | InotifyConstants.IN_DELETE_SELF
    | InotifyConstants.IN_MOVE_SELF
    | InotifyConstants.IN_ATTRIB
    | InotifyConstants.IN_ONLYDIR
)


class WatchedTree:
    """Which watch stands for which folder; turns events into hints (a watchdog `WatchCallback`).

    `doubt` is set when something may have been missed, and on closing. The reader's thread calls `on_...`,
    the keeper's thread everything else.
    """

    def __init__(self, reader: InotifyFD, root: Path, tops: Sequence[str], on_hint: OnHint) -> None:
        self.closing = False
        self.doubt = threading.Event()
        self._reader = reader
        self._base = os.fsencode(root) + b"/"
        self._tops = tuple(tops)
        self._on_hint = on_hint
        self._identities: dict[str, tuple[int, int] | None] = {}
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._watches: dict[WatchDescriptor, tuple[str, CallbackId]] = {}
        self._failed: dict[str, OSError] = {}

    def watch_all(self) -> None:
        """Drop every watch and walk everything anew."""
        self._identities = {top: self._identity(top) for top in self._tops}
        for top in self._tops:
            self._forget(top)
            self._watch(top)

    def replaced(self) -> bool:
        """Whether a top folder has come, gone, or is another one than was walked (a mount, a move)."""
        return any(self._identity(top) != before for top, before in self._identities.items())

    def failed(self) -> dict[str, OSError]:
        """The folders that could not be watched, and why; nothing below them is watched either."""
        with self._lock:
            return dict(self._failed)

    def retry(self) -> None:
        """Try again what failed, as long as there are watches left."""
        for path in self.failed():
            self._watch(path)
            error = self.failed().get(path)
            if error is not None and error.errno == errno.ENOSPC:
                return

    def on_event(self, event: InotifyEvent) -> None:
        """Hint at what the event names; a new folder is watched first, so that nothing in it is missed."""
        with self._lock:
            folder, _ = self._watches.get(event.wd, (None, None))
        if folder is None:
            return
        if not event.name:
            self._on_hint(folder)
            return
        name = paths.encode_name(event.name)
        if paths.is_ignored(name):
            return
        path = paths.join(folder, name)
        if event.mask & InotifyConstants.IN_ISDIR:
            if event.is_moved_from:
                self._forget(path)
            elif not event.is_delete:
                self._watch(path)
        self._on_hint(path)

    def on_watch_deleted(self, wd: WatchDescriptor) -> None:
        """The folder is gone, or its disk."""
        with self._lock:
            folder, _ = self._watches.pop(wd, (None, None))
        if folder in self._tops:
            self.doubt.set()

    def on_queue_overflow(self) -> None:
        """The kernel dropped events."""
        self.doubt.set()

    def _watch(self, top: str) -> None:
        """Watch `top` and all folders below it, each before it is listed: no new one slips through."""
        folders = [top]
        while folders and not self.closing:
            folder = folders.pop()
            try:
                self._add(folder)
                below = self._list(folder)
            except (FileNotFoundError, NotADirectoryError):  # gone already, or no folder any more
                below = []
                if folder in self._tops:  # its number may be taken by the one that comes in its place
                    self._identities[folder] = None
            except OSError as error:
                with self._lock:
                    self._failed[folder] = error
                continue
            with self._lock:
                self._failed.pop(folder, None)
            folders += [paths.join(folder, name) for name in below if not paths.is_ignored(name)]

    def _add(self, folder: str) -> None:
        follow = Mask(0) if folder in self._tops else InotifyConstants.IN_DONT_FOLLOW
        number = CallbackId(next(self._numbers))
        with self._lock:
            wd = self._reader.add_callback(self._at(folder), Mask(_MASK | follow), self, number)
            known = self._watches.get(wd)
            if wd == -1 or known is not None:
                self._reader.remove_callbacks([(wd, number)])
            if wd == -1:  # how watchdog answers EACCES
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            # The kernel gives a folder that is watched already the same descriptor; its name may be new.
            self._watches[wd] = (folder, known[1] if known is not None else number)

    def _forget(self, top: str) -> None:
        prefix = top + "/"
        with self._lock:
            below = [
                wd for wd, (folder, _) in self._watches.items() if folder == top or folder.startswith(prefix)
            ]
            self._reader.remove_callbacks([(wd, self._watches.pop(wd)[1]) for wd in below])
            for folder in [folder for folder in self._failed if paths.is_inside(folder, top)]:
                del self._failed[folder]

    def _at(self, path: str) -> bytes:
        return self._base + paths.decode_path(path)

    def _list(self, folder: str) -> list[str]:
        with os.scandir(self._at(folder)) as entries:
            return [paths.encode_name(e.name) for e in entries if e.is_dir(follow_symlinks=False)]

    def _identity(self, folder: str) -> tuple[int, int] | None:
        try:
            found = os.stat(self._at(folder))  # noqa: PTH116 - the path is bytes
        except OSError:  # not there, or not to be reached: either way, not what was walked
            return None
        return (found.st_dev, found.st_ino) if stat.S_ISDIR(found.st_mode) else None
