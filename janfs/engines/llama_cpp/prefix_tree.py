"""Which sequences have which tokens in common: a radix tree. Pure.

A node is a run of tokens, and every token in the tree stands for one cell of the KV cache: the sequences
that hold a node share its cells. A sequence holds all nodes from the root to its end, and nothing ends
inside a node. So the cells that would come free with a sequence are those of the nodes that only it holds.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

_STRIDE = 64  # tokens that are compared at once


class Match(NamedTuple):
    """The longest beginning that the tree has, and the sequences that hold all of it."""

    length: int
    holders: frozenset[int]


class _Node:
    __slots__ = ("children", "holders", "parent", "tokens")

    def __init__(self, tokens: list[int], parent: "_Node | None", holders: set[int]) -> None:
        self.tokens = tokens
        self.parent = parent
        self.holders = holders
        self.children: dict[int, _Node] = {}


class PrefixTree:
    """Sequences, by their numbers, and the tokens they hold."""

    def __init__(self) -> None:
        self._root = _Node([], None, set())
        self._ends: dict[int, _Node] = {}
        self._lengths: dict[int, int] = {}
        self.cells = 0

    def length(self, seq: int) -> int:
        """How many tokens a sequence holds; 0 for one that is not here."""
        return self._lengths.get(seq, 0)

    def match(self, tokens: Sequence[int]) -> Match:
        """The longest beginning of `tokens` that anyone holds."""
        node, length = self._root, 0
        while length < len(tokens) and (child := node.children.get(tokens[length])):
            node = child
            common = common_length(node.tokens, tokens[length : length + len(node.tokens)])
            length += common
            if common < len(node.tokens):
                break
        return Match(length, frozenset(node.holders) if length else frozenset())

    def hold(self, seq: int, tokens: Sequence[int]) -> None:
        """Let a sequence hold `tokens`, all of which are in the tree and begin with what it holds already."""
        node, length = self._root, 0
        while length < len(tokens):
            node = node.children[tokens[length]]
            if length + len(node.tokens) > len(tokens):
                node = self._split(node, len(tokens) - length)
            node.holders.add(seq)
            length += len(node.tokens)
        if length:
            self._ends[seq], self._lengths[seq] = node, length
            self._merge_upwards(node)

    def can_extend(self, seq: int, token: int) -> bool:
        """Whether the tree has nothing yet where `token` follows a sequence."""
        return token not in self._ends.get(seq, self._root).children

    def extend(self, seq: int, tokens: Sequence[int]) -> None:
        """Add new tokens, at least one, at the end of a sequence, where `can_extend` the first of them."""
        end = self._ends.get(seq, self._root)
        assert tokens[0] not in end.children, "these cells are in the tree already"
        if end.holders == {seq}:
            end.tokens += tokens
        else:
            child = _Node(list(tokens), end, {seq})
            end.children[tokens[0]] = self._ends[seq] = child
        self._lengths[seq] = self.length(seq) + len(tokens)
        self.cells += len(tokens)

    def cut(self, seq: int, length: int) -> None:
        """Let a sequence hold no more than its first `length` tokens; what nobody holds any more is gone."""
        node, end = self._ends.get(seq, self._root), self.length(seq)
        left: _Node | None = None  # the lowest node that others hold on to
        while end > length and node.parent is not None:
            if end - len(node.tokens) < length:
                self._split(node, length - (end - len(node.tokens)))
            end -= len(node.tokens)
            node.holders.discard(seq)
            if node.holders:
                left = left or node
            else:
                del node.parent.children[node.tokens[0]]
                self.cells -= len(node.tokens)
            node = node.parent
        if end:
            self._ends[seq], self._lengths[seq] = node, end
        else:
            self._ends.pop(seq, None)
            self._lengths.pop(seq, None)
        self._merge_upwards(left or node)

    def rename(self, seq: int, new: int) -> None:
        """Give a sequence another number, one that is not in use."""
        if seq not in self._ends:
            return
        self._ends[new], self._lengths[new] = self._ends.pop(seq), self._lengths.pop(seq)
        node: _Node | None = self._ends[new]
        while node is not None and node is not self._root:
            node.holders.remove(seq)
            node.holders.add(new)
            node = node.parent

    def tokens(self, seq: int) -> list[int]:
        """All that a sequence holds."""
        node, parts = self._ends.get(seq, self._root), list[list[int]]()
        while node.parent is not None:
            parts.append(node.tokens)
            node = node.parent
        return [token for part in reversed(parts) for token in part]

    def own(self, seq: int) -> int:
        """How many cells nobody but this sequence holds. They are at its end."""
        node, cells = self._ends.get(seq, self._root), 0
        while node.holders == {seq}:
            cells += len(node.tokens)
            assert node.parent is not None
            node = node.parent
        return cells

    def held_by(self, seqs: Iterable[int]) -> int:
        """How many cells are held by any of these."""
        seen: set[int] = set()
        cells = 0
        for seq in seqs:
            node = self._ends.get(seq, self._root)
            while node.parent is not None and id(node) not in seen:
                seen.add(id(node))
                cells += len(node.tokens)
                node = node.parent
        return cells

    def _split(self, node: _Node, at: int) -> _Node:
        """Cut a node in two; it stays the lower half, the upper one is returned."""
        assert node.parent is not None
        upper = _Node(node.tokens[:at], node.parent, set(node.holders))
        node.parent.children[node.tokens[0]] = upper
        node.tokens, node.parent = node.tokens[at:], upper
        upper.children[node.tokens[0]] = node
        return upper

    def _merge_upwards(self, node: _Node) -> None:
        """Put nodes together that the same sequences hold, so that there are not many more than sequences."""
        while node.parent is not None:
            parent = node.parent
            if len(node.children) == 1:
                (child,) = node.children.values()
                if child.holders == node.holders:
                    child.tokens, child.parent = node.tokens + child.tokens, parent
                    parent.children[child.tokens[0]] = child
            node = parent


def common_length(one: Sequence[object], other: Sequence[object]) -> int:
    """How many tokens, or characters, two beginnings have in common."""
    least, at = min(len(one), len(other)), 0
    while at < least and one[at : at + _STRIDE] == other[at : at + _STRIDE]:
        at += _STRIDE
    return next((place for place in range(at, least) if one[place] != other[place]), least)
