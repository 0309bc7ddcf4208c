"""A person at a disk, fake or real, and what they do while a plan is carried out."""

import ctypes
import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from janfs.folder import paths
from janfs.folder.filesystem import FileSystem, Stamp
from janfs.folder.real import RealFileSystem
from tests.fakes.faults import Faults
from tests.fakes.filesystem import FakeFileSystem


class Writing(Protocol):
    """A file that an editor has open, to write into it."""

    def write(self, data: bytes, /) -> object: ...
    def close(self) -> None: ...


class Hands(Protocol):
    """A person at the disk."""

    @property
    def port(self) -> FileSystem: ...
    def put(self, path: str, data: bytes) -> None: ...
    def open_to_write(self, path: str) -> Writing: ...
    def mkdir(self, path: str) -> None: ...
    def symlink(self, path: str, target: str) -> None: ...
    def hard_link(self, existing: str, path: str) -> None: ...
    def rename_over(self, source: str, target: str) -> None: ...
    def tree(self) -> dict[str, bytes | str | None]:
        """Every path below the root: a file's content, a link's target, None for a folder."""
        ...


class Fake(FakeFileSystem):
    @property
    def port(self) -> FileSystem:
        return self

    def open_to_write(self, path: str) -> Writing:
        return self.start_write(path, truncate=False)

    def tree(self) -> dict[str, bytes | str | None]:
        found: dict[str, bytes | str | None] = {}
        todo = list(self.list(""))
        while todo:
            path = todo.pop()
            stat = self.stat(path)
            assert stat is not None
            if stat.link is not None:
                found[path] = stat.link
            elif stat.is_dir:
                found[path] = None
                todo += [f"{path}/{name}" for name in self.list(path)]
            else:
                found[path] = self.read(path)
        return found


class Real:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.port: FileSystem = RealFileSystem(root)

    def put(self, path: str, data: bytes) -> None:
        self.mkdir(paths.parent(path))
        (self.root / path).write_bytes(data)

    def open_to_write(self, path: str) -> Writing:
        return (self.root / path).open("r+b", buffering=0)

    def mkdir(self, path: str) -> None:
        (self.root / path).mkdir(parents=True, exist_ok=True)

    def symlink(self, path: str, target: str) -> None:
        self.mkdir(paths.parent(path))
        (self.root / path).symlink_to(target)

    def hard_link(self, existing: str, path: str) -> None:
        self.mkdir(paths.parent(path))
        (self.root / path).hardlink_to(self.root / existing)

    def rename_over(self, source: str, target: str) -> None:
        (self.root / source).replace(self.root / target)

    def tree(self) -> dict[str, bytes | str | None]:
        found: dict[str, bytes | str | None] = {}
        for path in self.root.rglob("*"):
            name = str(path.relative_to(self.root))
            if path.is_symlink():
                found[name] = os.readlink(path)  # noqa: PTH115 (pathlib tidies what it says)
            else:
                found[name] = None if path.is_dir() else path.read_bytes()
        return found


Make = Callable[[], Hands]


class WithoutFlags:
    """A C library on a disk that neither exchanges two files nor renames without overwriting (NFS, FUSE)."""

    def renameat2(self, *_: object) -> int:
        ctypes.set_errno(errno.EINVAL)
        return -1


def in_steps() -> Fake:
    """A disk that cannot exchange two files at once."""
    return Fake(exchanges=False)


def stamp(fs: FileSystem, path: str) -> Stamp:
    found = fs.stat(path)
    assert found is not None, f"nothing at {path}"
    assert found.stamp is not None
    return found.stamp


class Meanwhile(Faults):
    """Somebody does something right before or after one of the port's calls, the first time it is made."""

    def __init__(self, act: Callable[[], None], name: str, *paths: str, after: bool = False) -> None:
        super().__init__()
        self._act, self._call, self._after = act, (name, paths), after

    def __call__(self, name, perform, /, *args, **kwargs):  # type: ignore[no-untyped-def]
        now = (name, args) == self._call and self._call not in self.calls
        if now and not self._after:
            self._act()
        done = super().__call__(name, perform, *args, **kwargs)
        if now and self._after:
            self._act()
        return done
