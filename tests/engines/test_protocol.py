import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from janfs.engines.protocol import (
    MAX_STOP_STRINGS,
    ChatMessage,
    ChatPrompt,
    EngineExit,
    EngineSettings,
    GenerateRequest,
    SamplingParams,
    TextPrompt,
    TokenPrompt,
    describe_exit,
)
from janfs.errors import InvalidInput

RANGES = {
    "temperature": (0, 2),
    "top_p": (0, 1),
    "min_p": (0, 1),
    "frequency_penalty": (-2, 2),
    "presence_penalty": (-2, 2),
    "repeat_penalty": (0.1, 10),
}


@pytest.mark.parametrize("name", RANGES)
@given(value=st.floats())
def test_a_number_is_taken_within_its_range_and_refused_by_name_outside(name: str, value: float) -> None:
    low, high = RANGES[name]
    if low <= value <= high:
        assert getattr(SamplingParams(**{name: value}), name) == value
    else:
        with pytest.raises(InvalidInput) as caught:
            SamplingParams(**{name: value})
        assert caught.value.param == name


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", -1),
        ("temperature", 1e9),
        ("temperature", math.nan),
        ("top_p", 2),
        ("top_k", -2),
        ("max_tokens", -5),
        ("max_tokens", 2**31),
        ("seed", 2**63),
        ("repeat_penalty", 0),
        ("repeat_last_n", -2),
        ("stop", ("",)),
        ("stop", ("x" * 1025,)),
        ("stop", ("x",) * (MAX_STOP_STRINGS + 1)),
    ],
)
def test_an_absurd_value_is_refused_and_named(name: str, value: object) -> None:
    with pytest.raises(InvalidInput) as caught:
        SamplingParams(**{name: value})
    assert caught.value.param == name


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ctx_len", -1),
        ("n_parallel", 0),
        ("n_parallel", 257),
        ("cpu_threads", 0),
        ("n_batch", 0),
        ("ngl", -2),
    ],
)
def test_a_setting_out_of_range_is_refused_and_named(name: str, value: int) -> None:
    with pytest.raises(InvalidInput) as caught:
        EngineSettings(**{name: value})
    assert caught.value.param == name


MESSAGES = st.builds(ChatMessage, st.text(), st.text())
prompts = st.one_of(
    st.builds(TextPrompt, st.text()),
    st.builds(TokenPrompt, st.lists(st.integers(0, 2**31 - 1)).map(tuple)),
    st.builds(ChatPrompt, st.lists(MESSAGES, min_size=1).map(tuple)),
)


@given(prompt=prompts, temperature=st.floats(0, 2), stop=st.lists(st.text(min_size=1), max_size=3).map(tuple))
def test_a_request_is_the_same_after_its_way_over_the_wire(
    prompt: TextPrompt, temperature: float, stop: tuple[str, ...]
) -> None:
    sampling = SamplingParams(temperature=temperature, stop=stop)
    request = GenerateRequest(request_id="r", prompt=prompt, sampling=sampling)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(request), type=GenerateRequest) == request


def test_an_out_of_range_value_does_not_come_in_over_the_wire_either() -> None:
    with pytest.raises(InvalidInput):
        msgspec.convert({"temperature": -1}, SamplingParams)


def test_an_exit_is_described_in_one_line() -> None:
    assert describe_exit(EngineExit(code=3, signal=None)) == "exited with code 3"
    killed = EngineExit(code=None, signal="SIGKILL", stderr_tail=("first", "last"))
    assert describe_exit(killed) == "was killed by SIGKILL: last"
