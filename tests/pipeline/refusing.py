"""A disk that refuses what it is told to."""

import os
from collections.abc import Callable

from tests.fakes.faults import P, T

MUTATIONS = (
    *("create", "make_folder", "make_link", "link_file", "copy_file"),
    *("rename", "unlink", "remove_folder", "sync_folder"),
)


class Refusing:
    """A disk that refuses some calls."""

    def __init__(self) -> None:
        self.code: int | None = None
        self.calls: tuple[str, ...] = MUTATIONS

    def __call__(self, name: str, perform: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        if self.code is not None and name in self.calls:
            raise OSError(self.code, os.strerror(self.code), *args[:1])
        return perform(*args, **kwargs)
