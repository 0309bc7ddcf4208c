"""Hints from inotify(7), over watchdog's reader of the kernel's queue.

Watchdog's observers are left out: they hold a move back for half a second to find its other half, keep quiet
about a watch limit that was reached, and tell nobody of an overflow. Hints need no halves, but those two.
"""

import errno
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from watchdog.observers.inotify_c import InotifyFD

from janfs.folder.watch.tree import WatchedTree
from janfs.folder.watcher import EVERYTHING, OnHint


class InotifyWatcher:
    """A kernel watch on every folder. `problem()` tells when some could not be had; then it polls as well."""

    name = "inotify"

    def __init__(self, *, check_every: float = 1.0, poll_every: float = 10.0) -> None:
        """Seconds between two looks whether the watched folders are still the same, and between two polls."""
        self._check_every = check_every
        self._poll_every = poll_every
        self._reader: InotifyFD | None = None
        self._tree: WatchedTree | None = None
        self._keeper: threading.Thread | None = None

    def start(self, root: Path, folders: Sequence[str], on_hint: OnHint) -> None:
        """See `Watcher.start`."""
        reader = InotifyFD()
        tree = WatchedTree(reader, root, folders, on_hint)
        keeper = threading.Thread(target=self._keep, args=(tree, on_hint), name="janfs-inotify", daemon=True)
        self._reader, self._tree, self._keeper = reader, tree, keeper
        reader.start()
        keeper.start()

    def close(self) -> None:
        """See `Watcher.close`."""
        if self._reader is None or self._tree is None or self._keeper is None:
            return
        # In this order: a watch must not be added to a descriptor that is closed, and perhaps taken anew.
        self._tree.closing = True
        self._tree.doubt.set()
        self._keeper.join()
        self._reader.stop()
        self._reader.join()

    def alive(self) -> bool:
        """See `Watcher.alive`."""
        threads = (self._reader, self._keeper)
        return all(thread is not None and thread.is_alive() for thread in threads)

    def problem(self) -> str:
        """See `Watcher.problem`."""
        failed = self._tree.failed() if self._tree is not None else {}
        if not failed:
            return ""
        path, error = next(iter(failed.items()))
        help_ = " Raise fs.inotify.max_user_watches (sysctl)." if error.errno == errno.ENOSPC else ""
        return (
            f"{len(failed)} folders cannot be watched, the first is {path} ({error.strerror}).{help_} "
            f"Everything is looked at every {self._poll_every:g} s instead."
        )

    def _keep(self, tree: WatchedTree, on_hint: OnHint) -> None:
        """Keep every folder watched, from the first walk on, whatever becomes of them."""
        while True:
            tree.doubt.clear()
            if tree.closing:
                return
            tree.watch_all()
            on_hint(EVERYTHING)
            polled = time.monotonic()
            while not tree.doubt.wait(self._check_every) and not tree.replaced():
                if tree.failed() and time.monotonic() - polled >= self._poll_every:
                    tree.retry()
                    on_hint(EVERYTHING)
                    polled = time.monotonic()
