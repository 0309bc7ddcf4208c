"""What llama.cpp's grammars allow, found with few questions, beside what it says of every single token."""

import json

import numpy as np
import pytest

from janfs.engines.llama_cpp.constraint import Constraint
from janfs.engines.llama_cpp.native import NativeModel
from janfs.engines.protocol import SamplingParams

WORDS = 'root ::= "a" [^é"]* "b" | [α-ω] "é"+ | "<|im_end|>" | " "{2,9} "x" | [^a-z]'
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 9}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}


def constraint_of(model: NativeModel, params: SamplingParams) -> Constraint:
    constraint = model.constraints.of(params)
    assert constraint is not None
    return constraint


@pytest.mark.parametrize("text", ["", "a", "aé", "aê", "aδx", "α", "αé", "  ", "         x", "?"])
def test_all_tokens_are_allowed_that_llama_cpp_allows(tiny: NativeModel, text: str) -> None:
    assert_all_are_found(tiny, SamplingParams(grammar=WORDS), text)


@pytest.mark.model
@pytest.mark.parametrize("text", ["", "{", '{"name": "', '{"name": "Bo 😀', '{"name": "Bo", "age": 1'])
def test_all_tokens_of_a_large_vocabulary_are_allowed_that_llama_cpp_allows(
    sample: NativeModel, text: str
) -> None:
    assert_all_are_found(sample, SamplingParams(json_schema=json.dumps(PERSON)), text)


def assert_all_are_found(model: NativeModel, params: SamplingParams, text: str) -> None:
    """At every token on the way through a text, in the midst of characters too."""
    constraint = constraint_of(model, params)
    for token in [*model.weights.tokenize(text), model.weights.eos]:
        every = np.arange(model.weights.n_vocab, dtype=np.int32)
        assert list(constraint.allowed()) == list(every[constraint.which(every)]), f"before {token}"
        if token == model.weights.eos or not constraint.take(token):
            break
    constraint.close()


@pytest.mark.model
def test_a_token_that_is_named_need_not_begin_as_the_grammar_wants(sample: NativeModel) -> None:
    (named,) = sample.weights.tokenize("hello")
    (seven,) = sample.weights.tokenize("7")
    constraint = constraint_of(sample, SamplingParams(grammar=f'root ::= <[{named}]> | "7"'))
    assert set(constraint.allowed()) == {named, seven}
    constraint.close()


def test_who_goes_on_behind_tokens_that_are_not_allowed_is_where_it_was(tiny: NativeModel) -> None:
    constraint = constraint_of(tiny, SamplingParams(grammar='root ::= "abc" | "abd"'))
    before = set(constraint.allowed())
    constraint.go_on(tiny.weights.tokenize("abx"))
    assert set(constraint.allowed()) == before
    constraint.go_on(tiny.weights.tokenize("ab"))
    assert {tiny.piece(int(token)) for token in constraint.allowed()} == {b"c", b"d"}
    constraint.close()
