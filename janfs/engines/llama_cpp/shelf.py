"""Sequences that were copied out of the KV cache, to be copied back when a prompt begins as they do. Pure."""

import sys
from collections.abc import Sequence
from typing import NamedTuple

from janfs.engines.llama_cpp.kv_memory import Saved
from janfs.engines.llama_cpp.prefix_tree import common_length


class Copy(NamedTuple):
    """A sequence's tokens, and what was computed of them but for those that others had too."""

    tokens: list[int]
    saved: Saved


class Shelf:
    """Copies of `most` bytes at most. The longest unused are given up for new ones."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._copies: list[Copy] = []  # the longest unused first

    def put(self, tokens: list[int], saved: Saved) -> None:
        """Keep a copy, in place of those that have nothing that it does not have."""
        new = Copy(tokens, saved)
        self._copies = [*(each for each in self._copies if not _has(new, each.tokens, each.saved.start)), new]
        while sum(each.saved.nbytes for each in self._copies) > self._most:
            del self._copies[0]

    def clear(self) -> int:
        """Give all copies up; how many bytes they had."""
        freed, self._copies = sum(each.saved.nbytes for each in self._copies), []
        return freed

    def has(self, tokens: list[int], start: int, room: int = sys.maxsize) -> bool:
        """Whether a copy begins with all of these, and has those from `start` on. It then counts as used.

        One of more than `room` tokens does not count, unless these are as many.
        """
        most = max(room, len(tokens))
        fitting = (each for each in self._copies if len(each.tokens) <= most)
        found = next((each for each in fitting if _has(each, tokens, start)), None)
        self._use(found)
        return found is not None

    def longest(
        self, tokens: Sequence[int], starts: range, beyond: int, room: int = sys.maxsize
    ) -> tuple[Copy, int] | None:
        """The copy that has most in common with `tokens`, and how much, if that is more than `beyond`.

        It begins at one of the places `starts`, and has no more than `room` tokens.
        """
        found, most = None, beyond
        for each in self._copies:
            common = common_length(each.tokens, tokens)
            if common > most and each.saved.start in starts and len(each.tokens) <= room:
                found, most = each, common
        self._use(found)
        return None if found is None else (found, most)

    def _use(self, copy: Copy | None) -> None:
        if copy is not None:
            self._copies = [*(each for each in self._copies if each is not copy), copy]


def _has(copy: Copy, tokens: list[int], start: int) -> bool:
    return copy.saved.start <= start and copy.tokens[: len(tokens)] == tokens
