"""The service from outside: drop to listed, start with 10,000 models, the list, and what it costs to idle."""

import http.client
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from benchmarks.report import Row, percentile
from tests.support.ggufs import put_models, tiny_gguf
from tests.support.service import ServiceProcess

DROPS = 100
PRESENT = 1_000
FOLDERS = 10_000
LISTS = 30
IDLE = 30.0  # seconds


def drops(where: Path | None = None) -> list[Row]:
    """Seconds from the last act of a drop (rename in; close of a copy) until the API lists it as ready."""
    with tempfile.TemporaryDirectory(dir=where) as folder:
        base = Path(folder)
        models = base / "root" / "models"
        put_models(models, PRESENT)
        with ServiceProcess(base / "root") as service:
            service.wait_ready()
            renamed = [_drop(service, base, number, _rename_in) for number in range(DROPS)]
            copied = [_drop(service, base, number, _copy_in) for number in range(DROPS, 2 * DROPS)]
    rows = []
    for name, values in (("rename in", renamed), ("copy closing", copied)):
        note = f"{DROPS} drops, {PRESENT:,} models present"
        rows.append(Row(f"drop to listed, {name}, p50", 1e3 * percentile(values, 0.5), "ms", 150, note=note))
        rows.append(Row(f"drop to listed, {name}, p99", 1e3 * percentile(values, 0.99), "ms", 500))
    return rows


def many(where: Path | None = None) -> list[Row]:
    """10,000 model folders: the second start, the list, idle CPU and memory."""
    with tempfile.TemporaryDirectory(dir=where) as folder:
        root = Path(folder) / "root"
        put_models(root / "models", FOLDERS)
        with ServiceProcess(root) as service:
            service.wait_ready(within=600)
            first = time.perf_counter() - service.started
        starts, ready = [], []
        for _ in range(3):
            with ServiceProcess(root) as service:
                listed = len(service.get("/v1/models")["data"])
                starts.append(time.perf_counter() - service.started)
                service.wait_ready()
                ready.append(time.perf_counter() - service.started)
                if listed != FOLDERS:
                    raise AssertionError(f"{listed} models are listed, {FOLDERS} are there")
        with ServiceProcess(root) as service:
            service.wait_ready()
            lists = [_timed_list(service) for _ in range(LISTS)]
            share, memory = _idle(service)
    with tempfile.TemporaryDirectory(dir=where) as folder, ServiceProcess(Path(folder) / "root") as service:
        service.wait_ready()
        empty_share, empty_memory = _idle(service)
    return [
        Row(
            "first start, until all are organised", first, "s", note=f"{FOLDERS:,} folders without model.json"
        ),
        Row("second start, until GET /v1/models answers", statistics.median(starts), "s", 2.5),
        Row("second start, until /readyz", statistics.median(ready), "s", note="everything looked at"),
        Row("GET /v1/models, p50", 1e3 * percentile(lists, 0.5), "ms", 30, note=f"{FOLDERS:,} models"),
        Row("GET /v1/models, p99", 1e3 * percentile(lists, 0.99), "ms"),
        Row("idle CPU, 10,000 models", 100 * share, "% of a core", 1, note=f"over {IDLE:.0f} s"),
        Row("memory, 10,000 models", memory / 1e6, "MB"),
        Row("idle CPU, no model", 100 * empty_share, "% of a core", 1),
        Row("memory, no model", empty_memory / 1e6, "MB", 150),
    ]


def _drop(service: ServiceProcess, base: Path, number: int, put: Callable[[Path, Path], None]) -> float:
    name = f"dropped-{number:04d}"
    source = base / f"{name}.gguf"
    source.write_bytes(tiny_gguf(name))
    put(source, service.root / "models" / source.name)
    done = time.perf_counter()
    while True:
        answer = service.client.get(f"/v1/models/{name}")
        if answer.is_success and answer.json()["status"] == "ready":
            return time.perf_counter() - done
        if time.perf_counter() - done > 20:
            raise AssertionError(f"{name} is not listed after 20 s: {answer.text}")
        time.sleep(0.002)


def _rename_in(source: Path, target: Path) -> None:
    source.rename(target)


def _copy_in(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)


def _timed_list(service: ServiceProcess) -> float:
    """With the plainest client: httpx takes as long to put 8 MB together as the service to send them."""
    connection = http.client.HTTPConnection(service.url.removeprefix("http://"))
    started = time.perf_counter()
    connection.request("GET", "/v1/models")
    answer = connection.getresponse()
    answer.read()
    taken = time.perf_counter() - started
    connection.close()
    if answer.status != 200:
        raise AssertionError(f"GET /v1/models answered {answer.status}")
    return taken


def _idle(service: ServiceProcess) -> tuple[float, int]:
    """Share of a core used while nothing happens, and the resident bytes."""
    process = psutil.Process(service.process.pid)
    time.sleep(3)
    before = sum(process.cpu_times()[:2])
    time.sleep(IDLE)
    return (sum(process.cpu_times()[:2]) - before) / IDLE, process.memory_info().rss
