"""Files that appear whole: whoever looks, and a power cut, finds what was there before or all that is new."""

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterable
from pathlib import Path

from janfs.clock import random_id
from janfs.folder import paths
from janfs.folder.real import RealFileSystem

_UNFINISHED = f"{paths.TEMP_PREFIX}writing-"
_NO_NAMELESS = (errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT, errno.EINVAL)  # open(2), O_TMPFILE


def sync(path: Path) -> None:
    """Make a file's content, or the names in a folder, survive a power cut. Raises `OSError`."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a file system that cannot do it, and needs no telling
            raise
    finally:
        os.close(descriptor)


def replace_content(path: Path, data: bytes) -> None:
    """Give a file that is ours alone a new content. Raises `OSError`; the old one stays then."""
    new = unfinished(path)
    try:
        with new.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except OSError:
        with contextlib.suppress(OSError):  # the first error is the one to tell
            new.unlink()
        raise
    sync(path.parent)


def unfinished(path: Path) -> Path:
    """Where `replace_content` writes; what a crash leaves there may be removed."""
    return path.with_name(f"{path.name}.new")


def publish(source: Path, target: Path) -> None:
    """Flush a finished file, and give it its name in the same folder.

    Raises `OSError`, `FileExistsError` where that is taken.
    """
    sync(source)
    names = (paths.encode_name(os.fsencode(each.name)) for each in (source, target))
    RealFileSystem(target.parent).rename(*names)
    sync(target.parent)


def write_new(path: Path, pieces: Iterable[bytes]) -> int:
    """Make a new file of what comes; its size. Raises `OSError`, `FileExistsError` where there is one.

    As long as it is not whole it has no name at all, so that nothing is left of it after a crash; on disks
    that do not know such files it has a hidden one, which the next of the same folder removes, and `sweep`.
    """
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            descriptor = os.open(path.parent, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o644)
        except OSError as error:
            if error.errno not in _NO_NAMELESS:
                raise
            return _write_hidden(path, pieces)
        try:
            size = _fill(descriptor, pieces)
            # With a folder given this is linkat(2), which follows the link; link(2) does not.
            os.link(f"/proc/self/fd/{descriptor}", path.name, dst_dir_fd=folder)
        finally:
            os.close(descriptor)
        os.fsync(folder)
    finally:
        os.close(folder)
    return size


def sweep(folder: Path) -> None:
    """Remove the new files that were not whole yet when their process died."""
    for left in folder.glob(f"{_UNFINISHED}*"):
        with contextlib.suppress(OSError):  # someone is at it still, or the next one removes it
            descriptor = os.open(left, os.O_RDONLY | os.O_CLOEXEC)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                left.unlink()
            finally:
                os.close(descriptor)


def _write_hidden(path: Path, pieces: Iterable[bytes]) -> int:
    sweep(path.parent)
    waiting = path.with_name(f"{_UNFINISHED}{random_id()}")
    descriptor = os.open(waiting, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        with contextlib.suppress(OSError):  # where there are no locks, nobody sweeps either
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        size = _fill(descriptor, pieces)
        publish(waiting, path)
    except BaseException:
        waiting.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)
    return size


def _fill(descriptor: int, pieces: Iterable[bytes]) -> int:
    size = 0
    for piece in pieces:
        view = memoryview(piece)
        while view:
            written = os.write(descriptor, view)
            view, size = view[written:], size + written
    os.fsync(descriptor)
    return size
