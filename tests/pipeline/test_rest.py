"""When nothing happens any more, all of the log lies in log.db, where each byte is under a hash."""

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from janfs.clock import SystemClock, random_id
from janfs.errors import LogError
from janfs.folder.real import RealFileSystem
from janfs.log.connection import reader_engine
from janfs.log.reader import LogReader
from janfs.log.verify import verify
from janfs.pipeline.loop import Pipeline
from janfs.pipeline.rest import AT_MOST, QUIET, Rest
from janfs.pipeline.thread import start_thread
from janfs.root import OpenRoot, RootPaths
from tests.fakes.clock import FakeClock
from tests.log.kit import fill, new
from tests.pipeline.world import gguf
from tests.support.patience import PATIENCE


@pytest.fixture(autouse=True, scope="module")
def quiet() -> None:
    """What is logged is what one of these is about."""


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def root(tmp_path: Path, clock: FakeClock) -> Iterator[OpenRoot]:
    with OpenRoot(tmp_path / "jan", clock) as opened:
        yield opened


def waiting(root: OpenRoot) -> int:
    """Bytes in the write-ahead log."""
    return root.paths.database.with_name("log.db-wal").stat().st_size


def test_the_log_is_moved_into_the_database_a_second_after_the_last_event(
    root: OpenRoot, clock: FakeClock
) -> None:
    rest = Rest(root.log, clock)
    for _ in range(3):
        fill(root.log)
        rest.work()
        assert rest.wait == pytest.approx(QUIET)
        clock.advance(QUIET - 0.1)
        rest.work()
        assert waiting(root), "it was checkpointed while events came"
    clock.advance(0.2)
    rest.work()
    assert waiting(root) == 0
    assert rest.wait == float("inf"), "it wakes though there is nothing to do"


def test_who_reads_is_not_waited_for_and_it_is_tried_again(root: OpenRoot, clock: FakeClock) -> None:
    rest = Rest(root.log, clock)
    patient = "PRAGMA busy_timeout=3600000"  # whoever waited for the reader would wait for an hour
    root.log.append([], within=lambda connection, _: connection.exec_driver_sql(patient))
    with closing(sqlite3.connect(root.paths.database, isolation_level=None)) as other:
        other.execute("BEGIN")
        other.execute("SELECT count(*) FROM events").fetchone()
        fill(root.log)
        rest.work()
        clock.advance(QUIET)
        working = threading.Thread(target=rest.work)
        working.start()
        working.join(PATIENCE)
        assert not working.is_alive(), "the pipeline stood still for somebody who reads"
        assert waiting(root)
        for _ in range(10):
            assert 0 < rest.wait <= AT_MOST
            clock.advance(rest.wait)
            rest.work()
        assert rest.wait == AT_MOST
    clock.advance(AT_MOST)
    rest.work()
    assert waiting(root) == 0
    fill(root.log)
    rest.work()
    assert rest.wait == pytest.approx(QUIET), "the next events wait as long as the last ones did"


def test_a_disk_that_does_not_take_it_ends_nothing(root: OpenRoot, clock: FakeClock) -> None:
    rest = Rest(root.log, clock)
    fill(root.log)
    rest.work()
    clock.advance(QUIET)
    root.log.append([new()], within=lambda *_: rest.work())  # SQLite refuses it inside a transaction
    assert 0 < rest.wait <= AT_MOST
    rest.work()
    assert waiting(root), "it was moved all the same"
    clock.advance(AT_MOST)
    rest.work()
    assert waiting(root) == 0
    assert len(root.log.append([new()])) == 1


def test_a_disk_that_never_takes_it_is_told_of_once(
    root: OpenRoot, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails() -> bool:
        raise LogError("The disk fails.")

    rest = Rest(root.log, clock)
    fill(root.log)
    with monkeypatch.context() as patched, capture_logs() as lines:
        patched.setattr(root.log, "checkpoint", fails)
        for _ in range(20):
            rest.work()
            clock.advance(rest.wait)
        assert [line["event"] for line in lines] == ["log-not-checkpointed"]
    rest.work()
    assert waiting(root) == 0


def test_where_litestream_checkpoints_nothing_is_moved(tmp_path: Path, clock: FakeClock) -> None:
    with OpenRoot(tmp_path / "jan", clock, checkpoints=False) as root:
        rest = Rest(root.log, clock)
        fill(root.log)
        rest.work()
        before = waiting(root)
        clock.advance(AT_MOST)
        rest.work()
        assert waiting(root) == before > 0
        with closing(sqlite3.connect(root.paths.database)) as other:
            other.execute("SELECT count(*) FROM events").fetchone()
            root.close()
            assert waiting(root) == before, "the last one to close it is the other program"


def test_a_clean_stop_leaves_all_in_the_database_though_others_have_it_open(
    tmp_path: Path, clock: FakeClock
) -> None:
    root = OpenRoot(tmp_path / "jan", clock)
    with closing(sqlite3.connect(root.paths.database)) as other:
        other.execute("SELECT count(*) FROM events").fetchone()
        fill(root.log)
        root.close()
        assert waiting(root) == 0


def test_a_byte_of_the_last_event_is_missed_once_the_service_is_quiet(tmp_path: Path) -> None:
    """With the thread, clock and disk of a real service. What is copied is what a power cut leaves."""
    database = RootPaths(tmp_path / "jan").database
    with OpenRoot(tmp_path / "jan", SystemClock()) as root:
        pipeline = Pipeline(RealFileSystem(tmp_path / "jan"), root.log, SystemClock(), random_id)
        thread = start_thread(pipeline)
        (tmp_path / "jan" / "models" / "zephyr.gguf").write_bytes(gguf("Zephyr"))
        pipeline.hint("models/zephyr.gguf")
        until = time.monotonic() + PATIENCE
        while root.log.head.position < 5 or waiting(root):
            assert time.monotonic() < until, f"{waiting(root)} bytes lie in the write-ahead log for good"
            time.sleep(0.05)
        last = list(root.log.read())[-1]
        content = database.read_bytes()
        pipeline.stop()
        thread.join()
    place = content.rindex(last.data.encode())
    for at in range(place, place + len(last.data), 7):
        copy = tmp_path / "copy.db"
        copy.write_bytes(content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :])
        log = LogReader(reader_engine(copy))
        verdict = verify(log)
        log.close()
        assert verdict.bad_position == last.position, f"byte {at} was changed, and nobody misses it"
