import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from janfs.engines.llama_cpp.kv_memory import MAX_SEQUENCES
from janfs.engines.llama_cpp.kv_pool import KvPool
from janfs.engines.llama_cpp.slot_pool import SlotPool
from janfs.engines.protocol import MAX_PARALLEL
from tests.engines.llama_cpp.fake_model import FakeMemory
from tests.engines.llama_cpp.pool_machine import PoolMachine

N_LIVE, N_CTX = 3, 40
texts = st.lists(st.integers(1, 2), min_size=1, max_size=16)


class Pooling(PoolMachine):
    """Sequences come, compute, publish and go; every cell and every number of a sequence is somebody's."""

    def __init__(self) -> None:
        memory = FakeMemory(N_CTX)
        self.pool = KvPool(memory, N_LIVE, idle_cells=4, worth_copying=1, most_saved=80)
        super().__init__(memory, self.pool)

    @precondition(lambda self: self.pool.has_seat)
    @rule(tokens=texts)
    def open(self, tokens: list[int]) -> None:
        seq = self.pool.open()
        assert seq not in self.live
        self.live[seq] = tokens
        self.pool.recall(seq, tokens[:-1])
        self.pool.adopt(seq, tokens[:-1])
        self.what_it_has_is_right(seq)

    @precondition(lambda self: self.live)
    @rule(data=st.data(), count=st.integers(1, 8), publish=st.booleans())
    def compute(self, data: st.DataObject, count: int, publish: bool) -> None:
        seq = self.some(data)
        start = self.pool.computed(seq)
        new = self.live[seq][start : start + count]
        if not new or not self.pool.make_room(len(new)):
            return
        for at, token in enumerate(new, start):
            self.memory.add(seq, at, token)
        self.pool.advance(seq, len(new))
        if publish:
            self.pool.publish(seq, self.live[seq][:-1])

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def adopt(self, data: st.DataObject) -> None:
        seq = self.some(data)
        before = self.pool.computed(seq)
        self.pool.adopt(seq, self.live[seq])
        assert self.pool.computed(seq) >= before

    @rule()
    def set_aside(self) -> None:
        self.pool.set_aside()

    @rule(cells=st.integers(0, N_CTX))
    def make_room(self, cells: int) -> None:
        possible = cells <= N_CTX - self.pool.pinned
        assert self.pool.make_room(cells) == possible
        if possible:
            assert self.pool.free >= cells

    @invariant()
    def every_cell_is_accounted_for(self) -> None:
        assert self.pool.free == N_CTX - self.memory.used
        live = {id(cell) for seq in self.live for cell in self.memory.cells.get(seq, [])}
        assert self.pool.pinned == len(live)

    @invariant()
    def a_live_sequence_has_what_it_computed(self) -> None:
        for seq in self.live:
            assert self.pool.computed(seq) == len(self.memory.cells.get(seq, []))

    def teardown(self) -> None:
        for seq in list(self.live):
            self.pool.close(seq, self.live.pop(seq))
        assert self.pool.pinned == 0
        assert self.pool.make_room(N_CTX)
        assert not any(self.memory.cells.values()), "cells are left that nobody knows of"
        assert sorted(self.pool._free_live) == list(range(N_LIVE)), "a number was lost"


TestPooling = Pooling.TestCase
TestPooling.settings = settings(max_examples=100, stateful_step_count=40)


def finished(pool: KvPool, memory: FakeMemory, tokens: list[int], *, recalls: bool = False) -> int:
    """Run a sequence from beginning to end; how many of its tokens were there already."""
    seq = pool.open()
    if recalls:
        pool.recall(seq, tokens)
    pool.adopt(seq, tokens)
    pool.set_aside()
    known = pool.computed(seq)
    assert pool.make_room(len(tokens) - known)
    for at in range(known, len(tokens)):
        memory.add(seq, at, tokens[at])
    pool.advance(seq, len(tokens) - known)
    pool.close(seq, tokens)
    return known


def finished_together(pool: KvPool, memory: FakeMemory, chats: list[list[int]]) -> None:
    """Run sequences that have nothing in common at the same time."""
    seqs = [pool.open() for _ in chats]
    for seq, tokens in zip(seqs, chats, strict=True):
        for at, token in enumerate(tokens):
            memory.add(seq, at, token)
        pool.advance(seq, len(tokens))
    for seq, tokens in zip(seqs, chats, strict=True):
        pool.close(seq, tokens)


def test_the_longest_unused_is_given_up_first() -> None:
    memory = FakeMemory(30)
    pool = KvPool(memory, 1)
    one, two, three, four = ([number] * 10 for number in (1, 2, 3, 4))
    for tokens in (one, two, three):
        assert finished(pool, memory, tokens) == 0
    assert finished(pool, memory, one) == 10, "it is used again, and two is the oldest now"
    assert finished(pool, memory, four) == 0
    assert finished(pool, memory, one) == 10
    assert finished(pool, memory, three) == 10
    assert finished(pool, memory, two) == 0


def test_it_is_known_how_much_of_a_prompt_was_computed() -> None:
    memory = FakeMemory(100)
    pool = KvPool(memory, 2)
    assert pool.known([1, 1]) == 0
    finished(pool, memory, [1] * 10)
    assert [pool.known(tokens) for tokens in ([1] * 12, [1, 1, 2], [2])] == [10, 2, 0]


def test_no_more_is_given_up_than_is_needed_and_from_the_end() -> None:
    memory = FakeMemory(30)
    pool = KvPool(memory, 1)
    finished(pool, memory, [1] * 20)
    finished(pool, memory, [2] * 14)
    assert memory.used == 30
    assert finished(pool, memory, [1] * 16) == 16


def test_what_others_still_need_of_the_oldest_stays() -> None:
    memory = FakeMemory(30)
    pool = KvPool(memory, 1)
    finished(pool, memory, [1] * 10 + [2] * 5)
    finished(pool, memory, [1] * 10 + [3] * 5)
    finished(pool, memory, [4] * 15)
    assert finished(pool, memory, [1] * 10 + [3] * 5) == 15


def test_as_many_are_kept_as_may_live_and_a_chat_counts_once() -> None:
    memory = FakeMemory(2000)
    pool = KvPool(memory, 6)
    chat: list[int] = []
    for turn in range(20):
        chat += [turn] * 3
        assert finished(pool, memory, chat) == len(chat) - 3
    for number in range(5):
        assert finished(pool, memory, [100 + number] * 5) == 0
    assert finished(pool, memory, chat) == 60, "six are kept, and the chat is one of them"
    for number in range(6):
        finished(pool, memory, [200 + number] * 5)
    assert memory.used == 6 * 5


def test_there_are_never_more_sequences_than_llama_cpp_has() -> None:
    memory = FakeMemory(2000)
    pool = KvPool(memory, MAX_SEQUENCES - 2)
    for number in range(10):
        finished(pool, memory, [number] * 5)
    assert memory.used == 2 * 5
    assert finished(pool, memory, [9] * 5) == 5


def test_where_every_number_may_be_live_nothing_is_kept() -> None:
    memory = FakeMemory(100)
    pool = KvPool(memory, MAX_PARALLEL)
    finished(pool, memory, [1] * 5)
    assert memory.used == 0


def test_what_nobody_uses_is_out_of_the_way_of_those_who_compute_and_comes_back() -> None:
    memory = FakeMemory(1000)
    pool = KvPool(memory, 4, idle_cells=100, most_saved=10_000)
    chats = [[number] * 90 for number in range(5)]
    for chat in chats:
        assert finished(pool, memory, chat, recalls=True) == 0
        assert memory.used <= 100 + 90, "more than the newcomer and some idle cells"
    for chat in chats:
        assert finished(pool, memory, [*chat, 7, 7], recalls=True) == 90


def test_all_that_nobody_uses_leaves_before_newcomers_come_to_lie_behind_it() -> None:
    memory = FakeMemory(1000)
    pool = KvPool(memory, 4, idle_cells=100, most_saved=10_000)
    finished_together(pool, memory, [[number] * 90 for number in range(4)])
    assert memory.used == 360, "there was something to do already"
    pool.set_aside()
    assert memory.used == 90


@pytest.mark.parametrize(
    ("others", "coming", "left"),
    [
        pytest.param(0, 165, 0, id="a prompt alone has the cache to itself"),
        pytest.param(0, 56, 200, id="unless one block takes both"),
        pytest.param(0, 1, 200, id="or it has begun to write"),
        pytest.param(1, 165, 200, id="or others compute, too"),
    ],
)
def test_idle_cells_leave_before_a_prompt_that_is_computed_alone(others: int, coming: int, left: int) -> None:
    memory = FakeMemory(1000)
    pool = KvPool(memory, 4, most_saved=10_000)
    finished(pool, memory, [1] * 200)
    for _ in range(1 + others):
        pool.open()
    pool.prepare(coming)
    assert memory.used == left


def test_not_much_more_is_copied_in_a_step_than_is_bearable() -> None:
    memory = FakeMemory(1000)
    pool = KvPool(memory, 4, idle_cells=0, most_saved=1600)
    finished_together(pool, memory, [[number] * 90 for number in range(4)])
    for left in (180, 0):
        pool.set_aside()
        assert memory.used == left


def test_what_was_copied_in_a_lull_leaves_at_once() -> None:
    memory = FakeMemory(1000)
    pool = KvPool(memory, 4, idle_cells=0, most_saved=10_000)
    finished_together(pool, memory, [[number] * 90 for number in range(2)])
    assert [pool.tidy() for _ in range(3)] == [True, True, False], "one each time, and each once"
    assert (memory.used, memory.n_saved) == (180, 180), "who goes on with it should find it in the cache"
    pool.set_aside()
    assert (memory.used, memory.n_saved) == (0, 180), "it was copied again"


def test_what_takes_long_to_copy_is_not_copied_in_a_lull() -> None:
    memory = FakeMemory(1000)
    pool = KvPool(memory, 4, most_saved=1600)
    finished_together(pool, memory, [[1] * 101, [2] * 100])
    assert [pool.tidy() for _ in range(2)] == [True, False]
    assert memory.n_saved == 100


def test_what_live_ones_use_too_is_not_copied() -> None:
    memory = FakeMemory(1000)
    pool = KvPool(memory, 2, idle_cells=0, most_saved=10_000)
    finished(pool, memory, [1] * 90)
    live = pool.open()
    pool.adopt(live, [1] * 90)
    memory.saving_refused = True  # would leave it where it is
    pool.set_aside()
    assert memory.used == 90
    assert pool.computed(live) == 90


def test_a_beginning_that_others_have_is_not_had_twice_when_a_copy_comes_back() -> None:
    memory = FakeMemory(1000)
    pool = KvPool(memory, 2, idle_cells=0, most_saved=10_000)
    system = [5] * 100
    finished(pool, memory, [*system, *[1] * 50])
    finished(pool, memory, [2] * 10)
    live = pool.open()
    for at, token in enumerate(system):
        memory.add(live, at, token)
    pool.advance(live, 100)
    pool.publish(live, system)
    used = memory.used
    back = pool.open()
    pool.recall(back, [*system, *[1] * 50, 3])
    assert pool.computed(back) == 150
    assert memory.used == used + 50


def test_of_chats_with_one_beginning_only_the_ends_are_copied_and_all_come_back() -> None:
    memory = FakeMemory(2000)
    pool = KvPool(memory, 4, idle_cells=0, most_saved=2000)
    system = [5] * 200
    chats = [[*system, *[number] * 40] for number in range(4)]
    for chat in chats:
        finished(pool, memory, chat)
    for number in range(100, 105):  # the first puts them aside
        finished(pool, memory, [number] * 5)
    assert memory.used < 200, "the beginning is still in the cache"
    assert memory.n_saved < 3 * 40 + 2 * 240, "what others had too was copied"
    for chat in chats:
        assert finished(pool, memory, [*chat, 9], recalls=True) == 240


def test_a_copy_of_an_end_whose_beginning_is_gone_is_of_no_use() -> None:
    memory = FakeMemory(1000)
    pool = KvPool(memory, 2, idle_cells=0, most_saved=10_000)
    system = [5] * 100
    live = pool.open()
    for at, token in enumerate(system):
        memory.add(live, at, token)
    pool.advance(live, 100)
    pool.publish(live, system)
    finished(pool, memory, [*system, *[1] * 50])
    pool.set_aside()
    assert memory.used == 100
    pool.close(live)  # nothing is kept of it
    assert finished(pool, memory, [*system, *[1] * 50], recalls=True) == 0


def test_a_copy_that_saves_little_is_left_alone() -> None:
    memory = FakeMemory(1000)
    pool = KvPool(memory, 2, idle_cells=0, worth_copying=32, most_saved=10_000)
    finished(pool, memory, [1] * 32)
    finished(pool, memory, [2] * 40)
    assert finished(pool, memory, [1] * 32, recalls=True) == 0


def test_what_is_large_stays_in_the_cache_while_there_is_room() -> None:
    memory = FakeMemory(1000)
    pool = KvPool(memory, 2, idle_cells=0, most_saved=720)
    finished(pool, memory, [1] * 91)
    finished(pool, memory, [2] * 90)
    finished(pool, memory, [3] * 10)
    assert memory.used == 91 + 10
    assert finished(pool, memory, [1] * 91) == 91


@pytest.mark.parametrize("room", [100, 200])
def test_a_longer_copy_is_as_good_only_where_the_next_cache_has_room_for_it(room: int) -> None:
    memory = FakeMemory(1000)
    pool = KvPool(memory, 2, idle_cells=0, most_saved=10_000)
    finished(pool, memory, [1] * 200)
    finished(pool, memory, [2] * 10)
    assert finished(pool, memory, [1] * 60, recalls=True) == 60, "the longer one was not copied"
    copied = memory.n_saved
    pool.put_away(room)
    assert memory.n_saved - copied == (0 if room >= 200 else 60)
    parts = SlotPool(FakeMemory(2 * room, n_slots=2), 2, shelf=pool.shelf)
    assert parts.computed(parts.open([1] * 60)) == 60
