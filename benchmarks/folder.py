"""The folder at its largest: 10,000 files dropped at once, 100,000 to walk, 50 GB that nobody should read.

Organising is measured against the least that makes the same folders durable: a loop that for each file makes
a folder, renames, writes a model.json of the same size and syncs. The walk is measured against a bare
`os.scandir` with an `lstat` for each name, of the same folders in the same run.
"""

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.report import Row, median
from janfs.folder import paths
from janfs.folder.real import RealFileSystem
from janfs.folder.scan import scan
from tests.folder.gguf_bytes import Tensor, header, text, uint32
from tests.support.ggufs import tiny_gguf
from tests.support.service import ServiceProcess

DROPPED = 10_000
WALKED = 100_000
IN_A_FOLDER = 100
WALKS = 5
LARGE = 50 * 10**9  # bytes of the one tensor
MANIFEST_SIZE = 900  # bytes, about what a generated model.json has
MIB = 2**20
_F16 = 1


def flood(where: Path | None = None) -> list[Row]:
    """Rename 10,000 files into `models/` as fast as the disk can, and wait until each is a model."""
    with tempfile.TemporaryDirectory(dir=where) as folder:
        base = Path(folder)
        least = _least_work(_many_files(base / "plain"), base / "least")
        waiting = _many_files(base / "waiting")
        (base / "root" / "models").mkdir(parents=True)
        with ServiceProcess(base / "root", "--hashing", "off") as service:
            service.wait_ready()
            position = service.get("/readyz")["position"]
            began = time.perf_counter()
            for source in waiting:
                source.rename(service.root / "models" / source.name)
            listed = _until(service, lambda models: len(models) >= DROPPED) - began
            ready = _until(service, lambda m: len(m) == sum(e["status"] == "ready" for e in m) >= DROPPED)
            ready -= began
            events = service.get("/readyz")["position"] - position
            peak = _peak(service)
    note = f"{DROPPED:,} files renamed in at once"
    return [
        Row("all listed", listed, "s", note=note),
        Row("all organised and ready", ready, "s"),
        Row("… times the least durable work", ready / least, "times", note=f"which took {least:.1f} s"),
        Row("events recorded", events / ready, "a second", higher=True, note=f"{events:,} events"),
        Row("memory at its peak", peak, "MiB", 400),
    ]


def walk(where: Path | None = None) -> list[Row]:
    """Walk 100,000 files in 1,000 folders, by the same code that a full look uses."""
    with tempfile.TemporaryDirectory(dir=where) as folder:
        models = Path(folder) / paths.MODELS
        for number in range(WALKED // IN_A_FOLDER):
            inside = models / f"folder-{number:04d}"
            inside.mkdir(parents=True)
            for each in range(IN_A_FOLDER):
                (inside / f"{each:03d}.gguf").touch()
        fs = RealFileSystem(Path(folder))
        ours, bare = [], []
        for _ in range(WALKS):
            bare.append(_timed(lambda: _bare_walk(models)))
            ours.append(_timed(lambda: len(scan(fs, paths.MODELS).files)))
    return [
        Row("walk of 100,000 files", 1e3 * median(ours), "ms"),
        Row("files a second", WALKED / median(ours), "files/s", higher=True),
        Row("… against bare scandir and lstat", median(ours) / median(bare), "times", 4),
    ]


def large(where: Path | None = None) -> list[Row]:
    """Drop a model of 50 GB whose tensor data is a hole; read from the kernel what the service read of it."""
    with tempfile.TemporaryDirectory(dir=where) as folder:
        root = Path(folder) / "root"
        (root / "models").mkdir(parents=True)
        source = Path(folder) / "large.gguf"
        _put_large(source)
        with ServiceProcess(root, "--hashing", "off") as service:
            service.wait_ready()
            read, peak = _read_so_far(service), _peak(service)
            began = time.perf_counter()
            source.rename(root / "models" / source.name)
            entry = service.wait_model("large", within=60)
            ready = time.perf_counter() - began
            read, peak = _read_so_far(service) - read, _peak(service) - peak
            if entry["metadata"]["size"] < LARGE:
                raise AssertionError(f"another file than was dropped: {entry}")
    return [
        Row(
            "50 GB dropped until ready",
            ready,
            "s",
            note="with the 1.5 s that a file with holes is waited for",
        ),
        Row("read meanwhile, the whole service", read / MIB, "MiB", 16),
        Row("memory more than before", peak, "MiB", 32),
    ]


def _many_files(folder: Path) -> list[Path]:
    folder.mkdir()
    files = [folder / f"model-{number:05d}.gguf" for number in range(DROPPED)]
    for number, file in enumerate(files):
        file.write_bytes(tiny_gguf(f"Model {number}"))
    return files


def _least_work(files: list[Path], target: Path) -> float:
    """Seconds to give each file a durable folder with a durable model.json, and nothing else."""
    target.mkdir()
    content = b" " * MANIFEST_SIZE

    def act() -> None:
        for file in files:
            home = target / file.stem
            home.mkdir()
            file.rename(home / file.name)
            with (home / "model.json").open("wb") as manifest:
                manifest.write(content)
                manifest.flush()
                os.fsync(manifest.fileno())
            _sync(home)
            _sync(target)

    return _timed(act)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(descriptor)
    os.close(descriptor)


def _until(service: ServiceProcess, enough: Callable[[list[dict[str, object]]], bool]) -> float:
    """When the list is as it should be; asked once a second, since listing costs the service work too."""
    until = time.monotonic() + 600
    while not enough(service.get("/v1/models")["data"]):
        if time.monotonic() > until:
            raise AssertionError("not all files are listed after 10 minutes")
        time.sleep(1)
    return time.perf_counter()


def _bare_walk(top: Path) -> int:
    found, folders = 0, [os.fspath(top)]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                entry.stat(follow_symlinks=False)
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                else:
                    found += 1
    return found


def _put_large(path: Path) -> None:
    values = {
        "general.architecture": text("llama"),
        "general.name": text("Large"),
        "llama.context_length": uint32(2048),
    }
    start = header(values, [Tensor("token_embd.weight", (LARGE // 2,), _F16, 0)])
    with path.open("wb") as file:
        file.write(start + bytes(-len(start) % 32))
        file.truncate(file.tell() + LARGE)


def _timed(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def _peak(service: ServiceProcess) -> float:
    """MiB that were resident at most (proc(5), VmHWM)."""
    return _proc(service, "status", "VmHWM") / 1024


def _read_so_far(service: ServiceProcess) -> float:
    """Bytes that the service has read, from whatever (proc(5), rchar)."""
    return _proc(service, "io", "rchar")


def _proc(service: ServiceProcess, file: str, key: str) -> float:
    lines = Path(f"/proc/{service.process.pid}/{file}").read_text().splitlines()
    return float(next(line for line in lines if line.startswith(f"{key}:")).split()[1])
