"""The tokens that could come next, with what the model gives for each."""

import ctypes
from collections.abc import Callable, Sequence
from typing import Any

import llama_cpp as llama
import numpy as np

from janfs.engines.llama_cpp.constraint import TOKEN_DATA, token_data_array
from janfs.engines.llama_cpp.context import Context
from janfs.engines.llama_cpp.token_tree import Tokens
from janfs.engines.protocol import Likely, TokenLogprob


class Candidates:
    """One array for a context, filled anew for each choice; it belongs to the thread that decodes."""

    def __init__(self, context: Context, n_vocab: int, text_of: Callable[[int], bytes]) -> None:
        self._context = context
        self._row = ctypes.c_float * n_vocab
        self._text_of = text_of
        self._array = np.empty(n_vocab, TOKEN_DATA)
        self._ids = np.arange(n_vocab, dtype=np.int32)

    def fill(self, index: int, tokens: Tokens | None = None) -> Any:
        """llama.cpp's array of tokens, of all or of these, with the logits of the last batch's entry `index`.

        It is good until the next one is asked for.
        """
        logits = self._logits(index)
        filled = self._array if tokens is None else self._array[: len(tokens)]
        filled["id"] = self._ids if tokens is None else tokens
        filled["logit"] = logits if tokens is None else logits[tokens]
        filled["p"] = 0
        return token_data_array(filled)

    def likeliest(self, index: int, banned: Sequence[int] = ()) -> int:
        """The token with the highest logit in the last batch's entry `index`, of equal ones the first.

        None of those that are `banned`.
        """
        logits = self._logits(index)
        likeliest = int(logits.argmax())
        if likeliest in banned:
            logits = logits.copy()
            logits[banned] = -np.inf
            likeliest = int(logits.argmax())
        return likeliest

    def logprob(self, index: int, token: int, count: int) -> TokenLogprob:
        """The natural logarithm of a token's probability, and the `count` likeliest.

        They are the model's own, before temperature, penalties and the like (softmax of the logits).
        """
        logits = self._logits(index).astype(np.float64)
        highest = logits.max()
        logprobs = logits - (highest + np.log(np.exp(logits - highest).sum()))
        top: tuple[Likely, ...] = ()
        if count:
            likeliest = np.argpartition(logprobs, -count)[-count:]
            ordered = likeliest[np.argsort(-logprobs[likeliest], kind="stable")]
            top = tuple(self._likely(int(each), logprobs) for each in ordered)
        chosen = self._likely(token, logprobs)
        return TokenLogprob(chosen.token, chosen.text, chosen.logprob, top)

    def _likely(self, token: int, logprobs: "np.ndarray[Any, np.dtype[np.float64]]") -> Likely:
        return Likely(token, self._text_of(token), float(logprobs[token]))

    def _logits(self, index: int) -> "np.ndarray[Any, np.dtype[np.float32]]":
        pointer = llama.llama_get_logits_ith(self._context.handle, index)
        # numpy's own way from a pointer takes four times as long: it makes types for each.
        row: Any = self._row.from_address(ctypes.addressof(pointer.contents))
        return np.frombuffer(row, np.float32)
