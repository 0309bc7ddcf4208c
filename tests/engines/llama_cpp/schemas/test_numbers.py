import json
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from janfs.engines.llama_cpp.grammar import gbnf_of_schema
from janfs.errors import InvalidInput
from tests.engines.llama_cpp.conftest import Allows
from tests.engines.llama_cpp.schemas.examples import assert_just

BOUND = st.none() | st.integers(-1200, 1200) | st.sampled_from([0, -1, 1.5, -0.25, 0.125, 99.99, 10**17])
STEPS = st.integers(1, 130) | st.sampled_from([1000, 86_400, 0.5, 0.01, 0.25, 1.5, 12.5, 0.003])


@pytest.mark.parametrize(
    ("schema", "fitting", "others"),
    [
        (
            {"enum": [3, 4, 6, 0.3, "x"], "multipleOf": 3},
            ["3", "6", '"x"'],
            ["4", "0.3"],
        ),
        (
            {"allOf": [{"type": "integer", "multipleOf": 4}, {"multipleOf": 6}]},
            ["12", "0", "-24"],
            ["4", "6"],
        ),
        ({"type": "integer", "multipleOf": 7919, "minimum": 0, "maximum": 20_000}, ["7919"], ["7918"]),
    ],
)
def test_just_what_fits_is_allowed(
    allows: Allows, schema: Any, fitting: list[str], others: list[str]
) -> None:
    assert_just(allows, schema, fitting, others)


@given(
    st.sampled_from(["integer", "number"]),
    st.tuples(BOUND, BOUND),
    st.tuples(st.booleans(), st.booleans()),
    st.data(),
)
@settings(max_examples=150, deadline=None)
def test_numbers_are_those_within_their_bounds(
    allows: Allows,
    kind: str,
    bounds: tuple[float | None, float | None],
    strict: tuple[bool, bool],
    data: st.DataObject,
) -> None:
    (low, high), (above, below) = bounds, strict
    schema: dict[str, Any] = {"type": kind}
    schema |= {} if low is None else {"exclusiveMinimum" if above else "minimum": low}
    schema |= {} if high is None else {"exclusiveMaximum" if below else "maximum": high}
    near = [each for bound in (low, high) if bound is not None for each in (bound - 1, bound, bound + 1)]
    numbers = st.sampled_from([*near, 0]) | st.integers(-2000, 2000)
    if kind == "number":
        numbers = numbers | st.decimals(-20, 120, places=3).map(float)
    values = [
        value for value in data.draw(st.lists(numbers, max_size=8)) if kind == "number" or value == int(value)
    ]
    try:
        grammar = gbnf_of_schema(json.dumps(schema))
    except InvalidInput:
        assert low is not None
        assert high is not None
        assert not [
            value
            for value in (low, high, (low + high) / 2, *range(int(low), int(high) + 1))
            if fits(value, schema)
        ]
        return
    for value in values:
        text = json.dumps(int(value) if value == int(value) else value)
        assert allows(grammar, text) == fits(value, schema), (text, schema)


@given(
    kind=st.sampled_from(["integer", "number"]),
    step=STEPS,
    bounds=st.tuples(BOUND, BOUND),
    strict=st.tuples(st.booleans(), st.booleans()),
    numbers=st.lists(st.integers(-3000, 3000) | st.decimals(-100, 100, places=2).map(float), max_size=6),
    counts=st.lists(st.integers(-200, 200), max_size=6),
)
@settings(max_examples=150, deadline=None)
def test_multiples_are_those_within_their_bounds(
    allows: Allows,
    *,
    kind: str,
    step: float,
    bounds: tuple[float | None, float | None],
    strict: tuple[bool, bool],
    numbers: list[float],
    counts: list[int],
) -> None:
    (low, high), (above, below) = bounds, strict
    schema: dict[str, Any] = {"type": kind, "multipleOf": step}
    schema |= {} if low is None else {"exclusiveMinimum" if above else "minimum": low}
    schema |= {} if high is None else {"exclusiveMaximum" if below else "maximum": high}
    exact = Fraction(str(step))
    values = [Fraction(str(each)) for each in numbers] + [count * exact for count in counts]
    values = [value for value in values if kind == "number" or value.denominator == 1]
    fitting = [value for value in values if value % exact == 0 and fits(float(value), schema)]
    try:
        grammar = gbnf_of_schema(json.dumps(schema))
    except InvalidInput:
        assert not fitting, schema
        return
    for value in values:
        text = json.dumps(int(value) if value.denominator == 1 else float(value))
        assert allows(grammar, text) == (value in fitting), (text, schema)


def test_a_multiple_may_be_written_with_zeros_at_its_end(allows: Allows) -> None:
    grammar = gbnf_of_schema('{"type": "number", "multipleOf": 0.25}')
    assert all(allows(grammar, text) for text in ("1", "1.0", "1.00", "1.5", "1.50", "0.75", "-0.25"))
    assert not allows(grammar, "12345678901234.5")  # more digits than every reader's numbers have
    assert not any(allows(grammar, text) for text in ("1.1", "1.000", "01", "1.", "1.55", "2.5e1"))


def fits(value: float, schema: dict[str, Any]) -> bool:
    """Whether a number is within the bounds that a schema gives."""
    return (
        schema.get("minimum", value) <= value <= schema.get("maximum", value)
        and ("exclusiveMinimum" not in schema or schema["exclusiveMinimum"] < value)
        and ("exclusiveMaximum" not in schema or value < schema["exclusiveMaximum"])
        and (schema["type"] == "number" or value == int(value))
    )
