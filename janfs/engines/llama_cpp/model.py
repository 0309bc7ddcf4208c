"""What a batch is made of, and what the scheduler needs of a loaded model."""

from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple, Protocol

from janfs.engines.llama_cpp.guidance import Guidance
from janfs.engines.llama_cpp.kv_memory import Memory
from janfs.engines.llama_cpp.pictures import Picture
from janfs.engines.llama_cpp.run import Sampler
from janfs.engines.protocol import SamplingParams, TokenLogprob


class Entry(NamedTuple):
    """One token of a batch: its place in sequence `seq`, from 0, and whether its logits are needed."""

    token: int
    place: int
    seq: int
    logits: bool


class Decoded(Enum):
    """How a decode went. After FULL the memory is as before.

    After ABORTED it is undefined for the batch, and for all of an image that the batch has a piece of.
    """

    OK = "ok"
    FULL = "full"
    ABORTED = "aborted"


class Model(Protocol):
    """What the scheduler needs of a loaded model."""

    @property
    def memory(self) -> Memory: ...

    @property
    def n_ctx(self) -> int:
        """The most tokens of one sequence."""
        ...

    @property
    def part(self) -> int | None:
        """The most tokens of one sequence where each has a part of the cache; None: it stays as it is."""
        ...

    def rearrange(self, unified: bool) -> None:
        """Begin with an empty cache, of this kind if there is memory for it. `memory` is another one then."""
        ...

    @property
    def n_batch(self) -> int:
        """The most entries of one decode; never below the number of sequences."""
        ...

    @property
    def n_outputs(self) -> int:
        """The most entries of one decode whose logits are needed; never below the number of sequences."""
        ...

    def decode(self, batch: Sequence[Entry]) -> Decoded:
        """Compute a batch. Raises `EngineError` when llama.cpp fails."""
        ...

    def look(self, picture: Picture, start: int, count: int, seq: int) -> Decoded:
        """Compute `count` rows of a sequence's image from row `start` on. Raises as `decode` does."""
        ...

    def sampler(self, params: SamplingParams, prompt: Sequence[int], guidance: Guidance) -> Sampler:
        """What chooses the tokens of an answer. Raises `InvalidInput` when its grammar takes too long."""
        ...

    def logprob(self, index: int, token: int, count: int) -> TokenLogprob:
        """How likely a token was by the logits of the last decode's entry `index`; the `count` likeliest."""
        ...

    def piece(self, token: int, *, special: bool = False) -> bytes:
        """The text of a token, which may be a part of a character; of special ones only if asked for."""
        ...

    def is_end(self, token: int) -> bool:
        """Whether the model ends its answer with this token."""
        ...
