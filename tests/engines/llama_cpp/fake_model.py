"""A model whose every rule is checked: what llama.cpp would answer with a crash is an assertion here."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from janfs.engines.llama_cpp.choice import Chosen
from janfs.engines.llama_cpp.guidance import Guidance
from janfs.engines.llama_cpp.kv_memory import MAX_SEQUENCES, Saved
from janfs.engines.llama_cpp.model import Decoded, Entry
from janfs.engines.llama_cpp.pictures import Picture
from janfs.engines.protocol import SamplingParams, TokenLogprob
from janfs.errors import EngineError, InvalidInput

END = 0
PIECES = [b"", b"a", b"b", b"ab", "é".encode()[:1], "é".encode()[1:], b" ", b"\xff"]
_START, _BROKEN = 7, -1


def _after(value: int, token: int) -> int:
    return (value * 31 + token + 1) % 65_521


def next_token(tokens: Sequence[int]) -> int:
    """Depends on the whole prefix, so that one wrong or missing cell changes the answer."""
    value = _START
    for token in tokens:
        value = _after(value, token)
    return value % 11 % len(PIECES)


@dataclass(eq=False)
class Cell:
    """What was computed for a token, of it and all tokens before it.

    So many rows of an image are still to come where it is one of them.
    """

    value: int
    to_come: int = 0


class FakeCopy(NamedTuple):
    """What was computed for the tokens of a sequence from a place on, and where images lie."""

    values: list[tuple[int, int]]
    start: int = 0

    @property
    def nbytes(self) -> int:
        return len(self.values)


class FakeMemory:
    """Cells that sequences share, counted as llama.cpp counts them; or `n_slots` parts, one for each."""

    def __init__(self, n_cells: int = 64, *, can_share: bool = True, n_slots: int = 1) -> None:
        self.n_cells = n_cells
        self.unified = n_slots == 1
        self.n_ctx = self.n_slot = n_cells // n_slots
        self.can_share = can_share
        self.cells: dict[int, list[Cell]] = {}
        self.n_saved = 0  # cells
        self.sharing_refused = self.saving_refused = self.restoring_refused = False

    @property
    def used(self) -> int:
        return len({id(cell) for cells in self.cells.values() for cell in cells})

    def add(self, seq: int, place: int, token: int, to_come: int = 0) -> Cell:
        cells = self.cells.setdefault(seq, [])
        assert place == len(cells), f"place {place} of sequence {seq} after {len(cells)} cells"
        cells.append(Cell(_after(cells[-1].value if cells else _START, token), to_come))
        self._check_there_is_room(seq)
        return cells[-1]

    def _check_there_is_room(self, seq: int) -> None:
        used, room = (self.used, self.n_cells) if self.unified else (len(self.cells[seq]), self.n_slot)
        assert used <= room, f"{used} cells used, of {room}"

    def share(self, source: int, target: int, start: int, end: int) -> bool:
        assert self.can_share
        assert self.unified
        assert source != target
        assert 0 <= target < MAX_SEQUENCES
        if self.sharing_refused:
            return False
        shared = self.cells[source][start:end]
        assert len(shared) == end - start, "shared more than there is"
        self._check_no_image_is_torn(source, start)
        self._check_no_image_is_torn(source, end)
        cells = self.cells.setdefault(target, [])
        assert len(cells) >= start, "a hole in the target"
        cells[start:end] = shared
        return True

    def can_cut(self, seq: int, start: int) -> bool:
        self._check_no_image_is_torn(seq, start)
        return self.can_share and not self.sharing_refused

    def cut(self, seq: int, start: int) -> bool:
        if self.can_share:
            self._check_no_image_is_torn(seq, start)
            del self.cells.get(seq, [])[start:]
        return self.can_share

    def _check_no_image_is_torn(self, seq: int, place: int) -> None:
        before = self.cells.get(seq, [])[:place]
        assert not before or before[-1].to_come == 0, f"place {place} is within an image"

    def release(self, seq: int) -> None:
        self.cells.pop(seq, None)

    def save(self, seq: int, start: int, most: int) -> "FakeCopy | None":
        self._check_no_image_is_torn(seq, start)
        assert self.unified or start == 0, "a slot is copied whole"
        own = self.cells[seq][start:]
        if self.saving_refused or len(own) > most:
            return None
        self.n_saved += len(own)
        return FakeCopy([(cell.value, cell.to_come) for cell in own], start)

    def restore(self, seq: int, saved: Saved) -> bool:
        assert isinstance(saved, FakeCopy)
        before = self.cells.get(seq, [])
        assert len(before) == saved.start, "restored over what it has, or behind a hole"
        if not self.restoring_refused:
            self.cells[seq] = [*before, *(Cell(*each) for each in saved.values)]
            self._check_there_is_room(seq)
        return not self.restoring_refused


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


class FakeModel(FakeMemory):
    """Where it has a `part` it can rearrange its cache, unless that is refused.

    A part that is too small for a sequence is full then, as in llama.cpp, and nobody's mistake.
    """

    def __init__(
        self,
        n_ctx: int = 64,
        n_batch: int = 16,
        *,
        can_share: bool = True,
        n_slots: int = 1,
        part: int | None = None,
    ) -> None:
        super().__init__(n_ctx * n_slots, can_share=can_share, n_slots=n_slots)
        self.part = part
        self.n_slot = part or self.n_slot
        self.rearrangements = 0
        self.rearranging_refused = False
        self.n_batch = n_batch
        self.n_outputs = 64
        self.logits: dict[int, int] = {}
        self.samplers: list[FakeSampler] = []
        self.next_outcome: Decoded | EngineError = Decoded.OK
        self.next_sampler_fails = False
        self.batches: list[list[Entry]] = []
        self.looks: list[int] = []  # rows of images that were computed

    @property
    def memory(self) -> FakeMemory:
        return self

    def rearrange(self, unified: bool) -> None:
        assert self.part is not None
        self.cells = {}
        self.rearrangements += 1
        if not self.rearranging_refused:
            self.unified = unified
            self.n_cells = self.n_ctx if unified else self.n_ctx // self.part * self.part

    def _lacks_room(self, seqs: Sequence[int]) -> bool:
        """Whether new cells for these do not fit into parts that cannot be given up."""
        apart = self.rearranging_refused and not self.unified
        return apart and any(len(self.cells.get(seq, [])) + seqs.count(seq) > self.n_slot for seq in seqs)

    @property
    def n_computed(self) -> int:
        """Tokens in all batches so far."""
        return sum(map(len, self.batches))

    def decode(self, batch: Sequence[Entry]) -> Decoded:
        assert 0 < len(batch) <= self.n_batch, f"a batch of {len(batch)}, of at most {self.n_batch}"
        assert not self.logits, "logits of the last batch were not sampled"
        assert sum(entry.logits for entry in batch) <= self.n_outputs, "more outputs than there is room for"
        seqs = [entry.seq for entry in batch]
        assert seqs == sorted(seqs), "llama.cpp takes apart what is not in order"
        self.batches.append(list(batch))
        outcome, self.next_outcome = self.next_outcome, Decoded.OK
        if isinstance(outcome, EngineError):
            raise outcome
        if outcome is Decoded.FULL or self._lacks_room(seqs):
            return Decoded.FULL
        for index, (token, place, seq, wanted) in enumerate(batch):
            cell = self.add(seq, place, token)
            if outcome is Decoded.ABORTED:
                cell.value = _BROKEN
            elif wanted:
                self.logits[index] = cell.value % 11 % len(PIECES)
        return outcome

    def logprob(self, index: int, token: int, count: int) -> TokenLogprob:
        """Says as a logprob what the logits are, which depend on the whole prefix."""
        return TokenLogprob(token, PIECES[token], -float(self.logits.pop(index)))

    def sampler(self, params: SamplingParams, prompt: Sequence[int], guidance: Guidance) -> FakeSampler:
        fails, self.next_sampler_fails = self.next_sampler_fails, False
        if fails:
            raise InvalidInput("The grammar takes too long.")
        return FakeSampler(self)

    def piece(self, token: int, *, special: bool = False) -> bytes:
        return PIECES[token]

    def is_end(self, token: int) -> bool:
        return token == END

    def look(self, picture: Picture, start: int, count: int, seq: int) -> Decoded:
        assert 0 < count <= self.n_batch, f"{count} rows, of at most {self.n_batch}"
        assert not self.logits, "logits of the last batch were not sampled"
        outcome, self.next_outcome = self.next_outcome, Decoded.OK
        if isinstance(outcome, EngineError):
            raise outcome
        if outcome is Decoded.FULL or self._lacks_room([seq] * count):
            return Decoded.FULL
        for number in range(start, start + count):
            to_come = len(picture.rows) - 1 - number
            self.add(seq, picture.start + number, picture.rows[number], to_come)
        if outcome is Decoded.ABORTED:
            for cell in self.cells[seq][picture.start :]:
                cell.value = _BROKEN
        self.looks.append(count)
        return outcome
