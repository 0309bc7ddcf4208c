"""JSON that is not always right."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from janfs.engines.llama_cpp.dialects.values import end_of, escaped

TEXTS = st.text(st.sampled_from(['"', "\\", "{", "}", "[", "]", ",", ":", "\n", "\t", "é", "a"]), max_size=6)
VALUES = st.recursive(
    st.one_of(TEXTS, st.integers(), st.none(), st.booleans()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)


@given(value=VALUES, rest=st.sampled_from(["}", "]", ",", " x"]))
def test_a_value_ends_where_it_ends_and_no_sooner(value: Any, rest: str) -> None:
    text = json.dumps(value)
    assert end_of(f"x{text}{rest}", 1) == 1 + len(text)
    assert all(end_of(text[:length], 0) is None for length in range(len(text)))


@pytest.mark.parametrize(
    "wrong", ['{"a": 1,}', "{a: 'b'}", '{"a": [1}', '{"a": 1]}', '{"a": "b" "c"}', "{,}", '{"a": {"b": [1}}']
)
def test_what_is_wrong_in_a_value_does_not_hide_its_end(wrong: str) -> None:
    assert end_of(f"{wrong}}}</tool_call>", 0) == len(wrong)


@pytest.mark.parametrize("text", ["", "}", "]", ",", ":", " ", "nul", "12"])
def test_what_has_not_begun_or_could_go_on_has_no_end(text: str) -> None:
    assert end_of(text, 0) is None


@given(VALUES)
def test_line_breaks_in_strings_are_escaped_and_all_else_stays(value: Any) -> None:
    right = json.dumps(value, indent=1)
    assert escaped(right) == right
    raw = right if "\\\\" in right else right.replace("\\n", "\n").replace("\\t", "\t")
    assert escaped(raw) == right
