"""Answers that a grammar or a schema binds, and what is refused as one."""

import json
from typing import Any

import pytest

from janfs.engines.llama_cpp.guidance import UNGUIDED, Guidance
from janfs.engines.llama_cpp.model import Decoded, Entry
from janfs.engines.llama_cpp.native import NativeModel
from janfs.engines.protocol import SamplingParams
from janfs.errors import InvalidInput
from tests.engines.llama_cpp.native_models import prompt


@pytest.mark.parametrize("temperature", [0, 1.5])
def test_a_grammar_binds_every_token(tiny: NativeModel, temperature: float) -> None:
    params = SamplingParams(temperature=temperature, grammar='root ::= "ab" ("c" | "d")', seed=3)
    assert written(tiny, params, [1]) in (b"abc", b"abd")


def written(
    model: NativeModel, params: SamplingParams, tokens: list[int], guidance: Guidance = UNGUIDED
) -> bytes:
    """What a model writes behind some tokens, to its end."""
    model.check(params)
    sampler, text = model.sampler(params, tokens, guidance), b""
    batch = prompt(tokens)
    while True:
        assert model.decode(batch) is Decoded.OK
        token = sampler.sample(len(batch) - 1).token
        if model.is_end(token):
            break
        batch = [Entry(token, batch[-1].place + 1, 0, True)]
        text += model.piece(token)
    sampler.close()
    model.memory.release(0)
    return text


@pytest.mark.parametrize(("said", "texts"), [("a", (b"bc", b"bd")), ("abd", (b"",)), ("b", (b"abc", b"abd"))])
def test_a_grammar_goes_on_behind_what_is_said_where_it_allows_that(
    tiny: NativeModel, said: str, texts: tuple[bytes, ...]
) -> None:
    tokens = tuple(tiny.weights.tokenize(said))
    params = SamplingParams(temperature=1.5, grammar='root ::= "ab" ("c" | "d")', seed=3)
    assert written(tiny, params, [1, *tokens], Guidance(tokens)) in texts


def test_a_grammar_that_no_token_fits_is_the_callers_mistake(tiny: NativeModel) -> None:
    params = SamplingParams(grammar=f"root ::= <[{tiny.weights.eos}]>")  # an end is no part of a text
    tiny.check(params)
    sampler = tiny.sampler(params, [])
    assert tiny.decode([Entry(1, 0, 0, True)]) is Decoded.OK
    with pytest.raises(InvalidInput, match="fits the grammar"):
        sampler.sample(0)
    sampler.close()
    tiny.memory.release(0)


@pytest.mark.parametrize(
    "how", [{"temperature": 0}, {"temperature": 1}, {"typical_p": 0.5}, {"mirostat": 1}, {"mirostat": 2}]
)
def test_of_the_tokens_that_fit_none_is_chosen_that_a_bias_forbids(
    tiny: NativeModel, how: dict[str, Any]
) -> None:
    params = SamplingParams(grammar="root ::= [abc]", logit_bias=forbid(tiny, "ab"), seed=1, **how)
    assert written(tiny, params, [1]) == b"c"


def test_a_bias_that_forbids_all_that_fits_is_the_callers_mistake(tiny: NativeModel) -> None:
    """llama.cpp ends the process over a token that does not fit."""
    with pytest.raises(InvalidInput, match="logit_bias"):
        written(tiny, SamplingParams(grammar="root ::= [ab]", logit_bias=forbid(tiny, "ab")), [1])
    tiny.memory.release(0)


def forbid(model: NativeModel, letters: str) -> tuple[tuple[int, float], ...]:
    """A bias against every token that is one of these letters."""
    return tuple(
        (token, -100)
        for token, piece in enumerate(model.weights.pieces())
        if piece and piece in letters.encode()
    )


def test_what_is_no_grammar_is_refused(tiny: NativeModel) -> None:
    deep = "root ::= " + "(" * 1000 + '"a"' + ")" * 1000
    for grammar_text in ("root ::= (", "no root", 'root ::= root "a"', deep, 'root ::= "\0"\0'):
        with pytest.raises(InvalidInput, match="grammar"):
            tiny.check(SamplingParams(grammar=grammar_text))


@pytest.mark.parametrize(
    "counted",
    [
        '"a"{5,3}',
        '("a"{5 , 3 })',
        '("a"{5,#}\n3})',
        '("a"{2,#9}\n1 #\n})',
        '"a"{1,2000} ' * 60,
        '"a"{0,99999999999999999999999999}',
    ],
)
def test_a_count_that_would_fill_the_memory_is_refused(tiny: NativeModel, counted: str) -> None:
    with pytest.raises(InvalidInput, match="count"):
        tiny.check(SamplingParams(grammar=f"root ::= {counted}"))


def test_what_only_looks_like_a_count_is_none(tiny: NativeModel) -> None:
    tiny.check(SamplingParams(grammar='root ::= "{5,3}" [{5,3}] "a"{3,5} "b"{3} "c"{3,} # {5,3}'))


@pytest.mark.parametrize(
    "schema",
    [
        '{"type": "string", "minLength": 1000000000}',
        '{"type": "string", "minLength": 5, "maxLength": 3}',
        '{"type": "array", "items": {"type": "integer"}, "minItems": 9, "maxItems": 2}',
        '{"type": "string", "pattern": "^a{10000000}$"}',
        "{",
        '{"type": "nothing"}',
        '{"$ref": "https://example.org/schema.json"}',
        '{"$ref": "#/nowhere"}',
        "[" * 5000 + "]" * 5000,
        '{"type": "object", "properties": 5}',
        '{"type": "string", "pattern": "("}',
    ],
)
def test_what_is_no_schema_is_refused(tiny: NativeModel, schema: str) -> None:
    with pytest.raises(InvalidInput, match="JSON schema"):
        tiny.check(SamplingParams(json_schema=schema))


def test_long_texts_and_lists_may_have_their_bounds(tiny: NativeModel) -> None:
    text = {"type": "string", "minLength": 3, "maxLength": 2000}
    lists = {"type": "array", "items": {"type": "string", "pattern": "^(ab){1,70}$"}, "maxItems": 500}
    tiny.check(
        SamplingParams(json_schema=json.dumps({"type": "object", "properties": {"a": text, "b": lists}}))
    )
