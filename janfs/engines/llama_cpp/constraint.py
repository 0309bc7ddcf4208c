"""Grammars as llama.cpp has compiled them, and what they still allow of answers that are being written."""

import ctypes
import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, NamedTuple

import llama_cpp as llama
import numpy as np

from janfs.engines.llama_cpp.gbnf import names_tokens, wrong_count
from janfs.engines.llama_cpp.grammar import gbnf_of
from janfs.engines.llama_cpp.token_tree import Mask, Tokens, TokenTree
from janfs.engines.llama_cpp.weights import Weights
from janfs.engines.protocol import SamplingParams
from janfs.errors import InvalidInput

KEPT = 32  # compiled grammars

TOKEN_DATA = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])
"""llama.h: llama_token_data"""


class Constraint:
    """What an answer is bound to, as far as it was written."""

    def __init__(self, sampler: object, every: Tokens, tree: TokenTree | None) -> None:
        self._sampler = sampler
        self._every = every
        self._tree = tree

    def allows(self, token: int) -> bool:
        """Whether the answer may go on with a token."""
        return bool(self._which(np.array([token], np.int32))[0])

    def allowed(self) -> Tokens:
        """All tokens with which the answer may go on, by their numbers."""
        if self._tree is not None:
            return self._tree.fitting(self._which)
        return self._every[self._which(self._every)]

    def take(self, token: int) -> None:
        """The answer goes on with a token that is allowed."""
        llama.llama_sampler_accept(self._sampler, token)

    def go_on(self, tokens: Sequence[int]) -> None:
        """The answer begins with these tokens, if they are all allowed."""
        before, self._sampler = self._sampler, llama.llama_sampler_clone(self._sampler)
        for token in tokens:
            if not self.allows(token):
                before, self._sampler = self._sampler, before
                break
            self.take(token)
        llama.llama_sampler_free(before)

    def close(self) -> None:
        """Free what llama.cpp has of it."""
        llama.llama_sampler_free(self._sampler)

    def _which(self, tokens: Tokens) -> Mask:
        asked = np.empty(len(tokens), TOKEN_DATA)
        asked["id"], asked["logit"], asked["p"] = tokens, 1, 0
        llama.llama_sampler_apply(self._sampler, ctypes.byref(token_data_array(asked)))
        allowed: Mask = asked["logit"] > 0
        return allowed


def token_data_array(data: "np.ndarray[Any, np.dtype[np.void]]") -> Any:
    """llama.cpp's view of an array of `TOKEN_DATA`, which has to live as long."""
    pointer = data.ctypes.data_as(ctypes.POINTER(llama.llama_token_data))
    return llama.llama_token_data_array(data=pointer, size=len(data), selected=-1, sorted=False)


class _Compiled(NamedTuple):
    sampler: object
    names_tokens: bool


class Constraints:
    """Compiles the grammars that requests ask for, and keeps them. May be used by several threads."""

    def __init__(self, weights: Weights) -> None:
        self._weights = weights
        self._every = np.arange(weights.n_vocab, dtype=np.int32)
        self._tree: TokenTree | None = None  # most models never need one
        self._compiled: OrderedDict[str, _Compiled] = OrderedDict()
        self._lock = threading.Lock()

    def check(self, params: SamplingParams) -> None:
        """Compile what a request asks for. Raises `InvalidInput` if it cannot be; use the main thread."""
        text = gbnf_of(params)
        if text is not None:
            with self._lock:
                self._get(text)

    def of(self, params: SamplingParams) -> Constraint | None:
        """A fresh one, which is the caller's to close; None where a request asks for no grammar."""
        text = gbnf_of(params)
        if text is None:
            return None
        with self._lock:
            compiled = self._get(text)
            fresh: object = llama.llama_sampler_clone(compiled.sampler)
            return Constraint(fresh, self._every, None if compiled.names_tokens else self._tree)

    def _get(self, text: str) -> _Compiled:
        found = self._compiled.get(text)
        if found is None:
            wrong = wrong_count(text)
            if wrong is not None:
                raise InvalidInput(f"'grammar' cannot be used: {wrong}.", param="grammar")
            sampler = llama.llama_sampler_init_grammar(self._weights.vocabulary, text.encode(), b"root")
            if not sampler:
                raise InvalidInput("'grammar' is no GBNF that llama.cpp can read.", param="grammar")
            self._tree = self._tree or TokenTree(self._weights.pieces(), frozenset(self._weights.end_tokens))
            found = self._compiled[text] = _Compiled(sampler, names_tokens(text))
            if len(self._compiled) > KEPT:
                llama.llama_sampler_free(self._compiled.popitem(last=False)[1].sampler)
        self._compiled.move_to_end(text)
        return found
