"""Hints that something in the folder may have changed. They only save waiting: a full scan finds the same.

A hint may come twice, late, out of order, or for nothing; none may be lost without a later hint `""`.
"""

import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Protocol

from janfs.folder import paths

OnHint = Callable[[str], None]
EVERYTHING: Final = ""  # the hint that anything may have changed

# File systems that other machines or systems change behind the kernel's back; no event tells of that.
_CHANGED_ELSEWHERE = ("nfs", "cifs", "smb", "9p", "fuse.", "vboxsf", "virtiofs", "ceph", "afs", "glusterfs")


class Watcher(Protocol):
    """A source of hints; it is started once and closed once."""

    @property
    def name(self) -> str:
        """How it learns of changes: `inotify`, `polling`."""
        ...

    def start(self, root: Path, folders: Sequence[str], on_hint: OnHint) -> None:
        """Watch `folders` below `root` with all below them; follow no links; return at once.

        `on_hint` gets, from another thread, a path in the spelling of `janfs.folder.paths` at or below which
        something may have changed, and `""` when that may be anywhere: once all watches stand, and after
        every gap. Folders may be missing; they are watched when they come. Raises `OSError` when the system
        has no means left to watch with.
        """
        ...

    def close(self) -> None:
        """Stop; no hint comes after it returns."""
        ...

    def alive(self) -> bool:
        """Whether hints still come. Once False it stays so: close this one and start another."""
        ...

    def problem(self) -> str:
        """Why changes are seen late, in plain words, and what helps; `""` when they are seen at once."""
        ...


class PollingWatcher:
    """Says `""` every `interval` seconds: for file systems that send no events."""

    name = "polling"

    def __init__(self, interval: float = 2.0, reason: str = "Polling was asked for.") -> None:
        self._interval = interval
        self._reason = reason
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, root: Path, folders: Sequence[str], on_hint: OnHint) -> None:  # noqa: ARG002 - all is looked at
        """See `Watcher.start`."""

        def poll() -> None:
            while not self._closing.wait(self._interval):
                on_hint(EVERYTHING)

        self._thread = threading.Thread(target=poll, name="janfs-polling", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """See `Watcher.close`."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join()

    def alive(self) -> bool:
        """See `Watcher.alive`."""
        return self._thread is not None and self._thread.is_alive()

    def problem(self) -> str:
        """See `Watcher.problem`."""
        return f"{self._reason} The folder is looked at every {self._interval:g} s instead."


def choose_watcher(root: Path, folder: str = paths.MODELS, *, interval: float = 2.0) -> Watcher:
    """The quickest watcher that can be trusted with the file system under `folder`.

    Polling, every `interval` seconds, where events would not tell everything; inotify elsewhere, and for a
    folder that is not there yet.
    """
    if sys.platform != "linux":
        return PollingWatcher(interval, f"There is no inotify on {sys.platform}.")
    from janfs.folder.watch.inotify import InotifyWatcher
    from janfs.folder.watch.probe import file_system_type, probe

    where = root / folder
    kind = file_system_type(
        Path("/proc/self/mountinfo").read_text("utf-8", "surrogateescape"), where.resolve()
    )
    if kind.startswith(_CHANGED_ELSEWHERE):
        return PollingWatcher(interval, f"{where} is on {kind}, where changes can come without an event.")
    try:
        if not probe(root, folder):
            return PollingWatcher(interval, f"{where} is on {kind}, which sends no events.")
    except FileNotFoundError:
        pass
    except OSError as error:
        return PollingWatcher(interval, f"Events on {where} cannot be had: {error}.")
    return InotifyWatcher()
