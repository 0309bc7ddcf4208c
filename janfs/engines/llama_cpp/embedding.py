"""Which texts become vectors next: those of all requests in turn, as many at once as are worth it. Pure."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from janfs.engines.llama_cpp.budget import Pace
from janfs.engines.protocol import Embedding
from janfs.errors import ContextExceeded, EngineError


class VectorModel(Protocol):
    """What makes vectors of texts."""

    @property
    def n_ctx(self) -> int:
        """The most tokens of a text."""
        ...

    @property
    def n_batch(self) -> int:
        """How many tokens are worth computing at once."""
        ...

    @property
    def most_texts(self) -> int:
        """How many texts can be computed at once."""
        ...

    def compute(self, texts: Sequence[Sequence[int]]) -> list[bytes]:
        """A vector of each text. Only a single text may be longer than `n_batch`. Raises `EngineError`."""
        ...


class Embedded(NamedTuple):
    """The next vectors of a request, in the order of its texts, or the error that ended it."""

    request_id: str
    outcome: tuple[Embedding, ...] | EngineError


class _Job(NamedTuple):
    request_id: str
    texts: deque[Sequence[int]]  # still to be computed, at least one


class EmbeddingQueue:
    """Requests for vectors. One thread calls it; each `step` computes one batch.

    A request of many texts does not hold up one of a few, since they take turns text by text. Beside
    answers that are being written a step is so small that those do not wait long; a text that takes longer
    is computed at once all the same, and then the time that it took too long is theirs.
    """

    def __init__(self, model: VectorModel, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._model = model
        self._clock = clock
        self._pace = Pace()
        self._others_until = 0.0  # by the clock: nothing is computed beside others before
        self._jobs: deque[_Job] = deque()

    @property
    def idle(self) -> bool:
        return not self._jobs

    def submit(self, request_id: str, texts: Sequence[Sequence[int]], *, param: str = "input") -> None:
        """Queue a request of at least one text, which are its `param`. Raises `ContextExceeded` if one is too
        long.
        """
        for number, text in enumerate(texts):
            if len(text) > self._model.n_ctx:
                raise ContextExceeded(len(text), self._model.n_ctx, param=f"{param}[{number}]")
        self._jobs.append(_Job(request_id, deque(texts)))

    def cancel(self, request_id: str) -> None:
        """Forget a request; nothing more is heard of it. Unknown ids have ended."""
        self._jobs = deque(job for job in self._jobs if job.request_id != request_id)

    def step(self, *, beside: bool = False) -> list[Embedded]:
        """Compute the next texts; few of them `beside` others who wait for the processor."""
        if beside and self._clock() < self._others_until:
            return []
        batch = self._next(min(self._pace.chunk, self._model.n_batch) if beside else self._model.n_batch)
        if not batch:
            return []
        began = self._clock()
        try:
            vectors = self._model.compute([text for _, text in batch])
        except EngineError as error:
            failed = dict.fromkeys(request_id for request_id, _ in batch)
            for request_id in failed:
                self.cancel(request_id)
            return [Embedded(request_id, error) for request_id in failed]
        took = self._clock() - began
        self._pace.saw(sum(len(text) for _, text in batch), took)
        if beside:
            self._others_until = began + 2 * took - self._pace.step_seconds
        found: dict[str, list[Embedding]] = {}
        for (request_id, text), vector in zip(batch, vectors, strict=True):
            found.setdefault(request_id, []).append(Embedding(vector, len(text)))
        return [Embedded(request_id, tuple(own)) for request_id, own in found.items()]

    def _next(self, most: int) -> list[tuple[str, Sequence[int]]]:
        """Take texts from the requests in turn, of `most` tokens together, or a single longer one."""
        batch: list[tuple[str, Sequence[int]]] = []
        left = most
        while self._jobs and len(batch) < self._model.most_texts:
            job = self._jobs[0]
            left -= len(job.texts[0])
            if batch and left < 0:
                break
            batch.append((job.request_id, job.texts.popleft()))
            self._jobs.rotate(-1)
            if not job.texts:
                self._jobs.pop()
        return batch
