"""A model that writes, through llama.cpp's C API: its context with the KV cache, and the batch it decodes.

Ownership is plain: they live as long as the process.
"""

import ctypes
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any, NamedTuple

import llama_cpp as llama
import numpy as np

from janfs.engines.free_memory import free_memory
from janfs.engines.llama_cpp.candidates import Candidates
from janfs.engines.llama_cpp.grammar import Grammars
from janfs.engines.llama_cpp.kv_memory import MAX_SEQUENCES, Saved
from janfs.engines.llama_cpp.log import Log
from janfs.engines.llama_cpp.parameters import context_params
from janfs.engines.llama_cpp.pictures import Picture
from janfs.engines.llama_cpp.positions import Image, Positions
from janfs.engines.llama_cpp.prompt import check_tokens
from janfs.engines.llama_cpp.sampling import (
    ChainSampler,
    CloseSampler,
    GreedySampler,
    banned_tokens,
    is_greedy,
    sampler_chain,
)
from janfs.engines.llama_cpp.scheduler import Decoded, Entry
from janfs.engines.llama_cpp.thought import ThoughtBound
from janfs.engines.llama_cpp.weights import Weights
from janfs.engines.protocol import EngineSettings, SamplingParams, TokenLogprob
from janfs.errors import EngineError, LoadFailed


class _Copy(NamedTuple):
    """What llama.cpp wrote down of a sequence, and the images in all of it."""

    start: int
    state: Any
    images: dict[int, Image]

    @property
    def nbytes(self) -> int:
        return int(self.state.nbytes)


class NativeModel:
    """A model that writes text, in a context. One thread decodes and samples."""

    def __init__(self, weights: Weights, settings: EngineSettings, threads: int, log: Log) -> None:
        self.weights = weights
        log.errors.clear()
        params = context_params(settings, threads)
        self._ctx = llama.llama_init_from_model(weights.handle, params)
        if not self._ctx:
            raise LoadFailed(log.reason())
        weights.apply_adapters(self._ctx)
        self._memory = llama.llama_get_memory(self._ctx)
        if not self._memory:
            raise LoadFailed("llama.cpp keeps no memory for this kind of model, so it cannot write text.")
        self.grammars = Grammars(weights.vocabulary)
        self._batch = llama.llama_batch_init(params.n_batch, 0, 1)
        self._abort_flag = _set_abort_flag(self._ctx)
        # What can be moved can be cut and shared, but for a state; so can what M-RoPE keeps from being moved.
        movable = bool(llama.llama_memory_can_shift(self._memory))
        self.can_share = (movable or weights.has_mrope) and not weights.has_state
        self._positions = Positions()
        self._window = int(llama.llama_model_n_swa(weights.handle))  # 0: none
        self.n_batch = int(params.n_batch)
        self.n_at_once = int(llama.llama_n_ubatch(self._ctx))  # rows that may see one another
        self.n_outputs = int(params.n_outputs_max)
        self.n_ctx = int(llama.llama_n_ctx(self._ctx))
        self.piece = weights.piece
        self.is_end = weights.is_end

    def use_threads(self, threads: int) -> None:
        """Compute with so many from the next batch on."""
        llama.llama_set_n_threads(self._ctx, threads, threads)

    def decode(self, batch: Sequence[Entry]) -> Decoded:
        into = self._batch
        into.n_tokens = len(batch)
        for i, entry in enumerate(batch):
            into.token[i], into.pos[i] = entry.token, self._positions.of(entry.seq, entry.place)
            into.n_seq_id[i], into.seq_id[i][0] = 1, entry.seq
            into.logits[i] = entry.logits
        return self._decode(into)

    def look(self, picture: Picture, start: int, count: int, seq: int) -> Decoded:
        rows = np.ascontiguousarray(picture.rows[start : start + count], np.float32)
        positions = np.ascontiguousarray(picture.positions[:, start : start + count], np.int32)
        of_each = self._batch
        for i in range(count):
            of_each.n_seq_id[i], of_each.seq_id[i][0], of_each.logits[i] = 1, seq, False
        batch = llama.llama_batch(
            n_tokens=count,
            embd=rows.ctypes.data_as(ctypes.POINTER(ctypes.c_float)),
            pos=positions.ctypes.data_as(ctypes.POINTER(ctypes.c_int32)),
            n_seq_id=of_each.n_seq_id,
            seq_id=of_each.seq_id,
            logits=of_each.logits,
        )
        self._positions.add(seq, picture.start, Image(len(picture.rows), picture.extent))
        llama.llama_set_causal_attn(self._ctx, not picture.at_once)
        try:
            return self._decode(batch)
        finally:
            llama.llama_set_causal_attn(self._ctx, True)

    def _decode(self, batch: Any) -> Decoded:
        status = llama.llama_decode(self._ctx, batch)
        if status == 0:
            return Decoded.OK
        if status == 1:
            return Decoded.FULL
        if status == 2:
            return Decoded.ABORTED
        raise EngineError(f"llama_decode failed with status {status}.")

    def abort(self, now: bool) -> None:
        """While True, a decode stops at the next node of its graph. May be called from any thread."""
        self._abort_flag[0] = b"\1" if now else b"\0"

    def share(self, source: int, target: int, start: int, end: int) -> bool:
        first, behind = self._positions.of(source, start), self._positions.of(source, end)
        # Behind a sliding window cells are given to others. A hole in `target` would show only as a wrong
        # answer, so a middle part must be whole; of a beginning, what the next token can see must be there.
        # What was cut to before its window has none of that, which llama.cpp says as -1.
        needed = first or max(0, behind - self._window)
        if self._window and not 0 <= llama.llama_memory_seq_pos_min(self._memory, source) <= needed:
            return False
        llama.llama_memory_seq_rm(self._memory, target, first, behind)
        llama.llama_memory_seq_cp(self._memory, source, target, first, behind)
        self._positions.share(source, target, start, end)
        return True

    def cut(self, seq: int, start: int) -> bool:
        if not self.can_share:
            return False
        first = self._positions.of(seq, start)
        self._positions.cut(seq, start)
        return bool(llama.llama_memory_seq_rm(self._memory, seq, first, -1))

    def release(self, seq: int) -> None:
        llama.llama_memory_seq_rm(self._memory, seq, -1, -1)
        self._positions.cut(seq, 0)

    def save(self, seq: int, start: int, most: int) -> _Copy | None:
        if self._window:  # not all of it is there, and what is cannot be cut to another length
            return None
        with self._written_down_as(seq, start) as number:
            size = int(llama.llama_state_seq_get_size(self._ctx, number))
            if size > most or free_memory(()) < size:
                return None
            state = np.empty(size, np.uint8)
            written = llama.llama_state_seq_get_data(self._ctx, _bytes_of(state), size, number)
        return _Copy(start, state, self._positions.images(seq)) if written == size else None

    @contextmanager
    def _written_down_as(self, seq: int, start: int) -> Iterator[int]:
        """A number for what a sequence has from the place `start` on; one that a batch may have.

        llama.cpp writes down whose a cell is only for those, and reads no cell back without an owner.
        """
        self._move(0, MAX_SEQUENCES)
        first = self._positions.of(seq, start)
        llama.llama_memory_seq_cp(self._memory, seq or MAX_SEQUENCES, 0, first, -1)
        try:
            yield 0
        finally:
            llama.llama_memory_seq_rm(self._memory, 0, -1, -1)
            self._move(MAX_SEQUENCES, 0)

    def _move(self, seq: int, number: int) -> None:
        """Give a sequence a number that none has."""
        llama.llama_memory_seq_cp(self._memory, seq, number, -1, -1)
        llama.llama_memory_seq_rm(self._memory, seq, -1, -1)

    def restore(self, seq: int, saved: Saved) -> bool:
        assert isinstance(saved, _Copy)
        self._positions.put(seq, saved.images)
        self._move(seq, MAX_SEQUENCES)  # llama.cpp takes all cells that a sequence has
        read = llama.llama_state_seq_set_data(self._ctx, _bytes_of(saved.state), saved.nbytes, seq)
        if saved.start:
            first = self._positions.of(seq, saved.start)
            llama.llama_memory_seq_cp(self._memory, MAX_SEQUENCES, seq, 0, first)
        llama.llama_memory_seq_rm(self._memory, MAX_SEQUENCES, -1, -1)
        return bool(read)

    def check(self, params: SamplingParams) -> None:
        """Raises `InvalidInput` for what this model cannot be asked; compiles a grammar. Main thread only."""
        biased = [token for token, _ in params.logit_bias]
        check_tokens(biased, self.weights.n_vocab, param="logit_bias")
        self.grammars.check(params)

    def logprob(self, index: int, token: int, count: int) -> TokenLogprob:
        return self._candidates.logprob(index, token, count)

    def sampler(
        self, params: SamplingParams, prompt: Sequence[int]
    ) -> ChainSampler | GreedySampler | CloseSampler | ThoughtBound:
        free = self._sampler(params, prompt)
        if params.thoughts is None:
            return free
        return ThoughtBound(free, params.thoughts, lambda token: self.piece(token, special=True))

    def _sampler(
        self, params: SamplingParams, prompt: Sequence[int]
    ) -> ChainSampler | GreedySampler | CloseSampler:
        banned = banned_tokens(params, self.weights.end_tokens)
        grammar = self.grammars.sampler(params)
        words = [token for token in prompt if token >= 0]  # the others stand for images
        chain = sampler_chain(params, words, self.n_ctx, self.weights.n_vocab, banned)
        if grammar is not None or params.logprobs is not None:
            return CloseSampler(self._candidates, chain, grammar, params.logprobs)
        if is_greedy(params, chain, banned):
            return GreedySampler(self._candidates, chain, banned)
        return ChainSampler(self._ctx, chain)

    @cached_property
    def _candidates(self) -> Candidates:
        return Candidates(self._ctx, self.weights.n_vocab, lambda token: self.piece(token, special=True))


def _bytes_of(saved: Any) -> Any:
    """A copy's bytes for a function in C."""
    return saved.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8))


def _set_abort_flag(ctx: object) -> ctypes.Array[ctypes.c_char]:
    """Two bytes that llama.cpp looks at before every node of its graph: a first byte other than 0 aborts.

    The callback is C's strlen, not Python: it is called some 500 times a token, and with another Python
    thread busy each call waits for the interpreter lock (measured: 1 token a second instead of 16).
    """
    flag = ctypes.create_string_buffer(2)
    strlen = ctypes.cast(ctypes.CDLL(None).strlen, llama.ggml_abort_callback)
    llama.llama_set_abort_callback(ctx, strlen, ctypes.cast(flag, ctypes.c_void_p))
    return flag
