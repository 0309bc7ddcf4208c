"""What is asked of the KV cache of a model."""

from typing import Protocol

from janfs.engines.protocol import MAX_PARALLEL

MAX_SEQUENCES = MAX_PARALLEL - 1
"""Live and finished ones; llama.cpp knows one number more, which moves others about (`NativeMemory`)."""

MOST_SAVED = 512 << 20
"""Bytes of all copies of a model's sequences together."""
LARGE = 8
"""So many copies at least should find room."""
SMALL = 16
"""One of which so many would is soon made: 32 MB take 5 ms, or 100 where the memory is new to the process."""


class Saved(Protocol):
    """What a model wrote down of a sequence's cells, from the place `start` on."""

    @property
    def start(self) -> int: ...

    @property
    def nbytes(self) -> int: ...


class Memory(Protocol):
    """The KV cache of a model. Sequences have numbers below `MAX_SEQUENCES`, and their tokens places from 0.

    No place that is given is within an image.
    """

    @property
    def unified(self) -> bool:
        """Whether all sequences have their cells from one pool, and may share them; or each its own part."""
        ...

    @property
    def n_cells(self) -> int:
        """Cells, of all sequences together."""
        ...

    @property
    def can_share(self) -> bool:
        """Whether cells can be shared and sequences be cut; a recurrent state is all or nothing."""
        ...

    def share(self, source: int, target: int, start: int, end: int) -> bool:
        """Let `target` have `source`'s cells of the places `start` to `end` instead of its own.

        Only where the cache is unified. False where `source` has not kept all of them, as behind a sliding
        window, or `target` not what follows on them; then nothing happens.
        """
        ...

    def can_cut(self, seq: int, start: int) -> bool:
        """Whether a sequence still has what a token at the place `start` sees; behind a window it may not."""
        ...

    def cut(self, seq: int, start: int) -> bool:
        """Free a sequence's cells from the place `start` on. False where that cannot be done."""
        ...

    def release(self, seq: int) -> None:
        """Free all cells of a sequence."""
        ...

    def save(self, seq: int, start: int, most: int) -> Saved | None:
        """A copy of what a sequence has computed from the place `start` on, of `most` bytes.

        None where it would have more, memory is short, or the model cannot do it.
        """
        ...

    def restore(self, seq: int, saved: Saved) -> bool:
        """Fill free cells from a copy, behind what comes before it in a sequence. False where that fails."""
        ...
