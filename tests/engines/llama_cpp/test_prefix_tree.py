from collections.abc import Iterable, Sequence

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from janfs.engines.llama_cpp.prefix_tree import PrefixTree, common_length

# Few different tokens, so that beginnings coincide.
tokens = st.lists(st.integers(0, 2), max_size=12)
Prefix = tuple[int, ...]


def prefixes(held: Iterable[Sequence[int]]) -> set[Prefix]:
    """Every beginning of these, by which a cell is known: the token at its end, after those before it."""
    return {tuple(each[:length]) for each in held for length in range(1, len(each) + 1)}


class Holding(RuleBasedStateMachine):
    """Whatever is done, the tree says what a plain list of every sequence's tokens says."""

    def __init__(self) -> None:
        super().__init__()
        self.tree = PrefixTree()
        self.held: dict[int, list[int]] = {}
        self.count = 0

    def some(self, data: st.DataObject) -> int:
        return data.draw(st.sampled_from(sorted(self.held)))

    @rule(wanted=tokens)
    def begin(self, wanted: list[int]) -> None:
        """A sequence takes what there is of its tokens, and adds the rest."""
        known = self.tree.match(wanted).length
        self.count += 1
        self.tree.hold(self.count, wanted[:known])
        if wanted[known:]:
            self.tree.extend(self.count, wanted[known:])
        if wanted:
            self.held[self.count] = wanted

    @precondition(lambda self: self.held)
    @rule(data=st.data(), more=tokens.filter(bool))
    def go_on(self, data: st.DataObject, more: list[int]) -> None:
        """A sequence takes a step, or is told that somebody was there before it."""
        seq = self.some(data)
        new = (*self.held[seq], more[0])
        assert self.tree.can_extend(seq, more[0]) == (new not in prefixes(self.held.values()))
        wanted = self.held[seq] + more
        known = self.tree.match(wanted).length
        self.tree.hold(seq, wanted[:known])
        if known < len(wanted):
            self.tree.extend(seq, wanted[known:])
        self.held[seq] = wanted

    @precondition(lambda self: self.held)
    @rule(data=st.data(), length=st.integers(0, 12))
    def cut(self, data: st.DataObject, length: int) -> None:
        seq = self.some(data)
        self.tree.cut(seq, length)
        self.held[seq] = self.held[seq][:length]
        if not self.held[seq]:
            del self.held[seq]

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def rename(self, data: st.DataObject) -> None:
        seq = self.some(data)
        self.count += 1
        self.tree.rename(seq, self.count)
        self.held[self.count] = self.held.pop(seq)

    @rule(wanted=tokens)
    def look_up(self, wanted: list[int]) -> None:
        match = self.tree.match(wanted)
        lengths = {seq: common_length(wanted, held) for seq, held in self.held.items()}
        assert match.length == max(lengths.values(), default=0)
        expected = {seq for seq, length in lengths.items() if length == match.length and length}
        assert match.holders == expected

    @invariant()
    def every_cell_is_counted_once(self) -> None:
        assert self.tree.cells == len(prefixes(self.held.values()))
        assert {seq: self.tree.length(seq) for seq in self.held} == {
            seq: len(held) for seq, held in self.held.items()
        }

    @invariant()
    def what_a_sequence_alone_holds_is_known(self) -> None:
        for seq, held in self.held.items():
            others = [tokens for other, tokens in self.held.items() if other != seq]
            assert self.tree.own(seq) == len(prefixes([held]) - prefixes(others))

    @invariant()
    def what_some_hold_together_is_known(self) -> None:
        some = sorted(self.held)[::2]
        assert self.tree.held_by(some) == len(prefixes(self.held[seq] for seq in some))

    @invariant()
    def the_tree_does_not_wear_out(self) -> None:
        nodes, todo = 0, [self.tree._root]
        while todo:
            children = todo.pop().children.values()
            nodes += len(children)
            todo += children
        assert nodes <= 2 * len(self.held), "nodes are left that no sequence ends in or parts at"

    def teardown(self) -> None:
        for seq in list(self.held):
            self.tree.cut(seq, 0)
        assert self.tree.cells == 0
        assert not self.tree._root.children


TestHolding = Holding.TestCase
TestHolding.settings = settings(max_examples=150, stateful_step_count=30)


@given(tokens, tokens)
def test_the_common_length_is_that_of_the_longest_beginning_both_have(
    one: list[int], other: list[int]
) -> None:
    length = common_length(one, other)
    assert one[:length] == other[:length]
    assert length in {len(one), len(other)} or one[length] != other[length]


def test_a_sequence_that_is_not_here_holds_nothing() -> None:
    tree = PrefixTree()
    tree.cut(5, 0)
    tree.rename(5, 6)
    assert (tree.length(5), tree.own(5), tree.held_by([5]), tree.cells) == (0, 0, 0, 0)
