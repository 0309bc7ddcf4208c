"""What a worker makes of commands before they are computed, and what it does not."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from janfs.engines.llama_cpp import wire
from janfs.engines.llama_cpp.ahead import Turn
from janfs.engines.llama_cpp.aside import Aside
from janfs.engines.llama_cpp.channel import Channel
from janfs.engines.llama_cpp.chat import ChatFormat
from janfs.engines.llama_cpp.intake import Writing
from janfs.engines.llama_cpp.loading import Loaded
from janfs.engines.llama_cpp.log import Log
from janfs.engines.llama_cpp.native import NativeModel
from janfs.engines.llama_cpp.prompt import Prepared
from janfs.engines.llama_cpp.worker import Worker
from janfs.engines.protocol import (
    ChatMessage,
    ChatPrompt,
    EngineInfo,
    EngineSettings,
    GenerateRequest,
    PlainText,
    SamplingParams,
    TextPrompt,
)
from janfs.errors import EngineError, InvalidInput
from tests.engines.llama_cpp.native_models import load

INFO = EngineInfo(
    pid=1,
    load_seconds=0,
    n_ctx=64,
    n_ctx_train=64,
    n_parallel=1,
    n_vocab=1,
    n_params=1,
    description="sample",
)


pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def sample(sample_model: Path, log: Log) -> NativeModel:
    return load(sample_model, log)


@pytest.fixture
def told(sample: NativeModel) -> Iterator[tuple[Worker, Channel]]:
    """A worker whose threads do not run, and the other end of its channel."""
    ours, theirs = socket.socketpair()
    loaded = Loaded(sample.weights, sample, None, ChatFormat(lambda *_: ""), INFO, None, None)
    with ours, theirs:
        yield Worker(Channel(theirs), loaded, EngineSettings(n_parallel=1)), Channel(ours)


def heard(channel: Channel) -> list[Any]:
    frame = channel.receive()
    assert frame is not None
    return list(wire.decode_events(frame))


def test_a_defect_in_preparing_costs_the_request_that_met_it_and_no_other(
    told: tuple[Worker, Channel], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> list[int]:
        raise IndexError("tuple index out of range")

    worker, channel = told
    with monkeypatch.context() as patch:
        patch.setattr(worker._intake._weights, "tokenize", broken)
        worker._prepare(wire.Tokenize("a", PlainText("a")))
    [failure] = heard(channel)
    assert (failure.id, failure.code) == ("a", "engine_error")
    assert "IndexError: tuple index out of range" in failure.detail
    worker._prepare(wire.Tokenize("b", PlainText("a")))
    assert [type(event) for event in heard(channel)] == [wire.Tokens]


@pytest.mark.parametrize("defect", [IndexError("tuple index out of range"), MemoryError()])
def test_a_defect_in_preparing_what_nobody_asked_for_costs_nobody_anything(
    told: tuple[Worker, Channel], monkeypatch: pytest.MonkeyPatch, defect: Exception
) -> None:
    def broken(*_: object, **__: object) -> list[int]:
        raise defect

    worker, channel = told
    turn = Turn(ChatPrompt((ChatMessage("user", "Hi"),)), "Hello.")
    with monkeypatch.context() as patch:
        patch.setattr(worker._intake._weights, "tokenize", broken)
        worker._go_ahead(turn)
    assert worker._computing.empty()
    worker._prepare(wire.Tokenize("b", PlainText("a")))
    assert [type(event) for event in heard(channel)] == [wire.Tokens], "something was heard of it"


def test_what_cannot_be_begun_unasked_is_heard_by_nobody(
    told: tuple[Worker, Channel], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise EngineError("There is no room.")

    worker, channel = told
    item = Writing("a", SamplingParams(max_tokens=0), Prepared([1, 2]), (), caching=True)
    monkeypatch.setattr(worker._scheduler, "lacking", lambda _: 2)
    monkeypatch.setattr(worker._scheduler, "submit", refuse)
    worker._ahead = {"unasked"}
    worker._take(item._replace(id="unasked"))
    worker._take(item._replace(id="asked"))
    [failure] = heard(channel)
    assert failure.id == "asked"
    assert not worker._ahead


def test_what_nobody_waits_for_any_more_is_not_prepared(
    told: tuple[Worker, Channel], monkeypatch: pytest.MonkeyPatch
) -> None:
    worker, _ = told
    monkeypatch.setattr(worker._intake, "take", lambda command: pytest.fail(f"{command.id} is prepared"))
    worker._cancelled.add("gone")
    request = GenerateRequest(request_id="gone", prompt=TextPrompt("a"), sampling=SamplingParams())
    worker._prepare(wire.Generate("gone", request))


def test_a_text_that_takes_too_long_to_be_cut_into_tokens_is_refused(
    told: tuple[Worker, Channel], sample: NativeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sample.weights, "cutting", Aside("cut", 0.1))
    worker, channel = told
    worker._prepare(wire.Tokenize("a", PlainText("<|im_end|>" * 20_000)))
    failure, worn = heard(channel)
    assert (failure.code, worn) == (InvalidInput.code, wire.Worn())
    assert "cannot be cut into tokens: it took more than" in failure.detail


def test_a_long_text_has_at_least_the_tokens_that_its_length_says(sample: NativeModel) -> None:
    text = " " * 70_000 + "word " * 2_000
    assert 0 < sample.weights.fewest(text) <= len(sample.weights.tokenize(text))
    assert sample.weights.fewest(text[:1_000]) == 0, "a short one is cut at once"
