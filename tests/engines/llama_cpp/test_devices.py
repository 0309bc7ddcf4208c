import asyncio
import shutil
import subprocess
from pathlib import Path

import pytest

from janfs.engines.llama_cpp.devices import SPARED, free_on_gpus, gpu_library

GPUS = """
#include <stddef.h>
static const size_t gib = 1u << 30;
size_t ggml_backend_dev_count(void) { return 3; }
void *ggml_backend_dev_get(size_t number) { return (void *)(number + 1); }
void ggml_backend_load_all(void) {}
int ggml_backend_dev_type(void *device) { return device == (void *)1 ? 0 : 1; }
void ggml_backend_dev_memory(void *device, size_t *free, size_t *total) {
    *total = 64 * gib;
    *free = device == (void *)1 ? 32 * gib : (size_t)device * gib;
}
"""
CRASHING = GPUS.replace("{ return 3; }", "{ __builtin_trap(); }")


def build(folder: Path, source: str) -> Path:
    """Libraries with llama.cpp's names and functions, for machines that are not here."""
    if shutil.which("cc") is None:
        pytest.skip("no C compiler")
    code = folder / "fake.c"
    code.write_text(source)
    for name in ("libggml.so", "libggml-base.so"):
        subprocess.run(["cc", "-shared", "-fPIC", "-o", folder / name, code], check=True)
    return folder / "libggml.so"


def test_a_build_for_the_processor_alone_asks_nobody(tmp_path: Path) -> None:
    for name in ("libggml.so", "libggml-base.so", "libggml-cpu.so.0", "libggml-cpu-zen4.so"):
        (tmp_path / name).touch()
    assert gpu_library(tmp_path) is None
    (tmp_path / "libggml-cuda.so").touch()
    assert gpu_library(tmp_path) == tmp_path / "libggml.so"


def test_what_is_free_on_gpus_is_summed_and_the_processor_is_none(tmp_path: Path) -> None:
    free = asyncio.run(free_on_gpus(build(tmp_path, GPUS)))
    assert free == (2 << 30) + (3 << 30) - 2 * SPARED


def test_the_library_that_is_installed_can_be_asked() -> None:
    llama_cpp = pytest.importorskip("llama_cpp")
    library = Path(llama_cpp.__file__).parent / "lib" / "libggml.so"
    free = asyncio.run(free_on_gpus(library))
    assert free is None or free >= 0


def test_a_driver_that_crashes_costs_nothing_but_its_memory(tmp_path: Path) -> None:
    assert asyncio.run(free_on_gpus(build(tmp_path, CRASHING))) is None
