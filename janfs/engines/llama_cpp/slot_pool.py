"""Who has which slot of the KV cache, where each sequence has a part of its own.

For a new token attention looks at the cells of its slot only, so others cost it nothing. In return no
sequence is longer than a slot, and what prompts have in common is computed once and then copied
(docs/decisions/0041). A finished sequence stays in its slot until that is needed, and is then copied out of
the cache.
"""

import sys
from collections.abc import Sequence

from janfs.engines.llama_cpp.kv_memory import LARGE, MOST_SAVED, SMALL, Memory, Saved
from janfs.engines.llama_cpp.pictures import whole
from janfs.engines.llama_cpp.prefix_tree import common_length
from janfs.engines.llama_cpp.shelf import Shelf

_LEAST = 8  # tokens; fewer are computed as fast
_DEAREST = 32  # tokens that are copied for each that need not be computed
_DEAREST_KEPT = 8  # the same where it is not known whether anybody will come back for it


class SlotPool:
    """The slots of one model, where its memory is not `unified`: `n_live` of them, and their numbers.

    There are `most_saved` bytes of copies at most; they may come from a `shelf` that is there.
    """

    least_shared = _LEAST + 1
    """Tokens for which it is worth to wait for another sequence that computes them."""

    def __init__(
        self, memory: Memory, n_live: int, *, most_saved: int = MOST_SAVED, shelf: Shelf | None = None
    ) -> None:
        self._memory = memory
        self._room = memory.n_cells // n_live  # of a slot; copies of longer sequences are of no use in any
        self._most_saved = most_saved
        self.shelf = Shelf(most_saved) if shelf is None else shelf
        self._texts: dict[int, list[int]] = {seq: [] for seq in range(n_live)}  # what others may have
        self._computed: dict[int, int] = {}  # of live sequences
        # Those that no live one has, the longest unused first.
        self._unused: dict[int, None] = dict.fromkeys(range(n_live))

    @property
    def has_seat(self) -> bool:
        """Whether another sequence may live."""
        return bool(self._unused)

    @property
    def free(self) -> int:
        """Cells that hold nothing."""
        finished = sum(len(self._texts[seq]) for seq in self._unused)
        return self._memory.n_cells - sum(self._computed.values()) - finished

    def crowded(self, lacking: int) -> bool:  # noqa: ARG002  # each has its own
        """Whether live sequences cannot all have what they have and so many more: never."""
        return False

    def computed(self, seq: int) -> int:
        """How many tokens of a live sequence have cells."""
        return self._computed[seq]

    def known(self, tokens: Sequence[int]) -> int:
        """How many of these, from the first on, a sequence has computed that others may go on with."""
        return max(_common(text, tokens) for text in self._texts.values())

    def open(self, tokens: Sequence[int] = (), beyond: int = 0) -> int:
        """A new live sequence, where `has_seat`, with what was computed of `tokens`.

        It will have `beyond` of them without it, too.
        """
        seq = self._choose(tokens)
        del self._unused[seq]
        text = self._texts[seq]
        common = _common(text, tokens)
        if not (common and self._memory.can_cut(seq, common) and self._memory.cut(seq, common)):
            self._memory.release(seq)
            common = 0
        self._texts[seq], self._computed[seq] = text[:common], common
        if tokens:
            self.adopt(seq, tokens, beyond)
        return seq

    def bring(self, tokens: Sequence[int], saved: Saved | None, *, shared: bool) -> int:
        """A new live sequence with what was computed of these tokens in another cache, or with nothing.

        Where it is not `shared` nobody else may have it.
        """
        seq = min(self._unused)
        del self._unused[seq]
        self._texts[seq], self._computed[seq] = [], 0
        if saved is not None:
            if self._memory.restore(seq, saved) and self._memory.cut(seq, len(tokens)):
                self._computed[seq] = len(tokens)
                self._texts[seq] = list(tokens) if shared else []
            else:
                self._memory.release(seq)
        return seq

    def put_away(self, room: int) -> None:  # noqa: ARG002  # none is longer than a slot
        """See to it that there are copies of finished sequences, but for large ones: the cache will go."""
        for seq in self._unused:
            if self._texts[seq] and not self.shelf.has(self._texts[seq], 0):
                self._copy(seq, self._most_saved // LARGE)

    def tidy(self) -> bool:
        """Copy a finished sequence, unless that takes long, so that its slot is free at once when needed.

        Whether there was one.
        """
        most = self._most_saved // SMALL
        return any(self._is_unsaved(seq) and self._copy(seq, most) is not None for seq in self._unused)

    def adopt(self, seq: int, tokens: Sequence[int], beyond: int = 0) -> None:
        """Let a live sequence have a copy of what is known of its `tokens`, if that is worth it.

        It will have `beyond` of them without it.
        """
        has = self._computed[seq]
        if has != len(self._texts[seq]):
            return
        others = {other: _common(text, tokens) for other, text in self._texts.items() if other != seq}
        source = max(others, key=lambda other: others[other], default=seq)
        least, known = max(has + _LEAST, beyond), others.get(source, 0)
        if known - has <= len(self._texts[source]) // _DEAREST:
            known = 0  # all of it would have to be copied
        found = self.shelf.longest(tokens, range(1), max(least, known - 1), self._room)
        saved: Saved | None = None
        if found is not None:
            saved, known = found[0].saved, whole(tokens, found[1])
        elif known > least:
            saved = self._copy(source, sys.maxsize)
        if saved is None or known <= has:
            return
        self._memory.release(seq)
        restored = self._memory.restore(seq, saved) and self._memory.cut(seq, known)
        if not restored:
            self._memory.release(seq)
        self._computed[seq] = known if restored else 0
        self._texts[seq] = list(tokens[: self._computed[seq]])

    def prepare(self, cells: int) -> None:
        """See to it that a decode finds so many free cells: a slot has room for all of its sequence."""

    def advance(self, seq: int, count: int) -> None:
        """Take note that `count` more tokens of a live sequence were computed."""
        self._computed[seq] += count

    def publish(self, seq: int, tokens: Sequence[int]) -> None:
        """Let others have what a live sequence has computed of `tokens`, its first ones."""
        start, end = len(self._texts[seq]), whole(tokens, min(self._computed[seq], len(tokens)))
        if self._memory.can_share and start < end:
            self._texts[seq] += tokens[start:end]

    def rewind(self, seq: int, tokens: Sequence[int]) -> None:
        """Free what a broken-off decode left of a live sequence of `tokens`.

        What it began of an image is computed again, and where nothing can be cut, all of it.
        """
        self._computed[seq] = whole(tokens, self._computed[seq])
        if not self._memory.cut(seq, self._computed[seq]):
            self._memory.release(seq)
            self._computed[seq] = 0
        self._texts[seq] = self._texts[seq][: self._computed[seq]]

    def close(self, seq: int, tokens: Sequence[int] = ()) -> None:
        """End a live sequence. What it computed of `tokens`, its first ones, is kept for others."""
        known = whole(tokens, min(self._computed.pop(seq), len(tokens)))
        if not (known and self._memory.can_cut(seq, known) and self._memory.cut(seq, known)):
            self._memory.release(seq)
            known = 0
        self._texts[seq] = list(tokens[:known])
        self._unused[seq] = None

    def forget_kept(self) -> bool:
        """Give up all cells of finished sequences; whether there were any."""
        found = [seq for seq in self._unused if self._texts[seq]]
        for seq in found:
            self._memory.release(seq)
            self._texts[seq] = []
        return bool(found)

    def forget_copies(self) -> int:
        """Give up all copies; how many bytes they had."""
        return self.shelf.clear()

    def _choose(self, tokens: Sequence[int]) -> int:
        """The slot for a new sequence: one whose text it goes on with, or one whose text is not lost by it.

        Of those rather one beside live ones, as llama.cpp computes together what lies side by side.
        """
        common = {seq: _common(self._texts[seq], tokens) for seq in self._unused}
        rest = {seq: len(self._texts[seq]) - common[seq] for seq in common}
        most = max(common.values())
        for seq in self._unused:
            if common[seq] == most > _LEAST >= rest[seq]:
                return seq
        lost = {seq: _is_a_loss(rest[seq], self._texts[seq]) for seq in common}
        neighbours = {seq: (seq - 1 in self._computed) + (seq + 1 in self._computed) for seq in self._unused}
        for seq in sorted(neighbours, key=lambda seq: (-neighbours[seq], lost[seq])):
            if not lost[seq] or self._is_saved(seq):
                return seq
        return next(iter(self._unused))

    def _is_saved(self, seq: int) -> bool:
        """See to it that there is a copy of most of a finished sequence, where that is not too large."""
        return not self._is_unsaved(seq) or self._copy(seq, self._most_saved // LARGE) is not None

    def _is_unsaved(self, seq: int) -> bool:
        """Whether there is no copy of most of a finished sequence."""
        text = self._texts[seq]
        found = self.shelf.longest(text, range(1), 0, self._room)
        return _is_a_loss(len(text) - (found[1] if found is not None else 0), text)

    def _copy(self, seq: int, most: int) -> Saved | None:
        """A copy of a sequence, if it has at most so many bytes; it is kept if it is not large."""
        saved = self._memory.save(seq, 0, most)
        if saved is not None and saved.nbytes <= self._most_saved // LARGE:
            self.shelf.put(list(self._texts[seq]), saved)
        return saved


def _is_a_loss(count: int, text: Sequence[int]) -> bool:
    """Whether so many tokens of a text should not be lost: to copy them takes all of it to be copied."""
    return count > max(_LEAST, len(text) // _DEAREST_KEPT)


def _common(text: Sequence[int], tokens: Sequence[int]) -> int:
    """How many tokens two beginnings have in common, up to an image that is not whole."""
    return whole(tokens, common_length(text, tokens))
