"""The disks that are compared, with a person's hands on each."""

import os
import stat
from pathlib import Path
from typing import Protocol

from janfs.folder import paths
from janfs.folder.filesystem import FileSystem, Stamp
from janfs.folder.real import RealFileSystem
from tests.fakes.faults import Faults, HookedFileSystem
from tests.fakes.filesystem import FakeFileSystem


class Writing(Protocol):
    def write(self, data: bytes) -> object: ...
    def close(self) -> None: ...


class Disk(Protocol):
    """A file system under test, and a person's hands on the same disk."""

    fs: FileSystem

    def write(self, path: str, data: bytes) -> None: ...
    def start_write(self, path: str) -> Writing: ...
    def grow(self, path: str, size: int) -> None: ...
    def write_at(self, path: str, offset: int, data: bytes) -> None: ...
    def hard_link(self, existing: str, path: str) -> None: ...
    def fifo(self, path: str) -> None: ...
    def chmod(self, path: str, mode: int) -> None: ...
    def mode(self, path: str) -> int: ...
    def absolute(self, path: str) -> str: ...


class OnRealDisk:
    def __init__(self, root: Path) -> None:
        self.fs: FileSystem = RealFileSystem(root)
        self.root = os.fsencode(root)

    def _at(self, path: str) -> bytes:
        return self.root + b"/" + paths.decode_path(path)

    def write(self, path: str, data: bytes) -> None:
        Path(os.fsdecode(self._at(path))).write_bytes(data)

    def start_write(self, path: str) -> Writing:
        return Path(os.fsdecode(self._at(path))).open("wb", buffering=0)

    def grow(self, path: str, size: int) -> None:
        os.truncate(self._at(path), size)

    def write_at(self, path: str, offset: int, data: bytes) -> None:
        with Path(os.fsdecode(self._at(path))).open("r+b") as file:
            file.seek(offset)
            file.write(data)

    def hard_link(self, existing: str, path: str) -> None:
        os.link(self._at(existing), self._at(path))

    def fifo(self, path: str) -> None:
        os.mkfifo(self._at(path))

    def chmod(self, path: str, mode: int) -> None:
        os.chmod(self._at(path), mode)  # noqa: PTH101

    def mode(self, path: str) -> int:
        return stat.S_IMODE(os.stat(self._at(path)).st_mode)  # noqa: PTH116

    def absolute(self, path: str) -> str:
        return "/".join(paths.encode_name(part) for part in self._at(path).split(b"/"))


class OnFakeDisk:
    def __init__(self) -> None:
        self.fake = FakeFileSystem()
        self.fs: FileSystem = self.fake

    def write(self, path: str, data: bytes) -> None:
        self.fake.put(path, data)

    def start_write(self, path: str) -> Writing:
        return self.fake.start_write(path)

    def grow(self, path: str, size: int) -> None:
        self.fake.start_write(path, size, truncate=False).close()

    def write_at(self, path: str, offset: int, data: bytes) -> None:
        writer = self.fake.start_write(path, truncate=False)
        writer.offset = offset
        writer.write(data)
        writer.close()

    def hard_link(self, existing: str, path: str) -> None:
        self.fake.hard_link(existing, path)

    def fifo(self, path: str) -> None:
        self.fake.fifo(path)

    def chmod(self, path: str, mode: int) -> None:
        self.fake.chmod(path, mode)

    def mode(self, path: str) -> int:
        return self.fake.mode(path)

    def absolute(self, path: str) -> str:
        return f"{self.fake.root}/{path}"


def on_real(root: Path) -> Disk:
    return OnRealDisk(root)


def on_fake(_: Path) -> Disk:
    return OnFakeDisk()


def on_hooked(root: Path) -> Disk:
    disk = OnRealDisk(root)
    disk.fs = HookedFileSystem(disk.fs, Faults())
    return disk


def read(fs: FileSystem, path: str) -> bytes:
    with fs.open(path) as file:
        return file.read_at(0, 1 << 20)


def stamp(fs: FileSystem, path: str) -> Stamp:
    found = fs.stat(path)
    assert found is not None, f"nothing at {path!r}"
    assert found.stamp is not None, f"{path!r} has no stamp: {found}"
    return found.stamp
