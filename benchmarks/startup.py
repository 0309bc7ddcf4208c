"""Starting the real service on a long log: until it answers, and what of that is what."""

import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from benchmarks.replay import fill
from benchmarks.report import Row
from janfs.clock import SystemClock
from janfs.pipeline.recorder import Recorder
from janfs.root import OpenRoot
from tests.support.service import ServiceProcess

STARTS = 5
MANY, FEW = 10_000, 100  # models that the events are about
_IMPORTS = "from janfs import app, logs"


def run(events: int = 1_000_000, where: Path | None = None) -> list[Row]:
    """Start the service until GET /v1/models has answered; wall clock, and processor time beside it."""
    _imports()  # writes the bytecode where there is none
    wall, processor = _median([_imports() for _ in range(STARTS)])
    rows = [Row("imports of the interpreter alone", wall, "s", note=f"processor {processor:.2f} s")]
    for models in (MANY, FEW):
        with tempfile.TemporaryDirectory(dir=where) as folder:
            root = Path(folder) / "root"
            with OpenRoot(root, SystemClock()) as opened:
                fill(opened, events, models)
                Recorder(opened.log)  # the projection that a service keeps
            wall, processor = _median([_start(root, models) for _ in range(STARTS)])
        name = f"start until GET /v1/models answers, {events:,} events, {models:,} models"
        note = f"processor {processor:.2f} s, imports included"
        rows.append(Row(name, wall, "s", 1.0, note=note))
    return rows


def _imports() -> tuple[float, float]:
    started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", _IMPORTS], check=True)
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _start(root: Path, models: int) -> tuple[float, float]:
    """Nobody asks before the service says that it listens, so that no try costs it anything."""
    with ServiceProcess(root, "--hashing", "off") as service:
        answer = service.client.get("/v1/models").raise_for_status()
        wall = time.perf_counter() - service.started
        used = psutil.Process(service.process.pid).cpu_times()
    listed = len(answer.json()["data"])
    if listed != models:
        raise AssertionError(f"{listed} models are listed, there are {models}")
    return wall, used.user + used.system


def _median(taken: list[tuple[float, float]]) -> tuple[float, float]:
    walls, processors = zip(*taken, strict=True)
    return statistics.median(walls), statistics.median(processors)
