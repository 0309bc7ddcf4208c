"""Durable appends: janfs' log and pipeline against raw sqlite3 doing the same commits in the same run.

The raw side does what any log with these columns has to do: one INSERT and one COMMIT an event, WAL,
synchronous=FULL. Runs of both alternate, since the disk's sync time wanders; the ratio is of their medians.
"""

import asyncio
import sqlite3
import tempfile
import threading
import time
from pathlib import Path

import uvloop

from benchmarks.report import Row, median
from janfs.clock import SystemClock, random_id
from janfs.events import codec
from janfs.events.types import ModelStopped
from janfs.folder.real import RealFileSystem
from janfs.log.records import NewRecord
from janfs.pipeline.commands import Record
from janfs.pipeline.loop import Pipeline
from janfs.pipeline.recorder import Draft
from janfs.root import OpenRoot

ROUNDS = 7
EVENTS = 300  # one by one, a round
PRODUCERS = 64
EACH = 40  # events of each producer, a round

_EVENT = ModelStopped("0123456789abcdef", "x" * 200)


def run(where: Path | None = None) -> list[Row]:
    """Measure; the databases lie in a temporary folder below `where`."""
    with tempfile.TemporaryDirectory(dir=where) as folder:
        base = Path(folder)
        with OpenRoot(base / "root", SystemClock()) as root:
            pipeline = Pipeline(RealFileSystem(base / "root"), root.log, SystemClock(), random_id)
            raw = _raw_database(base / "raw.db")
            singles = [(_raw_singles(raw), _log_singles(root)) for _ in range(ROUNDS)]
            thread = threading.Thread(target=pipeline.run)
            thread.start()
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:  # as the service has it
                groups = [(_raw_singles(raw), loop.run(_group(pipeline))) for _ in range(ROUNDS)]
            pipeline.stop()
            thread.join()
            raw.close()
    raw_single, single = (median(side) for side in zip(*singles, strict=True))
    raw_group, group = (median(side) for side in zip(*groups, strict=True))
    return [
        Row("raw sqlite3, one by one", raw_single, "commits/s"),
        Row("log, one by one", single, "events/s"),
        Row("log / raw, one by one", single / raw_single, "x", 0.6, higher=True),
        Row(f"pipeline, {PRODUCERS} producers", group, "events/s", note="each waits for its own commit"),
        Row(f"pipeline / raw, {PRODUCERS} producers", group / raw_group, "x", 5, higher=True),
    ]


def _raw_database(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute(
        "CREATE TABLE events (position INTEGER PRIMARY KEY, stream TEXT, version INTEGER, type TEXT, "
        "schema INTEGER, recorded_at TEXT, actor TEXT, cause INTEGER, correlation INTEGER, data TEXT, "
        "hash BLOB, UNIQUE (stream, version)) STRICT"
    )
    return connection


def _raw_singles(connection: sqlite3.Connection) -> float:
    data = codec.encode(_EVENT).data
    first = connection.execute("SELECT coalesce(max(position), 0) + 1 FROM events").fetchone()[0]
    started = time.perf_counter()
    for position in range(first, first + EVENTS):
        connection.execute("BEGIN IMMEDIATE")
        row = (position, "s", position, "model-stopped", 1, "2026-01-01T00:00:00.000000Z", "janfs", None)
        connection.execute(
            "INSERT INTO events VALUES (?,?,?,?,?,?,?,?,?,?,?)", (*row, position, data, bytes(32))
        )
        connection.execute("COMMIT")
    return EVENTS / (time.perf_counter() - started)


def _log_singles(root: OpenRoot) -> float:
    encoded = codec.encode(_EVENT)
    record = NewRecord(stream="s", type=encoded.type, schema=encoded.schema, data=encoded.data, actor="janfs")
    started = time.perf_counter()
    for _ in range(EVENTS):
        root.log.append([record])
    return EVENTS / (time.perf_counter() - started)


async def _group(pipeline: Pipeline) -> float:
    async def produce(number: int) -> None:
        command = Record((Draft(f"producer-{number}", _EVENT),))
        for _ in range(EACH):
            await asyncio.wrap_future(pipeline.submit(command))

    started = time.perf_counter()
    await asyncio.gather(*(produce(number) for number in range(PRODUCERS)))
    return PRODUCERS * EACH / (time.perf_counter() - started)
