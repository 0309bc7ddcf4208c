"""Whether the file system under a folder tells of its changes."""

import os
import threading
from pathlib import Path

from watchdog.observers.inotify_c import (
    CallbackId,
    InotifyConstants,
    InotifyEvent,
    InotifyFD,
    WatchDescriptor,
)

from janfs.folder import paths

_FILE = f"{paths.TEMP_PREFIX}probe"


def probe(root: Path, folder: str, timeout: float = 1.0) -> bool:
    """Whether an event comes within `timeout` seconds when a private file is made in `folder`; it is removed.

    Raises `OSError` when the file or the watch cannot be made.
    """
    seen = _Seen()
    reader = InotifyFD()
    reader.start()
    try:
        file = root / folder / _FILE
        file.unlink(missing_ok=True)  # a crash may have left it
        reader.add_callback(os.fsencode(file.parent), InotifyConstants.IN_CREATE, seen, CallbackId(0))
        file.touch()
        try:
            return seen.event.wait(timeout)
        finally:
            file.unlink()
    finally:
        reader.stop()
        reader.join()


class _Seen:
    def __init__(self) -> None:
        self.event = threading.Event()

    def on_event(self, event: InotifyEvent) -> None:  # noqa: ARG002 - the first event says enough
        self.event.set()

    def on_watch_deleted(self, wd: WatchDescriptor) -> None:
        """Nothing depends on the watch."""

    def on_queue_overflow(self) -> None:
        self.event.set()


def file_system_type(mountinfo: str, path: Path) -> str:
    """The type of the file system that holds the absolute `path`, from the text of /proc/self/mountinfo.

    `""` when no mount holds it. The last of several mounts on one point is the one that is seen (proc(5)).
    """
    found, depth = "", -1
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        point = Path(_unescape(before.split(" ")[4]))
        if path.is_relative_to(point) and len(point.parts) >= depth:
            found, depth = after.split(" ")[0], len(point.parts)
    return found


def _unescape(field: str) -> str:
    for octal, char in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        field = field.replace(octal, char)
    return field
