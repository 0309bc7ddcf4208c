"""A model that writes, through llama.cpp's C API: its context, and the batch it decodes.

Ownership is plain: they live as long as the process.
"""

import ctypes
from collections.abc import Sequence
from functools import cached_property, lru_cache
from typing import Any

import llama_cpp as llama
import numpy as np

from janfs.engines.llama_cpp.candidates import Candidates
from janfs.engines.llama_cpp.constraint import Constraints
from janfs.engines.llama_cpp.context import Context
from janfs.engines.llama_cpp.guidance import UNGUIDED, Guidance
from janfs.engines.llama_cpp.log import Log
from janfs.engines.llama_cpp.model import Decoded, Entry
from janfs.engines.llama_cpp.native_memory import NativeMemory
from janfs.engines.llama_cpp.parameters import part_of
from janfs.engines.llama_cpp.pictures import Picture
from janfs.engines.llama_cpp.positions import Image
from janfs.engines.llama_cpp.sampling import (
    ChainSampler,
    CloseSampler,
    GreedySampler,
    banned_tokens,
    is_greedy,
    sampler_chain,
)
from janfs.engines.llama_cpp.thought import ThoughtBound
from janfs.engines.llama_cpp.vocabulary import check_tokens
from janfs.engines.llama_cpp.weights import Weights
from janfs.engines.protocol import EngineSettings, SamplingParams, TokenLogprob
from janfs.errors import EngineError

_REMEMBERED = 2**13  # tokens, and how they are spelled; most texts have fewer


class NativeModel:
    """A model that writes text, in a context. One thread decodes and samples."""

    def __init__(self, weights: Weights, settings: EngineSettings, threads: int, log: Log) -> None:
        self.weights = weights
        self._context = Context(weights, settings, threads, log)
        ctx = self._context.handle
        self.memory = NativeMemory(self._context, weights)
        self.constraints = Constraints(weights)
        self.n_at_once = int(llama.llama_n_ubatch(ctx))  # rows that may see one another
        self.n_outputs = self._context.n_outputs
        self.n_ctx = int(llama.llama_n_ctx_seq(ctx))
        self._most = int(llama.llama_n_batch(ctx))
        self._batch = llama.llama_batch_init(self._most, 0, 1)
        self.part = part_of(settings, self.n_ctx) if self.memory.can_move else None
        self._n_parallel = settings.n_parallel
        self.piece = lru_cache(_REMEMBERED)(weights.piece)
        self.is_end = lru_cache(_REMEMBERED)(weights.is_end)
        self.use_threads, self.abort = self._context.use_threads, self._context.abort

    @property
    def n_batch(self) -> int:
        """The most entries of one decode: no more than the context that was asked for has cells.

        The next context may be asked for more, as llama.cpp rounded the first one up to whole blocks.
        """
        return min(self._most, int(llama.llama_n_batch(self._context.handle)))

    def rearrange(self, unified: bool) -> None:
        """Begin with an empty cache: one for all, or a `part` for each; or as it is, if there is none.

        Raises `MemoryError` where there is none at all.
        """
        assert self.part is not None
        n_ctx = self.n_ctx if unified else self._n_parallel * self.part
        self._context.begin_anew(unified=unified, n_ctx=n_ctx)
        self.memory = NativeMemory(self._context, self.weights)

    def decode(self, batch: Sequence[Entry]) -> Decoded:
        into = self._batch
        into.n_tokens = len(batch)
        for i, entry in enumerate(batch):
            into.token[i], into.pos[i] = entry.token, self.memory.positions.of(entry.seq, entry.place)
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
        self.memory.positions.add(seq, picture.start, Image(len(picture.rows), picture.extent))
        llama.llama_set_causal_attn(self._context.handle, not picture.at_once)
        try:
            return self._decode(batch)
        finally:
            llama.llama_set_causal_attn(self._context.handle, True)

    def _decode(self, batch: Any) -> Decoded:
        status = llama.llama_decode(self._context.handle, batch)
        if status == 0:
            return Decoded.OK
        if status == 1:
            return Decoded.FULL
        if status == 2:
            return Decoded.ABORTED
        raise EngineError(f"llama_decode failed with status {status}.")

    def check(self, params: SamplingParams) -> None:
        """Raises `InvalidInput` for what this model cannot be asked; compiles a grammar. Main thread only."""
        biased = [token for token, _ in params.logit_bias]
        check_tokens(biased, self.weights.n_vocab, param="logit_bias")
        self.constraints.check(params)

    def logprob(self, index: int, token: int, count: int) -> TokenLogprob:
        return self._candidates.logprob(index, token, count)

    def sampler(
        self, params: SamplingParams, prompt: Sequence[int], guidance: Guidance = UNGUIDED
    ) -> ChainSampler | GreedySampler | CloseSampler | ThoughtBound:
        free = self._sampler(params, prompt, guidance.said)
        if guidance.thoughts is None:
            return free
        return ThoughtBound(free, guidance.thoughts, lambda token: self.piece(token, special=True))

    def _sampler(
        self, params: SamplingParams, prompt: Sequence[int], said: Sequence[int]
    ) -> ChainSampler | GreedySampler | CloseSampler:
        banned = banned_tokens(params, lambda: self.weights.end_tokens)
        constraint = self.constraints.of(params, said)
        words = [token for token in prompt if token >= 0]  # the others stand for images
        chain = sampler_chain(params, words, self.n_ctx, self.weights.n_vocab, banned)
        if constraint is not None or params.logprobs is not None:
            return CloseSampler(self._candidates, chain, params, constraint, banned)
        if is_greedy(params, chain, banned):
            return GreedySampler(self._candidates, chain, banned)
        return ChainSampler(self._context, chain)

    @cached_property
    def _candidates(self) -> Candidates:
        return Candidates(self._context, self.weights.n_vocab, lambda token: self.piece(token, special=True))
