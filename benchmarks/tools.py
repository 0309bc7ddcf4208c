"""Every tool that people use on the folder: from its last write until the API tells the truth."""

import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.report import Row
from tests.support.ggufs import large_gguf
from tests.support.service import ServiceProcess
from tests.support.tools import BRINGING, EDITING, Tool, served

RUNS = 3
LIMIT = 2.0  # seconds
PATIENCE = 30.0  # seconds


def run(where: Path | None = None) -> list[Row]:
    """The longest of a few runs of each tool, in seconds; the clock starts when the tool has ended."""
    rows = []
    with tempfile.TemporaryDirectory(dir=where) as folder, ServiceProcess(Path(folder) / "root") as service:
        service.wait_ready()
        for tools, one in ((BRINGING, _bring), (EDITING, _edit)):
            for number, tool in enumerate(tools):
                if tool.missing:
                    print(f"{tool.name} is left out: {', '.join(tool.missing)} is not installed here.")
                    continue
                taken = [
                    one(service, Path(folder), tool, f"{one.__name__[1:]}-{number:02d}-{turn}")
                    for turn in range(RUNS)
                ]
                what = "model brought" if tools is BRINGING else "model.json edited"
                rows.append(Row(f"{what}: {tool.name}", max(taken), "s", LIMIT, note=f"longest of {RUNS}"))
    return rows


def _bring(service: ServiceProcess, base: Path, tool: Tool, name: str) -> float:
    content = large_gguf(name)
    folder = base / "sources" / name
    folder.mkdir(parents=True)
    source = folder.with_name(f"{name}.gguf")
    models = service.root / "models"
    for file in (source, folder / source.name):
        file.write_bytes(content)
    with ExitStack() as stack:
        url = stack.enter_context(served(source.parent))
        tool.run(
            NAME=name,
            SOURCE=source,
            FOLDER=folder,
            MODELS=models,
            TARGET=models / source.name,
            URL=f"{url}/{source.name}",
        )
        ended = time.perf_counter()
        _wait(service, name, lambda model: (model["status"], model["size"]) == ("ready", len(content)))
        return time.perf_counter() - ended


def _edit(service: ServiceProcess, base: Path, tool: Tool, name: str) -> float:
    folder = base / "sources" / name
    folder.mkdir(parents=True)
    (folder / f"{name}.gguf").write_bytes(large_gguf(name))
    (folder / "model.json").write_text('{"model_parameters": {"max_tokens": 1111}}')
    folder = folder.rename(service.root / "models" / name)
    _wait(service, name, lambda model: model["status"] == "ready")
    tool.run(FILE=folder / "model.json")
    ended = time.perf_counter()
    _wait(service, name, lambda model: model["model_parameters"]["max_tokens"] == 2222)
    return time.perf_counter() - ended


def _wait(service: ServiceProcess, name: str, true: Callable[[dict[str, Any]], bool]) -> None:
    until = time.perf_counter() + PATIENCE
    while True:
        answer = service.client.get(f"/v1/models/{name}")
        if answer.is_success and true(answer.json()):
            return
        if time.perf_counter() > until:
            raise AssertionError(f"{name} is not as it should be after {PATIENCE} s: {answer.text}")
        time.sleep(0.005)
