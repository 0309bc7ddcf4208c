"""Free memory of the GPUs for llama.cpp: `python -m janfs.engines.llama_cpp.devices LIBGGML` says it.

A process of its own asks, since a driver may crash, and keeps memory of the GPU for as long as it is open.
"""

import asyncio
import contextlib
import ctypes
import importlib.util
import sys
from pathlib import Path

import structlog

from janfs.engines.llama_cpp.process import worker_environment

_log = structlog.get_logger()

_GPU = 1  # enum ggml_backend_dev_type; an integrated one (2) has the machine's own memory
_NO_GPU = frozenset({"base", "cpu", "blas", "rpc"})
_SECONDS = 20.0  # that a driver may take to wake up
SPARED = 512 << 20  # bytes of each GPU that are left to its driver and its screen


async def free_on_gpus(library: Path | None = None) -> int | None:
    """Free bytes of all GPUs together, but for what is spared; None where llama.cpp was built for none.

    A GPU that cannot be asked counts as none: loading says what is wrong with it.
    """
    library = library or gpu_library(_libraries())
    if library is None:
        return None
    asking = await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",
        *("-m", "janfs.engines.llama_cpp.devices", str(library)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=worker_environment(),
    )
    try:
        async with asyncio.timeout(_SECONDS):
            told, said = await asking.communicate()
    except TimeoutError:
        told, said = b"", b"it took too long"
    finally:
        with contextlib.suppress(ProcessLookupError):
            asking.kill()
        await asking.wait()
    try:
        found = [int(line) for line in told.split()]
    except ValueError:
        found = []
    if asking.returncode != 0:
        _log.warning("gpus not asked", reason=said.decode(errors="replace").strip()[-200:])
    return sum(max(0, free - SPARED) for free in found) if found else None


def gpu_library(folder: Path) -> Path | None:
    """The library that knows the GPUs, in a folder with llama.cpp's, if it was built for any."""
    backends = {path.name.split("-")[1].split(".")[0] for path in folder.glob("libggml-*.so*")}
    library = folder / "libggml.so"
    return library if backends - _NO_GPU and library.exists() else None


def _libraries() -> Path:
    found = importlib.util.find_spec("llama_cpp")  # without importing it
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / "lib"


def main(library: str) -> None:
    """Print the free bytes of each GPU, a line each."""
    ggml = ctypes.CDLL(library)
    ggml.ggml_backend_dev_count.restype = ctypes.c_size_t
    ggml.ggml_backend_dev_get.argtypes = [ctypes.c_size_t]
    ggml.ggml_backend_dev_get.restype = ctypes.c_void_p
    ggml.ggml_backend_load_all()
    base = ctypes.CDLL(str(Path(library).with_name("libggml-base.so")))
    base.ggml_backend_dev_type.argtypes = [ctypes.c_void_p]
    base.ggml_backend_dev_memory.argtypes = [ctypes.c_void_p, *[ctypes.POINTER(ctypes.c_size_t)] * 2]
    for number in range(ggml.ggml_backend_dev_count()):
        device = ggml.ggml_backend_dev_get(number)
        if base.ggml_backend_dev_type(device) == _GPU:
            free, total = ctypes.c_size_t(), ctypes.c_size_t()
            base.ggml_backend_dev_memory(device, ctypes.byref(free), ctypes.byref(total))
            print(free.value)


if __name__ == "__main__":
    main(sys.argv[1])
