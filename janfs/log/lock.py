"""One owner a root: a lock file that names who holds it."""

import fcntl
import os
import time
from pathlib import Path

import msgspec

from janfs.errors import RootLocked, RootUnusable

_LENGTH = 512  # bytes of the lock file


class Owner(msgspec.Struct, frozen=True):
    """Who holds the lock. `pid` is None until it says so; `url` is where its API listens, once it does."""

    pid: int | None = None
    url: str | None = None


class RootLock:
    """An advisory lock (flock) on a file; the system lets it go when the process ends, however it ends."""

    def __init__(self, path: Path) -> None:
        """Take the lock. Raises `RootLocked`, naming the owner, when another process has it.

        Raises `RootUnusable` when the file cannot be made or opened.
        """
        self._path = path
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise RootUnusable(f"The lock {path} cannot be opened for writing: {error.strerror}.") from error
        try:
            _lock_with_patience(self._descriptor)
        except BlockingIOError as error:
            os.close(self._descriptor)
            owner = read_owner(path)
            who = f"janfs with process id {owner.pid}" if owner is not None and owner.pid else "another janfs"
            where = f" at {owner.url}" if owner is not None and owner.url else ""
            raise RootLocked(
                f"{path.parent.parent} is in use by {who}{where}. Stop it first, or use another --root."
            ) from error
        try:
            self.announce(None)
        except RootUnusable:
            self.release()
            raise

    def announce(self, url: str | None) -> None:
        """Write down who we are and where we listen, for other processes to read. Raises `RootUnusable`."""
        # One write of a fixed length: a reader never sees half of it.
        text = msgspec.json.encode(Owner(pid=os.getpid(), url=url)).ljust(_LENGTH)
        try:
            os.pwrite(self._descriptor, text, 0)
        except OSError as error:
            raise RootUnusable(f"The lock {self._path} cannot be written: {error.strerror}.") from error

    def release(self) -> None:
        """Let the lock go."""
        os.close(self._descriptor)


def _lock_with_patience(descriptor: int) -> None:
    for wait in (0.02, 0.05, 0.1, 0.2, 0.4, 0.8, None):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if wait is None:
                raise
            time.sleep(wait)  # `read_owner` elsewhere holds it for an instant, on a busy machine for longer
        else:
            return


def read_owner(path: Path) -> Owner | None:
    """Who holds the lock at `path` now; None when nobody does. Raises `RootUnusable` if it cannot be read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RootUnusable(f"The lock {path} cannot be read: {error.strerror}.") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        text = os.pread(descriptor, _LENGTH, 0).strip()
        return msgspec.json.decode(text, type=Owner) if text else Owner()
    finally:
        os.close(descriptor)
    return None
