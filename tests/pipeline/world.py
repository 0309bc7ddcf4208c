"""A person, a disk, a clock and the pipeline between them, all under a test's control."""

import contextlib
import functools
import hashlib
import logging
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import Engine, event

from janfs.catalogue.catalogue import Catalogue, find_model
from janfs.catalogue.entries import File, Model
from janfs.folder import paths
from janfs.folder.filesystem import FileSystem
from janfs.log.connection import reader_engine, writer_engine
from janfs.log.records import Record
from janfs.log.store import EventLog
from janfs.pipeline.commands import Delete, Submitted
from janfs.pipeline.loop import Pipeline
from janfs.root import OpenRoot, RootPaths
from tests.fakes.clock import FakeClock
from tests.fakes.filesystem import FakeFileSystem
from tests.folder import gguf_bytes as make

TENSOR = 128  # bytes of the one tensor that a small model has


def gguf(name: str, **metadata: make.Value) -> bytes:
    """A small, whole, valid model; another `name` gives another content."""
    values = {"general.architecture": make.text("llama"), "general.name": make.text(name)}
    head = make.header(
        values | {key.replace("__", "."): value for key, value in metadata.items()}, [make.Tensor("t")]
    )
    head += bytes(-len(head) % 32)
    return head + (hashlib.sha256(name.encode()).digest() * TENSOR)[:TENSOR]


@functools.cache
def _empty_database() -> bytes:
    """A database with its tables made; migrations take long, so that they run once."""
    with tempfile.TemporaryDirectory() as folder:
        OpenRoot(Path(folder), FakeClock()).close()
        return RootPaths(Path(folder)).database.read_bytes()


def open_log(
    database: Path, clock: FakeClock, prepare: Callable[[Engine], None] = lambda engine: None
) -> EventLog:
    """The log in `database`, made if it is not there; power cuts are not its business here."""
    if not database.exists():
        database.write_bytes(_empty_database())
    writer, readers = writer_engine(database), reader_engine(database)
    for engine in (writer, readers):  # readers too: who closes last moves the write-ahead log
        event.listen(engine, "connect", _waits_for_no_disk)
    prepare(writer)
    return EventLog(writer, readers, clock)


def _waits_for_no_disk(connection: sqlite3.Connection, _: Any) -> None:
    connection.execute("PRAGMA synchronous=OFF")


class CountedIds:
    """Identities that are the same in every run."""

    def __init__(self) -> None:
        self._count = 0

    def __call__(self) -> str:
        self._count += 1
        return hashlib.sha256(str(self._count).encode()).hexdigest()[:32]


class World:
    """One root: `fs` is the person's, on a `disk` of some kind; `pipeline` works on it through `port`."""

    def __init__(
        self,
        database: Path,
        *,
        port: Callable[[FakeFileSystem], FileSystem] = lambda fs: fs,
        prepare: Callable[[Engine], None] = lambda engine: None,
        **disk: Any,
    ) -> None:
        self.clock = FakeClock()
        self.fs = FakeFileSystem(self.clock, **disk)
        self.fs.mkdir(paths.MODELS)
        self.fs.mkdir(paths.ENGINES)
        self.engine_files: dict[str, bytes] = {}  # to be made at the next start
        self.hints: list[str] = []
        self.fs.on_change = self._changed
        self._database = database
        self._port = port(self.fs)
        self._prepare = prepare
        self._ids = CountedIds()
        self.start()

    def start(self) -> None:
        """Open the log, and begin as a new process does."""
        self.log = open_log(self._database, self.clock, self._prepare)
        self.pipeline = Pipeline(self._port, self.log, self.clock, self._ids, engine_files=self.engine_files)

    def stop(self) -> None:
        """End as a killed process does: whatever was not committed is gone."""
        self.log.close()

    def restart(self) -> None:
        """Stop, start, and look around."""
        self.stop()
        self.hints.clear()
        self.start()
        self.pipeline.tick()

    # Time.

    def tick(self, *hints: str) -> None:
        """One tick; with the hints given, or else all that the watcher would have sent."""
        given = list(hints) or self.hints.copy()
        self.hints.clear()
        self.pipeline.tick(given)

    def wait(self, seconds: float) -> None:
        """Let time pass; the pipeline ticks five times a second at first, and every ten seconds later on."""
        self.tick()
        passed = 0.0
        while passed < seconds:
            step = min(seconds - passed, 0.2 if passed < 10 else 10)
            passed += step
            self.clock.advance(step)
            self.tick()

    def come_to_rest(self) -> None:
        """Look at everything until all that waits has waited, and all that failed was tried again."""
        for seconds in (0.0, 2.1, 5.1, 3700.0, 5.1, 61.0):
            self.clock.advance(seconds)
            self.tick("")

    # Asking.

    def delete(self, model_id: str) -> Submitted:
        """Ask for a model to be deleted, and wait for it."""
        submitted = Submitted(Delete(model_id, "api:test"))
        self.pipeline.tick([], [submitted])
        return submitted

    @property
    def catalogue(self) -> Catalogue:
        """What is known now."""
        return self.pipeline.catalogue

    def model(self, model_id: str) -> Model:
        """The present model of that id or alias."""
        found = find_model(self.catalogue, model_id)
        assert found is not None, f"no model {model_id!r}; there are {sorted(self.catalogue.ids)}"
        return found

    def file(self, path: str) -> File:
        """A known file."""
        found = self.catalogue.files.get(path)
        assert found is not None, f"no file {path!r}; known are {sorted(self.catalogue.files)}"
        return found

    def events(self, after: int = 0) -> list[str]:
        """The names of the events after a position."""
        return [record.type for record in self.records(after)]

    def records(self, after: int = 0) -> list[Record]:
        """The records after a position."""
        return list(self.log.read(after))

    def _changed(self, path: str) -> None:
        if paths.is_inside(path, paths.MODELS) or paths.is_inside(path, paths.ENGINES):
            self.hints.append(path)


@contextlib.contextmanager
def only_errors_logged() -> Iterator[None]:
    """Keep the log lines of thousands of small steps out of the way."""
    before = structlog.get_config()
    structlog.configure(
        processors=[structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)],
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
    )
    yield
    structlog.configure(**before)
