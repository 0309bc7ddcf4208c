"""Copying a file on Linux: shared blocks where the file system can, else the kernel's own copying."""

import errno
import fcntl
import os

_FICLONE = 0x40049409  # linux/fs.h: share all blocks of another file (btrfs, xfs, bcachefs, ...)
_STEP = 1 << 30  # bytes that one call may copy
_CANNOT = (errno.EOPNOTSUPP, errno.EINVAL, errno.EXDEV, errno.ENOTTY, errno.ENOSYS, errno.EPERM)


def copy_content(source: int, target: int) -> None:
    """Give the empty open file `target` the content and times of the open file `source`, and flush it.

    Raises `OSError`, with EBUSY when `source` changed meanwhile.
    """
    before = os.fstat(source)
    if not share_content(source, target):
        _copy(source, target, before.st_size)
    after = os.fstat(source)
    if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
        raise OSError(errno.EBUSY, "it changed while it was copied")
    os.fchmod(target, before.st_mode & 0o777)
    os.utime(target, ns=(before.st_atime_ns, before.st_mtime_ns))
    os.fsync(target)


def share_content(source: int, target: int) -> bool:
    """Give the empty open file `target` the blocks of `source`; False where the file system cannot.

    Times and mode are left to the caller. Raises `OSError`.
    """
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError as error:
        if error.errno in _CANNOT:
            return False
        raise
    return True


def _copy(source: int, target: int, size: int) -> None:
    done = 0
    while done < size:
        try:
            count = os.copy_file_range(source, target, min(_STEP, size - done), done, done)
        except OSError as error:
            if done or error.errno not in _CANNOT:
                raise
            _read_and_write(source, target)
            return
        if count == 0:
            raise OSError(errno.EBUSY, "it became shorter while it was copied")
        done += count


def _read_and_write(source: int, target: int) -> None:
    offset = 0
    while piece := os.pread(source, 1 << 20, offset):
        offset += os.pwrite(target, piece, offset)
