"""The KV cache of a context, through llama.cpp's C API."""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import llama_cpp as llama
import numpy as np

from janfs.engines.free_memory import free_memory
from janfs.engines.llama_cpp.context import Context
from janfs.engines.llama_cpp.kv_memory import MAX_SEQUENCES, Saved
from janfs.engines.llama_cpp.positions import Image, Positions
from janfs.engines.llama_cpp.weights import Weights
from janfs.errors import LoadFailed

_HEAD = 8  # bytes: a magic number, and whose cells they were
_COUNT = 4  # bytes: how many streams there are, and then of each how many cells follow


class _Copy(NamedTuple):
    """What llama.cpp wrote down of a sequence, and the images in all of it.

    It was in one `stream` of so many: a unified cache is one, in the other kind each sequence has one.
    """

    start: int
    state: Any
    images: dict[int, Image]
    stream: int
    n_streams: int

    def state_for(self, n_streams: int) -> Any:
        """The same as a cache with so many streams writes it down; it reads no other."""
        if n_streams == self.n_streams:
            return self.state
        others = self.n_streams - 1 - self.stream  # behind it, with no cells
        cells = self.state[_HEAD + _COUNT * (1 + self.stream) : self.nbytes - _COUNT * others]
        count, empty = np.array([n_streams], np.uint32), np.zeros(n_streams - 1, np.uint32)
        return np.concatenate([self.state[:_HEAD], count.view(np.uint8), cells, empty.view(np.uint8)])

    @property
    def nbytes(self) -> int:
        return int(self.state.nbytes)


class NativeMemory:
    """The cells of all sequences: one pool of them if `unified`, else a part for each sequence.

    Of a context as it is now; another one in its place has another memory.
    """

    def __init__(self, context: Context, weights: Weights) -> None:
        self._ctx: Any = context.handle
        self._memory = llama.llama_get_memory(self._ctx)
        if not self._memory:
            raise LoadFailed("llama.cpp keeps no memory for this kind of model, so it cannot write text.")
        self.unified = context.unified
        self._n_streams = 1 if self.unified else int(llama.llama_n_seq_max(self._ctx))
        # What can be moved can be cut and shared, but for a state; so can what M-RoPE keeps from being moved.
        movable = bool(llama.llama_memory_can_shift(self._memory))
        self.can_share = (movable or weights.has_mrope) and not weights.has_state
        self.n_cells = int(llama.llama_n_ctx(self._ctx))
        self.positions = Positions()
        self._window = int(llama.llama_model_n_swa(weights.handle))  # 0: none
        self.can_move = self.can_share and not self._window  # into a cache of the other kind, by copies

    def share(self, source: int, target: int, start: int, end: int) -> bool:
        first, behind = self.positions.of(source, start), self.positions.of(source, end)
        # Behind a sliding window cells are given to others. A hole in `target` would show only as a wrong
        # answer, so a middle part must be whole; of a beginning, what the next token can see must be there.
        if not (self._has_from(source, first) if first else self.can_cut(source, end)):
            return False
        # A target that goes on behind may have lost cells too: a hole again, which llama.cpp takes for cells.
        if self._window and llama.llama_memory_seq_pos_min(self._memory, target) > behind:
            return False
        llama.llama_memory_seq_rm(self._memory, target, first, behind)
        llama.llama_memory_seq_cp(self._memory, source, target, first, behind)
        self.positions.share(source, target, start, end)
        return True

    def can_cut(self, seq: int, start: int) -> bool:
        if not self.can_share:
            return False
        return self._has_from(seq, max(0, self.positions.of(seq, start) - self._window))

    def _has_from(self, seq: int, position: int) -> bool:
        """Whether a sequence has kept its cells from a position on. What has none says -1."""
        return not self._window or 0 <= llama.llama_memory_seq_pos_min(self._memory, seq) <= position

    def cut(self, seq: int, start: int) -> bool:
        if not self.can_share:
            return False
        first = self.positions.of(seq, start)
        self.positions.cut(seq, start)
        return bool(llama.llama_memory_seq_rm(self._memory, seq, first, -1))

    def release(self, seq: int) -> None:
        llama.llama_memory_seq_rm(self._memory, seq, -1, -1)
        self.positions.cut(seq, 0)

    def save(self, seq: int, start: int, most: int) -> _Copy | None:
        if self._window:  # not all of it is there, and what is cannot be cut to another length
            return None
        with self._written_down_as(seq, start) as number:
            size = int(llama.llama_state_seq_get_size(self._ctx, number))
            if size > most or free_memory(()) < size:
                return None
            state = np.empty(size, np.uint8)
            written = llama.llama_state_seq_get_data(self._ctx, _bytes_of(state), size, number)
            stream = 0 if self.unified else number
        images = self.positions.images(seq)
        return _Copy(start, state, images, stream, self._n_streams) if written == size else None

    @contextmanager
    def _written_down_as(self, seq: int, start: int) -> Iterator[int]:
        """A number for what a sequence has from the place `start` on; one that a batch may have.

        llama.cpp writes down whose a cell is only for those, and reads no cell back without an owner.
        """
        if not self.unified:
            yield seq
            return
        self._move(0, MAX_SEQUENCES)
        first = self.positions.of(seq, start)
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
        self.positions.put(seq, saved.images)
        if saved.start:
            self._move(seq, MAX_SEQUENCES)  # llama.cpp takes all cells that a sequence has
        state = saved.state_for(self._n_streams)
        read = llama.llama_state_seq_set_data(self._ctx, _bytes_of(state), int(state.nbytes), seq)
        if saved.start:
            first = self.positions.of(seq, saved.start)
            llama.llama_memory_seq_cp(self._memory, MAX_SEQUENCES, seq, 0, first)
            llama.llama_memory_seq_rm(self._memory, MAX_SEQUENCES, -1, -1)
        return bool(read)


def _bytes_of(saved: Any) -> Any:
    """A copy's bytes for a function in C."""
    return saved.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8))
