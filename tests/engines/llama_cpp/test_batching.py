"""Whatever comes, goes and fails, each request gets what it would get alone, and nothing leaks."""

from itertools import count, pairwise

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from janfs.engines.llama_cpp.echo import Echo
from janfs.engines.llama_cpp.model import Decoded
from janfs.engines.llama_cpp.pictures import Picture, placeholders, whole
from janfs.engines.llama_cpp.scheduler import Scheduler
from janfs.engines.protocol import Finished, SamplingParams, TextDelta, TokenLogprob
from janfs.errors import EngineError
from tests.engines.llama_cpp.expected import alone, picture, scores, timeless
from tests.engines.llama_cpp.fake_model import FakeModel

N_CTX, N_PARALLEL = 64, 3

# Of few different tokens, so that prompts begin alike.
prompts = st.lists(st.integers(1, 2), min_size=1, max_size=N_CTX - 1)
short_prompts = st.lists(st.integers(1, 2), min_size=4, max_size=12)
images = st.sampled_from([1, 3, 8, 20]).map(lambda size: placeholders(bytes([size]), size))
prompts_with_images = st.lists(prompts | images, min_size=1, max_size=4).map(
    lambda pieces: that_fits([token for piece in pieces for token in piece])
)
samplings = st.builds(
    SamplingParams,
    max_tokens=st.one_of(st.none(), st.integers(0, 40)),
    ignore_eos=st.booleans(),
    logprobs=st.sampled_from([None, 2]),
)
stops = st.lists(st.text(alphabet="ab ", min_size=1, max_size=4), max_size=2).map(tuple)


def that_fits(tokens: list[int]) -> list[int]:
    """A prompt for the context, with its images whole."""
    return [*tokens[: whole(tokens, N_CTX - 2)], 1]


def pictures_of(prompt: list[int]) -> tuple[Picture, ...]:
    """The images of a prompt: its runs of placeholders."""
    bounds = [at for at in range(len(prompt)) if whole(prompt, at) == at] + [len(prompt)]
    return tuple(picture(at, prompt[at:end]) for at, end in pairwise(bounds) if prompt[at] < 0)


def without_cached(finished: Finished) -> Finished:
    return timeless(finished, usage=msgspec.structs.replace(finished.usage, cached_tokens=0))


class Batching(RuleBasedStateMachine):
    """Requests come, go and are cancelled; decodes fail; and each request gets what it would get alone."""

    can_share = True
    n_slots = 1
    n_parallel = N_PARALLEL
    part: int | None = None

    def __init__(self) -> None:
        super().__init__()
        self.model = FakeModel(
            N_CTX, n_batch=8, can_share=self.can_share, n_slots=self.n_slots, part=self.part
        )
        self.model.n_outputs = self.n_parallel + 2
        ticks = count(step=0.3)
        self.scheduler = Scheduler(self.model, n_parallel=self.n_parallel, clock=lambda: next(ticks))
        self.expected: dict[str, tuple[str, Finished, list[TokenLogprob]]] = {}
        self.text: dict[str, str] = {}
        self.scores: dict[str, list[TokenLogprob]] = {}
        self.asked: list[list[int]] = []
        self.count = 0

    @rule(
        prompt=prompts,
        sampling=samplings,
        stop=stops,
        caching=st.integers(0, 3).map(bool),
        echo=st.sampled_from([None, None, Echo("ab:")]),
    )
    def submit(
        self,
        prompt: list[int],
        sampling: SamplingParams,
        stop: tuple[str, ...],
        caching: bool,
        echo: Echo | None = None,
    ) -> None:
        self.count += 1
        request_id = f"r{self.count}"
        pictures = pictures_of(prompt)
        self.scheduler.submit(
            request_id, prompt, sampling, stop, caching=caching, echo=echo, pictures=pictures
        )
        text, end = alone(prompt, sampling, stop, N_CTX)
        told = scores(prompt) if echo is not None and sampling.logprobs is not None else []
        self.expected[request_id] = ((echo.text if echo else "") + text, end, told)
        self.text[request_id], self.scores[request_id] = "", []
        self.asked.append(prompt)

    @rule(prompt=prompts_with_images, sampling=samplings, caching=st.integers(0, 3).map(bool))
    def submit_one_with_images(self, prompt: list[int], sampling: SamplingParams, caching: bool) -> None:
        self.submit(prompt, sampling, (), caching)

    @precondition(lambda self: self.asked)
    @rule(data=st.data(), sampling=samplings, more=prompts | prompts_with_images)
    def submit_one_that_begins_like_another(
        self, data: st.DataObject, sampling: SamplingParams, more: list[int]
    ) -> None:
        before = data.draw(st.sampled_from(self.asked))
        self.submit(that_fits(before + more), sampling, (), caching=True)

    @precondition(lambda self: self.expected)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        request_id = data.draw(st.sampled_from(sorted(self.expected)))
        self.scheduler.cancel(request_id)
        self.forget(request_id)

    @rule(outcome=st.sampled_from([Decoded.FULL, Decoded.ABORTED, EngineError("broken")]))
    def next_decode_goes_wrong(self, outcome: Decoded | EngineError) -> None:
        self.model.next_outcome = outcome

    @rule()
    def next_sampler_fails(self) -> None:
        self.model.next_sampler_fails = True

    @rule(refused=st.booleans())
    def the_window_moves_on(self, refused: bool) -> None:
        self.model.sharing_refused = refused

    @rule(times=st.integers(1, 20))
    def step(self, times: int) -> None:
        for _ in range(times):
            for request_id, reply in self.scheduler.step():
                assert request_id in self.expected, f"{request_id} had ended, and got {reply}"
                if isinstance(reply, TextDelta):
                    assert reply.text, "an empty delta"
                    self.text[request_id] += reply.text
                    self.scores[request_id] += reply.logprobs
                elif isinstance(reply, Finished):
                    usage = reply.usage
                    assert 0 <= usage.cached_tokens < usage.prompt_tokens
                    heard = self.text[request_id], without_cached(reply), self.scores[request_id]
                    assert heard == self.expected[request_id]
                    self.forget(request_id)
                else:
                    self.forget(request_id)

    def forget(self, request_id: str) -> None:
        del self.expected[request_id], self.text[request_id], self.scores[request_id]

    @invariant()
    def nothing_is_held_for_who_has_ended(self) -> None:
        assert self.scheduler.live <= set(self.expected)
        if self.model.unified:
            live = [seq for seq in self.model.cells if seq < self.n_parallel]
            assert len(live) <= len(self.scheduler.live), "cells of a sequence that nobody has"
        open_samplers = sum(not sampler.closed for sampler in self.model.samplers)
        assert open_samplers <= len(self.expected), "a sampler was leaked"

    @invariant()
    def every_cell_is_accounted_for(self) -> None:
        assert self.scheduler.free_cells == self.model.n_cells - self.model.used

    def teardown(self) -> None:
        self.model.next_outcome = Decoded.OK
        self.model.next_sampler_fails = False
        bound = 2 + len(self.expected) * N_CTX * 4
        for _ in range(bound):
            if self.scheduler.idle:
                break
            self.step(1)
        assert self.scheduler.idle, f"not all requests ended within {bound} steps: {sorted(self.expected)}"
        assert not self.expected, f"no end was heard of {sorted(self.expected)}"
        assert all(sampler.closed for sampler in self.model.samplers)
        assert self.scheduler.free_cells == self.model.n_cells - self.model.used
        if self.model.unified:
            assert not [seq for seq in self.model.cells if seq < self.n_parallel], (
                "a live sequence was leaked"
            )


class BatchingInSlots(Batching):
    """The same where each sequence has a part of the cells for itself."""

    n_slots = N_PARALLEL


class BatchingAsSuits(Batching):
    """And where the cache is changed from one kind to the other as suits those who run."""

    n_parallel = 2
    part = N_CTX // n_parallel

    @rule(prompts=st.lists(short_prompts, min_size=2, max_size=3), sampling=samplings)
    def submit_short_ones(self, prompts: list[list[int]], sampling: SamplingParams) -> None:
        for prompt in prompts:
            self.submit(prompt, sampling, (), caching=True)

    @rule(saving=st.booleans(), restoring=st.booleans(), rearranging=st.booleans())
    def memory_runs_short(self, saving: bool, restoring: bool, rearranging: bool) -> None:
        self.model.saving_refused, self.model.restoring_refused = saving, restoring
        self.model.rearranging_refused = rearranging


TestBatchingAsSuits = BatchingAsSuits.TestCase
TestBatchingAsSuits.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


class BatchingWithoutSharing(Batching):
    """The same with a recurrent model, whose state can be neither shared nor cut."""

    can_share = False

    def teardown(self) -> None:
        super().teardown()
        assert not self.model.cells


TestBatchingWithoutSharing = BatchingWithoutSharing.TestCase
TestBatchingWithoutSharing.settings = settings(max_examples=30, stateful_step_count=25, deadline=None)


class BatchingInSlotsWithoutSharing(BatchingWithoutSharing):
    """And both."""

    n_slots = N_PARALLEL


TestBatchingInSlotsWithoutSharing = BatchingInSlotsWithoutSharing.TestCase
TestBatchingInSlotsWithoutSharing.settings = settings(max_examples=30, stateful_step_count=25, deadline=None)
TestBatchingInSlots = BatchingInSlots.TestCase
TestBatchingInSlots.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestBatching = Batching.TestCase
TestBatching.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
