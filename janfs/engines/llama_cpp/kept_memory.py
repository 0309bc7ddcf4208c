"""The memory of a context, for the next one in its place.

llama.cpp allocates a context's buffers with it and frees them with it. For the next one the kernel hands out
memory page by page: a KV cache of 377 MB takes 0.28 s, of which 0.015 are for filling it with zeros. So large
buffers lie in blocks of ours, which stay. No option says where a buffer is to be; but the function that
allocates those on the CPU stands in a table, and another one stands there while a context is made. The table
is that of ggml-backend-impl.h, of the one release that pyproject.toml allows. All threads look there, and one
may be reading an image meanwhile.
"""

import ctypes
import mmap
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import llama_cpp as llama

LARGE = 1 << 20
"""Bytes. Smaller buffers are as fast from anywhere."""


class _BufferType(ctypes.Structure):
    _fields_ = (("get_name", ctypes.c_void_p), ("alloc_buffer", ctypes.c_void_p))  # and more


_Allocate = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)


class _Block:
    """Memory from the kernel, which has it back when nobody refers to this. Raises `OSError`."""

    def __init__(self, size: int) -> None:
        private = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        self.size = size
        self._memory = ctypes.c_char.from_buffer(mmap.mmap(-1, size, flags=private))
        self.address = ctypes.addressof(self._memory)


class KeptMemory:
    """The large buffers of one context after another."""

    def __init__(self) -> None:
        self._ggml = _library()
        self._free: list[_Block] = []
        self._taken: list[_Block] = []
        self._owner = 0  # the thread that makes a context
        self._usual = 0
        # As long as this lives: another thread may be on its way there when a context has been made.
        self._instead = _Allocate(self._allocate)

    @contextmanager
    def used(self) -> Iterator[None]:
        """Let a context that is made within have the memory of the last one, which must have been freed."""
        if self._ggml is None:
            yield
            return
        table = _BufferType.from_address(self._ggml.ggml_backend_cpu_buffer_type())
        self._free, self._taken = self._taken, []
        self._owner, self._usual = threading.get_ident(), table.alloc_buffer
        table.alloc_buffer = ctypes.cast(self._instead, ctypes.c_void_p).value
        try:
            yield
        finally:
            table.alloc_buffer = self._usual
            self._free = []

    def _allocate(self, kind: int, size: int) -> Any:
        block = None
        if size >= LARGE and threading.get_ident() == self._owner:
            with suppress(OSError):  # as is told by the usual way
                block = _take(self._free, size)
        if block is None:
            return _Allocate(self._usual)(kind, size)
        self._taken.append(block)
        return self._ggml.ggml_backend_cpu_buffer_from_ptr(block.address, size)


def _take(free: list[_Block], size: int) -> _Block:
    """The smallest of these blocks that is large enough, or a new one."""
    block = min((each for each in free if each.size >= size), key=lambda each: each.size, default=None)
    if block is None:
        return _Block(size)
    free.remove(block)
    return block


def _library() -> Any:
    """llama.cpp's library, through which all others of it are found; None where it is built otherwise."""
    try:
        library = ctypes.CDLL(str(Path(llama.__file__).parent / "lib" / "libllama.so"))
        library.ggml_backend_cpu_buffer_type.restype = ctypes.c_void_p
        library.ggml_backend_cpu_buffer_from_ptr.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
        library.ggml_backend_cpu_buffer_from_ptr.restype = ctypes.c_void_p
    except (OSError, AttributeError):
        return None
    return library
