"""Continuous batching: which tokens of which requests go into the next decode. Knows no ctypes.

All sequences share one pool of `n_ctx` cells (llama.cpp's unified KV cache); a token that was computed
takes one. Requests are admitted in the order they came. When the pool runs full the youngest request
gives its cells back and is computed again later, so the oldest always goes on and every request ends.
"""

from collections import deque
from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple, Protocol

import msgspec

from janfs.engines.llama_cpp.choice import Chosen
from janfs.engines.llama_cpp.text import TextStream
from janfs.engines.protocol import (
    Finished,
    FinishReason,
    Reply,
    SamplingParams,
    TextDelta,
    TokenLogprob,
    Usage,
)
from janfs.errors import ContextExceeded, EngineError, JanfsError

PREFILL_CHUNK = 128  # prompt tokens in a step that others decode in: what a prompt may cost them


class Entry(NamedTuple):
    """One token of a batch: its position in sequence `seq`, and whether its logits are needed."""

    token: int
    position: int
    seq: int
    logits: bool


class Decoded(Enum):
    """How a decode went. After FULL the memory is as before; after ABORTED it is undefined for the batch."""

    OK = "ok"
    FULL = "full"
    ABORTED = "aborted"


class Sampler(Protocol):
    """Chooses tokens for one request and remembers those it chose."""

    def sample(self, index: int) -> Chosen:
        """The next token, from the logits of the last decode's entry `index`. Raises `EngineError`."""
        ...

    def close(self) -> None: ...


class Model(Protocol):
    """What the scheduler needs of a loaded model."""

    @property
    def n_ctx(self) -> int: ...

    @property
    def n_batch(self) -> int:
        """The most entries of one decode; never below the number of sequences."""
        ...

    def decode(self, batch: Sequence[Entry]) -> Decoded:
        """Compute a batch. Raises `EngineError` when llama.cpp fails."""
        ...

    def release(self, seq: int) -> None:
        """Free all cells of a sequence."""
        ...

    def sampler(self, params: SamplingParams, prompt: Sequence[int]) -> Sampler: ...

    def piece(self, token: int) -> bytes: ...

    def is_end(self, token: int) -> bool:
        """Whether the model ends its answer with this token."""
        ...


class Event(NamedTuple):
    """What a step has for a request: text, its end, or the error that ended it."""

    request_id: str
    reply: Reply | JanfsError


class _Run(msgspec.Struct, eq=False):
    request_id: str
    tokens: list[int]  # the prompt, then what was generated
    n_prompt: int
    sampling: SamplingParams
    text: TextStream
    sampler: Sampler | None = None
    seq: int = -1
    n_computed: int = 0
    logprobs: tuple[TokenLogprob, ...] = ()  # of tokens whose text is held back

    @property
    def missing(self) -> int:
        """Tokens not computed yet. One, while decoding."""
        return len(self.tokens) - self.n_computed

    @property
    def n_generated(self) -> int:
        return len(self.tokens) - self.n_prompt

    def delta(self, text: str) -> TextDelta:
        delta, self.logprobs = TextDelta(text, self.logprobs), ()
        return delta


class Scheduler:
    """Runs many requests on one model. One thread calls it; each `step` is at most one decode."""

    def __init__(self, model: Model, *, n_parallel: int, continuous: bool = True) -> None:
        self._model = model
        self._continuous = continuous
        self._free = list(range(n_parallel - 1, -1, -1))
        self._waiting: deque[_Run] = deque()
        self._live: list[_Run] = []  # oldest first

    @property
    def idle(self) -> bool:
        return not (self._waiting or self._live)

    @property
    def live(self) -> frozenset[str]:
        """The requests that hold a sequence."""
        return frozenset(run.request_id for run in self._live)

    def submit(
        self, request_id: str, tokens: Sequence[int], sampling: SamplingParams, stop: Sequence[str]
    ) -> None:
        """Queue a request. Raises `ContextExceeded` if not even one token could follow the prompt."""
        if len(tokens) >= self._model.n_ctx:
            raise ContextExceeded(len(tokens), self._model.n_ctx)
        self._waiting.append(_Run(request_id, list(tokens), len(tokens), sampling, TextStream(stop)))

    def cancel(self, request_id: str) -> None:
        """Forget a request and free what it holds; nothing more is heard of it. Unknown ids have ended."""
        for run in [*self._live, *self._waiting]:
            if run.request_id == request_id:
                self._drop(run)

    def step(self) -> list[Event]:
        """Admit, decode once, sample. Returns what there is to tell, in order."""
        self._admit()
        self._make_room()
        batch: list[Entry] = []
        sampled: list[tuple[_Run, int]] = []  # whose last token is in the batch, and where
        shares = list(zip(self._live, self._shares(), strict=True))
        for run, share in shares:
            end = run.n_computed + share
            batch += [
                Entry(run.tokens[at], at, run.seq, at == len(run.tokens) - 1)
                for at in range(run.n_computed, end)
            ]
            if end == len(run.tokens):
                sampled.append((run, len(batch) - 1))
        if not batch:
            return []
        try:
            outcome = self._model.decode(batch)
        except EngineError as error:
            return [self._fail(run, error) for run in self._live[:]]
        if outcome is Decoded.FULL:
            return self._too_full()
        if outcome is Decoded.ABORTED:
            for run in self._live:
                self._model.release(run.seq)
                run.n_computed = 0
            return []
        for run, share in shares:
            run.n_computed += share
        return [event for run, index in sampled for event in self._sample(run, index)]

    def _admit(self) -> None:
        if not self._continuous and self._live:
            return
        # Room to grow in, so that an admitted request is not sent back within a few steps.
        headroom = self._model.n_ctx // 16
        used = sum(len(run.tokens) for run in self._live)
        while self._waiting and self._free:
            run = self._waiting[0]
            if self._live and used + len(run.tokens) + headroom > self._model.n_ctx:
                return  # in order: a small request never overtakes a big one for good
            self._waiting.popleft()
            run.seq = self._free.pop()
            run.sampler = run.sampler or self._model.sampler(run.sampling, run.tokens)
            self._live.append(run)
            used += len(run.tokens)

    def _make_room(self) -> None:
        while len(self._live) > 1 and sum(len(run.tokens) for run in self._live) > self._model.n_ctx:
            self._send_back(self._live[-1])

    def _send_back(self, run: _Run) -> None:
        """Take the cells of a running request. It keeps its text and sampler and is computed again later."""
        self._live.remove(run)
        self._release(run)
        self._waiting.appendleft(run)

    def _shares(self) -> list[int]:
        """How many tokens of each live run to compute now.

        One for everybody. What is left goes to prompts: half of it to the oldest, so that it is not put off
        by shorter ones for good, the rest to the shortest first, which gives the earliest first tokens.
        """
        shares = [1] * len(self._live)
        prompts = sorted((run.missing, place) for place, run in enumerate(self._live) if run.missing > 1)
        left = self._model.n_batch - len(shares)
        if len(prompts) < len(shares):
            left = min(left, max(0, PREFILL_CHUNK - len(prompts)))
        oldest = sorted(prompts, key=lambda prompt: prompt[1])[:1]
        for (missing, place), most in [
            *((prompt, left // 2) for prompt in oldest),
            *((p, left) for p in prompts),
        ]:
            more = min(missing - shares[place], most, left)
            shares[place] += more
            left -= more
        return shares

    def _sample(self, run: _Run, index: int) -> list[Event]:
        assert run.sampler is not None
        try:
            token, logprob = run.sampler.sample(index)
        except EngineError as error:
            return [self._fail(run, error)]
        if self._model.is_end(token) and not run.sampling.ignore_eos:
            return self._end(run, "stop")
        run.tokens.append(token)
        run.logprobs += (logprob,) if logprob is not None else ()
        delta = run.text.feed(self._model.piece(token))
        events = [Event(run.request_id, run.delta(delta))] if delta else []
        if run.text.stopped:
            return events + self._end(run, "stop")
        if run.n_generated == run.sampling.max_tokens or len(run.tokens) >= self._model.n_ctx:
            return events + self._end(run, "length")
        return events

    def _end(self, run: _Run, reason: FinishReason) -> list[Event]:
        rest = run.text.finish()
        self._drop(run)
        texts = [Event(run.request_id, run.delta(rest))] if rest else []
        usage = Usage(run.n_prompt, run.n_generated)
        # Of a stop string nothing is shown, and neither are its tokens.
        left = () if run.text.stopped else run.logprobs
        finished = Finished("stop" if run.text.stopped else reason, usage, left)
        return [*texts, Event(run.request_id, finished)]

    def _too_full(self) -> list[Event]:
        """llama.cpp found no place although our count says there is one: make do with fewer sequences."""
        if len(self._live) > 1:
            self._send_back(self._live[-1])
            return []
        return [
            self._fail(run, EngineError("llama.cpp found no room for the next tokens."))
            for run in self._live[:]
        ]

    def _fail(self, run: _Run, error: JanfsError) -> Event:
        self._drop(run)
        return Event(run.request_id, error)

    def _drop(self, run: _Run) -> None:
        if run.seq >= 0:
            self._live.remove(run)
            self._release(run)
        else:
            self._waiting.remove(run)
        if run.sampler is not None:
            run.sampler.close()
            run.sampler = None

    def _release(self, run: _Run) -> None:
        self._model.release(run.seq)
        self._free.append(run.seq)
        run.seq, run.n_computed = -1, 0
