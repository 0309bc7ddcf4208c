"""llama.cpp's context of a model that writes: its KV cache, and what it computes in."""

import ctypes

import llama_cpp as llama

from janfs.engines.llama_cpp.kept_memory import KeptMemory
from janfs.engines.llama_cpp.log import Log
from janfs.engines.llama_cpp.parameters import context_params
from janfs.engines.llama_cpp.weights import Weights
from janfs.engines.protocol import EngineSettings
from janfs.errors import LoadFailed


class Context:
    """A context, and another one in its place where the cache is to be of the other kind.

    `unified` says whether all sequences have their cells from one pool. One thread uses it, but for `abort`.
    """

    def __init__(self, weights: Weights, settings: EngineSettings, threads: int, log: Log) -> None:
        self._weights = weights
        self._params = context_params(settings, threads)
        self._memory = KeptMemory()
        self._abort_flag = ctypes.create_string_buffer(2)
        self.handle: object = None
        log.errors.clear()
        if not self._begin():
            raise LoadFailed(log.reason())

    @property
    def unified(self) -> bool:
        return bool(self._params.kv_unified)

    @property
    def n_outputs(self) -> int:
        """Tokens of a batch whose logits there is room for."""
        return int(self._params.n_outputs_max)

    def begin_anew(self, *, unified: bool, n_ctx: int) -> None:
        """Take an empty context of `n_ctx` cells in place of this one, or one like this if there is none.

        Raises `MemoryError` where there is none at all.
        """
        before = self._params.kv_unified, self._params.n_ctx
        llama.llama_free(self.handle)
        for self._params.kv_unified, self._params.n_ctx in ((unified, n_ctx), before):
            if self._begin():
                return
        raise MemoryError("llama.cpp found no memory for the KV cache that it had before.")

    def _begin(self) -> bool:
        with self._memory.used():
            self.handle = llama.llama_init_from_model(self._weights.handle, self._params)
        if not self.handle:
            return False
        self._weights.apply_adapters(self.handle)
        _watch(self.handle, self._abort_flag)
        return True

    def use_threads(self, threads: int) -> None:
        """Compute with so many from the next batch on."""
        self._params.n_threads = self._params.n_threads_batch = threads
        llama.llama_set_n_threads(self.handle, threads, threads)

    def abort(self, now: bool) -> None:
        """While True, a decode stops at the next node of its graph. May be called from any thread."""
        self._abort_flag[0] = b"\1" if now else b"\0"


def _watch(ctx: object, flag: ctypes.Array[ctypes.c_char]) -> None:
    """Let llama.cpp look at a flag of two bytes before every node of its graph: a first one but 0 aborts.

    The callback is C's strlen, not Python: it is called some 500 times a token, and with another Python
    thread busy each call waits for the interpreter lock (measured: 1 token a second instead of 16).
    """
    strlen = ctypes.cast(ctypes.CDLL(None).strlen, llama.ggml_abort_callback)
    llama.llama_set_abort_callback(ctx, strlen, ctypes.cast(flag, ctypes.c_void_p))
