"""Folders in the making: what is to appear in `models/` all at once is put together under a hidden name."""

import contextlib
import fcntl
import os
import shutil
from pathlib import Path
from types import TracebackType
from typing import Self

from janfs.clock import random_id
from janfs.errors import FolderError
from janfs.folder import paths
from janfs.folder.real import RealFileSystem
from janfs.folder.whole import sync

PREFIX = f"{paths.TEMP_PREFIX}staging-"


class Staging:
    """A hidden folder below `models/`, held as long as the process lives; removed unless it is published."""

    def __init__(self, root: Path) -> None:
        """Raises `FolderError` where it cannot be made."""
        self._fs = RealFileSystem(root)
        self.name = f"{PREFIX}{random_id()}"
        self.path = root / paths.MODELS / self.name
        try:
            self.path.mkdir()
            self._lock = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise FolderError(f"{self.path} cannot be made: {error.strerror}.") from error
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    def publish(self, name: str) -> str:
        """Give the folder its name, whole and flushed; its path below the root.

        Raises `FileExistsError`, `OSError`.
        """
        for folder, _, files in os.walk(self.path, topdown=False):
            for path in (Path(folder, name) for name in files):
                if not path.is_symlink():
                    sync(path)
            sync(Path(folder))
        target = paths.join(paths.MODELS, _spelled(name))
        self._fs.rename(paths.join(paths.MODELS, self.name), target)
        self._fs.sync_folder(paths.MODELS)
        return target

    def publish_file(self, file_name: str, name: str) -> str:
        """Give one file of the folder its name in `models/`; as `publish`."""
        sync(self.path / file_name)
        target = paths.join(paths.MODELS, _spelled(name))
        self._fs.rename(paths.join(paths.MODELS, self.name, _spelled(file_name)), target)
        self._fs.sync_folder(paths.MODELS)
        return target

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)


def sweep(root: Path) -> None:
    """Remove what was in the making when its process died."""
    for folder in (root / paths.MODELS).glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)


def _spelled(name: str) -> str:
    return paths.encode_name(os.fsencode(name))
