"""Vectors of whole texts through llama.cpp's C API, in a context beside one that writes, if there is any."""

import ctypes
from collections.abc import Sequence
from typing import Any

import llama_cpp as llama

from janfs.engines.llama_cpp.log import Log
from janfs.engines.llama_cpp.parameters import pooling_params
from janfs.engines.llama_cpp.weights import Weights
from janfs.engines.protocol import EngineSettings, Pooling
from janfs.errors import EngineError, LoadFailed

_MOST_TEXTS = 64  # in a batch
_FLOAT = ctypes.sizeof(ctypes.c_float)


class PooledModel:
    """Makes a vector of each text. One thread computes.

    Its context has room for the longest text there was: what a text needs grows with the square of its
    length, and most are short. It is made at the first text, and anew at one that is too long for it.
    `n_batch` is how many tokens are worth computing at once; a longer text has a batch for itself.
    """

    def __init__(self, weights: Weights, settings: EngineSettings, threads: int, log: Log) -> None:
        self._weights, self._settings, self._threads, self._log = weights, settings, threads, log
        self.pooling: Pooling = settings.pooling or weights.pooling or _usual(weights)
        if self.pooling == "rank" and weights.pooling != "rank":
            raise LoadFailed("engine_parameters.pooling is rank, but this file has nothing to rank with.")
        longest = weights.n_ctx_train or settings.ctx_len
        self.n_ctx = min(settings.ctx_len or longest, longest)  # there is no telling positions beyond
        self.n_batch = min(settings.n_batch, self.n_ctx)
        # What a causal model makes of the last token depends on no later one.
        self._in_pieces = weights.is_causal and self.pooling in {"last", "rank"}
        # Of a rank only the first number is one; behind it is foreign memory.
        self._width = 1 if self.pooling == "rank" else int(llama.llama_model_n_embd_out(weights.handle))
        self.most_texts = 1 if weights.has_state else _MOST_TEXTS
        self._room = 0
        self._ctx: object = None
        self._batch: Any = None

    def use_threads(self, threads: int) -> None:
        """Compute with so many from the next batch on."""
        self._threads = threads
        if self._ctx:
            llama.llama_set_n_threads(self._ctx, threads, threads)

    def compute(self, texts: Sequence[Sequence[int]]) -> list[bytes]:
        """The vectors of texts, `most_texts` at most, of which one alone may have more than `n_batch` tokens.

        Raises `EngineError`.
        """
        needed = sum(map(len, texts))
        if needed > self._room:
            self._make_room(needed)
        entries = [(token, at, seq) for seq, text in enumerate(texts) for at, token in enumerate(text)]
        piece = self.n_batch if self._in_pieces else needed
        try:
            for start in range(0, needed, piece):
                self._compute(entries[start : start + piece])
            return [self._vector(seq) for seq in range(len(texts))]
        finally:
            if memory := llama.llama_get_memory(self._ctx):
                llama.llama_memory_clear(memory, False)

    def _make_room(self, needed: int) -> None:
        if self._ctx is not None:
            llama.llama_batch_free(self._batch)
            llama.llama_free(self._ctx)
            self._ctx, self._room = None, 0
        room = min(self.n_ctx, max(self.n_batch, 1 << (needed - 1).bit_length()))
        n_batch = self.n_batch if self._in_pieces else room
        self._log.errors.clear()
        params = pooling_params(
            self._settings,
            self._threads,
            self.pooling,
            most_texts=self.most_texts,
            n_ctx=room,
            n_batch=n_batch,
        )
        self._ctx = llama.llama_init_from_model(self._weights.handle, params) or None
        if self._ctx is None:
            raise EngineError(f"There is no room for a text of {needed} tokens: {self._log.reason()}")
        self._weights.apply_adapters(self._ctx)
        self._batch = llama.llama_batch_init(n_batch, 0, 1)
        self._room = room

    def _compute(self, entries: Sequence[tuple[int, int, int]]) -> None:
        into = self._batch
        into.n_tokens = len(entries)
        for i, (token, position, seq) in enumerate(entries):
            into.token[i], into.pos[i] = token, position
            into.n_seq_id[i], into.seq_id[i][0] = 1, seq
            into.logits[i] = True  # all of a text has a part in its vector
        encodes = self._weights.has_encoder or not llama.llama_get_memory(self._ctx)
        status = (llama.llama_encode if encodes else llama.llama_decode)(self._ctx, into)
        if status != 0:
            raise EngineError(f"llama.cpp could not embed {len(entries)} tokens, status {status}.")

    def _vector(self, seq: int) -> bytes:
        pointer = llama.llama_get_embeddings_seq(self._ctx, seq)
        if not pointer:
            raise EngineError("llama.cpp made no vector of a text.")
        return ctypes.string_at(pointer, self._width * _FLOAT)


def _usual(weights: Weights) -> Pooling:
    """Where a header says nothing: only the last token of a model that writes has seen the whole text."""
    return "last" if weights.is_causal else "mean"
