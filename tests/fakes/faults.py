"""Faults at a chosen call of a file system, fake or real."""

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, ParamSpec, Protocol, TypeVar

from msgspec import Struct

from janfs.folder.filesystem import FileSystem, OpenFile, Stamp, Stat

P = ParamSpec("P")
T = TypeVar("T")


class Crash(BaseException):
    """The process is gone; nothing in the product may catch this."""


class OnCall(Protocol):
    """Stands around every call: it performs it, or not, and may fail before or after."""

    def __call__(self, name: str, perform: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T: ...


class Fault(Struct, frozen=True):
    """What goes wrong at one call: the process dies, or with `code` the call fails with that errno.

    `after` lets the call take effect first (a crash after a rename; an error that NFS reports for a call
    that was done). `during` is for `create`: only the first half of the data is written.
    """

    code: int | None = None
    when: Literal["before", "during", "after"] = "before"


class Faults:
    """Counts calls from 0, remembers them, and fails at those numbered in `plan`."""

    def __init__(self, plan: Mapping[int, Fault] | None = None) -> None:
        self.plan = dict(plan or {})
        self.calls: list[tuple[str, tuple[object, ...]]] = []

    def __call__(self, name: str, perform: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        fault = self.plan.get(len(self.calls))
        self.calls.append((name, args))
        if fault is None:
            return perform(*args, **kwargs)
        if fault.when == "after":
            with contextlib.suppress(OSError):  # what fails by itself has been tried all the same
                perform(*args, **kwargs)
        if fault.when == "during" and name == "create":
            self._create_half(perform, *args)
        if fault.code is None:
            raise Crash(f"call {len(self.calls) - 1}: {name}{args}")
        raise OSError(fault.code, os.strerror(fault.code), *args[:1])

    @staticmethod
    def _create_half(create: Callable[..., Any], *args: Any) -> None:
        path, data, *like = args
        create(path, data[: len(data) // 2], *like)


class HookedFileSystem:
    """Any file system, with every call, reads of opened files included, going through `on_call`."""

    def __init__(self, inner: FileSystem, on_call: OnCall) -> None:
        self._inner = inner
        self._on_call = on_call

    def stat(self, path: str) -> Stat | None:
        return self._on_call("stat", self._inner.stat, path)

    def list(self, folder: str) -> dict[str, Stat]:
        return self._on_call("list", self._inner.list, folder)

    @contextlib.contextmanager
    def open(self, path: str, *, once: bool = False) -> Iterator[OpenFile]:
        with self._on_call("open", self._inner.open, path, once=once) as file:
            yield HookedFile(file, self._on_call)

    def being_written(self, path: str) -> bool | None:
        return self._on_call("being_written", self._inner.being_written, path)

    def is_mount_point(self, path: str) -> bool:
        return self._on_call("is_mount_point", self._inner.is_mount_point, path)

    def has_holes(self, path: str) -> bool:
        return self._on_call("has_holes", self._inner.has_holes, path)

    def create(self, path: str, data: bytes, like: str | None = None) -> None:
        self._on_call("create", self._inner.create, path, data, *([] if like is None else [like]))

    def make_folder(self, path: str) -> None:
        self._on_call("make_folder", self._inner.make_folder, path)

    def make_link(self, path: str, target: str) -> None:
        self._on_call("make_link", self._inner.make_link, path, target)

    def link_file(self, source: str, target: str) -> None:
        self._on_call("link_file", self._inner.link_file, source, target)

    def copy_file(self, source: str, target: str) -> None:
        self._on_call("copy_file", self._inner.copy_file, source, target)

    def rename(self, source: str, target: str) -> None:
        self._on_call("rename", self._inner.rename, source, target)

    def exchange(self, first: str, second: str) -> None:
        self._on_call("exchange", self._inner.exchange, first, second)

    def set_aside(self, path: str, aside: str) -> None:
        self._on_call("set_aside", self._inner.set_aside, path, aside)

    def unlink(self, path: str) -> None:
        self._on_call("unlink", self._inner.unlink, path)

    def remove_folder(self, path: str) -> None:
        self._on_call("remove_folder", self._inner.remove_folder, path)

    def sync_folder(self, path: str) -> None:
        self._on_call("sync_folder", self._inner.sync_folder, path)


class HookedFile:
    """An open file of a `HookedFileSystem`."""

    def __init__(self, inner: OpenFile, on_call: OnCall) -> None:
        self._inner = inner
        self._on_call = on_call

    def read_at(self, offset: int, length: int) -> bytes:
        return self._on_call("read_at", self._inner.read_at, offset, length)

    def stamp(self) -> Stamp:
        return self._on_call("file_stamp", self._inner.stamp)
