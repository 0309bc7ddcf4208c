"""Grammars as llama.cpp has compiled them, and what they still allow of answers that are being written."""

import ctypes
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import llama_cpp as llama
import numpy as np

from janfs.engines.llama_cpp.aside import Aside
from janfs.engines.llama_cpp.gbnf import names_tokens, wrong_count
from janfs.engines.llama_cpp.grammar import gbnf_of
from janfs.engines.llama_cpp.limits import LimitExceeded
from janfs.engines.llama_cpp.token_tree import Mask, Tokens, TokenTree
from janfs.engines.llama_cpp.weights import Weights
from janfs.engines.protocol import SamplingParams
from janfs.errors import InvalidInput

KEPT = 32  # compiled grammars
MAX_SECONDS = 3.0  # for one answer of llama.cpp's about a grammar; 0.03 were the most that a sound one took

TOKEN_DATA = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])
"""llama.h: llama_token_data"""

_T = TypeVar("_T")


class Constraint:
    """What an answer is bound to, as far as it was written.

    llama.cpp may never come to an end with a grammar that can be read in very many ways: all that it is asked
    is asked `aside`. Methods raise `InvalidInput` where that takes too long; of no use any more then.
    """

    def __init__(self, sampler: object, every: Tokens, tree: TokenTree | None, aside: Aside) -> None:
        self._sampler = sampler
        self._every = every
        self._tree = tree
        self._aside = aside
        self._left = False  # what llama.cpp still works on

    def take(self, token: int) -> bool:
        """Go on with a token if that is allowed; whether it was."""
        return self._ask(lambda: self._take(self._sampler, token))

    def allowed(self) -> Tokens:
        """All tokens with which the answer may go on, by their numbers."""
        return self._ask(self._allowed)

    def which(self, tokens: Tokens) -> Mask:
        """With which of these tokens the answer may go on."""
        return self._ask(lambda: self._which(self._sampler, tokens))

    def go_on(self, tokens: Sequence[int]) -> None:
        """The answer begins with these tokens, if they are all allowed."""
        if not tokens:
            return
        further: object = llama.llama_sampler_clone(self._sampler)
        if self._ask(lambda: all(self._take(further, token) for token in tokens)):
            self._sampler, further = further, self._sampler
        llama.llama_sampler_free(further)

    def close(self) -> None:
        """Free what llama.cpp has of it."""
        if not self._left:
            llama.llama_sampler_free(self._sampler)

    def _ask(self, question: Callable[[], _T]) -> _T:
        try:
            return in_time(self._aside, question)
        except InvalidInput:
            self._left = True
            raise

    def _allowed(self) -> Tokens:
        if self._tree is not None:
            return self._tree.fitting(lambda tokens: self._which(self._sampler, tokens))
        return self._every[self._which(self._sampler, self._every)]

    def _take(self, sampler: object, token: int) -> bool:
        allowed = bool(self._which(sampler, np.array([token], np.int32))[0])
        if allowed:
            llama.llama_sampler_accept(sampler, token)
        return allowed

    def _which(self, sampler: object, tokens: Tokens) -> Mask:
        asked = np.empty(len(tokens), TOKEN_DATA)
        asked["id"], asked["logit"], asked["p"] = tokens, 1, 0
        llama.llama_sampler_apply(sampler, ctypes.byref(token_data_array(asked)))
        allowed: Mask = asked["logit"] > 0
        return allowed


def in_time(aside: Aside, question: Callable[[], _T]) -> _T:
    """What llama.cpp says to a question about a grammar. Raises `InvalidInput` where that takes too long."""
    try:
        return aside.call(question)
    except LimitExceeded as error:
        raise InvalidInput(
            f"The answer's grammar can be read in too many ways: {error} to find what it allows.",
            param="grammar",
        ) from error


def token_data_array(data: "np.ndarray[Any, np.dtype[np.void]]") -> Any:
    """llama.cpp's view of an array of `TOKEN_DATA`, which has to live as long."""
    pointer = data.ctypes.data_as(ctypes.POINTER(llama.llama_token_data))
    return llama.llama_token_data_array(data=pointer, size=len(data), selected=-1, sorted=False)


class _Compiled:
    """A grammar as llama.cpp has it, until nobody holds it any more."""

    def __init__(self, sampler: object, *, names_tokens: bool) -> None:
        self.sampler = sampler
        self.names_tokens = names_tokens
        weakref.finalize(self, llama.llama_sampler_free, sampler).atexit = False


class Constraints:
    """Compiles the grammars that requests ask for, and keeps them. One thread checks, another one asks."""

    def __init__(self, weights: Weights) -> None:
        self._weights = weights
        self._every = np.arange(weights.n_vocab, dtype=np.int32)
        self._tree: TokenTree | None = None  # most models never need one
        self._compiled: OrderedDict[str, _Compiled] = OrderedDict()
        self._lock = threading.Lock()
        self._checking = Aside("grammars are compiled", MAX_SECONDS)
        self._asking = Aside("grammars are asked", MAX_SECONDS)

    @property
    def left(self) -> int:
        """How many grammars llama.cpp works on in vain, each in a thread of its own."""
        return self._checking.left + self._asking.left

    def check(self, params: SamplingParams) -> None:
        """Compile what a request asks for. Raises `InvalidInput` if it cannot be; use the main thread."""
        text = gbnf_of(params)
        if text is not None:
            self._get(text, self._checking)

    def of(self, params: SamplingParams, said: Sequence[int] = ()) -> Constraint | None:
        """A fresh one, which is the caller's to close; None where a request asks for no grammar.

        It goes on behind what is `said` if that is allowed. Raises `InvalidInput` where that takes too long.
        """
        text = gbnf_of(params)
        if text is None:
            return None
        compiled = self._get(text, self._asking)
        tree = None if compiled.names_tokens else self._tree
        made = Constraint(llama.llama_sampler_clone(compiled.sampler), self._every, tree, self._asking)
        made.go_on(said)
        return made

    def _get(self, text: str, aside: Aside) -> _Compiled:
        with self._lock:
            found = self._compiled.get(text)
            if found is not None:
                self._compiled.move_to_end(text)
                return found
        wrong = wrong_count(text)
        if wrong is not None:
            raise InvalidInput(f"'grammar' cannot be used: {wrong}.", param="grammar")
        vocabulary, data = self._weights.vocabulary, text.encode()
        sampler = in_time(aside, lambda: llama.llama_sampler_init_grammar(vocabulary, data, b"root"))
        if not sampler:
            raise InvalidInput("'grammar' is no GBNF that llama.cpp can read.", param="grammar")
        self._tree = self._tree or TokenTree(self._weights.pieces(), frozenset(self._weights.end_tokens))
        made = _Compiled(sampler, names_tokens=names_tokens(text))
        with self._lock:
            self._compiled[text] = made
            if len(self._compiled) > KEPT:
                self._compiled.popitem(last=False)
        return made
