"""The real file system behind the port."""
# Names are bytes here, and pathlib knows only text.
# ruff: noqa: PTH102, PTH104, PTH106, PTH108, PTH115, PTH116, PTH211

import contextlib
import ctypes
import errno
import fcntl
import os
import re
import signal
import stat as stat_module
from collections.abc import Iterator
from pathlib import Path

from janfs.folder import paths
from janfs.folder.copying import copy_content
from janfs.folder.filesystem import OpenFile, Stamp, Stat

_AT_FDCWD = -100
_RENAME_NOREPLACE = 1
_RENAME_EXCHANGE = 2
_F_SETSIG = 10  # linux/fcntl.h; not in Python's fcntl before 3.12

_OCTAL = re.compile(rb"\\([0-7]{3})")

_libc = ctypes.CDLL(None, use_errno=True)


class RealFile:
    """An open file descriptor."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def read_at(self, offset: int, length: int) -> bytes:
        """See `OpenFile.read_at`."""
        return os.pread(self._descriptor, length, offset)

    def stamp(self) -> Stamp:
        """See `OpenFile.stamp`."""
        return _stamp(os.fstat(self._descriptor))


class RealFileSystem:
    """The disk below `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._base = os.fsencode(root) + b"/"

    def _at(self, path: str) -> bytes:
        return self._base + paths.decode_path(path)

    def stat(self, path: str) -> Stat | None:
        """See `FileSystem.stat`."""
        at = self._at(path)
        try:
            return _look(at, os.lstat(at))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:  # nothing on this disk can have that name
                return None
            raise

    def list(self, folder: str) -> dict[str, Stat]:
        """See `FileSystem.list`."""
        entries: dict[str, Stat] = {}
        with os.scandir(self._at(folder)) as scan:
            for entry in scan:
                try:
                    found = _look(entry.path, entry.stat(follow_symlinks=False))
                except FileNotFoundError:
                    continue
                entries[paths.encode_name(entry.name)] = found
        return entries

    @contextlib.contextmanager
    def open(self, path: str, *, once: bool = False) -> Iterator[OpenFile]:
        """See `FileSystem.open`; POSIX_FADV_NOREUSE leaves the pages that others use where they are."""
        # O_NONBLOCK: a FIFO with a model's name must not hang the pipeline.
        descriptor = os.open(self._at(path), os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            if once:
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_NOREUSE)
            yield RealFile(descriptor)
        finally:
            os.close(descriptor)

    def being_written(self, path: str) -> bool | None:
        """See `FileSystem.being_written`; a read lease is refused while anyone may write (fcntl(2))."""
        descriptor = os.open(self._at(path), os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            # A writer that comes while we hold the lease signals us; SIGIO, the default, would kill us.
            fcntl.fcntl(descriptor, _F_SETSIG, signal.SIGURG)
            fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
            fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        except OSError as error:
            return True if error.errno == errno.EAGAIN else None
        finally:
            os.close(descriptor)
        return False

    def is_mount_point(self, path: str) -> bool:
        """See `FileSystem.is_mount_point`; the table of mounts knows binds, too (proc(5))."""
        at = os.path.realpath(self._at(path))
        with Path("/proc/self/mountinfo").open("rb") as table:
            return any(_OCTAL.sub(_from_octal, line.split(b" ")[4]) == at for line in table)

    def has_holes(self, path: str) -> bool:
        """See `FileSystem.has_holes`; fallocated blocks count as holes until they are written (lseek(2))."""
        descriptor = os.open(self._at(path), os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            size = os.fstat(descriptor).st_size
            return size > 0 and os.lseek(descriptor, 0, os.SEEK_HOLE) < size
        except OSError as error:
            if error.errno in (errno.EINVAL, errno.ENOTSUP):
                return False
            raise
        finally:
            os.close(descriptor)

    def create(self, path: str, data: bytes, like: str | None = None) -> None:
        """See `FileSystem.create`; the owner and group are taken over as far as we may."""
        model = None if like is None else os.stat(self._at(like))
        mode = 0o644 if model is None else 0o600
        descriptor = os.open(self._at(path), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        try:
            if model is not None:
                with contextlib.suppress(PermissionError):  # only root may give a file away
                    os.fchown(descriptor, model.st_uid, model.st_gid)
                os.fchmod(descriptor, stat_module.S_IMODE(model.st_mode))
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def make_folder(self, path: str) -> None:
        """See `FileSystem.make_folder`."""
        os.mkdir(self._at(path))

    def make_link(self, path: str, target: str) -> None:
        """See `FileSystem.make_link`."""
        os.symlink(paths.decode_path(target), self._at(path))

    def link_file(self, source: str, target: str) -> None:
        """See `FileSystem.link_file`."""
        os.link(self._at(source), self._at(target), follow_symlinks=False)

    def copy_file(self, source: str, target: str) -> None:
        """See `FileSystem.copy_file`."""
        there = self._at(target)
        with contextlib.ExitStack() as stack:
            here = os.open(self._at(source), os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            stack.callback(os.close, here)
            made = os.open(there, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
            stack.callback(os.close, made)
            try:
                copy_content(here, made)
            except OSError:
                os.unlink(there)
                raise

    def rename(self, source: str, target: str) -> None:
        """See `FileSystem.rename`; renameat2(2) with RENAME_NOREPLACE, or link and unlink, or EOPNOTSUPP."""
        here, there = self._at(source), self._at(target)
        if _libc.renameat2(_AT_FDCWD, here, _AT_FDCWD, there, _RENAME_NOREPLACE) == 0:
            return
        code = ctypes.get_errno()
        if code not in (errno.EINVAL, errno.ENOSYS):
            raise OSError(code, os.strerror(code), os.fsdecode(here), None, os.fsdecode(there))
        if stat_module.S_ISDIR(os.lstat(here).st_mode):
            # A folder cannot be linked; mkdir claims the name, and rename replaces only an empty folder.
            os.mkdir(there)
            try:
                os.rename(here, there)
            except OSError:
                os.rmdir(there)
                raise
            return
        try:
            os.link(here, there, follow_symlinks=False)
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.ENOSYS):
                raise
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP), os.fsdecode(here)) from error
        os.unlink(here)

    def exchange(self, first: str, second: str) -> None:
        """See `FileSystem.exchange`; renameat2(2) with RENAME_EXCHANGE."""
        here, there = self._at(first), self._at(second)
        if _libc.renameat2(_AT_FDCWD, here, _AT_FDCWD, there, _RENAME_EXCHANGE) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), os.fsdecode(here), None, os.fsdecode(there))

    def set_aside(self, path: str, aside: str) -> None:
        """See `FileSystem.set_aside`; link and unlink would take away what someone saves between the two."""
        os.rename(self._at(path), self._at(aside))

    def unlink(self, path: str) -> None:
        """See `FileSystem.unlink`."""
        os.unlink(self._at(path))

    def remove_folder(self, path: str) -> None:
        """See `FileSystem.remove_folder`."""
        os.rmdir(self._at(path))

    def sync_folder(self, path: str) -> None:
        """See `FileSystem.sync_folder`; file systems that cannot do it say EINVAL and need no telling."""
        descriptor = os.open(self._at(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
        finally:
            os.close(descriptor)


def _from_octal(found: re.Match[bytes]) -> bytes:
    return bytes([int(found[1], 8)])


def _stamp(found: os.stat_result) -> Stamp:
    return Stamp(size=found.st_size, mtime_ns=found.st_mtime_ns, inode=found.st_ino)


def _look(at: bytes, found: os.stat_result) -> Stat:
    if stat_module.S_ISDIR(found.st_mode):
        return Stat(stamp=None, ctime_ns=found.st_ctime_ns, is_dir=True)
    if stat_module.S_ISREG(found.st_mode):
        writable = bool(found.st_mode & 0o222)
        return Stat(stamp=_stamp(found), ctime_ns=found.st_ctime_ns, nlink=found.st_nlink, writable=writable)
    if not stat_module.S_ISLNK(found.st_mode):
        return Stat(stamp=None, ctime_ns=found.st_ctime_ns)
    return _look_through(at, found)


def _look_through(at: bytes, found: os.stat_result) -> Stat:
    link = b"/".join(paths.encode_name(part).encode() for part in os.readlink(at).split(b"/")).decode()
    try:
        target = os.stat(at)
    except OSError:  # gone, in a loop, or not ours to look at: a link that leads nowhere
        return Stat(stamp=None, ctime_ns=found.st_ctime_ns, link=link)
    is_dir = stat_module.S_ISDIR(target.st_mode)
    stamp = _stamp(target) if stat_module.S_ISREG(target.st_mode) else None
    return Stat(stamp=stamp, ctime_ns=target.st_ctime_ns, is_dir=is_dir, link=link)
