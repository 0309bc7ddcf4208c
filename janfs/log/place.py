"""Whether the log that is open is still the one at its path.

Someone may move or remove it under a running janfs. SQLite writes on into the file that it has open, where
nobody would look for it, and of one that has no name any more nothing is left when janfs ends.
"""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import structlog
from sqlalchemy import Connection

from janfs.clock import Clock
from janfs.log.swap import copy_whole

_OPEN = Path("/dev/fd")

_log = structlog.get_logger()


class Place:
    """The path of a database, and which file was there when it was opened."""

    def __init__(self, path: Path, clock: Clock) -> None:
        """For a database that is open. Raises `OSError` where it cannot be seen."""
        self._path = path
        self._clock = clock
        self._identity = _identity(path.stat())
        self._saved: Path | None = None
        self._told: str | None = None

    def complaint(self, log: Connection) -> str | None:
        """Why nothing may be written to the open `log`; None where it lies at its path.

        One that was removed is written there again, whole, so that nothing of it is lost.
        """
        complaint = None if self._is_here() else self._displaced(log)
        if complaint != self._told:
            if complaint is None:
                _log.warning("log-returned", path=str(self._path))
            else:
                _log.error("log-displaced", reason=complaint)
            self._told = complaint
        return complaint

    def _is_here(self) -> bool:
        try:
            return _identity(self._path.stat()) == self._identity
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:  # it cannot be seen now, which says nothing; SQLite will say what it makes of it
            return True

    def _displaced(self, log: Connection) -> str:
        if self._saved is None and not self._is_removed():
            return (
                f"{self._path} is not the log that janfs has open, which was moved elsewhere. Put it back; "
                "until then nothing is recorded, and nothing is changed."
            )
        try:
            self._saved = self._saved or self._save(log)
        except (OSError, sqlite3.Error) as error:
            return (
                f"{self._path} was removed while janfs had it open, and cannot be written again: {error}. "
                "It is lost when janfs ends: see that there is room, and that its folder can be written."
            )
        return (
            f"{self._path} was removed while janfs had it open. All of it is saved as {self._saved}; restart "
            "janfs to go on. Until then nothing is recorded, and nothing is changed."
        )

    def _is_removed(self) -> bool:
        """Whether the open file has no name left; one that has was moved."""
        try:
            descriptors = [int(each.name) for each in _OPEN.iterdir()]
        except OSError:  # a system that does not show them
            return False
        for descriptor in descriptors:
            try:
                stat = os.fstat(descriptor)
            except OSError:  # that of the list itself is closed by now
                continue
            if _identity(stat) == self._identity:
                return stat.st_nlink == 0
        return False

    def _save(self, log: Connection) -> Path:
        """Copy the open log to its path, or beside what lies there now."""
        target = self._path
        if os.path.lexists(target):
            target = target.with_name(f"{target.name}.removed-{self._clock.now():%Y%m%dT%H%M%S}")

        def back_up(making: Path) -> None:
            with closing(sqlite3.connect(making)) as copy:
                log.connection.backup(copy)

        target.parent.mkdir(exist_ok=True)
        copy_whole(target, back_up)
        return target


def _identity(stat: os.stat_result) -> tuple[int, int]:
    return stat.st_dev, stat.st_ino
