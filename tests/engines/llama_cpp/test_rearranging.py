"""A scheduler over llama.cpp itself, whose cache changes its kind while requests run."""

import itertools
from pathlib import Path

import pytest
from msgspec.structs import replace

from janfs.engines.llama_cpp.log import Log
from janfs.engines.llama_cpp.native import NativeModel
from janfs.engines.llama_cpp.scheduler import Scheduler
from janfs.engines.protocol import EngineSettings, Finished, SamplingParams, TextDelta
from tests.engines.llama_cpp.native_models import load

SETTINGS = EngineSettings(ctx_len=1536, n_parallel=3)
PART = 512
GREEDY = SamplingParams(temperature=0, max_tokens=60, ignore_eos=True)
SHORT = SamplingParams(temperature=0, max_tokens=20, ignore_eos=True)
SYSTEM = [1, *(3 + n % 250 for n in range(0, 1400, 7))]  # 201 tokens


def unlike(number: int) -> list[int]:
    """A prompt that has nothing in common with another one."""
    return [1 + number, *(3 + n * (2 * number + 1) % 250 for n in range(40))]


class Talk:
    """What a scheduler answers, whose every step takes as long as a change of the cache pays for."""

    def __init__(self, model: NativeModel) -> None:
        ticks = itertools.count()
        self.model = model
        self.scheduler = Scheduler(model, n_parallel=3, clock=lambda: float(next(ticks)))
        self.text: dict[str, str] = {}
        self.ends: dict[str, Finished] = {}

    def ask(self, request_id: str, tokens: list[int], sampling: SamplingParams = GREEDY) -> None:
        self.text[request_id] = ""
        self.scheduler.submit(request_id, tokens, sampling, ())

    def step(self, times: int = 1) -> None:
        for _ in range(times):
            for request_id, reply in self.scheduler.step():
                assert not isinstance(reply, Exception), reply
                if isinstance(reply, TextDelta):
                    self.text[request_id] += reply.text
                elif isinstance(reply, Finished):
                    self.ends[request_id] = reply

    def drain(self) -> None:
        while not self.scheduler.idle:
            self.step()


@pytest.fixture
def talk(tiny_model: Path, log: Log) -> Talk:
    model = load(tiny_model, log, SETTINGS)
    assert (model.part, model.n_ctx) == (PART, 1536)
    return Talk(model)


@pytest.fixture
def alone(tiny_model: Path, log: Log) -> Talk:
    return Talk(load(tiny_model, log, replace(SETTINGS, kv_unified=True)))


def part_them(talk: Talk) -> None:
    """Let requests with nothing in common run until each has a part of the cache."""
    for number in range(2):
        talk.ask(f"unlike {number}", unlike(number))
    talk.step(30)
    assert not talk.model.memory.unified, "requests with nothing in common share one cache"
    assert len(talk.scheduler.live) == 2, "they are to go on"


def test_who_runs_goes_on_as_if_nothing_had_changed(talk: Talk, alone: Talk) -> None:
    part_them(talk)
    for number in range(2):
        talk.ask(f"like {number}", [*SYSTEM, 5 + number, 9])
    talk.step(2)
    assert not talk.model.memory.unified, "there are two more who have nothing in common"
    talk.drain()
    assert not talk.model.memory.unified
    for number in range(3):
        talk.ask(f"one of three {number}", [*SYSTEM, 5 + number, 7], SHORT)
    talk.step(2)
    assert talk.model.memory.unified, "who shares a long beginning does not share the cache"
    talk.drain()
    for number in range(3):
        alone.ask(f"one of three {number}", [*SYSTEM, 5 + number, 7], SHORT)
        alone.drain()
        if number < 2:
            for name, prompt in (("unlike", unlike(number)), ("like", [*SYSTEM, 5 + number, 9])):
                alone.ask(f"{name} {number}", prompt)
                alone.drain()
    assert talk.text == alone.text


def test_an_answer_goes_on_beyond_a_part_of_the_cache(talk: Talk, alone: Talk) -> None:
    part_them(talk)
    talk.drain()
    long = replace(GREEDY, max_tokens=600)
    talk.ask("long", unlike(5), long)
    talk.step(3)
    assert not talk.model.memory.unified, "it may be that it never gets there"
    talk.drain()
    assert talk.model.memory.unified
    alone.ask("long", unlike(5), long)
    alone.drain()
    assert talk.text["long"] == alone.text["long"]
    assert talk.ends["long"].usage.completion_tokens == 600


def test_a_prompt_that_is_longer_than_a_part_has_the_whole_cache(talk: Talk, alone: Talk) -> None:
    part_them(talk)
    long = [*SYSTEM, *SYSTEM, *SYSTEM]
    for each in (talk, alone):
        each.ask("long", long)
        each.drain()
    assert talk.model.memory.unified
    assert talk.text["long"] == alone.text["long"]


def test_a_finished_chat_is_known_after_a_change(talk: Talk) -> None:
    talk.ask("chat", SYSTEM)
    talk.drain()
    part_them(talk)
    talk.drain()
    talk.ask("next turn", [*SYSTEM, 9, 9])
    talk.drain()
    assert talk.ends["next turn"].usage.cached_tokens >= len(SYSTEM) - 1
    for number in range(3):
        talk.ask(f"one of three {number}", [*SYSTEM, 5 + number, 7], SHORT)
    talk.drain()
    assert talk.model.memory.unified
    assert talk.ends["one of three 0"].usage.cached_tokens >= len(SYSTEM) - 1


def test_a_batch_has_room_in_every_cache(tiny_model: Path, log: Log) -> None:
    model = load(tiny_model, log, EngineSettings(ctx_len=1000, n_parallel=2, n_batch=2048))
    room = model.n_batch
    for unified in (False, True):
        model.rearrange(unified)
        assert model.memory.n_cells == 1024, "llama.cpp takes the context at its word: this shows nothing"
        assert model.n_batch <= room, "it would be written behind its end"


def test_where_there_is_no_memory_for_it_nobody_notices(
    talk: Talk, alone: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes: list[bool] = []

    def begin_anew(*, unified: bool, n_ctx: int) -> None:
        changes.append(unified)
        make(unified=True, n_ctx=1536)

    make = talk.model._context.begin_anew
    monkeypatch.setattr(talk.model._context, "begin_anew", begin_anew)
    for each in (talk, alone):
        for number in range(3):
            each.ask(f"unlike {number}", unlike(number))
        each.drain()
    assert changes
    assert not any(changes)
    assert len(changes) < 8, "it is tried again and again"
    assert talk.text == alone.text


def test_without_memory_for_any_cache_the_worker_is_to_end(
    talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def begin_anew(*, unified: bool, n_ctx: int) -> None:
        raise MemoryError

    monkeypatch.setattr(talk.model._context, "begin_anew", begin_anew)
    for number in range(3):
        talk.ask(f"unlike {number}", unlike(number))
    with pytest.raises(MemoryError):
        talk.drain()
