"""Choosing tokens with llama.cpp's samplers, which run in C: one chain for each request."""

from collections.abc import Sequence

import llama_cpp as llama

from janfs.engines.protocol import SamplingParams


class ChainSampler:
    """Owns a chain of llama.cpp samplers and applies it to the logits of a context."""

    def __init__(self, ctx: object, chain: object) -> None:
        self._ctx = ctx
        self._chain = chain

    def sample(self, index: int) -> int:
        """The next token, from the logits of the last batch's entry `index`. The chain remembers it."""
        return int(llama.llama_sampler_sample(self._chain, self._ctx, index))

    def close(self) -> None:
        """Free the chain and all samplers in it."""
        llama.llama_sampler_free(self._chain)


def sampler_chain(
    params: SamplingParams, prompt: Sequence[int], n_ctx: int, n_vocab: int, banned: Sequence[int]
) -> object:
    """A chain in llama.cpp's usual order: bias, penalties, top-k, top-p, min-p, temperature, choice.

    `banned` tokens are never chosen.
    """
    chain = llama.llama_sampler_chain_init(llama.llama_sampler_chain_default_params())
    for sampler in [*_reweighting(params, prompt, n_ctx, n_vocab, banned), *_choosing(params)]:
        llama.llama_sampler_chain_add(chain, sampler)
    return chain


def seed_of(seed: int | None) -> int:
    """llama.cpp's 32-bit seed: its "take a fresh one" for None and -1, anything else folded below that."""
    fresh = int(llama.LLAMA_DEFAULT_SEED)
    return fresh if seed is None or seed == -1 else (seed & 0xFFFFFFFFFFFFFFFF) % fresh


def _reweighting(
    params: SamplingParams, prompt: Sequence[int], n_ctx: int, n_vocab: int, banned: Sequence[int]
) -> list[object]:
    samplers: list[object] = []
    if banned:
        biases = [llama.llama_logit_bias(token, float("-inf")) for token in banned]
        array = (llama.llama_logit_bias * len(biases))(*biases)
        samplers.append(llama.llama_sampler_init_logit_bias(n_vocab, len(biases), array))
    window = n_ctx if params.repeat_last_n < 0 else params.repeat_last_n
    if params.repeat_penalty != 1 and window:
        # llama.cpp's repeat penalty counts the prompt, OpenAI's two penalties only the answer: two samplers.
        repeat = llama.llama_sampler_init_penalties(n_vocab, window, params.repeat_penalty, 0.0, 0.0)
        for token in prompt[-window:]:
            llama.llama_sampler_accept(repeat, token)
        samplers.append(repeat)
    if (params.frequency_penalty or params.presence_penalty) and window:
        frequency, presence = params.frequency_penalty, params.presence_penalty
        samplers.append(llama.llama_sampler_init_penalties(n_vocab, window, 1.0, frequency, presence))
    return samplers


def _choosing(params: SamplingParams) -> list[object]:
    if params.temperature == 0:
        return [llama.llama_sampler_init_greedy()]
    samplers: list[object] = []
    if params.top_k > 0:
        samplers.append(llama.llama_sampler_init_top_k(params.top_k))
    if params.top_p < 1:
        samplers.append(llama.llama_sampler_init_top_p(params.top_p, 1))
    if params.min_p > 0:
        samplers.append(llama.llama_sampler_init_min_p(params.min_p, 1))
    samplers.append(llama.llama_sampler_init_temp(params.temperature))
    samplers.append(llama.llama_sampler_init_dist(seed_of(params.seed)))
    return samplers
