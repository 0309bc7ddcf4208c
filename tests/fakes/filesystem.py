"""An in-memory disk behind the `FileSystem` port, with the user's hands on it."""

import contextlib
import errno
from collections.abc import Callable, Iterator

from janfs.folder import paths
from janfs.folder.filesystem import OpenFile, Stamp, Stat
from tests.fakes.clock import FakeClock
from tests.fakes.disk import Disk, failure
from tests.fakes.inodes import File, Folder, Inode, Link


class FakeFile:
    """A file opened for reading; it stays what it is when its name goes elsewhere."""

    def __init__(self, inode: Inode, path: str) -> None:
        self._inode = inode
        self._path = path

    def read_at(self, offset: int, length: int) -> bytes:
        if isinstance(self._inode, Folder):
            raise failure(errno.EISDIR, self._path)
        if not isinstance(self._inode, File):
            raise failure(errno.ESPIPE, self._path)
        return self._inode.read_at(offset, length)

    def stamp(self) -> Stamp:
        return _stamp(self._inode)


class Writer:
    """A program that has a file open for writing."""

    def __init__(self, disk: Disk, file: File, changed: Callable[[], None]) -> None:
        self._disk = disk
        self._file = file
        self._changed = changed
        self._open = True
        self.offset = 0
        file.writers += 1
        disk.open_files.append(file)

    def write(self, data: bytes) -> None:
        """Write at `offset`, and move it behind what was written."""
        if not self._open:
            raise ValueError("the writer is closed")
        self._file.write_at(self.offset, data)
        self.offset += len(data)
        self._file.mtime_ns = self._file.ctime_ns = self._disk.time_ns()

    def close(self) -> None:
        """Close the file; a second time does nothing."""
        if self._open:
            self._open = False
            self._file.writers = max(0, self._file.writers - 1)
            if self._file in self._disk.open_files:
                self._disk.open_files.remove(self._file)
            self._changed()


class FakeFileSystem:
    """The port's calls on a disk in memory, and what a person does to the same disk meanwhile.

    The person's calls take paths in the spelling of `janfs.folder.paths`: relative to `root`, or, with a
    leading `/`, anywhere on the disk. They make missing folders and replace what is there. `on_change`
    hears of every name below the root that changed or was closed after writing, as a watcher would. Not every
    disk `exchanges` the names of two files at once.
    """

    def __init__(
        self,
        clock: FakeClock | None = None,
        *,
        root: str = "/home/user/jan",
        granularity_ns: int = 1,
        reuse_inodes: bool = False,
        folds: bool = False,
        exchanges: bool = True,
    ) -> None:
        self.clock = clock or FakeClock()
        self.root = root
        self.read_only = False
        self.exchanges = exchanges
        self.knows_writers = True
        self.on_change: Callable[[str], None] = lambda path: None
        self._disk = Disk(
            self.clock, root, granularity_ns=granularity_ns, reuse_inodes=reuse_inodes, folds=folds
        )
        self.mkdir(root)

    @property
    def folds(self) -> bool:
        """Whether this disk takes names for one that differ in case or Unicode form only."""
        return self._disk.folds

    def same_name(self, one: str, other: str) -> bool:
        """Whether this disk takes two names for one."""
        return one == other or (self.folds and paths.folded(one) == paths.folded(other))

    # The port.

    def stat(self, path: str) -> Stat | None:
        try:
            _, _, inode = self._disk.find(path, follow=False)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                return None
            raise
        return None if inode is None else self._look(path, inode)

    def list(self, folder: str) -> dict[str, Stat]:
        found: dict[str, Stat] = {}
        for raw, inode in sorted(self._disk.folder(folder).entries.items()):
            name = paths.encode_name(raw)
            found[name] = self._look(f"{folder}/{name}" if folder else name, inode)
        return found

    @contextlib.contextmanager
    def open(self, path: str, *, once: bool = False) -> Iterator[OpenFile]:
        inode = self._disk.get(path)
        if isinstance(inode, File):
            self._disk.open_files.append(inode)
        try:
            yield FakeFile(inode, path)
        finally:
            if isinstance(inode, File) and inode in self._disk.open_files:
                self._disk.open_files.remove(inode)

    def being_written(self, path: str) -> bool | None:
        inode = self._disk.get(path)
        if not self.knows_writers or not isinstance(inode, File):
            return None
        return inode.writers > 0

    def is_mount_point(self, path: str) -> bool:
        return False

    def has_holes(self, path: str) -> bool:
        inode = self._disk.get(path)
        return isinstance(inode, File) and inode.has_holes

    def create(self, path: str, data: bytes, like: str | None = None) -> None:
        self._check_writable(path)
        model = None if like is None else self._disk.file(like)
        self._disk.new_name(path)
        file = self._disk.new_file()
        if model is not None:
            file.mode = model.mode
        file.write_at(0, data)
        self._disk.add(path, file, by_user=False)
        self._tell(path)

    def make_folder(self, path: str) -> None:
        self._check_writable(path)
        self._disk.add_folder(path, by_user=False)
        self._tell(path)

    def make_link(self, path: str, target: str) -> None:
        self._check_writable(path)
        self._disk.add_link(path, target, by_user=False)
        self._tell(path)

    def link_file(self, source: str, target: str) -> None:
        self._check_writable(target)
        inode = self._disk.get(source, follow=False)
        if isinstance(inode, Folder):
            raise failure(errno.EPERM, source)
        self._disk.add(target, inode, by_user=False)
        self._tell(target)

    def copy_file(self, source: str, target: str) -> None:
        self._check_writable(target)
        original = self._disk.file(source)
        self._disk.new_name(target)
        file = self._disk.new_file()
        file.write_at(0, original.read_at(0, original.size))
        file.mtime_ns = original.mtime_ns
        self._disk.add(target, file, by_user=False)
        self._tell(target)

    def rename(self, source: str, target: str) -> None:
        self._check_writable(source)
        self._disk.rename(source, target, replace=False, by_user=False)
        self._tell(source, target)

    def exchange(self, first: str, second: str) -> None:
        self._check_writable(first)
        if not self.exchanges:
            raise failure(errno.EINVAL, first)
        self._disk.exchange(first, second)
        self._tell(first, second)

    def set_aside(self, path: str, aside: str) -> None:
        self._check_writable(path)
        self._disk.rename(path, aside, replace=True, by_user=False)
        self._tell(path, aside)

    def unlink(self, path: str) -> None:
        self._check_writable(path)
        if isinstance(self._disk.get(path, follow=False), Folder):
            raise failure(errno.EISDIR, path)
        self._disk.remove(path, by_user=False)
        self._tell(path)

    def remove_folder(self, path: str) -> None:
        self._check_writable(path)
        inode = self._disk.get(path, follow=False)
        if not isinstance(inode, Folder):
            raise failure(errno.ENOTDIR, path)
        if inode.entries:
            raise failure(errno.ENOTEMPTY, path)
        self._disk.remove(path, by_user=False)
        self._tell(path)

    def sync_folder(self, path: str) -> None:
        self._disk.journal.sync(self._disk.folder(path))

    # The person.

    def mkdir(self, path: str) -> None:
        """Make a folder and all that lead to it; one that is there is left as it is."""
        self._make_parents(path)
        if self._missing(path):
            self._disk.add_folder(path, by_user=True)
            self._tell(path)

    def put(self, path: str, data: bytes) -> None:
        """Write a whole file at once; one that is there gets new content in place."""
        writer = self.start_write(path)
        writer.write(data)
        writer.close()

    def start_write(self, path: str, size: int | None = None, *, truncate: bool = True) -> Writer:
        """Open a file for writing, as a copy tool does; `size` preallocates (holes until written).

        With `truncate=False` an existing file keeps its content, as a resumed download does.
        """
        self._make_parents(path)
        if self._missing(path):
            self._disk.add(path, self._disk.new_file(), by_user=True)
            self._tell(path)
        file = self._disk.file(path)
        writer = Writer(self._disk, file, lambda: self._tell(path))
        if truncate:
            file.truncate(0)
        if size is not None:
            file.truncate(size)
        file.mtime_ns = file.ctime_ns = self._disk.time_ns()
        return writer

    def rename_over(self, source: str, target: str) -> None:
        """`mv -f`: also over an existing file."""
        self._make_parents(target)
        self._disk.rename(source, target, replace=True, by_user=True)
        self._tell(source, target)

    def copy(self, source: str, target: str) -> None:
        """`cp`: the same bytes, new times, a new inode unless the target is there."""
        self.put(target, self.read(source))

    def touch(self, path: str, mtime_ns: int | None = None) -> None:
        """Set the file's time, to now where none is given."""
        inode = self._disk.get(path)
        inode.mtime_ns = inode.ctime_ns = self._disk.time_ns()
        if mtime_ns is not None:
            inode.mtime_ns = mtime_ns
        self._tell(path)

    def chmod(self, path: str, mode: int) -> None:
        """Say who may read and write a file."""
        file = self._disk.file(path)
        file.mode, file.ctime_ns = mode, self._disk.time_ns() + 1
        self._tell(path)

    def mode(self, path: str) -> int:
        """Who may read and write a file."""
        return self._disk.file(path).mode

    def chmod_like(self, path: str) -> None:
        """Change something about a file that is neither its content nor its time."""
        self._disk.get(path).ctime_ns = self._disk.time_ns() + 1
        self._tell(path)

    def symlink(self, path: str, target: str) -> None:
        """Make a symbolic link; `target` is taken as it stands."""
        self._make_parents(path)
        self._disk.add_link(path, target, by_user=True)
        self._tell(path)

    def hard_link(self, existing: str, path: str) -> None:
        """Give a file one more name."""
        self._make_parents(path)
        self._disk.add(path, self._disk.file(existing), by_user=True)
        self._tell(path)

    def fifo(self, path: str) -> None:
        """Make something that is neither file nor folder."""
        self._make_parents(path)
        self._disk.add_fifo(path)
        self._tell(path)

    def remove(self, path: str) -> None:
        """`rm`: one file or link."""
        if isinstance(self._disk.get(path, follow=False), Folder):
            raise failure(errno.EISDIR, path)
        self._disk.remove(path, by_user=True)
        self._tell(path)

    def remove_tree(self, path: str) -> None:
        """`rm -r`; links are removed, not followed."""
        inode = self._disk.get(path, follow=False)
        if isinstance(inode, Folder):
            for raw in list(inode.entries):
                self.remove_tree(f"{path}/{paths.encode_name(raw)}")
        self._disk.remove(path, by_user=True)
        self._tell(path)

    def read(self, path: str) -> bytes:
        """The whole content of a file."""
        file = self._disk.file(path)
        return file.read_at(0, file.size)

    def files(self, folder: str = "") -> dict[str, bytes]:
        """Every file below `folder` by path, links and empty folders left out: what must not be lost."""
        found: dict[str, bytes] = {}
        for raw, inode in sorted(self._disk.folder(folder).entries.items()):
            path = f"{folder}/{paths.encode_name(raw)}" if folder else paths.encode_name(raw)
            if isinstance(inode, Folder):
                found |= self.files(path)
            elif isinstance(inode, File):
                found[path] = inode.read_at(0, inode.size)
        return found

    def power_cut(self) -> None:
        """Lose every change of names by the port that no `sync_folder` made durable, and all after it."""
        self._disk.power_cut()

    def _look(self, path: str, inode: Inode) -> Stat:
        link = None
        if isinstance(inode, Link):
            link = b"/".join(paths.encode_name(part).encode() for part in inode.target.split(b"/")).decode()
            try:
                target = self._disk.get(path)
            except OSError:
                return Stat(stamp=None, ctime_ns=inode.ctime_ns, link=link)
            inode = target
        is_dir = isinstance(inode, Folder)
        stamp = _stamp(inode) if isinstance(inode, File) else None
        own = isinstance(inode, File) and link is None
        nlink = inode.nlink if own and isinstance(inode, File) else 1
        writable = not own or not isinstance(inode, File) or bool(inode.mode & 0o222)
        return Stat(stamp, inode.ctime_ns, is_dir, link, nlink, writable)

    def _missing(self, path: str) -> bool:
        _, _, inode = self._disk.find(path, follow=True)
        return inode is None

    def _make_parents(self, path: str) -> None:
        parent = paths.parent(path)
        if parent:
            self.mkdir(parent)

    def _check_writable(self, path: str) -> None:
        if self.read_only:
            raise failure(errno.EROFS, path)

    def _tell(self, *changed: str) -> None:
        for path in changed:
            if not path.startswith("/"):
                self.on_change(path)


def _stamp(inode: Inode) -> Stamp:
    size = inode.size if isinstance(inode, File) else 0
    return Stamp(size=size, mtime_ns=inode.mtime_ns, inode=inode.number)
