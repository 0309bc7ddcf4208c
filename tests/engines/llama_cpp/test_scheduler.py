"""In which order and how often requests are computed, and what ends them."""

from collections.abc import Sequence
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from janfs.engines.llama_cpp.budget import STEP_SECONDS
from janfs.engines.llama_cpp.choice import Chosen
from janfs.engines.llama_cpp.echo import Echo
from janfs.engines.llama_cpp.guidance import Guidance
from janfs.engines.llama_cpp.model import Decoded, Entry
from janfs.engines.llama_cpp.pictures import placeholders
from janfs.engines.llama_cpp.scheduler import Scheduler
from janfs.engines.protocol import Finished, SamplingParams, Spent, TextDelta, Usage
from janfs.errors import ContextExceeded, EngineError, InvalidInput, JanfsError
from tests.engines.llama_cpp.expected import alone, picture, scores, timeless
from tests.engines.llama_cpp.fake_model import FakeModel, FakeSampler, next_token


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
    assert timeless(drain(scheduler)["r"][-1]) == Finished("length", Usage(3, 13))


class SlowModel(FakeModel):
    """Takes the same time for every token, by a clock of its own."""

    def __init__(self, seconds_per_token: float) -> None:
        super().__init__(n_ctx=4096, n_batch=512)
        self.seconds_per_token = seconds_per_token
        self.now = 0.0

    def decode(self, batch: Sequence[Entry]) -> Decoded:
        self.now += len(batch) * self.seconds_per_token
        return super().decode(batch)


@pytest.mark.parametrize("seconds_per_token", [0.0005, 0.002, 0.005])
def test_a_long_prompt_never_holds_up_who_writes(seconds_per_token: float) -> None:
    model = SlowModel(seconds_per_token)
    scheduler = Scheduler(model, n_parallel=2, clock=lambda: model.now)
    scheduler.submit("writer", [1], SamplingParams(ignore_eos=True), ())
    scheduler.step()
    scheduler.submit("reader", [2] * 1000, SamplingParams(max_tokens=1), ())
    for number in range(200):
        before = model.now
        heard = [request_id for request_id, _ in scheduler.step()]
        if number:  # nothing is known of the model's pace in the first
            assert model.now - before <= STEP_SECONDS + 2 * seconds_per_token
        assert sum(entry.logits for entry in model.batches[-1]) >= 1, "the writer got no token in this step"
        if "reader" in heard:
            return
    raise AssertionError("200 steps did not get 1,000 tokens computed")


def test_a_step_is_steady_where_every_request_only_writes() -> None:
    scheduler = Scheduler(FakeModel(n_ctx=64, n_batch=8), n_parallel=2)
    seen = []
    scheduler.submit("writer", [1], SamplingParams(ignore_eos=True), ())
    seen.append(("before it is taken in", scheduler.steady))
    scheduler.step()
    seen.append(("while it writes", scheduler.steady))
    scheduler.submit("reader", [2] * 30, SamplingParams(max_tokens=4, ignore_eos=True), ())
    seen.append(("when another waits", scheduler.steady))
    while not any(request_id == "reader" for request_id, _ in scheduler.step()):
        seen.append(("while its prompt is computed", scheduler.steady))
    seen.append(("while both write", scheduler.steady))
    assert len(seen) > 5, "the prompt was computed in one step"
    assert {name for name, steady in seen if steady} == {"while it writes", "while both write"}


class PonderingModel(SlowModel):
    """Takes a second over the choice of each token where a request has a seed."""

    def sampler(self, params: SamplingParams, prompt: Sequence[int], guidance: Guidance) -> FakeSampler:
        made = super().sampler(params, prompt, guidance)
        return made if params.seed is None else PonderingSampler(self)


class PonderingSampler(FakeSampler):
    def __init__(self, model: PonderingModel) -> None:
        super().__init__(model)
        self.model = model

    def sample(self, index: int) -> Chosen:
        self.model.now += 1.0
        return super().sample(index)


@pytest.mark.parametrize("n_slow", [1, 3])
def test_others_lose_half_of_the_time_at_most_to_those_whose_choices_are_slow(n_slow: int) -> None:
    model = PonderingModel(0.05)
    scheduler = Scheduler(model, n_parallel=n_slow + 1, clock=lambda: model.now)
    endless = SamplingParams(ignore_eos=True)
    for number in range(n_slow):
        scheduler.submit(f"slow {number}", [1], replace(endless, seed=1), ())
    scheduler.submit("quick", [2], endless, ())
    while model.now < 120:
        scheduler.step()
    tokens = [len(batch) for batch in model.batches]  # one of each who has its turn
    assert len(tokens) == pytest.approx(60 / model.seconds_per_token, rel=0.05)
    assert tokens.count(1 + n_slow) == pytest.approx(60 / n_slow, abs=2)
    assert tokens.count(1) == len(tokens) - tokens.count(1 + n_slow)


def test_an_answer_tells_how_long_its_prompt_took_and_how_long_it() -> None:
    model = SlowModel(1.0)
    scheduler = Scheduler(model, n_parallel=1, clock=lambda: model.now)
    for request_id in ("first", "second"):  # the second waits, which is no time of its own
        scheduler.submit(
            request_id, [1] * 40, SamplingParams(ignore_eos=True, max_tokens=5), (), caching=False
        )
    ends = [replies[-1] for replies in drain(scheduler).values()]
    assert [end.spent for end in ends if isinstance(end, Finished)] == [Spent(40.0, 4.0)] * 2


ONCE = SamplingParams(max_tokens=1, ignore_eos=True)


def ask(scheduler: Scheduler, prompt: list[int], sampling: SamplingParams = ONCE) -> Finished:
    scheduler.submit("r", prompt, sampling, ())
    end = drain(scheduler)["r"][-1]
    assert isinstance(end, Finished)
    return end


@pytest.mark.parametrize("n_slots", [1, 8], ids=["one cache for all", "a cache for each"])
def test_what_requests_share_is_computed_once_also_while_it_is_computed(n_slots: int) -> None:
    model = FakeModel(n_ctx=1024, n_batch=32, n_slots=n_slots)
    scheduler = Scheduler(model, n_parallel=8)
    for number in range(8):
        scheduler.submit(str(number), [1] * 100 + [number + 2] * 5, ONCE, ())
        if number == 3:
            scheduler.step()
    heard = drain(scheduler)
    assert model.n_computed == 100 + 8 * 5
    cached = [heard[str(number)][-1].usage.cached_tokens for number in range(8)]  # type: ignore[attr-defined]
    assert cached == [0] + [100] * 7


def test_the_next_turn_of_a_chat_computes_only_what_is_new() -> None:
    model = FakeModel(n_ctx=1024)
    scheduler = Scheduler(model, n_parallel=1)
    first = list(range(1, 4)) * 20
    answer = SamplingParams(max_tokens=10, ignore_eos=True)
    assert ask(scheduler, first, answer).usage == Usage(60, 10, 0)
    tokens = list(first)
    for _ in range(10):
        tokens.append(next_token(tokens))
    before = model.n_computed
    assert ask(scheduler, [*tokens, 1, 2, 3]).usage == Usage(73, 1, 69), "all but the last of the answer"
    assert model.n_computed - before == 4


def test_many_chats_that_take_turns_are_all_known_and_none_is_in_the_others_way() -> None:
    model = FakeModel(n_ctx=1024)
    scheduler = Scheduler(model, n_parallel=2)
    chats = [[1, 2] * 10 + [chat + 3] * 80 for chat in range(20)]
    for chat in chats:
        ask(scheduler, chat)
        assert model.used <= 100 + 256 + 100, "finished chats fill the cache"
    for chat in reversed(chats):
        assert ask(scheduler, [*chat, 1, 2]).usage.cached_tokens == 100


def test_a_prompt_that_is_known_whole_still_has_its_last_token_computed() -> None:
    model = FakeModel(n_ctx=1024)
    scheduler = Scheduler(model, n_parallel=1)
    assert ask(scheduler, [1] * 50).usage.cached_tokens == 0
    assert ask(scheduler, [1] * 50).usage.cached_tokens == 49
    assert model.n_computed == 51
    assert model.used == 50, "the last token has two cells"


def test_when_the_first_of_those_who_share_is_cancelled_the_next_one_goes_on_from_there() -> None:
    model = FakeModel(n_ctx=1024, n_batch=16)
    scheduler = Scheduler(model, n_parallel=3)
    for name in ("leader", "next", "last"):
        scheduler.submit(name, [1] * 100 + [ord(name[0])] * 5, ONCE, ())
    scheduler.step()
    scheduler.step()
    computed = model.n_computed
    assert computed == 32
    scheduler.cancel("leader")
    assert set(drain(scheduler)) == {"next", "last"}
    assert model.n_computed == 100 + 2 * 5


def test_without_caching_a_request_neither_takes_nor_leaves_anything() -> None:
    model = FakeModel(n_ctx=1024)
    scheduler = Scheduler(model, n_parallel=2)
    scheduler.submit("private", [1] * 50, ONCE, (), caching=False)
    drain(scheduler)
    assert not model.used
    assert ask(scheduler, [1] * 50).usage.cached_tokens == 0
    scheduler.submit("private", [1] * 50, ONCE, (), caching=False)
    heard = drain(scheduler)
    assert timeless(heard["private"][-1]) == Finished("length", Usage(50, 1, 0))
    assert model.n_computed == 150


def test_a_full_cache_gives_up_finished_prefixes_before_anyone_waits() -> None:
    model = FakeModel(n_ctx=128, n_batch=16)
    scheduler = Scheduler(model, n_parallel=2)
    for number in range(1, 6):
        ask(scheduler, [number] * 40)
    assert model.used > 100, "finished prompts are kept as long as there is room"
    scheduler.submit("a", [6] * 50, ONCE, ())
    scheduler.submit("b", [7] * 50, ONCE, ())
    scheduler.step()
    assert scheduler.live == {"a", "b"}
    assert all(isinstance(replies[-1], Finished) for replies in drain(scheduler).values())
    assert ask(scheduler, [7] * 50).usage.cached_tokens == 49, "the latest was given up, not the oldest"


def order_of_first_tokens(*prompts: int) -> list[int]:
    """The step in which each of these prompts, by length, gets its token, at 64 tokens a step."""
    scheduler = Scheduler(FakeModel(n_ctx=4096, n_batch=64), n_parallel=len(prompts))
    for number, length in enumerate(prompts):
        scheduler.submit(str(number), [number + 1] * length, ONCE, ())
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
    scheduler.submit("long", [1] * 1000, ONCE, ())
    for step in range(60):
        scheduler.submit(f"short {step}", [step + 2] * 64, ONCE, ())
        if "long" in {request_id for request_id, _ in scheduler.step()}:
            return
    raise AssertionError("60 steps did not get 1,000 tokens computed, at half of 64 a step")


def in_slots(count: int, n_batch: int = 64) -> tuple[FakeModel, Scheduler]:
    """A model whose sequences have 1,024 cells each."""
    model = FakeModel(n_ctx=1024, n_batch=n_batch, n_slots=count)
    return model, Scheduler(model, n_parallel=count)


def test_in_slots_a_prompt_has_a_slots_cells_and_no_more() -> None:
    model, scheduler = in_slots(3)
    with pytest.raises(ContextExceeded) as caught:
        scheduler.submit("long", [1] * 1024, ONCE, ())
    assert caught.value.n_ctx == 1024
    for number in range(3):
        scheduler.submit(str(number), [number + 1] * 1023, ONCE, ())
    ends = [timeless(replies[-1]) for replies in drain(scheduler).values()]
    assert ends == [Finished("length", Usage(1023, 1, 0))] * 3
    assert model.used == 3 * 1023


def test_in_slots_the_next_turn_of_a_chat_computes_only_what_is_new() -> None:
    model, scheduler = in_slots(2)
    first = [1, 2, 3] * 20
    assert ask(scheduler, first).usage.cached_tokens == 0
    assert ask(scheduler, [9 % 8] * 60).usage.cached_tokens == 0
    assert ask(scheduler, [*first, 1, 2]).usage.cached_tokens == 60
    assert model.n_saved == 0, "there was a slot for each"


def test_in_slots_prompts_are_computed_in_few_pieces_beside_answers_and_none_is_put_off() -> None:
    model, scheduler = in_slots(4)
    scheduler.submit("writes", [1], SamplingParams(max_tokens=200, ignore_eos=True), ())
    scheduler.step()
    scheduler.submit("long", [2] * 1000, ONCE, ())
    ended: list[str] = []
    for step in range(60):
        scheduler.submit(f"short {step}", [step % 6 + 2, *[step + 2] * 70], ONCE, (), caching=False)
        before = len(model.batches)
        ended += [request_id for request_id, reply in scheduler.step() if isinstance(reply, Finished)]
        pieces = {entry.seq for batch in model.batches[before:] for entry in batch}
        assert len(pieces) <= 4
        if "long" in ended:
            return
    raise AssertionError("60 steps did not get 1,000 tokens computed, at every second step of 63")


def test_without_continuous_batching_a_request_waits_for_the_running_ones() -> None:
    scheduler = Scheduler(FakeModel(), n_parallel=2, continuous=False)
    endless = SamplingParams(ignore_eos=True, max_tokens=5)
    scheduler.submit("first", [1], endless, ())
    scheduler.step()
    scheduler.submit("second", [2], endless, ())
    scheduler.step()
    assert scheduler.live == {"first"}
    assert isinstance(drain(scheduler)["second"][-1], Finished)


def test_a_prompt_that_is_cancelled_before_it_begins_is_not_computed() -> None:
    model, cancelled = FakeModel(), {"gone"}
    scheduler = Scheduler(model, n_parallel=2, cancelled=cancelled)
    scheduler.submit("gone", [1] * 50, ONCE, ())
    assert scheduler.step() == []
    assert (scheduler.unwanted, model.n_computed) == (True, 0)
    scheduler.submit("here", [2] * 5, ONCE, ())
    scheduler.cancel("gone")
    assert [type(reply) for reply in drain(scheduler)["here"]] == [TextDelta, Finished]
    assert model.n_computed == 5


def test_a_failing_decode_fails_the_requests_in_it_and_not_those_that_wait() -> None:
    model = FakeModel()
    scheduler = Scheduler(model, n_parallel=1)
    scheduler.submit("in it", [1], SamplingParams(max_tokens=2), ())
    scheduler.submit("waits", [2], SamplingParams(max_tokens=2), ())
    model.next_outcome = EngineError("broken")
    heard = drain(scheduler)
    assert isinstance(heard["in it"][-1], JanfsError)
    assert isinstance(heard["waits"][-1], Finished)


def test_a_request_whose_sampler_cannot_be_made_fails_alone() -> None:
    model = FakeModel()
    scheduler = Scheduler(model, n_parallel=2)
    answer = SamplingParams(max_tokens=4, ignore_eos=True)
    scheduler.submit("writes", [1], answer, ())
    scheduler.step()
    for request_id in ("fails", "follows"):
        scheduler.submit(request_id, [1, 2], answer, ())
    model.next_sampler_fails = True
    heard = drain(scheduler)
    assert [type(reply) for reply in heard["fails"]] == [InvalidInput]
    assert isinstance(heard["writes"][-1], Finished)
    assert isinstance(heard["follows"][-1], Finished)


def test_who_comes_after_one_that_fails_is_looked_at_before_it_begins() -> None:
    model, ticks = FakeModel(n_batch=64, part=32), count()
    scheduler = Scheduler(model, n_parallel=2, clock=lambda: float(next(ticks)))
    for token in (1, 2):
        scheduler.submit(f"short {token}", [token] * 4, SamplingParams(max_tokens=9, ignore_eos=True), ())
    drain(scheduler)
    assert not model.unified, "each has a part of the cache, or this shows nothing"
    for request_id, prompt in (("fails", [1]), ("short", [2]), ("long", [1] * 50)):
        scheduler.submit(request_id, prompt, ONCE, ())
    model.next_sampler_fails = True
    heard = drain(scheduler)
    assert [type(heard[each][-1]) for each in ("fails", "short", "long")] == [
        InvalidInput,
        Finished,
        Finished,
    ]


def test_who_outgrows_a_part_where_there_is_no_memory_for_one_cache_fails_alone() -> None:
    model, ticks = FakeModel(part=32), count()
    scheduler = Scheduler(model, n_parallel=2, clock=lambda: float(next(ticks)))
    for token in (1, 2):
        scheduler.submit(f"short {token}", [token] * 4, SamplingParams(max_tokens=9, ignore_eos=True), ())
    drain(scheduler)
    assert not model.unified, "each has a part of the cache, or this shows nothing"
    model.rearranging_refused = True
    scheduler.submit("grows", [1] * 20, SamplingParams(max_tokens=40, ignore_eos=True), ())
    for number in range(20):
        scheduler.submit(f"other {number}", [2, 3], SamplingParams(max_tokens=2, ignore_eos=True), ())
    heard: dict[str, object] = {}
    for _ in range(200):
        heard |= dict(scheduler.step())
    assert scheduler.idle, "it is sent back again and again"
    assert isinstance(heard.pop("grows"), EngineError)
    assert all(isinstance(reply, Finished) for reply in heard.values())


@pytest.mark.parametrize("continuous", [True, False])
def test_for_who_is_longer_than_a_part_one_cache_is_asked_for_once(continuous: bool) -> None:
    model, ticks = FakeModel(part=32), count()
    scheduler = Scheduler(model, n_parallel=2, continuous=continuous, clock=lambda: float(next(ticks)))
    for token in (1, 2):
        scheduler.submit(f"short {token}", [token] * 4, SamplingParams(max_tokens=9, ignore_eos=True), ())
    drain(scheduler)
    assert not model.unified, "each has a part of the cache, or this shows nothing"
    model.rearranging_refused, before = True, model.rearrangements
    scheduler.submit("short", [1] * 4, SamplingParams(max_tokens=20, ignore_eos=True), ())
    scheduler.step()
    scheduler.submit("long", [2] * 40, ONCE, ())
    ends = {request_id: type(replies[-1]) for request_id, replies in drain(scheduler).items()}
    assert ends == {"short": Finished, "long": EngineError}
    assert model.rearrangements == before + 1


class CrampedModel(FakeModel):
    """Has room for one sequence, whatever is counted."""

    def decode(self, batch: Sequence[Entry]) -> Decoded:
        if len({entry.seq for entry in batch}) > 1:
            self.next_outcome = Decoded.FULL
        return super().decode(batch)


def test_where_llama_cpp_has_room_for_fewer_than_is_counted_all_end() -> None:
    scheduler = Scheduler(CrampedModel(), n_parallel=3)
    for number in range(3):
        scheduler.submit(f"r{number}", [1 + number] * 3, SamplingParams(max_tokens=4, ignore_eos=True), ())
    ends = [reply for _ in range(50) for _, reply in scheduler.step() if isinstance(reply, Finished)]
    assert len(ends) == 3
    assert scheduler.idle


def test_when_llama_cpp_has_no_room_even_for_one_the_request_fails() -> None:
    model = FakeModel()
    scheduler = Scheduler(model, n_parallel=1)
    scheduler.submit("r", [1], SamplingParams(max_tokens=2), ())
    model.next_outcome = Decoded.FULL
    assert isinstance(drain(scheduler)["r"][-1], EngineError)


def test_the_logprobs_of_a_prompt_are_told_with_it_as_fast_as_there_is_room_for_logits() -> None:
    model = FakeModel(n_ctx=1024, n_batch=64)
    model.n_outputs = 8
    scheduler = Scheduler(model, n_parallel=2)
    prompt = [1, 2] * 50
    params = SamplingParams(max_tokens=3, ignore_eos=True, logprobs=0)
    scheduler.submit("asks", prompt, params, (), echo=Echo("the prompt", 1))
    scheduler.submit("other", [1, 1], SamplingParams(max_tokens=3, ignore_eos=True), ())
    heard = drain(scheduler)
    told = TextDelta("the prompt", tuple(scores(prompt)[1:]), Usage(100, 1))
    assert heard["asks"][0] == told, "what was put in front is no part of the prompt"
    assert len(model.batches) < 20, "a token at a time"
    assert isinstance(heard["other"][-1], Finished)


def test_a_request_for_no_token_computes_its_prompt_and_leaves_it_for_others() -> None:
    model = FakeModel(n_ctx=1024)
    scheduler = Scheduler(model, n_parallel=1)
    scheduler.submit("r", [1, 2] * 20, SamplingParams(max_tokens=0), ())
    assert list(map(timeless, drain(scheduler)["r"])) == [Finished("length", Usage(40, 0))]
    assert ask(scheduler, [1, 2] * 20).usage.cached_tokens == 39


def test_images_are_computed_at_their_places_in_turn_with_words_and_shared_as_words_are() -> None:
    model = FakeModel(n_ctx=256, n_batch=8)
    scheduler = Scheduler(model, n_parallel=3)
    image, small = placeholders(b"one", 20), placeholders(b"two", 5)
    tokens = [1, 2, *image, 3, *small, 4]
    pictures = (picture(2, image), picture(23, small))
    answer = SamplingParams(max_tokens=9, ignore_eos=True)
    expected, _ = alone(tokens, answer, (), 256)
    scheduler.submit("words", [1] * 60, answer, ())
    scheduler.submit("looks", tokens, answer, (), pictures=pictures)
    scheduler.submit("follows", [*tokens, 5], answer, (), pictures=pictures)
    heard = drain(scheduler)
    assert "".join(reply.text for reply in heard["looks"] if isinstance(reply, TextDelta)) == expected
    assert sum(model.looks) == 25, "an image that two prompts share was computed twice"
    assert max(model.looks) <= 8
    assert all(entry.token >= 0 for batch in model.batches for entry in batch), "a placeholder was decoded"
    last = heard["follows"][-1]
    assert isinstance(last, Finished)
    assert last.usage.cached_tokens >= len(tokens) - 1


@pytest.mark.parametrize("outcome", [Decoded.FULL, Decoded.ABORTED, EngineError("broken")])
@pytest.mark.parametrize(("rows", "steps"), [(6, 1), (20, 1), (20, 2), (20, 3)])
def test_an_image_whose_decode_goes_wrong_leaves_nothing_wrong_behind(
    outcome: Decoded | EngineError, rows: int, steps: int
) -> None:
    model = FakeModel(n_ctx=128, n_batch=8)
    scheduler = Scheduler(model, n_parallel=2)
    image = placeholders(b"one", rows)
    tokens = [1, *image, 2]
    expected, _ = alone(tokens, ONCE, (), 128)
    scheduler.submit("looks", tokens, ONCE, (), pictures=(picture(1, image),))
    for _ in range(steps):
        scheduler.step()
    model.next_outcome = outcome
    first = drain(scheduler)["looks"]
    if outcome is Decoded.ABORTED:
        assert isinstance(first[-1], Finished), "it was given up"
    else:
        assert isinstance(first[-1], EngineError)
    scheduler.submit("again", tokens, ONCE, (), pictures=(picture(1, image),))
    again = drain(scheduler)["again"]
    assert "".join(reply.text for reply in again if isinstance(reply, TextDelta)) == expected
