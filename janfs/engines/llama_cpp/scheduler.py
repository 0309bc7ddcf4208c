"""Continuous batching: which tokens of which requests go into the next decode. Knows no ctypes.

Requests are admitted in the order they came. One whose prompt begins as an older one's does waits until that
has computed what they share. When the cells run out, finished prefixes are given up; when that is not enough,
the youngest request gives its cells back and is computed again later, so the oldest always goes on and every
request ends.
"""

import sys
import time
from collections import deque
from collections.abc import Callable, Sequence, Set
from itertools import islice
from typing import Literal, NamedTuple

from janfs.engines.llama_cpp.arranging import Arranging, Wants
from janfs.engines.llama_cpp.budget import APART_SECONDS, STEP_SECONDS, Pace, shares, shares_in_turn
from janfs.engines.llama_cpp.dialects.stream import PartStream
from janfs.engines.llama_cpp.echo import Echo
from janfs.engines.llama_cpp.guidance import UNGUIDED, Guidance
from janfs.engines.llama_cpp.kv_memory import MOST_SAVED, Saved
from janfs.engines.llama_cpp.kv_pool import KvPool
from janfs.engines.llama_cpp.model import Decoded, Entry, Model
from janfs.engines.llama_cpp.pictures import Picture, whole
from janfs.engines.llama_cpp.prefix_tree import common_length
from janfs.engines.llama_cpp.prompt import check_room
from janfs.engines.llama_cpp.run import Run
from janfs.engines.llama_cpp.shelf import Shelf
from janfs.engines.llama_cpp.sitting_out import SittingOut
from janfs.engines.llama_cpp.slot_pool import SlotPool
from janfs.engines.llama_cpp.text import TextStream
from janfs.engines.protocol import Finished, Reply, SamplingParams
from janfs.errors import EngineError, JanfsError


class Event(NamedTuple):
    """What a step has for a request: text, its end, or the error that ended it."""

    request_id: str
    reply: Reply | JanfsError


class Scheduler:
    """Runs many requests on one model. One thread calls it; each `step` is at most one decode.

    `cancelled` may be added to by another thread: requests that `cancel` will be called for in a moment.
    """

    def __init__(
        self,
        model: Model,
        *,
        n_parallel: int,
        continuous: bool = True,
        cancelled: Set[str] = frozenset(),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._model = model
        self._cancelled = cancelled
        self._continuous = continuous
        self._clock = clock
        self._n_parallel = n_parallel
        self._pace = Pace()
        self._begin(Shelf(MOST_SAVED))
        self._arranging = Arranging(model.part) if model.part is not None else None
        self._sitting_out = SittingOut()
        self._turn: Literal["oldest", "shortest"] = "shortest"  # whose prompt went first, if they take turns
        self._waiting: deque[Run] = deque()
        self._live: list[Run] = []  # oldest first
        self._looked = False  # whether the last decode was an image's turn
        self._overfull = False  # there was no place for all who ran: nobody joins them until one has ended

    def _begin(self, shelf: Shelf) -> None:
        """Take the model's cache as it is now, which is empty."""
        memory = self._model.memory
        self._unified = memory.unified
        self._pool = (KvPool if self._unified else SlotPool)(memory, self._n_parallel, shelf=shelf)
        self._pace.step_seconds = STEP_SECONDS if self._unified else APART_SECONDS

    @property
    def idle(self) -> bool:
        return not (self._waiting or self._live)

    @property
    def steady(self) -> bool:
        """Whether the next step takes a token of each request and nothing else, so that it is a short one."""
        return not self._waiting and all(self._missing(run) == 1 for run in self._live)

    @property
    def live(self) -> frozenset[str]:
        """The requests that hold a sequence."""
        return frozenset(run.request_id for run in self._live)

    @property
    def unwanted(self) -> bool:
        """Whether nobody waits any more for what a decode computes. May be asked from any thread."""
        live = self.live
        return bool(live) and live <= self._cancelled

    @property
    def free_cells(self) -> int:
        """Cells of the KV cache that hold nothing."""
        return self._pool.free

    def lacking(self, tokens: Sequence[int]) -> int:
        """How many of these a request would have to compute, as far as it is known now."""
        return len(tokens) - self._pool.known(tokens)

    def submit(
        self,
        request_id: str,
        tokens: Sequence[int],
        sampling: SamplingParams,
        stop: Sequence[str],
        *,
        caching: bool = True,
        parts: PartStream | None = None,
        shown: frozenset[int] = frozenset(),
        guidance: Guidance = UNGUIDED,
        echo: Echo | None = None,
        pictures: tuple[Picture, ...] = (),
        param: str = "prompt",
    ) -> None:
        """Queue a request; without `caching` it neither uses nor leaves what others could use.

        Its answer goes through `parts`, which has to see the special tokens `shown`. It begins with `echo`.
        In the places of `pictures` the tokens only stand for images.

        Raises `ContextExceeded`, naming `param`, if not even one token could follow the prompt.
        """
        check_room(len(tokens), self._model.n_ctx, param)
        caching = caching and self._model.memory.can_share
        run = Run(request_id, list(tokens), len(tokens), sampling, TextStream(stop), caching=caching)
        run.parts, run.shown, run.echo, run.pictures = parts, shown, echo, pictures
        run.guidance = guidance
        run.caching = run.caching and not run.scores  # what others computed has no logits any more
        self._waiting.append(run)

    def cancel(self, request_id: str) -> None:
        """Forget a request and free what it holds; nothing more is heard of it. Unknown ids have ended."""
        for run in [*self._live, *self._waiting]:
            if run.request_id == request_id:
                self._drop(run)

    def spare(self) -> int:
        """Give up what was copied out of the KV cache; how many bytes that had."""
        return self._pool.forget_copies()

    def tidy(self) -> bool:
        """While nobody waits: do a little of what those who come would wait for; whether there was any."""
        return self._pool.tidy()

    def step(self) -> list[Event]:
        """Admit, decode once, sample. Returns what there is to tell, in order."""
        refused = [*self._arrange(), *self._admit()]
        return refused if self.unwanted else [*refused, *self._compute()]

    def _compute(self) -> list[Event]:
        """Decode once for those who were admitted, and sample."""
        for run in self._live:
            self._follow(run)
        self._send_back_what_does_not_fit()
        looking = self._looking()
        if looking is not None:
            return self._look(looking)
        given = self._shares()
        if any(run.scores for run in self._live):
            given = self._within_outputs(given)
        batch: list[Entry] = []
        sampled: list[tuple[Run, int]] = []  # whose last token is in the batch, and where
        # With a part of the cache for each, llama.cpp takes only neighbours in this order together.
        for run, count in sorted(zip(self._live, given, strict=True), key=lambda each: each[0].seq):
            start = self._pool.computed(run.seq)
            last = len(run.tokens) - 1
            batch += [
                Entry(run.tokens[at], at, run.seq, run.needs_logits(at)) for at in range(start, start + count)
            ]
            if start + count > last:
                sampled.append((run, len(batch) - 1))
        if not batch:
            return []
        self._pool.prepare(len(batch))
        began = self._clock()
        try:
            outcome = self._model.decode(batch)
        except EngineError as error:
            return [self._fail(run, error) for run in self._live[:]]
        if outcome is Decoded.FULL:
            return self._too_full()
        if outcome is Decoded.ABORTED:
            for run in self._live:
                self._pool.rewind(run.seq, run.tokens)
            return []
        now = self._clock()
        self._pace.saw(len(batch) - len(sampled), now - began)
        self._sitting_out.computed(now - began)
        if self._arranging is not None:
            self._arranging.computed(now - began)
        self._score(batch)
        for run, count in zip(self._live, given, strict=True):
            self._computed(run, count)
        return [event for run, index in sampled for event in self._sample(run, index, now)]

    def _shares(self) -> list[int]:
        """How many tokens of each live request are computed now."""
        wanted = list(map(self._missing, self._live))
        missing = self._sitting_out.share(wanted, [run.slow for run in self._live])
        room, chunk = self._model.n_batch, self._pace.chunk
        if max(missing, default=0) <= 1:
            return missing
        if self._unified:
            return shares(missing, room, chunk)
        self._turn = "oldest" if self._turn == "shortest" else "shortest"
        return shares_in_turn(missing, room, chunk, self._turn)

    def _looking(self) -> Run | None:
        """The request whose image is computed now. Images take turns with words where both wait."""
        if not any(run.pictures for run in self._live):
            return None
        self._looked = not self._looked
        if not self._looked and any(map(self._missing, self._live)):
            return None
        waiting = (run for run in self._live if run.leader is None)
        return next((run for run in waiting if run.picture_at(self._pool.computed(run.seq))), None)

    def _look(self, run: Run) -> list[Event]:
        """Compute what is left of an image, or as much as one decode can take."""
        place = self._pool.computed(run.seq)
        picture = run.picture_at(place)
        assert picture is not None
        count = min(picture.end - place, self._model.n_batch)
        self._pool.prepare(count)
        try:
            outcome = self._model.look(picture, place - picture.start, count, run.seq)
        except EngineError as error:
            return [self._fail(run, error)]
        if outcome is Decoded.FULL:
            return self._too_full()
        if outcome is Decoded.ABORTED:
            self._pool.rewind(run.seq, run.tokens)
        else:
            self._computed(run, count)
        return []

    def _arrange(self) -> list[Event]:
        """Have one cache for all, or a part of it for each, as suits those who run and who come next.

        Tells of those for whom there is no room in the one that there is.
        """
        if self._arranging is None:
            return []
        wants = []
        runs = [*self._live, *islice(self._waiting, self._n_parallel - len(self._live))]
        for place, run in enumerate(runs):
            if run.common is None:
                older = (common_length(other.tokens, run.tokens) for other in runs[:place] if other.caching)
                run.common = max(older, default=0) if run.caching else 0
            limit = run.sampling.max_tokens
            most = self._model.n_ctx if limit is None else run.n_prompt + limit
            wants.append(Wants(len(run.tokens), most, run.common))
        unified = self._arranging.wanted(self._unified, wants)
        if unified == self._unified:
            return []
        self._rearrange(self._arranging, unified=unified)
        return self._without_room(self._outgrown(runs))

    def _rearrange(self, arranging: Arranging, *, unified: bool) -> None:
        """Change the kind of the cache. Who runs goes on where it was, by a copy of what was computed."""
        began, memory = self._clock(), self._model.memory
        copies: list[tuple[list[int], Saved | None]] = []
        for run in self._live:
            known = run.tokens[: whole(run.tokens, self._pool.computed(run.seq))]
            most = sys.maxsize if unified else MOST_SAVED * len(known) // memory.n_cells
            saved = memory.save(run.seq, 0, most) if known else None
            if known and saved is None and not unified:
                arranging.put_off()  # the cache is too large for this, or memory is short
                return
            copies.append((known, saved))
        if not unified and not any(saved for _, saved in copies):
            return  # how large it is shows when somebody has computed something
        self._pool.put_away(sys.maxsize if unified else arranging.part)
        self._model.rearrange(unified)
        self._begin(self._pool.shelf)
        for place, (run, (known, saved)) in enumerate(zip(self._live, copies, strict=True)):
            run.seq = self._pool.bring(known, saved, shared=run.caching)
            run.n_base = len(run.tokens) - 1
            self._choose_leader(run, self._live[:place])
        if self._unified is unified:
            arranging.changed(unified, self._clock() - began)
        elif unified:
            arranging.refused(self._clock() - began)
        else:
            arranging.put_off()

    def _admit(self) -> list[Event]:
        """Take in who waits, in order. Tells of those whose sampler cannot be made."""
        refused: list[Event] = []
        if self._live and (self._overfull or not self._continuous):
            return refused
        # Room to grow in, so that an admitted request is not sent back within a few steps.
        headroom = self._model.n_ctx // 16
        while self._waiting and self._pool.has_seat:
            run = self._waiting[0]
            self._choose_leader(run, self._live)
            needed = len(run.tokens) - run.shared + headroom
            if self._live and self._pool.crowded(self._lacking() + needed):
                break  # in order: a small request never overtakes a big one for good
            try:
                run.sampler = run.sampler or self._model.sampler(run.sampling, run.tokens, run.guidance)
            except JanfsError as error:
                refused.append(self._fail(run, error))
                break  # behind it may be somebody for whom the cache was not arranged
            self._waiting.popleft()
            run.n_base = len(run.tokens) - 1
            run.seq = self._pool.open(run.base if run.caching else (), run.shared)
            run.began = self._clock() if run.began is None else run.began
            self._live.append(run)
        return refused

    def _choose_leader(self, run: Run, older: Sequence[Run]) -> None:
        """Let a request follow the one among `older` that has most in common with it."""
        run.leader, run.shared = None, 0
        if not run.caching:
            return
        for other in older:
            common = common_length(other.base, run.tokens[:-1]) if other.caching else 0
            if common >= max(run.shared + 1, self._pool.least_shared):
                run.leader, run.shared = other, common

    def _follow(self, run: Run) -> None:
        """Take what the leader has computed, and part from it when that is all that they share."""
        if run.leader is None:
            return
        if max(map(self._pool.computed, (run.leader.seq, run.seq))) >= run.shared:
            self._pool.adopt(run.seq, run.base)
            run.leader = None

    def _missing(self, run: Run) -> int:
        """Tokens that a live request is to compute now: one while it writes, none while it follows."""
        return 0 if run.leader else run.words_from(self._pool.computed(run.seq))

    def _lacking(self) -> int:
        """Cells that live requests need beside those they have, for the tokens they know of."""
        lacking = 0
        for run in self._live:
            known = max(self._pool.computed(run.seq), run.shared if run.leader else 0)
            lacking += len(run.tokens) - known
        return lacking

    def _send_back_what_does_not_fit(self) -> None:
        while len(self._live) > 1 and self._pool.crowded(self._lacking()):
            self._send_back(self._live[-1])

    def _send_back(self, run: Run) -> None:
        """Take the cells of a running request. It keeps its text and sampler and is computed again later."""
        self._leave(run)
        self._waiting.appendleft(run)

    def _within_outputs(self, given: Sequence[int]) -> list[int]:
        """Fewer tokens of prompts whose logprobs are asked for: the logits of each take much memory."""
        spare, found = self._model.n_outputs - len(self._live), []
        for run, count in zip(self._live, given, strict=True):
            start = self._pool.computed(run.seq)
            outputs = [at for at in range(start, start + count) if run.needs_logits(at)]
            beyond = outputs[1 + spare :]
            spare -= max(0, len(outputs) - len(beyond) - 1)
            found.append(beyond[0] - start if beyond else count)
        return found

    def _score(self, batch: Sequence[Entry]) -> None:
        """Take the logprobs of prompts' tokens out of a batch that was computed."""
        runs = {run.seq: run for run in self._live if run.scores}
        if not runs:
            return
        for index, (_, place, seq, _) in enumerate(batch):
            run = runs.get(seq)
            if run is not None and run.is_scored(place):
                following = run.tokens[place + 1]
                logprob = self._model.logprob(index, following, run.sampling.logprobs or 0)
                run.prompt_logprobs.append(logprob)

    def _computed(self, run: Run, count: int) -> None:
        start = self._pool.computed(run.seq)
        if count and run.n_cached is None:
            run.n_cached = start
        self._pool.advance(run.seq, count)
        if run.caching and start < run.n_base:  # what follows is nobody else's yet
            self._pool.publish(run.seq, run.base)

    def _sample(self, run: Run, index: int, now: float) -> list[Event]:
        assert run.sampler is not None
        model = self._model
        replies: list[Reply] = []
        if run.echo is not None:
            replies += run.tell_prompt(run.echo, model.piece(run.tokens[0], special=True))
        if run.sampling.max_tokens == 0:
            replies += run.end_unsampled(now)
        else:
            began = self._clock()
            try:
                token, logprob = run.sampler.sample(index)
            except JanfsError as error:
                return [self._fail(run, error)]
            run.slow = self._sitting_out.chose(self._clock() - began)
            piece = model.piece(token, special=token in run.shown)
            ends, n_ctx = model.is_end(token), model.n_ctx
            replies += run.take(token, piece, logprob, ends=ends, n_ctx=n_ctx, now=now)
        if replies and isinstance(replies[-1], Finished):
            self._drop(run)
        return [Event(run.request_id, reply) for reply in run.counted(replies)]

    def _too_full(self) -> list[Event]:
        """llama.cpp found no place although our count says there is one: make do with less."""
        outgrown = self._outgrown(self._live)  # nor is there memory for one cache, whoever goes
        if outgrown:
            return self._without_room(outgrown)
        if self._pool.forget_kept():
            return []
        if len(self._live) > 1:
            self._overfull = True
            self._send_back(self._live[-1])
            return []
        return self._without_room(self._live[:])

    def _outgrown(self, runs: Sequence[Run]) -> list[Run]:
        """Who of these is longer than a part of the cache, where all have such."""
        part = None if self._unified else self._model.part
        return [] if part is None else [run for run in runs if len(run.tokens) > part]

    def _without_room(self, runs: Sequence[Run]) -> list[Event]:
        return [self._fail(run, EngineError("llama.cpp found no room for the next tokens.")) for run in runs]

    def _fail(self, run: Run, error: JanfsError) -> Event:
        run.caching = False  # who knows what is in its cells
        self._drop(run)
        return Event(run.request_id, error)

    def _drop(self, run: Run) -> None:
        if run.live:
            self._overfull = False
            self._leave(run)
        else:
            self._waiting.remove(run)
        if run.sampler is not None:
            run.sampler.close()
            run.sampler = None

    def _leave(self, run: Run) -> None:
        """Take the sequence of a live request; those that followed it look for somebody else."""
        self._live.remove(run)
        followers = [place for place, other in enumerate(self._live) if other.leader is run]
        for place in followers:
            self._pool.adopt(self._live[place].seq, self._live[place].base)
        self._pool.close(run.seq, run.tokens if run.caching else ())
        run.seq, run.leader = -1, None
        for place in followers:
            self._choose_leader(self._live[place], self._live[:place])
