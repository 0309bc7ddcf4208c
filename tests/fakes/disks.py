"""A root on more than one disk."""

import errno
import os
from collections.abc import Callable

from janfs.folder import paths
from tests.fakes.faults import P, T


class Disks:
    """Whatever lies below one of the `mounts` is on a disk of its own; goes around every call.

    The name of a mount belongs to the disk that it lies on, and stays as long as something is mounted there.
    """

    def __init__(self, *mounts: str) -> None:
        self.mounts = list(mounts)

    def _disk(self, path: object) -> str:
        inside = [mount for mount in self.mounts if paths.is_inside(paths.parent(str(path)), mount)]
        return max(inside, key=len, default="")

    def __call__(self, name: str, perform: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        if name == "is_mount_point":
            return args[0] in self.mounts  # type: ignore[return-value]
        if name in ("rename", "link_file", "exchange", "set_aside"):
            if self._disk(args[0]) != self._disk(args[1]):
                raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), args[0])
            if args[0] in self.mounts:
                raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), args[0])
        return perform(*args, **kwargs)
