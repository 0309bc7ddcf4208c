"""A context has the memory of the one in whose place it comes."""

import ctypes
import mmap
import resource
import threading
from pathlib import Path

import pytest

from janfs.engines.llama_cpp.kept_memory import LARGE, KeptMemory
from janfs.engines.llama_cpp.log import Log
from janfs.engines.llama_cpp.model import Decoded, Entry
from janfs.engines.llama_cpp.native import NativeModel
from janfs.engines.protocol import EngineSettings
from tests.engines.llama_cpp.native_models import load

SETTINGS = EngineSettings(
    ctx_len=1 << 17, n_parallel=3
)  # cells of tens of MB; parts of a little less together


def pages_for(model: NativeModel, *, unified: bool) -> int:
    """How many pages the kernel hands out while the cache is made anew."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    model.rearrange(unified)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def pages_of_cache(model: NativeModel) -> int:
    """At least so many pages has all of the cache."""
    entries = [Entry(3 + place % 200, place, 0, False) for place in range(256)]
    assert model.decode(entries) is Decoded.OK
    saved = model.memory.save(0, 0, 1 << 30)
    assert saved is not None
    model.memory.release(0)
    return saved.nbytes // 256 * model.memory.n_cells // mmap.PAGESIZE


def test_a_new_cache_lies_where_the_last_one_was(tiny_model: Path, log: Log) -> None:
    model = load(tiny_model, log, SETTINGS)
    whole = pages_of_cache(model)
    assert whole * mmap.PAGESIZE > 8 * LARGE, "the test has too small a cache to tell"
    for unified in (False, True, False, True):
        fresh = pages_for(model, unified=unified)
        assert fresh < whole // 4, f"the kernel handed out {fresh} pages; the cache has {whole}"
        assert model.memory.unified is unified
        assert pages_of_cache(model) > whole // 2, "it does not work"


def test_without_memory_of_its_own_a_cache_comes_from_llama_cpp(
    tiny_model: Path, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("no memory")

    with monkeypatch.context() as patched:
        patched.setattr(mmap, "mmap", refuse)
        model = load(tiny_model, log, SETTINGS)
        model.rearrange(False)
        assert pages_of_cache(model) > 0
    model.rearrange(True)
    assert pages_of_cache(model) > 0


def test_two_models_have_their_own_memory(tiny_model: Path, log: Log) -> None:
    models = [load(tiny_model, log, SETTINGS) for _ in range(2)]
    states = []
    for number, model in enumerate(models):
        model.rearrange(False)
        entries = [Entry(3 + (number + place) % 200, place, 1, False) for place in range(64)]
        assert model.decode(entries) is Decoded.OK
        states.append(bytes(model.memory.save(1, 0, 1 << 30).state))  # type: ignore[union-attr]
    for model, state in zip(models, states, strict=True):
        assert bytes(model.memory.save(1, 0, 1 << 30).state) == state  # type: ignore[union-attr]


def test_what_another_thread_takes_meanwhile_is_left_to_it() -> None:
    memory = KeptMemory()
    ggml, places = memory._ggml, list[int]()
    ggml.ggml_backend_buft_alloc_buffer.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
    ggml.ggml_backend_buft_alloc_buffer.restype = ctypes.c_void_p
    ggml.ggml_backend_buffer_get_base.restype = ctypes.c_void_p

    def take() -> None:
        buffer = ggml.ggml_backend_buft_alloc_buffer(ggml.ggml_backend_cpu_buffer_type(), 2 * LARGE)
        places.append(ggml.ggml_backend_buffer_get_base(ctypes.c_void_p(buffer)))

    with memory.used():
        reader = threading.Thread(target=take)
        reader.start()
        reader.join()
    with memory.used():
        take()
    assert places[0] != places[1], "an image is read where a cache begins"
