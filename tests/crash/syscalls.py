"""What a process asks of a real disk, one call after another: counted, watched, and failing at one of them.

For a child process of its own: it puts itself between Python and the operating system for good. Files opened
with `open` go through Python's own implementation (`_pyio`), so that every write can be seen.
"""

# Names are text with and without a folder here, and half of them are gone by the time they are asked for.
# ruff: noqa: PTH109, PTH112, PTH115, PTH116, PTH118, PTH120

import _pyio
import builtins
import errno
import fcntl
import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from msgspec import Struct

from janfs.folder import paths, real

DIED = 99  # exit status
_SECOND = ("rename", "replace", "link", "symlink")  # these make their second argument
_NAMED = (*_SECOND, "mkdir", "unlink", "remove", "rmdir")
_OPENED = ("write", "pwrite", "fsync", "fdatasync", "ftruncate", "fchmod")


class Fault(Struct, frozen=True):
    """What happens at the call of that number: the process dies, or with `code` the call fails."""

    call: int
    code: int | None = None
    half: bool = False  # of what is to be written, half is


class Syscalls:
    """Every call that changes something below `base`. `one_disk=False` lets nothing be linked or renamed
    from elsewhere into the folder `base / "jan"`, as if that were a disk of its own."""

    def __init__(self, base: Path, fault: Fault | None = None, *, one_disk: bool = True) -> None:
        self.calls: list[str] = []
        self.broken: list[str] = []  # rules of durability that were
        self._base = f"{base}/"
        self._fault = fault
        self._one_disk = one_disk
        self._order = Order(base)

    def install(self) -> None:
        """From now on, until the process ends."""
        for name in _NAMED:
            setattr(os, name, self._named(name, getattr(os, name)))
        for name in _OPENED:
            setattr(os, name, self._opened(name, getattr(os, name)))
        os.open = self._open(os.open)  # type: ignore[assignment]
        os.copy_file_range = self._copying(os.copy_file_range)
        fcntl.ioctl = self._cloning(fcntl.ioctl)
        real._libc = _Libc(self._named("renameat2", real._libc.renameat2))  # type: ignore[assignment]
        builtins.open = io.open = _pyio.open  # type: ignore[assignment]

    def finish(self) -> list[str]:
        """The rules that were broken, now that all is done."""
        return self.broken + self._order.unfinished()

    def _do(
        self,
        name: str,
        where: list[str],
        perform: Callable[[], Any],
        half: Callable[[], Any] = lambda: None,
        inode: int = 0,
    ) -> Any:
        if not any(f"{path}/".startswith(self._base) for path in where):
            return perform()
        number = len(self.calls)
        self.calls.append(f"{name} {' '.join(path.removeprefix(self._base) for path in where)}")
        fault = self._fault
        if fault is not None and fault.call == number:
            if fault.half:
                half()
            if fault.code is None:
                os._exit(DIED)
            raise OSError(fault.code, os.strerror(fault.code), where[-1])
        self.broken += self._order.before(name, where)
        done = perform()
        self._order.after(name, where, inode)
        return done

    def _named(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def act(*args: Any, **kwargs: Any) -> Any:
            given = [args[1], args[3]] if name == "renameat2" else list(args[: 2 if name in _SECOND else 1])
            if name == "symlink":
                given = given[1:]
            folders = [kwargs.get("src_dir_fd", kwargs.get("dir_fd")), kwargs.get("dst_dir_fd")]
            where = [_absolute(path, folder) for path, folder in zip(given, folders, strict=False)]
            if name in ("link", "rename", "renameat2") and self._apart(where):
                raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), where[0])
            return self._do(name, where, lambda: call(*args, **kwargs))

        return act

    def _opened(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def act(descriptor: int, *args: Any, **kwargs: Any) -> Any:
            where = [_path_of(descriptor)]

            def half() -> None:
                if name in ("write", "pwrite"):
                    data = bytes(args[0])
                    call(descriptor, data[: len(data) // 2], *args[1:])

            inode = os.fstat(descriptor).st_ino
            return self._do(name, where, lambda: call(descriptor, *args, **kwargs), half, inode)

        return act

    def _open(self, call: Callable[..., int]) -> Callable[..., int]:
        def act(path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
            where = [_absolute(path, dir_fd)]

            def perform() -> int:
                return call(path, flags, mode, dir_fd=dir_fd)

            changes = flags & (os.O_CREAT | os.O_TRUNC) and flags & os.O_TMPFILE != os.O_TMPFILE
            return self._do("open", where, perform) if changes else perform()  # type: ignore[no-any-return]

        return act

    def _copying(self, call: Callable[..., int]) -> Callable[..., int]:
        def act(source: int, target: int, count: int, *args: Any) -> int:
            def half() -> None:
                call(source, target, count // 2, *args)

            inode = os.fstat(target).st_ino
            perform = lambda: call(source, target, count, *args)  # noqa: E731
            return self._do("write", [_path_of(target)], perform, half, inode)  # type: ignore[no-any-return]

        return act

    def _cloning(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def act(descriptor: int, request: int, argument: Any = 0, *rest: Any) -> Any:
            perform = lambda: call(descriptor, request, argument, *rest)  # noqa: E731
            return self._do("write", [_path_of(descriptor)], perform, inode=os.fstat(descriptor).st_ino)

        return act

    def _apart(self, where: list[str]) -> bool:
        inside = [path.startswith(f"{self._base}jan/") for path in where]
        return not self._one_disk and len(set(inside)) > 1


class Order:
    """Whether things are done in an order that a power cut cannot spoil.

    What comes into view must have been flushed before, folders included; the folder where it appears must be
    flushed afterwards, and before anything that it replaces is taken away.
    """

    def __init__(self, base: Path) -> None:
        self._base = base
        self._written: dict[int, str] = {}  # files by inode, whose content is not flushed
        self._changed: dict[int, str] = {}  # folders by inode, whose names are not flushed
        self._shown: dict[int, str] = {}  # those in which something came into view since

    def before(self, name: str, where: list[str]) -> list[str]:
        """What is wrong about a call that is about to be made."""
        if name in ("write", "pwrite", "ftruncate") and self._in_view(where[0]):
            return [f"{where[0]} is written where all can see it"]
        if name in ("unlink", "remove") and self._in_view(where[0]):
            owed = self._shown.values()
            return [f"{where[0]} is taken away before {path} is flushed" for path in owed]
        if name in (*_SECOND, "renameat2") and name != "symlink" and self._in_view(where[-1]):
            return [
                f"{where[-1]} comes into view before {path} is flushed" for path in self._unflushed(where[0])
            ]
        return []

    def after(self, name: str, where: list[str], inode: int) -> None:
        """Note what a call did; `inode` is that of the open file it was made on."""
        if name in ("write", "pwrite", "ftruncate"):
            self._written[inode] = where[-1]
        elif name in ("fsync", "fdatasync"):
            self._written.pop(inode, None)
            if name == "fsync":
                self._changed.pop(inode, None)
                self._shown.pop(inode, None)
        elif name in (*_SECOND, "renameat2", "mkdir", "open"):
            folder = os.path.dirname(where[-1])
            self._changed[os.lstat(folder).st_ino] = folder
        if name in (*_SECOND, "renameat2", "mkdir") and self._in_view(where[-1]):
            folder = os.path.dirname(where[-1])
            self._shown[os.lstat(folder).st_ino] = folder

    def unfinished(self) -> list[str]:
        """What a power cut could still take, though it was shown."""
        return [f"{path} is not flushed in the end" for path in self._shown.values()]

    def _unflushed(self, top: str) -> Iterator[str]:
        found = [
            top,
            *(os.path.join(at, name) for at, below, files in os.walk(top) for name in (*below, *files)),
        ]
        for path in found:
            inode = os.stat(path, follow_symlinks=path.startswith("/proc/")).st_ino
            if inode in self._written or (inode in self._changed and os.path.isdir(path)):
                yield path

    def _in_view(self, path: str) -> bool:
        return in_view(Path(path).relative_to(self._base))


def in_view(path: Path) -> bool:
    """Whether a path is a name that somebody goes by; not one that says that it is in the making."""
    parts = [part for part in path.parts if part not in (paths.PRIVATE, ".janfs-root")]
    return not any(paths.is_ignored(part) or part.endswith(".new") for part in parts) and parts[-1:] != [
        "lock"
    ]


class _Libc:
    """The one function that is called of the C library."""

    def __init__(self, renameat2: Callable[..., int]) -> None:
        self.renameat2 = renameat2


def _absolute(path: Any, folder: int | None) -> str:
    text = os.fsdecode(path)
    return os.path.join(os.getcwd() if folder is None or folder < 0 else _path_of(folder), text)


def _path_of(descriptor: int) -> str:
    return os.readlink(f"/proc/self/fd/{descriptor}")
