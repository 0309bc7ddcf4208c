"""Which token is chosen, beside what llama.cpp's own chain of samplers chooses."""

from typing import Any

import llama_cpp as llama
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from janfs.engines.llama_cpp import (
    sampling,
)
from janfs.engines.llama_cpp.model import Decoded
from janfs.engines.llama_cpp.native import NativeModel
from janfs.engines.llama_cpp.sampling import seed_of
from janfs.engines.protocol import SamplingParams
from janfs.errors import InvalidInput
from tests.engines.llama_cpp.native_models import GREEDY, first, prompt


@pytest.mark.parametrize(
    "params",
    [
        GREEDY,
        SamplingParams(temperature=0, ignore_eos=True),
        SamplingParams(temperature=0, logit_bias=tuple((token, -100.0) for token in range(0, 286, 2))),
    ],
    ids=["all", "no end", "every other one"],
)
def test_the_likeliest_token_is_the_one_that_llama_cpps_chain_takes(
    tiny: NativeModel, params: SamplingParams
) -> None:
    banned = sampling.banned_tokens(params, lambda: tiny.weights.end_tokens)
    chain = sampling.sampler_chain(params, [], tiny.n_ctx, tiny.weights.n_vocab, banned)
    sampler = tiny.sampler(params, [])
    assert isinstance(sampler, sampling.GreedySampler)
    for token in range(3, tiny.weights.n_vocab):
        assert tiny.decode(prompt([1, token])) is Decoded.OK
        assert sampler.sample(1).token == llama.llama_sampler_sample(chain, tiny._context.handle, 1), (
            f"after {token}"
        )
        tiny.memory.release(0)
    sampler.close()
    llama.llama_sampler_free(chain)


def test_the_tokens_that_end_an_answer_are_sought_only_where_it_may_not_end() -> None:
    def sought() -> list[int]:
        pytest.fail("the whole vocabulary was looked through")

    bias = ((6, -100.0), (7, 1.0))
    assert sampling.banned_tokens(SamplingParams(logit_bias=bias), sought) == [6]
    assert sampling.banned_tokens(SamplingParams(logit_bias=bias, ignore_eos=True), lambda: [2]) == [2, 6]


@pytest.mark.parametrize(
    "params",
    [
        SamplingParams(temperature=0, logit_bias=((5, -1.0), (6, -100.0))),
        SamplingParams(temperature=0, repeat_penalty=1.1, logit_bias=((6, -100.0),)),
        SamplingParams(temperature=0, presence_penalty=1),
    ],
)
def test_what_weighs_tokens_is_left_to_llama_cpps_chain(tiny: NativeModel, params: SamplingParams) -> None:
    sampler = tiny.sampler(params, [])
    assert isinstance(sampler, sampling.ChainSampler)
    sampler.close()


def test_ignore_eos_never_chooses_an_end(tiny: NativeModel) -> None:
    prompts = [[1, token] for token in range(3, tiny.weights.n_vocab)]
    ending = [tokens for tokens in prompts if tiny.is_end(first(tiny, GREEDY, tokens))]
    assert ending, "no prompt leads to an end, so this test shows nothing"
    for tokens in ending:
        assert not tiny.is_end(first(tiny, SamplingParams(temperature=0, ignore_eos=True), tokens))


@pytest.mark.model
def test_the_repeat_penalty_counts_the_prompt_and_openais_do_not(sample: NativeModel) -> None:
    tokens = sample.weights.tokenize("one two three one two three one two three one two")
    plain = first(sample, GREEDY, tokens)
    assert sample.piece(plain) == b" three"
    assert first(sample, SamplingParams(temperature=0, repeat_penalty=10), tokens) != plain
    both = SamplingParams(temperature=0, frequency_penalty=2, presence_penalty=2)
    assert first(sample, both, tokens) == plain


def test_a_seed_gives_the_same_tokens_again_and_another_one_others(tiny: NativeModel) -> None:
    def drawn(seed: int) -> list[int]:
        params = SamplingParams(temperature=2, top_k=0, top_p=1, min_p=0, seed=seed)
        assert tiny.decode(prompt([1, 5])) is Decoded.OK
        sampler = tiny.sampler(params, [])
        tokens = [sampler.sample(1).token for _ in range(20)]
        sampler.close()
        tiny.memory.release(0)
        return tokens

    assert drawn(42) == drawn(42)
    assert drawn(42) != drawn(43)


@pytest.mark.parametrize("narrow", [{"top_p": 0.0}, {"min_p": 1.0}, {"typical_p": 0.001}])
def test_as_many_tokens_are_left_to_choose_from_as_are_to_be_kept(
    tiny: NativeModel, narrow: dict[str, float]
) -> None:
    def drawn(min_keep: int) -> set[int]:
        wide: dict[str, Any] = {"top_k": 0, "top_p": 1, "min_p": 0, "temperature": 2}
        params = SamplingParams(**wide | narrow, seed=1, min_keep=min_keep)
        assert tiny.decode(prompt([1, 5])) is Decoded.OK
        sampler = tiny.sampler(params, [])
        tokens = {sampler.sample(1).token for _ in range(40)}
        sampler.close()
        tiny.memory.release(0)
        return tokens

    assert len(drawn(0)) == 1
    assert 1 < len(drawn(5)) <= 5


def test_a_bias_forbids_a_token_or_brings_it_about(tiny: NativeModel) -> None:
    plain = first(tiny, GREEDY, [1, 5])
    assert first(tiny, SamplingParams(temperature=0, logit_bias=((plain, -100),)), [1, 5]) != plain
    wanted = 7 if plain != 7 else 8
    assert first(tiny, SamplingParams(temperature=0, logit_bias=((wanted, 100),)), [1, 5]) == wanted
    with pytest.raises(InvalidInput, match="vocabulary"):
        tiny.check(SamplingParams(logit_bias=((tiny.weights.n_vocab, 1),)))


def test_logprobs_are_the_softmax_of_the_logits(tiny: NativeModel) -> None:
    assert tiny.decode(prompt([1, 5])) is Decoded.OK
    pointer = llama.llama_get_logits_ith(tiny._context.handle, 1)
    logits = np.array([pointer[token] for token in range(tiny.weights.n_vocab)], np.float64)
    expected = logits - np.log(np.exp(logits).sum())
    sampler = tiny.sampler(SamplingParams(temperature=0, logprobs=5), [])
    token, logprob = sampler.sample(1)
    sampler.close()
    tiny.memory.release(0)
    assert token == first(tiny, GREEDY, [1, 5]), "asking for logprobs changes the answer"
    assert logprob is not None
    assert (logprob.token, logprob.logprob) == (token, pytest.approx(expected[token], abs=1e-4))
    assert [each.token for each in logprob.top] == list(np.argsort(-expected, kind="stable")[:5])
    assert [each.logprob for each in logprob.top] == pytest.approx(sorted(expected)[:-6:-1], abs=1e-4)


@given(st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)))
def test_a_seed_is_fresh_only_when_it_is_not_given(seed: int | None) -> None:
    fresh = 0xFFFFFFFF  # llama.h: LLAMA_DEFAULT_SEED
    assert 0 <= seed_of(seed) <= fresh
    assert (seed_of(seed) == fresh) == (seed in {None, -1})
