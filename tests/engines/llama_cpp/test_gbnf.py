"""Grammars put together of others, judged by llama.cpp's own reading of them."""

import ctypes
import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import llama_cpp as llama
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from janfs.engines.llama_cpp.gbnf import behind, either
from janfs.engines.llama_cpp.grammar import gbnf_of_schema
from janfs.engines.llama_cpp.log import Log
from janfs.engines.llama_cpp.native import NativeModel
from janfs.engines.llama_cpp.weights import Weights
from janfs.engines.protocol import EngineSettings, SamplingParams

Allows = Callable[[str, str], bool]


@pytest.fixture(scope="module")
def allows(tiny_model: Path) -> Iterator[Allows]:
    """Whether a grammar allows a text, from its beginning to its end."""
    log, small = Log(), EngineSettings(ctx_len=64, n_parallel=1)
    vocabulary = Weights(os.fsencode(tiny_model), small, log)
    model = NativeModel(vocabulary, small, 1, log)

    def allows(grammar: str, text: str) -> bool:
        sampler = model.grammars.sampler(SamplingParams(grammar=grammar))
        try:
            for token in [*vocabulary.tokenize(text), vocabulary.eos]:
                one = llama.llama_token_data(id=token, logit=1.0, p=0.0)
                alone = llama.llama_token_data_array(
                    data=ctypes.pointer(one), size=1, selected=-1, sorted=False
                )
                llama.llama_sampler_apply(sampler, ctypes.byref(alone))
                if one.logit == float("-inf"):
                    return False
                if token != vocabulary.eos:
                    llama.llama_sampler_accept(sampler, token)
            return True
        finally:
            llama.llama_sampler_free(sampler)

    yield allows
    llama.llama_log_set(llama.llama_log_callback(), ctypes.c_void_p(0))


ONE = r"""# "root" is a word here, not a name
root ::= "a" ws item{1,2} ws
item ::= [root"#] | "root" # item
ws ::= " "*"""
OTHER = """root ::= item+
item ::= "[" ws? "]"
ws ::= "\\n"
"""


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        ("ar", True),
        ('a o" ', True),
        ("a root#", True),
        ("a", False),
        ("a rrr", False),
        ("[]", True),
        ("[\n][]", True),
        ("[ ]", False),
        ("a[]", False),
        ("", False),
    ],
)
def test_either_of_two_grammars_allows_what_one_of_them_does(
    allows: Allows, text: str, allowed: bool
) -> None:
    assert allows(either(ONE, OTHER), text) is allowed
    assert allows(either(OTHER, ONE), text) is allowed
    assert (allows(ONE, text) or allows(OTHER, text)) is allowed, "the two alone say something else"


@settings(max_examples=60)
@given(
    st.lists(st.sampled_from(["<", "</", "</think", "</think>", ">", "t", "k", " ", "{}", "{"]), max_size=7)
)
def test_behind_a_mark_stands_what_a_grammar_allows_and_before_it_anything(
    allows: Allows, pieces: list[str]
) -> None:
    text = "".join(pieces)
    _, mark, rest = text.partition("</think>")
    expected = bool(mark) and re.fullmatch(r"[ \t\r\n]*\{\}", rest) is not None
    assert allows(behind("</think>", 'root ::= "{" "}"'), text) is expected


@pytest.mark.parametrize("mark", ["aab", "abab", "x"])
@settings(max_examples=40)
@given(st.text("abx", max_size=9))
def test_a_mark_may_begin_like_its_own_middle(allows: Allows, mark: str, text: str) -> None:
    _, found, rest = text.partition(mark)
    assert allows(behind(mark, 'root ::= ""'), text) is (bool(found) and not rest)


def test_grammars_of_schemas_go_together(allows: Allows) -> None:
    def of(name: str, kind: str) -> str:
        schema = {"type": "object", "properties": {name: {"type": kind}}, "required": [name]}
        return gbnf_of_schema(json.dumps(schema | {"additionalProperties": False}))

    both = behind("!", either(of("a", "integer"), either(of("a", "boolean"), of("b", "string"))))
    for text in ('!{"a": 1}', 'hm! {"a": true}', '!{"b": "x"}'):
        assert allows(both, text), text
    for text in ('!{"a": "x"}', '!{"b": 1}', '{"a": 1}', '!{"a": 1}{"a": 1}'):
        assert not allows(both, text), text
