"""What the state machines of both pools have in common: sequences end, memory runs short, windows move on."""

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from janfs.engines.llama_cpp.kv_pool import KvPool
from janfs.engines.llama_cpp.slot_pool import SlotPool
from tests.engines.llama_cpp.fake_model import FakeMemory


class PoolMachine(RuleBasedStateMachine):
    """A pool over a memory, and the tokens of its `live` sequences by their numbers."""

    def __init__(self, memory: FakeMemory, pool: KvPool | SlotPool) -> None:
        super().__init__()
        self.memory = memory
        self.any_pool = pool
        self.live: dict[int, list[int]] = {}

    def some(self, data: st.DataObject) -> int:
        return data.draw(st.sampled_from(sorted(self.live)))

    @precondition(lambda self: self.live)
    @rule(data=st.data(), keep=st.booleans())
    def close(self, data: st.DataObject, keep: bool) -> None:
        seq = self.some(data)
        tokens = self.live.pop(seq)
        self.any_pool.close(seq, tokens if keep else ())

    @rule(refused=st.booleans())
    def the_window_moves_on(self, refused: bool) -> None:
        self.memory.sharing_refused = refused

    @rule(saving=st.booleans(), restoring=st.booleans())
    def memory_runs_short(self, saving: bool, restoring: bool) -> None:
        self.memory.saving_refused, self.memory.restoring_refused = saving, restoring

    @rule()
    def there_is_a_lull(self) -> None:
        self.any_pool.tidy()

    def what_it_has_is_right(self, seq: int) -> None:
        """What a live sequence has is what its own text stands for, computed alone."""
        computed = self.live[seq][: self.any_pool.computed(seq)]
        alone = FakeMemory(len(computed))
        for at, token in enumerate(computed):
            alone.add(0, at, token)
        found, expected = (
            [cell.value for cell in m.cells.get(n, [])] for m, n in ((self.memory, seq), (alone, 0))
        )
        assert found == expected, "these are another text's cells"
