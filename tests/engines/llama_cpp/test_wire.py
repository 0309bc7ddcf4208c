import pytest
from hypothesis import given
from hypothesis import strategies as st

from janfs.engines.llama_cpp import wire
from janfs.engines.protocol import Embedding, EngineSettings, Finished, TextDelta, TextPrompt, Usage
from janfs.errors import (
    ContextExceeded,
    EngineError,
    InvalidInput,
    JanfsError,
    LoadFailed,
    UnsupportedParameter,
)

vectors = st.builds(Embedding, st.binary(), st.integers(0, 2**31))
events = st.lists(
    st.one_of(
        st.builds(wire.Answer, st.text(), st.builds(TextDelta, st.text())),
        st.builds(
            wire.Answer,
            st.text(),
            st.builds(Finished, st.just("stop"), st.builds(Usage, st.just(1), st.just(2))),
        ),
        st.builds(wire.Tokens, st.text(), st.lists(st.integers(0, 2**31)).map(tuple)),
        st.builds(wire.Pieces, st.text(), st.lists(st.binary()).map(tuple)),
        st.builds(wire.Vectors, st.text(), st.lists(vectors).map(tuple)),
        st.builds(wire.Rendered, st.text(), st.text()),
    )
)


def payload_of(frame: bytes) -> bytes:
    (size,) = wire.HEADER.unpack(frame[: wire.HEADER.size])
    assert size == len(frame) - wire.HEADER.size, "the length in front is not that of the frame"
    return frame[wire.HEADER.size :]


@given(events)
def test_events_come_out_as_they_went_in(sent: list[wire.Event]) -> None:
    assert wire.decode_events(payload_of(wire.encode_events(sent))) == sent


@given(st.binary())
def test_a_path_that_is_not_unicode_comes_out_as_it_went_in(path: bytes) -> None:
    load = wire.Load(path, EngineSettings())
    assert wire.decode_load(payload_of(wire.encode_command(load))) == load


@pytest.mark.parametrize(
    "error",
    [
        ContextExceeded(10, 5),
        InvalidInput("no", param="stop"),
        UnsupportedParameter("not yet", param="messages"),
        LoadFailed("no file"),
        EngineError("broken"),
    ],
)
def test_an_error_is_the_same_on_the_other_side(error: JanfsError) -> None:
    back = wire.error_of(wire.failure("r", error))
    assert (type(back), back.detail, back.param) == (type(error), error.detail, error.param)
    if isinstance(error, ContextExceeded):
        assert isinstance(back, ContextExceeded)
        assert (back.n_prompt_tokens, back.n_ctx) == (10, 5)


def test_what_cannot_be_sent_is_the_callers_mistake() -> None:
    with pytest.raises(InvalidInput, match="surrogate"):
        wire.encode_command(wire.Tokenize("r", TextPrompt("\ud800")))
    with pytest.raises(InvalidInput, match="bytes"):
        wire.encode_command(wire.Tokenize("r", TextPrompt("x" * wire.MAX_FRAME)))


def test_an_answer_that_is_too_long_is_the_failure_of_its_request_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(wire, "MAX_FRAME", 200)
    sent = wire.encode_events([wire.Rendered("a", "x" * 150), wire.Rendered("b", "x" * 300), wire.Pong()])
    found: list[wire.Event] = []
    while sent:
        (size,) = wire.HEADER.unpack(sent[: wire.HEADER.size])
        found += wire.decode_events(sent[wire.HEADER.size :][:size])
        sent = sent[wire.HEADER.size + size :]
    first, failed, last = found
    assert (first, last) == (wire.Rendered("a", "x" * 150), wire.Pong())
    assert isinstance(failed, wire.Failure)
    assert (failed.id, failed.code) == ("b", "invalid_value")
    assert "at most 200 are allowed" in failed.detail
