"""Who has which cells of the KV cache: a prompt's beginning is computed once, shared, kept, and let go last.

All sequences share one pool of cells (llama.cpp's unified KV cache); a token that was computed takes
one. What live sequences publish and finished ones leave behind is in a prefix tree, and sharing it copies
nothing. The cells of finished sequences are given up when room is needed, those of the longest unused first.
An image is shared, kept and given up as a whole.
"""

import sys
from collections.abc import Sequence

from janfs.engines.llama_cpp.kv_memory import LARGE, MAX_SEQUENCES, MOST_SAVED, SMALL, Memory, Saved
from janfs.engines.llama_cpp.pictures import whole
from janfs.engines.llama_cpp.prefix_tree import PrefixTree
from janfs.engines.llama_cpp.shelf import Copy, Shelf

_LEAST_KEPT = 4  # finished sequences, also where only one may live: chats take turns
_BLOCK = 256  # cells; llama.cpp looks at whole ones, and shares out two or more of them among its threads
_IDLE_CELLS = _BLOCK
_WORTH_COPYING = 32  # tokens; fewer are computed as fast
_LITTLE = 8  # one of so many tokens; they are copied too, for a copy of all needs nobody else's


class KvPool:
    """The cells of one model, where its memory is `unified`.

    At most `n_live` sequences live at a time; they have the lowest numbers.
    Up to `idle_cells` may be of no use to those. There are `most_saved` bytes of copies at most, and one is
    used where it saves more than `worth_copying` tokens; they may come from a `shelf` that is there.
    """

    least_shared = 1
    """Tokens for which it is worth to wait for another sequence that computes them."""

    def __init__(
        self,
        memory: Memory,
        n_live: int,
        *,
        idle_cells: int = _IDLE_CELLS,
        worth_copying: int = _WORTH_COPYING,
        most_saved: int = MOST_SAVED,
        shelf: Shelf | None = None,
    ) -> None:
        self._memory = memory
        self._idle_cells = idle_cells
        self._worth_copying = worth_copying
        self._tree = PrefixTree()
        self._most_saved = most_saved
        self.shelf = Shelf(most_saved) if shelf is None else shelf
        self._free_live = list(range(n_live - 1, -1, -1))
        n_kept = max(0, min(max(n_live, _LEAST_KEPT), MAX_SEQUENCES - n_live)) if memory.can_share else 0
        self._free_kept = list(range(n_live + n_kept - 1, n_live - 1, -1))
        self._computed: dict[int, int] = {}  # of live sequences
        self._kept: dict[int, None] = {}  # finished sequences, the longest unused first

    @property
    def has_seat(self) -> bool:
        """Whether another sequence may live."""
        return bool(self._free_live)

    @property
    def free(self) -> int:
        """Cells that hold nothing."""
        private = sum(count - self._tree.length(seq) for seq, count in self._computed.items())
        return self._memory.n_cells - self._tree.cells - private

    @property
    def pinned(self) -> int:
        """Cells that live sequences have; all others are free or can be made so."""
        private = sum(count - self._tree.length(seq) for seq, count in self._computed.items())
        return self._tree.held_by(self._computed) + private

    def computed(self, seq: int) -> int:
        """How many tokens of a live sequence have cells."""
        return self._computed[seq]

    def crowded(self, lacking: int) -> bool:
        """Whether live sequences cannot all have what they have and so many more."""
        return self.pinned + lacking > self._memory.n_cells

    def known(self, tokens: Sequence[int]) -> int:
        """How many of these, from the first on, a sequence has computed that others may go on with."""
        return self._tree.match(tokens).length

    def open(self, tokens: Sequence[int] = (), beyond: int = 0) -> int:
        """A new live sequence, where `has_seat`, with what was computed of `tokens`.

        It will have `beyond` of them without it, too.
        """
        seq = self._free_live.pop()
        self._computed[seq] = 0
        if tokens:
            self.recall(seq, tokens, beyond)
            self.adopt(seq, tokens)
        return seq

    def bring(self, tokens: Sequence[int], saved: Saved | None, *, shared: bool) -> int:
        """A new live sequence with what was computed of these tokens in another cache, or with nothing.

        Where it is not `shared` nobody else may have it.
        """
        seq = self._free_live.pop()
        self._computed[seq] = 0
        if saved is not None and shared:
            self._restore(seq, tokens, Copy(list(tokens), saved))
        elif saved is not None:
            if self._memory.restore(seq, saved) and self._memory.cut(seq, len(tokens)):
                self._computed[seq] = len(tokens)
            else:
                self._memory.release(seq)
        return seq

    def put_away(self, room: int) -> None:
        """See to it that there are copies of finished sequences, but for large ones: the cache will go.

        In the next one a copy of more than `room` tokens is of no use.
        """
        for seq in self._kept:
            self._save_from(0, seq, self._most_saved // LARGE, room)

    def tidy(self) -> bool:
        """Copy a finished sequence, unless that takes long, so that room is made at once when it is needed.

        Whether there was one.
        """
        return any(self._save(seq, self._most_saved // SMALL) for seq in list(self._kept))

    def adopt(self, seq: int, tokens: Sequence[int]) -> None:
        """Let a live sequence have the cells that others have for the beginning of its `tokens`."""
        start = self._computed[seq]
        if start != self._tree.length(seq):
            return
        match = self._tree.match(tokens)
        if match.length > start and any(
            self._memory.share(source, seq, start, match.length) for source in match.holders
        ):
            self._tree.hold(seq, tokens[: match.length])
            self._computed[seq] = match.length

    def recall(self, seq: int, tokens: Sequence[int], beyond: int = 0) -> None:
        """Let a new live sequence have a copy of what was computed of `tokens`, if that is worth it.

        It will have `beyond` tokens without it, and those that others have.
        """
        while True:  # a copy may go on where others had ended, and those be copies themselves
            has, known = self._computed[seq], self._tree.match(tokens).length
            worth = max(beyond, known) + self._worth_copying
            found = self.shelf.longest(tokens, range(has, known + 1), worth)
            if found is None or not self._restore(seq, tokens[: found[1]], found[0]):
                return

    def _restore(self, seq: int, tokens: Sequence[int], copy: Copy) -> bool:
        """Let a live sequence have these tokens, for which there is a copy. False where that fails."""
        start, length = copy.saved.start, len(tokens)
        self.adopt(seq, tokens[:start])
        if self._computed[seq] != start or not self.make_room(len(copy.tokens) - start):
            return False
        common = self._tree.match(tokens)
        restored = self._memory.restore(seq, copy.saved) and self._memory.cut(seq, length)
        if restored and common.length > start:  # both use the cells that are known
            restored = any(self._memory.share(source, seq, start, common.length) for source in common.holders)
        if not restored:
            self._memory.cut(seq, start)
            return False
        self._tree.hold(seq, tokens[: common.length])
        if common.length < length:
            self._tree.extend(seq, tokens[common.length :])
        self._computed[seq] = length
        return True

    def prepare(self, cells: int) -> None:
        """See to it that a decode finds so many free cells, and few that none of it uses."""
        self.set_aside(coming=cells)
        self.make_room(cells)

    def set_aside(self, coming: int = 0) -> None:
        """Copy finished sequences out of the cache, if there are many cells that no live one uses.

        For each new token attention looks at every cell up to the last in use, if only to see that it is
        masked; so they leave before new ones come to lie behind them. Some at a time, so that nobody waits
        long; and none that is large, as it would take the place of many.

        Before a prompt that is computed alone all leave, unless one block takes both: its cells are shared
        out among the threads, and who gets idle ones has nothing to do.
        """
        alone, copied = len(self._computed) == 1 and coming > 1, 0
        for seq in list(self._kept):
            idle = self._tree.cells - self._tree.held_by(self._computed)
            few = 0 if alone and self._memory.n_cells - self.free + coming > _BLOCK else self._idle_cells
            if idle <= few or copied >= self._most_saved // SMALL:
                return
            if self._tree.own(seq):
                size = self._save(seq, self._most_saved // LARGE)
                if size is not None:
                    copied += size
                    self._evict(seq)

    def advance(self, seq: int, count: int) -> None:
        """Take note that `count` more tokens of a live sequence were computed."""
        self._computed[seq] += count

    def publish(self, seq: int, tokens: Sequence[int]) -> None:
        """Let others have what a live sequence has computed of `tokens`, its first ones."""
        start, end = self._tree.length(seq), whole(tokens, min(self._computed[seq], len(tokens)))
        if self._memory.can_share and start < end and self._tree.can_extend(seq, tokens[start]):
            self._tree.extend(seq, tokens[start:end])

    def rewind(self, seq: int, tokens: Sequence[int]) -> None:
        """Free what a broken-off decode left of a live sequence of `tokens`.

        What it began of an image is computed again, and where nothing can be cut, all of it.
        """
        self._computed[seq] = whole(tokens, self._computed[seq])
        if not self._memory.cut(seq, self._computed[seq]):
            self._let_go(seq)
            self._computed[seq] = 0

    def close(self, seq: int, tokens: Sequence[int] = ()) -> None:
        """End a live sequence. What it computed of `tokens`, its first ones, is kept for others."""
        computed = self._computed.pop(seq)
        known = tokens[: whole(tokens, computed)]
        if known and (self._free_kept or self._kept) and self._is_worth_keeping(seq, known):
            kept = self._number_to_keep()
            if self._memory.share(seq, kept, 0, len(known)):
                self._tree.rename(seq, kept)
                self._drop_what_others_hold()
                self._kept[kept] = None
            else:
                self._free_kept.append(kept)
        self._let_go(seq)
        self._free_live.append(seq)

    def make_room(self, cells: int) -> bool:
        """Give up cells of finished sequences until so many are free. False if there are not so many."""
        while (lacking := cells - self.free) > 0 and self._kept:
            oldest = next(iter(self._kept))
            self._save(oldest, self._most_saved)
            tokens = self._tree.tokens(oldest)
            rest = whole(tokens, max(0, len(tokens) - lacking))
            if self._tree.own(oldest) > len(tokens) - rest and self._memory.cut(oldest, rest):
                self._tree.cut(oldest, rest)
            else:
                self._evict(oldest)
        return lacking <= 0

    def forget_kept(self) -> bool:
        """Give up all cells of finished sequences; whether there were any."""
        found = bool(self._kept)
        for seq in list(self._kept):
            self._evict(seq)
        return found

    def forget_copies(self) -> int:
        """Give up all copies; how many bytes they had."""
        return self.shelf.clear()

    def _is_worth_keeping(self, seq: int, tokens: Sequence[int]) -> bool:
        """Put all `tokens` of a sequence into the tree, unless others hold them anyway."""
        match = self._tree.match(tokens)
        others = match.holders - {seq}
        if match.length == len(tokens) and others:
            for used in self._kept.keys() & others:
                self._kept[used] = self._kept.pop(used)
            return False
        if match.length > self._tree.length(seq):  # computed twice: both now use the cells that are known
            start = self._tree.length(seq)
            if not any(self._memory.share(source, seq, start, match.length) for source in others):
                return False
            self._tree.hold(seq, tokens[: match.length])
        if match.length < len(tokens):
            self._tree.extend(seq, tokens[match.length :])
        return True

    def _drop_what_others_hold(self) -> None:
        """Free the numbers of finished sequences that go on in others, as a chat does with each turn."""
        for seq in [each for each in self._kept if not self._tree.own(each)]:
            self._evict(seq)

    def _number_to_keep(self) -> int:
        if not self._free_kept:
            oldest = next(iter(self._kept))
            self._save(oldest, self._most_saved)
            self._evict(oldest)
        return self._free_kept.pop()

    def _save(self, seq: int, most: int) -> int | None:
        """See to it that there is a copy of what a sequence does not share, as `_save_from` does."""
        tokens = self._tree.tokens(seq)
        start = whole(tokens, len(tokens) - self._tree.own(seq))
        return self._save_from(start if start > len(tokens) // _LITTLE else 0, seq, most)

    def _save_from(self, start: int, seq: int, most: int, room: int = sys.maxsize) -> int | None:
        """See to it that there is a copy of a sequence from a place on, if it has at most so many bytes.

        A longer one that begins so will do if it has no more than `room` tokens. The bytes that were copied
        for it; None where there is no copy.
        """
        tokens = self._tree.tokens(seq)
        if self.shelf.has(tokens, start, room):
            return 0
        saved = self._memory.save(seq, start, most)
        if saved is None:
            return None
        self.shelf.put(tokens, saved)
        return saved.nbytes

    def _evict(self, seq: int) -> None:
        del self._kept[seq]
        self._let_go(seq)
        self._free_kept.append(seq)

    def _let_go(self, seq: int) -> None:
        self._tree.cut(seq, 0)
        self._memory.release(seq)
