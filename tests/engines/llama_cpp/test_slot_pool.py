from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from janfs.engines.llama_cpp.shelf import Shelf
from janfs.engines.llama_cpp.slot_pool import SlotPool
from tests.engines.llama_cpp.fake_model import FakeCopy, FakeMemory
from tests.engines.llama_cpp.pool_machine import PoolMachine

N_LIVE, N_SLOT = 3, 60
texts = st.lists(st.sampled_from([[1] * 12, [2] * 12, [1] * 11 + [3], [2]]), min_size=1, max_size=4).map(
    lambda parts: [token for part in parts for token in part]
)


class Slots(PoolMachine):
    """Sequences come, compute, publish and go; each has what its own text stands for."""

    def __init__(self) -> None:
        memory = FakeMemory(N_LIVE * N_SLOT, n_slots=N_LIVE)
        self.pool = SlotPool(memory, N_LIVE, most_saved=400)
        super().__init__(memory, self.pool)

    @precondition(lambda self: self.pool.has_seat)
    @rule(tokens=texts, caching=st.booleans())
    def open(self, tokens: list[int], caching: bool) -> None:
        seq = self.pool.open(tokens[:-1] if caching else ())
        assert seq not in self.live
        self.live[seq] = tokens
        assert caching or self.pool.computed(seq) == 0

    @precondition(lambda self: self.live)
    @rule(data=st.data(), count=st.integers(1, 40), publish=st.booleans())
    def compute(self, data: st.DataObject, count: int, publish: bool) -> None:
        seq = self.some(data)
        start = self.pool.computed(seq)
        for at, token in enumerate(self.live[seq][start : start + count], start):
            self.memory.add(seq, at, token)
            self.pool.advance(seq, 1)
        if publish:
            self.pool.publish(seq, self.live[seq][:-1])

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def a_decode_breaks_off(self, data: st.DataObject) -> None:
        seq = self.some(data)
        if self.pool.computed(seq) < len(self.live[seq]):
            self.memory.add(seq, self.pool.computed(seq), 7)
        self.pool.rewind(seq, self.live[seq])

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def adopt(self, data: st.DataObject) -> None:
        seq = self.some(data)
        before = self.pool.computed(seq)
        self.pool.adopt(seq, self.live[seq][:-1])
        assert self.pool.computed(seq) >= before or self.memory.restoring_refused

    @rule()
    def give_up_what_is_kept(self) -> None:
        self.pool.forget_kept()
        assert not set(self.memory.cells) - set(self.live)

    @invariant()
    def every_cell_is_accounted_for(self) -> None:
        assert self.pool.free == N_LIVE * N_SLOT - sum(map(len, self.memory.cells.values()))

    @invariant()
    def a_live_sequence_has_what_it_computed_of_its_own_text(self) -> None:
        for seq in self.live:
            self.what_it_has_is_right(seq)

    def teardown(self) -> None:
        for seq in list(self.live):
            self.pool.close(seq, self.live.pop(seq))
        assert sorted(self.pool.open() for _ in range(N_LIVE)) == list(range(N_LIVE)), "a slot was lost"
        assert not self.pool.has_seat
        assert not any(self.memory.cells.values()), "cells are left that nobody knows of"


TestSlots = Slots.TestCase
TestSlots.settings = settings(max_examples=150, stateful_step_count=40)


def slots(count: int, *, most_saved: int = 10_000, shelf: Shelf | None = None) -> tuple[SlotPool, FakeMemory]:
    memory = FakeMemory(count * 1000, n_slots=count)
    return SlotPool(memory, count, most_saved=most_saved, shelf=shelf), memory


def begin(pool: SlotPool, memory: FakeMemory, tokens: list[int]) -> int:
    """Compute a text that goes on; its slot."""
    seq = pool.open(tokens)
    for at in range(pool.computed(seq), len(tokens)):
        memory.add(seq, at, tokens[at])
        pool.advance(seq, 1)
    pool.publish(seq, tokens)
    return seq


def finished(pool: SlotPool, memory: FakeMemory, tokens: list[int]) -> tuple[int, int]:
    """Run a sequence from beginning to end; its slot, and how many of its tokens were there already."""
    seq = pool.open(tokens)
    known = pool.computed(seq)
    for at in range(known, len(tokens)):
        memory.add(seq, at, tokens[at])
        pool.advance(seq, 1)
    pool.close(seq, tokens)
    return seq, known


def test_it_is_known_how_much_of_a_prompt_was_computed() -> None:
    pool, memory = slots(2)
    assert pool.known([1, 1]) == 0
    finished(pool, memory, [1] * 10)
    begin(pool, memory, [2] * 5)
    assert [pool.known(tokens) for tokens in ([1] * 12, [2, 2, 1], [3])] == [10, 2, 0]


def test_a_chat_goes_on_in_its_slot_and_nothing_is_copied() -> None:
    pool, memory = slots(3)
    chats = [[number] * 50 for number in range(3)]
    homes = [finished(pool, memory, chat)[0] for chat in chats]
    assert sorted(homes) == [0, 1, 2]
    for chat, home in zip(chats, homes, strict=True):
        assert finished(pool, memory, [*chat, 7, 7]) == (home, 50)
    assert memory.n_saved == 0


def test_what_a_running_one_has_is_copied_once_for_all_that_follow() -> None:
    pool, memory = slots(4)
    system = [5] * 200
    begin(pool, memory, [*system, *[1] * 20])
    for number in range(3):
        follower = pool.open([*system, *[10 + number] * 20])
        assert pool.computed(follower) == 200
    assert memory.n_saved == 220


def test_what_another_will_have_is_not_copied_before() -> None:
    pool, memory = slots(2)
    begin(pool, memory, [5] * 100)
    follower = pool.open([5] * 200, beyond=150)
    assert pool.computed(follower) == 0


def test_a_short_beginning_of_a_long_text_is_not_worth_copying() -> None:
    pool, memory = slots(2)
    begin(pool, memory, [*[5] * 20, *[1] * 900])
    assert pool.computed(pool.open([*[5] * 20, *[2] * 20])) == 0
    pool, memory = slots(2)
    begin(pool, memory, [*[5] * 20, *[1] * 100])
    assert pool.computed(pool.open([*[5] * 20, *[2] * 20])) == 20


def test_a_text_that_gives_its_slot_away_is_copied_and_comes_back() -> None:
    pool, memory = slots(2)
    chats = [[number] * 50 for number in range(6)]
    for chat in chats:
        assert finished(pool, memory, chat)[1] == 0
    for chat in chats:
        assert finished(pool, memory, [*chat, 7, 7])[1] == 50


def test_what_was_copied_in_a_lull_gives_its_slot_away_at_once() -> None:
    pool, memory = slots(2)
    chats = [[number] * 50 for number in range(4)]
    for chat in chats[:2]:
        finished(pool, memory, chat)
    assert [pool.tidy() for _ in range(3)] == [True, True, False], "one each time, and each once"
    for chat in chats[2:]:
        finished(pool, memory, chat)
    assert memory.n_saved == 100, "it was copied again"
    assert finished(pool, memory, [*chats[0], 7, 7])[1] == 50


def test_what_takes_long_to_copy_is_not_copied_in_a_lull() -> None:
    pool, memory = slots(2, most_saved=1600)
    finished(pool, memory, [1] * 101)
    finished(pool, memory, [2] * 100)
    assert [pool.tidy() for _ in range(2)] == [True, False]
    assert memory.n_saved == 100


def test_of_chats_with_one_long_beginning_only_one_is_copied_unless_much_is_their_own() -> None:
    pool, memory = slots(3)
    system = [5] * 200
    for number in range(3):
        finished(pool, memory, [*system, *[number + 10] * 20])
    before = memory.n_saved
    for number in range(3):
        finished(pool, memory, [number + 20] * 50)
    assert memory.n_saved == before, "the copy that the others had their beginning from is there already"
    assert finished(pool, memory, [*system, 9, 9])[1] == 200


def test_a_copy_of_what_was_longer_than_a_slot_takes_nobodys_place() -> None:
    shelf = Shelf(10_000)
    pool, memory = slots(2, shelf=shelf)
    text = [5] * 100
    finished(pool, memory, [*text[:50], 1, 1])
    shelf.put([5] * 1001, FakeCopy([(0, 0)] * 1001))
    assert finished(pool, memory, text)[1] == 50
    finished(pool, memory, [1] * 50)
    finished(pool, memory, [2] * 50)
    assert finished(pool, memory, text)[1] == 100, "it was taken for a copy of this"


def test_the_longest_unused_gives_its_slot_away() -> None:
    pool, memory = slots(2)
    memory.saving_refused = True
    one, two, three = ([number] * 50 for number in (1, 2, 3))
    for text in (one, two, one, three):
        finished(pool, memory, text)
    assert finished(pool, memory, one)[1] == 50
    assert finished(pool, memory, two)[1] == 0


def test_what_is_too_large_to_be_copied_keeps_its_slot_while_there_are_others() -> None:
    pool, memory = slots(3, most_saved=800)
    finished(pool, memory, [1] * 101)
    for number in range(2, 8):
        finished(pool, memory, [number] * 90)
    assert finished(pool, memory, [1] * 101) == (0, 101)


def test_those_that_run_lie_side_by_side() -> None:
    pool, memory = slots(8)
    live = [begin(pool, memory, [number] * 50) for number in range(4)]
    assert live == [0, 1, 2, 3]
    for number in range(4, 60):
        seq = live.pop(number % 4)
        pool.close(seq, [number] * 50)
        live.append(begin(pool, memory, [number] * 50))
    assert max(live) - min(live) == 3, "llama.cpp computes neighbours together"


def test_who_wants_no_caching_gets_an_empty_slot() -> None:
    pool, memory = slots(1)
    finished(pool, memory, [1] * 50)
    assert pool.computed(pool.open()) == 0
    assert not memory.cells
