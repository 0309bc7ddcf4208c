"""A model whose every rule is checked: what llama.cpp would answer with a crash is an assertion here."""

from collections.abc import Sequence

from janfs.engines.llama_cpp.choice import Chosen
from janfs.engines.llama_cpp.scheduler import Decoded, Entry
from janfs.engines.protocol import SamplingParams
from janfs.errors import EngineError

END = 0
PIECES = [b"", b"a", b"b", b"ab", "é".encode()[:1], "é".encode()[1:], b" ", b"\xff"]


def next_token(tokens: Sequence[int]) -> int:
    """Depends on the whole prefix, so that one wrong or missing cell changes the answer."""
    value = 7
    for token in tokens:
        value = (value * 31 + token + 1) % 65_521
    return value % 11 % len(PIECES)


class FakeSampler:
    def __init__(self, model: "FakeModel") -> None:
        self._model = model
        self.closed = False
        model.samplers.append(self)

    def sample(self, index: int) -> Chosen:
        assert not self.closed, "sampled after close"
        return Chosen(self._model.logits.pop(index))

    def close(self) -> None:
        assert not self.closed, "closed twice"
        self.closed = True


class FakeModel:
    def __init__(self, n_ctx: int = 64, n_batch: int = 16) -> None:
        self.n_ctx = n_ctx
        self.n_batch = n_batch
        self.cells: dict[int, list[int]] = {}
        self.logits: dict[int, int] = {}
        self.samplers: list[FakeSampler] = []
        self.next_outcome: Decoded | EngineError = Decoded.OK
        self.batches: list[list[Entry]] = []

    def decode(self, batch: Sequence[Entry]) -> Decoded:
        assert 0 < len(batch) <= self.n_batch, f"a batch of {len(batch)}, of at most {self.n_batch}"
        assert not self.logits, "logits of the last batch were not sampled"
        self.batches.append(list(batch))
        outcome, self.next_outcome = self.next_outcome, Decoded.OK
        if isinstance(outcome, EngineError):
            raise outcome
        if outcome is Decoded.FULL:
            return outcome
        for index, (token, position, seq, wanted) in enumerate(batch):
            cells = self.cells.setdefault(seq, [])
            assert position == len(cells), f"position {position} of sequence {seq} after {len(cells)} cells"
            cells.append(token)
            if wanted and outcome is Decoded.OK:
                self.logits[index] = next_token(cells)
        used = sum(map(len, self.cells.values()))
        assert used <= self.n_ctx, f"{used} cells used, of {self.n_ctx}"
        return outcome

    def release(self, seq: int) -> None:
        self.cells.pop(seq, None)

    def sampler(self, params: SamplingParams, prompt: Sequence[int]) -> FakeSampler:
        return FakeSampler(self)

    def piece(self, token: int) -> bytes:
        return PIECES[token]

    def is_end(self, token: int) -> bool:
        return token == END
