"""The file system port: the few primitives that janfs needs of a disk, each one call and one effect.

Every path is relative to the root, in the spelling of `janfs.folder.paths`. All calls raise `OSError` as
the operating system does; a missing file is `FileNotFoundError`, an existing target `FileExistsError`.
Nothing here overwrites, but for `set_aside`.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

from msgspec import Struct

ReadAt = Callable[[int, int], bytes]


class Stamp(Struct, frozen=True, gc=False):
    """What tells one content of a file from another without reading it; sizes in bytes, times in ns."""

    size: int
    mtime_ns: int
    inode: int


class Stat(Struct, frozen=True):
    """One look at one name. `stamp` describes the target of a link; `link` holds where a link points.

    `stamp` is None for a link whose target is not there, and for what is neither file nor folder. `writable`
    is whether anyone may write it, by its mode.
    """

    stamp: Stamp | None
    ctime_ns: int
    is_dir: bool = False
    link: str | None = None
    nlink: int = 1
    writable: bool = True


class OpenFile(Protocol):
    """A file opened for reading."""

    def read_at(self, offset: int, length: int) -> bytes:
        """Up to `length` bytes from `offset`; fewer at the end of the file."""
        ...

    def stamp(self) -> Stamp:
        """What the open file is now, whatever has become of its name."""
        ...


class FileSystem(Protocol):
    """A disk, as far as janfs needs one."""

    def stat(self, path: str) -> Stat | None:
        """One look at `path`; None when nothing is there."""
        ...

    def list(self, folder: str) -> dict[str, Stat]:
        """Every name in `folder` with its `Stat`; names that vanish meanwhile are left out."""
        ...

    def open(self, path: str, *, once: bool = False) -> AbstractContextManager[OpenFile]:
        """Open a file for reading, following links; with `once` what is read need not be kept in memory."""
        ...

    def being_written(self, path: str) -> bool | None:
        """Whether some process has the file open for writing; None where that cannot be known."""
        ...

    def is_mount_point(self, path: str) -> bool:
        """Whether another disk begins at a folder."""
        ...

    def has_holes(self, path: str) -> bool:
        """Whether parts of the file have never been written (preallocated, or sparse)."""
        ...

    def create(self, path: str, data: bytes, like: str | None = None) -> None:
        """Make a new file with this content, and flush it to the disk; with the mode of `like`."""
        ...

    def make_folder(self, path: str) -> None:
        """Make one folder; it must not exist."""
        ...

    def make_link(self, path: str, target: str) -> None:
        """Make a symbolic link; `path` must not exist."""
        ...

    def link_file(self, source: str, target: str) -> None:
        """Give a file (not what a link leads to) a second name; `FileExistsError` when `target` exists."""
        ...

    def copy_file(self, source: str, target: str) -> None:
        """Make a new file with the content and time of `source`, and flush it; a failure leaves none behind.

        Blocks are shared where the disk can. `FileExistsError` when `target` exists, EBUSY when `source`
        changes meanwhile.
        """
        ...

    def rename(self, source: str, target: str) -> None:
        """Rename a file or folder; `FileExistsError` when `target` exists, also in a race."""
        ...

    def exchange(self, first: str, second: str) -> None:
        """Swap two files' names at once, so that each is always there; EINVAL where the disk cannot."""
        ...

    def set_aside(self, path: str, aside: str) -> None:
        """Rename a file at once to a name that nobody else uses; whatever is there is replaced."""
        ...

    def unlink(self, path: str) -> None:
        """Remove one name of a file."""
        ...

    def remove_folder(self, path: str) -> None:
        """Remove an empty folder."""
        ...

    def sync_folder(self, path: str) -> None:
        """Make the names in a folder survive a power cut."""
        ...
