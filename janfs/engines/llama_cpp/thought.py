"""A bound on what a model thinks before it answers: a thought that has had its tokens is ended for it."""

from collections import deque
from collections.abc import Callable
from typing import Protocol

from janfs.engines.llama_cpp.choice import Chosen
from janfs.engines.llama_cpp.guidance import Thoughts


class Obedient(Protocol):
    """A sampler that can also be told what to choose."""

    def sample(self, index: int) -> Chosen: ...

    def follow(self, index: int, token: int) -> Chosen:
        """Choose this token, or another one if a grammar forbids it."""
        ...

    def close(self) -> None: ...


class ThoughtBound:
    """A sampler that ends the first thought of an answer once it has had so many tokens.

    `spell` gives the text of a token, special ones spelled out. What comes after the first thought, and an
    answer that does not begin with one, are left alone.
    """

    def __init__(self, sampler: Obedient, thoughts: Thoughts, spell: Callable[[int], bytes]) -> None:
        self._sampler = sampler
        self._thoughts = thoughts
        self._spell = spell
        self._thinks: bool | None = True if thoughts.begun else None  # None: not known yet
        self._begins, self._ends = thoughts.begins.encode(), thoughts.ends.encode()
        self._said = b""  # of what was chosen, what may belong to a mark
        self._count = 0
        self._closing = deque(thoughts.closing)

    def sample(self, index: int) -> Chosen:
        """See `Sampler`."""
        if self._thinks and self._count >= self._thoughts.most:
            chosen = self._sampler.follow(index, self._closing.popleft())
            self._thinks = bool(self._closing)
            return chosen
        chosen = self._sampler.sample(index)
        if self._thinks is not False:
            self._heard(self._spell(chosen.token))
        return chosen

    def close(self) -> None:
        """See `Sampler`."""
        self._sampler.close()

    def _heard(self, text: bytes) -> None:
        self._said += text
        if self._thinks:
            self._count += 1
            self._thinks = self._ends not in self._said
            self._said = self._said[-len(self._ends) :]
            return
        begins = self._said.lstrip()
        if begins.startswith(self._begins):
            self._thinks, self._said = True, b""
        elif not self._begins.startswith(begins):
            self._thinks = False
