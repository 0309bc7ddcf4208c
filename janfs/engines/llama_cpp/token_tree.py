"""The tokens of a vocabulary as a tree: each lies below the longest other one that it begins with. Pure.

A grammar that rules a token out rules out all that begin with it, so that most need not be asked about: a
grammar that wants a quotation mark is asked about some 700 tokens of 49,152.
"""

from collections.abc import Callable, Sequence, Set
from typing import Any

import numpy as np

Tokens = np.ndarray[Any, np.dtype[np.int32]]
Mask = np.ndarray[Any, np.dtype[np.bool_]]

_ROUNDS = 3  # a question costs some time by itself, and below the second level few are left to be spared


class TokenTree:
    """Finds those tokens of a vocabulary that begin as a text may go on.

    `pieces` are their texts, by their numbers. Those that `end` an answer are taken for what they are, not
    for their text, and lie in no tree. A text that ends within a character has none below it: what a grammar
    says of half of one need not hold for the whole.
    """

    def __init__(self, pieces: Sequence[bytes], end: Set[int]) -> None:
        depth = np.zeros(len(pieces), np.int32)
        above = np.zeros(len(pieces), np.int32)
        path: list[tuple[int, bytes]] = []  # from a root down to the last one that others may lie below
        for token in sorted(range(len(pieces)), key=pieces.__getitem__):
            piece = pieces[token]
            if token in end or not piece:
                continue
            while path and not piece.startswith(path[-1][1]):
                path.pop()
            if path:
                depth[token] = min(len(path), _ROUNDS - 1)
                above[token] = path[depth[token] - 1][0]
            if _whole(piece):
                path.append((token, piece))
        levels = [np.flatnonzero(depth == level).astype(np.int32) for level in range(_ROUNDS)]
        self._size = len(pieces)
        self._levels = [(tokens, above[tokens]) for tokens in levels]

    def fitting(self, which: Callable[[Tokens], Mask]) -> Tokens:
        """All tokens that fit, by their numbers.

        `which` says it of those it is asked about; below one that does not fit, none does.
        """
        fits = np.zeros(self._size, np.bool_)
        for level, (tokens, above) in enumerate(self._levels):
            asked = tokens[fits[above]] if level else tokens
            if len(asked):
                fits[asked] = which(asked)
        return np.flatnonzero(fits).astype(np.int32)


def _whole(piece: bytes) -> bool:
    try:
        piece.decode()
    except UnicodeDecodeError:
        return False
    return True
