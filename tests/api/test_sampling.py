"""The request's sampling over the model's."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from janfs.api.sampling import GenerationFields, StreamOptions, choices_of, sampling_of, wants_usage
from janfs.engines.protocol import SamplingParams
from janfs.errors import InvalidInput
from janfs.manifest.parameters import MODEL_PARAMETERS

IN_MODEL_JSON = {"typical_p": "typ_p"}
_values: dict[str, st.SearchStrategy[Any]] = {
    "temperature": st.floats(0, 2),
    "top_p": st.floats(0, 1),
    "top_k": st.integers(-1, 1000),
    "min_p": st.floats(0, 1),
    "seed": st.integers(-(2**63), 2**63 - 1),
    "max_tokens": st.integers(1, 10_000),
    "frequency_penalty": st.floats(-2, 2),
    "presence_penalty": st.floats(-2, 2),
    "repeat_penalty": st.floats(0.1, 10),
    "repeat_last_n": st.integers(-1, 1000),
    "ignore_eos": st.booleans(),
    "typical_p": st.floats(0, 1),
    "min_keep": st.integers(0, 100),
    "dynatemp_range": st.floats(0, 2),
    "dynatemp_exponent": st.floats(0, 10),
    "mirostat": st.integers(0, 2),
    "mirostat_tau": st.floats(0, 100),
    "mirostat_eta": st.floats(0, 1),
    "stop": st.lists(st.text(min_size=1, max_size=5), max_size=3),
}
some_values = st.fixed_dictionaries({}, optional={name: st.none() | value for name, value in _values.items()})


@given(some_values, some_values)
def test_each_field_is_the_requests_else_the_models_else_built_in(
    asked: dict[str, Any], defaults: dict[str, Any]
) -> None:
    written = {IN_MODEL_JSON.get(name, name): value for name, value in defaults.items()}
    sampling = sampling_of(GenerationFields(model="m", **asked), written)
    built_in = SamplingParams()
    for name in _values:
        expected = next(
            (each[name] for each in (asked, defaults) if each.get(name) is not None), getattr(built_in, name)
        )
        expected = tuple(expected) if name == "stop" else expected
        assert getattr(sampling, name) == expected, f"{name} of {asked} over {defaults}"


def test_every_sampling_field_can_be_asked_for_and_set_in_model_json() -> None:
    fields = set(SamplingParams.__struct_fields__)
    assert fields - {"logprobs"} <= set(GenerationFields.__struct_fields__), "a field cannot be asked for"
    plain = fields - {"logit_bias", "grammar", "json_schema", "logprobs"}
    assert {IN_MODEL_JSON.get(name, name) for name in plain} <= set(MODEL_PARAMETERS), "not in model.json"
    assert plain == set(_values), "a sampling field is not tested here"


@pytest.mark.parametrize(
    ("seed", "following"),
    [
        (7, [7, 8, 9]),
        (-4, [-4, -3, -2]),
        (-3, [-3, -2, 0]),
        (-2, [-2, 0, 1]),
        (2**63 - 2, [2**63 - 2, 2**63 - 1, -(2**63)]),
        (-1, [-1, -1, -1]),
        (None, [None, None, None]),
    ],
)
def test_seeds_follow_each_other_and_none_of_them_stands_for_any(
    seed: int | None, following: list[int | None]
) -> None:
    fields = GenerationFields(model="m", n=3)
    assert [each.seed for each in choices_of(fields, SamplingParams(seed=seed))] == following


def test_stream_options_need_a_stream() -> None:
    options = StreamOptions(include_usage=True)
    assert wants_usage(GenerationFields(model="m", stream=True, stream_options=options))
    assert not wants_usage(GenerationFields(model="m", stream=True, stream_options=StreamOptions()))
    assert not wants_usage(GenerationFields(model="m"))
    with pytest.raises(InvalidInput, match="stream_options"):
        wants_usage(GenerationFields(model="m", stream_options=options))
