"""What disk, database and watcher may do at any time, by one random source: fail, dawdle, die, and forget."""

import errno
import os
from collections.abc import Callable
from random import Random

from sqlalchemy import Engine, event

from janfs.folder import paths
from tests.fakes.clock import FakeClock
from tests.fakes.faults import Crash, P, T

READS = ("stat", "list", "open", "being_written", "has_holes", "read_at", "file_stamp")
READ_ERRORS = (errno.EIO, errno.EACCES)
WRITE_ERRORS = (errno.EIO, errno.ENOSPC, errno.EACCES)
BETWEEN_DISKS = ("rename", "link_file")
SHARE = {"fair": 0.0, "rough": 0.02, "storm": 0.25}  # of calls that fail


class Weather:
    """Stands around every call to the disk, and hears of every step of the database."""

    def __init__(self, random: Random, clock: FakeClock) -> None:
        self._random = random
        self._clock = clock
        self._crash_in = 0  # steps; 0 is never
        self.kind = "fair"
        self.slow = False

    def change(self) -> None:
        """Another weather."""
        self.kind = self._random.choice(("fair", "fair", "rough", "storm"))
        self.slow = self._random.random() < 0.2

    def clear(self) -> None:
        """Fine weather, until the next change."""
        self.kind, self.slow, self._crash_in = "fair", False, 0

    def spare(self) -> None:
        """The process does not die after all."""
        self._crash_in = 0

    def crash_soon(self) -> None:
        """The process dies at one of the next steps."""
        self._crash_in = 1 + self._random.randrange(self._random.choice((3, 30, 150)))

    def prepare(self, engine: Engine) -> None:
        """Hear of what the log's writer does."""
        event.listen(engine, "before_cursor_execute", lambda *_: self._step("execute"))
        event.listen(engine, "commit", lambda *_: self._step("commit"))

    def __call__(self, name: str, perform: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        late = self._random.random() < 0.3
        if not late:
            self._step(name)
        if self.slow:
            self._clock.advance(self._random.choice((0.001, 0.05, 0.4)))
        if self.kind != "fair" and self._random.random() < SHARE[self.kind]:
            code = self._error(name, *map(str, args[:2]))
            raise OSError(code, os.strerror(code), *args[:1])
        done = perform(*args, **kwargs)
        if late:
            self._step(name)
        return done

    def _error(self, name: str, *named: str) -> int:
        # Within one folder no disk says that another one begins.
        if name in BETWEEN_DISKS and len(set(map(paths.parent, named))) > 1 and self._random.random() < 0.3:
            return errno.EXDEV
        return self._random.choice(READ_ERRORS if name in READS else WRITE_ERRORS)

    def _step(self, name: str) -> None:
        if self._crash_in:
            self._crash_in -= 1
            if not self._crash_in:
                raise Crash(name)
