import codecs

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from janfs.engines.llama_cpp.scheduler import PREFILL_CHUNK, Decoded, Scheduler
from janfs.engines.protocol import Finished, SamplingParams, TextDelta, Usage
from janfs.errors import ContextExceeded, EngineError, JanfsError
from tests.engines.llama_cpp.fake_model import END, PIECES, FakeModel, next_token

N_CTX, N_PARALLEL = 64, 3


def alone(
    prompt: list[int], sampling: SamplingParams, stop: tuple[str, ...], n_ctx: int
) -> tuple[str, Finished]:
    """What a request must give, whoever runs beside it: the plain loop, one token after the other."""
    tokens, data = list(prompt), b""
    reason = "length"
    while len(tokens) < n_ctx and len(tokens) - len(prompt) != sampling.max_tokens:
        token = next_token(tokens)
        if token == END and not sampling.ignore_eos:
            reason = "stop"
            break
        tokens.append(token)
        data += PIECES[token]
        whole_characters, _ = codecs.utf_8_decode(data, "replace", False)
        if any(each in whole_characters for each in stop):
            break
    text = data.decode("utf-8", "replace")
    ends = [(at + len(each), at) for each in stop if (at := text.find(each)) >= 0]
    if ends:
        text, reason = text[: min(ends)[1]], "stop"
    return text, Finished(reason, Usage(len(prompt), len(tokens) - len(prompt)))


prompts = st.lists(st.integers(1, len(PIECES) - 1), min_size=1, max_size=N_CTX - 1)
samplings = st.builds(
    SamplingParams, max_tokens=st.one_of(st.none(), st.integers(1, 40)), ignore_eos=st.booleans()
)
stops = st.lists(st.text(alphabet="ab ", min_size=1, max_size=4), max_size=2).map(tuple)


class Batching(RuleBasedStateMachine):
    """Requests come, go and are cancelled; decodes fail; and each request gets what it would get alone."""

    def __init__(self) -> None:
        super().__init__()
        self.model = FakeModel(N_CTX, n_batch=8)
        self.scheduler = Scheduler(self.model, n_parallel=N_PARALLEL)
        self.expected: dict[str, tuple[str, Finished]] = {}
        self.text: dict[str, str] = {}
        self.ended: dict[str, object] = {}
        self.count = 0

    @rule(prompt=prompts, sampling=samplings, stop=stops)
    def submit(self, prompt: list[int], sampling: SamplingParams, stop: tuple[str, ...]) -> None:
        self.count += 1
        request_id = f"r{self.count}"
        self.scheduler.submit(request_id, prompt, sampling, stop)
        self.expected[request_id] = alone(prompt, sampling, stop, N_CTX)
        self.text[request_id] = ""

    @precondition(lambda self: self.expected)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        request_id = data.draw(st.sampled_from(sorted(self.expected)))
        self.scheduler.cancel(request_id)
        self.forget(request_id)

    @rule(outcome=st.sampled_from([Decoded.FULL, Decoded.ABORTED, EngineError("broken")]))
    def next_decode_goes_wrong(self, outcome: Decoded | EngineError) -> None:
        self.model.next_outcome = outcome

    @rule(times=st.integers(1, 20))
    def step(self, times: int) -> None:
        for _ in range(times):
            for request_id, reply in self.scheduler.step():
                assert request_id in self.expected, f"{request_id} had ended, and got {reply}"
                if isinstance(reply, TextDelta):
                    assert reply.text, "an empty delta"
                    self.text[request_id] += reply.text
                elif isinstance(reply, Finished):
                    assert (self.text[request_id], reply) == self.expected[request_id]
                    self.forget(request_id)
                else:
                    self.forget(request_id)

    def forget(self, request_id: str) -> None:
        del self.expected[request_id], self.text[request_id]

    @invariant()
    def nothing_is_held_for_who_has_ended(self) -> None:
        assert self.scheduler.live <= set(self.expected)
        assert len(self.model.cells) <= len(self.scheduler.live), "cells of a sequence that nobody has"
        open_samplers = sum(not sampler.closed for sampler in self.model.samplers)
        assert open_samplers <= len(self.expected), "a sampler was leaked"

    def teardown(self) -> None:
        self.model.next_outcome = Decoded.OK
        bound = 2 + len(self.expected) * N_CTX * 4
        for _ in range(bound):
            if self.scheduler.idle:
                break
            self.step(1)
        assert self.scheduler.idle, f"not all requests ended within {bound} steps: {sorted(self.expected)}"
        assert not self.expected, f"no end was heard of {sorted(self.expected)}"
        assert not self.model.cells
        assert all(sampler.closed for sampler in self.model.samplers)


TestBatching = Batching.TestCase
TestBatching.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


def drain(scheduler: Scheduler) -> dict[str, list[object]]:
    heard: dict[str, list[object]] = {}
    while not scheduler.idle:
        for request_id, reply in scheduler.step():
            heard.setdefault(request_id, []).append(reply)
    return heard


@given(extra=st.integers(0, 10))
def test_a_prompt_that_leaves_no_room_is_refused_before_anything_is_computed(extra: int) -> None:
    model = FakeModel(n_ctx=16)
    scheduler = Scheduler(model, n_parallel=1)
    with pytest.raises(ContextExceeded) as caught:
        scheduler.submit("r", [1] * (16 + extra), SamplingParams(), ())
    assert (caught.value.n_prompt_tokens, caught.value.n_ctx) == (16 + extra, 16)
    assert scheduler.idle
    assert not model.batches


def test_a_full_context_ends_a_request_with_length() -> None:
    scheduler = Scheduler(FakeModel(n_ctx=16), n_parallel=1)
    scheduler.submit("r", [1, 2, 3], SamplingParams(ignore_eos=True, max_tokens=1000), ())
    assert drain(scheduler)["r"][-1] == Finished("length", Usage(3, 13))


def test_a_long_prompt_is_computed_in_chunks_while_others_write() -> None:
    model = FakeModel(n_ctx=4096, n_batch=512)
    scheduler = Scheduler(model, n_parallel=2)
    scheduler.submit("writer", [1], SamplingParams(ignore_eos=True, max_tokens=20), ())
    scheduler.step()
    scheduler.submit("reader", [1] * 1000, SamplingParams(max_tokens=1), ())
    for _ in range(5):
        heard = [request_id for request_id, _ in scheduler.step()]
        batch = model.batches[-1]
        assert len(batch) <= PREFILL_CHUNK + 1
        assert sum(entry.logits for entry in batch) >= 1, "the writer got no token in this step"
        assert "reader" not in heard


def order_of_first_tokens(*prompts: int) -> list[int]:
    """The step in which each of these prompts, by length, gets its token, at 64 tokens a step."""
    scheduler = Scheduler(FakeModel(n_ctx=4096, n_batch=64), n_parallel=len(prompts))
    for number, length in enumerate(prompts):
        scheduler.submit(str(number), [1] * length, SamplingParams(max_tokens=1, ignore_eos=True), ())
    seen: dict[str, int] = {}
    for step in range(1, 200):
        for request_id, _ in scheduler.step():
            seen.setdefault(request_id, step)
    return [seen[str(number)] for number in range(len(prompts))]


def test_a_short_prompt_is_not_held_up_by_a_long_one() -> None:
    long, short = order_of_first_tokens(2000, 40)
    assert short == 2, "it has half of each step"
    assert long <= 33, "2,040 tokens are 32 steps of 64"


def test_prompts_of_one_length_are_computed_one_after_the_other() -> None:
    first, second, third = order_of_first_tokens(620, 620, 620)
    assert first <= 11
    assert second <= 21
    assert third <= 31


def test_the_oldest_prompt_is_not_put_off_by_shorter_ones() -> None:
    scheduler = Scheduler(FakeModel(n_ctx=4096, n_batch=64), n_parallel=3)
    once = SamplingParams(max_tokens=1, ignore_eos=True)
    scheduler.submit("long", [1] * 1000, once, ())
    for step in range(60):
        scheduler.submit(f"short {step}", [1] * 64, once, ())
        if "long" in {request_id for request_id, _ in scheduler.step()}:
            return
    raise AssertionError("60 steps did not get 1,000 tokens computed, at half of 64 a step")


def test_without_continuous_batching_a_request_waits_for_the_running_ones() -> None:
    scheduler = Scheduler(FakeModel(), n_parallel=2, continuous=False)
    endless = SamplingParams(ignore_eos=True, max_tokens=5)
    scheduler.submit("first", [1], endless, ())
    scheduler.step()
    scheduler.submit("second", [2], endless, ())
    scheduler.step()
    assert scheduler.live == {"first"}
    assert isinstance(drain(scheduler)["second"][-1], Finished)


def test_a_failing_decode_fails_the_requests_in_it_and_not_those_that_wait() -> None:
    model = FakeModel()
    scheduler = Scheduler(model, n_parallel=1)
    scheduler.submit("in it", [1], SamplingParams(max_tokens=2), ())
    scheduler.submit("waits", [2], SamplingParams(max_tokens=2), ())
    model.next_outcome = EngineError("broken")
    heard = drain(scheduler)
    assert isinstance(heard["in it"][-1], JanfsError)
    assert isinstance(heard["waits"][-1], Finished)


def test_when_llama_cpp_has_no_room_even_for_one_the_request_fails() -> None:
    model = FakeModel()
    scheduler = Scheduler(model, n_parallel=1)
    scheduler.submit("r", [1], SamplingParams(max_tokens=2), ())
    model.next_outcome = Decoded.FULL
    assert isinstance(drain(scheduler)["r"][-1], EngineError)
