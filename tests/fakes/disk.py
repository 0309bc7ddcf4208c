"""The whole fake disk: path lookup with links, names, times; `FakeFileSystem` shows the part below a root."""

import errno
import functools
import os
from collections import deque
from collections.abc import Iterator

from janfs.folder import paths
from tests.fakes.clock import FakeClock
from tests.fakes.inodes import Fifo, File, Folder, Inode, Journal, Link

_MAX_LINKS = 40  # path_resolution(7)
_NAME_MAX = 255


def failure(code: int, path: str) -> OSError:
    """The error that the operating system would raise."""
    return OSError(code, os.strerror(code), path)


class Disk:
    """Inodes, names and times.

    A path that starts with `/` is looked up from the top of the disk, any other from `root`.
    `granularity_ns` is the step of the time stamps (FAT: 2 s; NFS, CIFS: coarse), `reuse_inodes` hands out
    the lowest free number, as ext4 does.
    """

    def __init__(
        self, clock: FakeClock, root: str, *, granularity_ns: int, reuse_inodes: bool, folds: bool = False
    ) -> None:
        self.folds = folds
        self.clock = clock
        self.root = root
        self.journal = Journal()
        self.open_files: list[File] = []
        self._granularity_ns = granularity_ns
        self._reuse_inodes = reuse_inodes
        self._last_number = 2
        self.top = Folder(2, self.time_ns(), self.time_ns())

    def time_ns(self) -> int:
        """Now, as this disk can tell it."""
        return self.clock.time_ns() // self._granularity_ns * self._granularity_ns

    def new_number(self) -> int:
        """An inode number that nothing else has."""
        if not self._reuse_inodes:
            self._last_number += 1
            return self._last_number
        used = {inode.number for inode in self.inodes()}
        number = 3
        while number in used:
            number += 1
        return number

    def inodes(self) -> Iterator[Inode]:
        """Everything that some name, a durable one included, or an open file holds."""
        seen: set[int] = set()
        todo: list[Inode] = [self.top, *self.open_files]
        while todo:
            inode = todo.pop()
            if id(inode) in seen:
                continue
            seen.add(id(inode))
            yield inode
            if isinstance(inode, Folder):
                todo += [*inode.entries.values(), *inode.durable.values()]

    def find(self, path: str, *, follow: bool) -> tuple[Folder, bytes, Inode | None]:
        """The folder that holds `path`, the name in it, and what is there; raises as lookups do.

        With `follow`, a link at the end is followed, and folder and name are those of its target.
        """
        parts = deque(_parts(path))
        if not path.startswith("/"):
            parts.extendleft(reversed(_parts(self.root)))
        trail: list[Folder] = [self.top]
        name, inode, hops = b".", self.top, 0
        found: Inode | None = inode
        while parts:
            name = parts.popleft()
            if len(name) > _NAME_MAX:
                raise failure(errno.ENAMETOOLONG, path)
            if name == b"..":
                trail = trail[:-1] or [self.top]
                found = trail[-1]
                continue
            name = self._spelled(trail[-1], name)
            found = trail[-1].entries.get(name)
            if isinstance(found, Link) and (parts or follow):
                hops += 1
                if hops > _MAX_LINKS:
                    raise failure(errno.ELOOP, path)
                if found.target.startswith(b"/"):
                    trail = [self.top]
                parts.extendleft(reversed(_split(found.target)))
                found = trail[-1]
                continue
            if not parts:
                return trail[-1], name, found
            if found is None:
                raise failure(errno.ENOENT, path)
            if not isinstance(found, Folder):
                raise failure(errno.ENOTDIR, path)
            trail.append(found)
        return trail[-1], name, found

    def get(self, path: str, *, follow: bool = True) -> Inode:
        """What is at `path`; `FileNotFoundError` when nothing is."""
        _, _, inode = self.find(path, follow=follow)
        if inode is None:
            raise failure(errno.ENOENT, path)
        return inode

    def folder(self, path: str) -> Folder:
        """The folder at `path`; `NotADirectoryError` when something else is."""
        inode = self.get(path)
        if not isinstance(inode, Folder):
            raise failure(errno.ENOTDIR, path)
        return inode

    def file(self, path: str) -> File:
        """The file at `path`; `IsADirectoryError` for a folder."""
        inode = self.get(path)
        if isinstance(inode, Folder):
            raise failure(errno.EISDIR, path)
        if not isinstance(inode, File):
            raise failure(errno.EINVAL, path)
        return inode

    def new_name(self, path: str) -> tuple[Folder, bytes]:
        """Where a new name goes; `FileExistsError` when it is taken, a dangling link included."""
        folder, name, inode = self.find(path, follow=False)
        if inode is not None:
            raise failure(errno.EEXIST, path)
        return folder, name

    def new_file(self) -> File:
        """A file without a name."""
        now = self.time_ns()
        return File(self.new_number(), now, now)

    def add(self, path: str, inode: Inode, *, by_user: bool) -> None:
        """Give `inode` a new name."""
        folder, name = self.new_name(path)
        if isinstance(inode, File):
            inode.nlink += 1
            inode.ctime_ns = self.time_ns()
        self._record((folder, name, inode), by_user=by_user)

    def add_folder(self, path: str, *, by_user: bool) -> None:
        """Make an empty folder."""
        now = self.time_ns()
        self.add(path, Folder(self.new_number(), now, now), by_user=by_user)

    def add_link(self, path: str, target: str, *, by_user: bool) -> None:
        """Make a symbolic link."""
        now = self.time_ns()
        self.add(path, Link(self.new_number(), now, now, paths.decode_path(target)), by_user=by_user)

    def add_fifo(self, path: str) -> None:
        """Make a FIFO."""
        now = self.time_ns()
        self.add(path, Fifo(self.new_number(), now, now), by_user=True)

    def remove(self, path: str, *, by_user: bool) -> None:
        """Take a name away, whatever it points at."""
        folder, name, inode = self.find(path, follow=False)
        if inode is None:
            raise failure(errno.ENOENT, path)
        self._drop(inode)
        self._record((folder, name, None), by_user=by_user)

    def rename(self, source: str, target: str, *, replace: bool, by_user: bool) -> None:
        """Move a name; with `replace`, over a file, a link or an empty folder, as rename(2) does."""
        old_folder, old_name, inode = self.find(source, follow=False)
        new_folder, new_name, there = self.find(target, follow=False)
        if inode is None:
            raise failure(errno.ENOENT, source)
        if there is not None and not replace:
            raise failure(errno.EEXIST, target)
        if inode is new_folder or (isinstance(inode, Folder) and new_folder in _below(inode)):
            raise failure(errno.EINVAL, target)
        wanted = _parts(target)[-1]
        if there is inode and (old_name == wanted or not self.folds):
            return
        if there is inode:  # another spelling of its own name
            there, new_name = None, wanted
        if isinstance(there, Folder) and there.entries:
            raise failure(errno.ENOTEMPTY, target)
        if there is not None:
            self._drop(there)
        inode.ctime_ns = self.time_ns()
        self._record((old_folder, old_name, None), (new_folder, new_name, inode), by_user=by_user)

    def exchange(self, first: str, second: str) -> None:
        """Swap what two names point at, as renameat2(2) does with RENAME_EXCHANGE."""
        one_folder, one_name, one = self.find(first, follow=False)
        other_folder, other_name, other = self.find(second, follow=False)
        for path, inode in ((first, one), (second, other)):
            if inode is None:
                raise failure(errno.ENOENT, path)
            inode.ctime_ns = self.time_ns()
        self._record((one_folder, one_name, other), (other_folder, other_name, one), by_user=False)

    def _spelled(self, folder: Folder, name: bytes) -> bytes:
        """How a name that is there is spelled, on a disk that takes several spellings for one name."""
        if not self.folds or name in folder.entries:
            return name
        key = paths.folded(name.decode(errors="surrogateescape"))
        alike = (
            each for each in folder.entries if paths.folded(each.decode(errors="surrogateescape")) == key
        )
        return next(alike, name)

    def power_cut(self) -> None:
        """Lose every name that is not durable, and every open file."""
        self.journal.forget()
        self.open_files.clear()
        for inode in list(self.inodes()):
            if isinstance(inode, Folder):
                inode.entries = dict(inode.durable)
            if isinstance(inode, File):
                inode.nlink = inode.writers = inode.readers = 0
        for inode in list(self.inodes()):
            if isinstance(inode, Folder):
                for child in inode.entries.values():
                    if isinstance(child, File):
                        child.nlink += 1

    def _record(self, *changes: tuple[Folder, bytes, Inode | None], by_user: bool) -> None:
        self.journal.record(changes, by_user=by_user)
        for folder, _, _ in changes:
            folder.mtime_ns = folder.ctime_ns = self.time_ns()

    def _drop(self, inode: Inode) -> None:
        if isinstance(inode, File):
            inode.nlink -= 1
            inode.ctime_ns = self.time_ns()


@functools.lru_cache(maxsize=4096)
def _parts(path: str) -> tuple[bytes, ...]:
    return _split(paths.decode_path(path))


def _split(raw: bytes) -> tuple[bytes, ...]:
    return tuple(part for part in raw.split(b"/") if part not in (b"", b"."))


def _below(folder: Folder) -> list[Folder]:
    found = [folder]
    for child in folder.entries.values():
        if isinstance(child, Folder):
            found += _below(child)
    return found
