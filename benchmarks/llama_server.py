"""llama.cpp's own server, built from the source that travels in llama-cpp-python's source distribution.

`python -m benchmarks.llama_server` builds it and prints where it is.
"""

import os
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Self

CACHE = Path(__file__).parents[1] / ".cache" / "llama-server"
_STARTS_WITHIN = 120.0  # seconds


def build(cache: Path = CACHE) -> Path:
    """The program, of the very llama.cpp that is installed; compiled the first time, which takes minutes."""
    release = version("llama-cpp-python")
    program = cache / release / "build" / "bin" / "llama-server"
    if program.is_file():
        return program
    print(f"compiling llama-server of llama-cpp-python {release}; this takes some minutes", flush=True)
    (cache / release).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "-d", folder]
        subprocess.run([*pip, "--no-binary", "llama-cpp-python", f"llama-cpp-python=={release}"], check=True)
        (archive,) = Path(folder).glob("*.tar.gz")
        with tarfile.open(archive) as source:
            source.extractall(cache / release, filter="data")
    (source_folder,) = (cache / release).glob("*/vendor/llama.cpp")
    build_folder = cache / release / "build"
    options = ["-DCMAKE_BUILD_TYPE=Release", "-DLLAMA_CURL=OFF", "-DLLAMA_BUILD_TESTS=OFF"]
    options += ["-DLLAMA_BUILD_EXAMPLES=OFF", "-DLLAMA_BUILD_SERVER=ON"]
    log = build_folder.with_suffix(".log")
    with log.open("wb") as output:
        for command in (
            ["cmake", "-S", str(source_folder), "-B", str(build_folder), *options],
            ["cmake", "--build", str(build_folder), "--target", "llama-server", "-j", str(os.cpu_count())],
        ):
            if subprocess.run(command, stdout=output, stderr=output, check=False).returncode:
                raise SystemExit(f"llama-server could not be built; see {log}")
    return program


class LlamaServer:
    """A running llama-server on a free port; `log` is where it writes."""

    def __init__(self, program: Path, log: Path, options: Sequence[str]) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        address = ["--host", "127.0.0.1", "--port", str(self.port)]
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [str(program), *address, "--no-ui", *options], stdout=output, stderr=output
            )
        self._wait_until_ready(log)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.terminate()
        try:
            self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _wait_until_ready(self, log: Path) -> None:
        until = time.monotonic() + _STARTS_WITHIN
        while time.monotonic() < until and self.process.poll() is None:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=5):
                    return
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.05)
        self.process.kill()
        raise SystemExit(f"llama-server did not start; see {log}")


if __name__ == "__main__":
    print(build())
