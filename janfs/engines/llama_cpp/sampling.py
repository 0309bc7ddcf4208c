"""Choosing tokens with llama.cpp's samplers, which run in C: one chain for each request."""

import ctypes
from collections.abc import Callable, Sequence

import llama_cpp as llama
import numpy as np

from janfs.engines.llama_cpp.candidates import Candidates
from janfs.engines.llama_cpp.choice import Chosen
from janfs.engines.llama_cpp.constraint import Constraint
from janfs.engines.llama_cpp.context import Context
from janfs.engines.llama_cpp.token_tree import Tokens
from janfs.engines.protocol import SamplingParams
from janfs.errors import InvalidInput

_MIROSTAT_M = 100  # llama.cpp's own choice (common/sampling.cpp)


class ChainSampler:
    """Owns a chain of llama.cpp samplers and applies it to the logits of a context."""

    def __init__(self, context: Context, chain: object) -> None:
        self._context = context
        self._chain = chain

    def sample(self, index: int) -> Chosen:
        """The next token, from the logits of the last batch's entry `index`. The chain remembers it."""
        return Chosen(int(llama.llama_sampler_sample(self._chain, self._context.handle, index)))

    def follow(self, index: int, token: int) -> Chosen:  # noqa: ARG002  # the logits do not matter
        """Choose this token. The chain remembers it."""
        llama.llama_sampler_accept(self._chain, token)
        return Chosen(token)

    def close(self) -> None:
        """Free the chain and all samplers in it."""
        llama.llama_sampler_free(self._chain)


class GreedySampler:
    """Takes the likeliest token but for those `banned`, of equal ones the first, as such a chain does.

    The chain copies the whole vocabulary for each token: 87 µs where this takes 9 (49,152 tokens).
    """

    def __init__(self, candidates: Candidates, chain: object, banned: Sequence[int]) -> None:
        self._candidates = candidates
        self._chain = chain
        self._banned = banned

    def sample(self, index: int) -> Chosen:
        """As `ChainSampler.sample`."""
        return Chosen(self._candidates.likeliest(index, self._banned))

    def follow(self, index: int, token: int) -> Chosen:  # noqa: ARG002  # the logits do not matter
        """Choose this token."""
        return Chosen(token)

    def close(self) -> None:
        """Free the chain."""
        llama.llama_sampler_free(self._chain)


class CloseSampler:
    """A chain for requests that look closer: bound by a grammar, or asking for probabilities.

    A grammar is slow on a whole vocabulary, so the chain chooses without it first, and chooses again among
    what the grammar allows only when that choice does not fit, as llama.cpp's own server does. It never gives
    llama.cpp's grammar a token that does not fit, which would end the process.
    """

    def __init__(
        self,
        candidates: Candidates,
        chain: object,
        params: SamplingParams,
        constraint: Constraint | None,
        banned: Sequence[int],
    ) -> None:
        self._candidates = candidates
        self._chain = chain
        self._constraint = constraint
        self._banned = np.array(banned, np.int32)
        self._logprobs = params.logprobs

    def sample(self, index: int) -> Chosen:
        """As `ChainSampler.sample`. Raises `InvalidInput` when nothing fits the grammar."""
        return self.follow(index, self._choose(index))

    def follow(self, index: int, token: int) -> Chosen:
        """Choose this token if it fits the grammar; otherwise one that does."""
        if self._constraint is not None and not self._constraint.take(token):
            token = self._choose(index, self._allowed(self._constraint))
            self._constraint.take(token)
        llama.llama_sampler_accept(self._chain, token)
        if self._logprobs is None:
            return Chosen(token)
        return Chosen(token, self._candidates.logprob(index, token, self._logprobs))

    def close(self) -> None:
        """Free the chain and the grammar."""
        llama.llama_sampler_free(self._chain)
        if self._constraint is not None:
            self._constraint.close()

    def _choose(self, index: int, among: Tokens | None = None) -> int:
        candidates = self._candidates.fill(index, among)
        llama.llama_sampler_apply(self._chain, ctypes.byref(candidates))
        return int(candidates.data[candidates.selected].id)

    def _allowed(self, constraint: Constraint) -> Tokens:
        allowed = constraint.allowed()
        left = np.setdiff1d(allowed, self._banned, assume_unique=True)
        if not len(left):
            but = ", of those that logit_bias leaves" if len(allowed) else ""
            raise InvalidInput(f"No token of this model fits the grammar here{but}.", param="grammar")
        return left


def is_greedy(params: SamplingParams, chain: object, banned: Sequence[int]) -> bool:
    """Whether a request's chain takes the likeliest token of all but the `banned`, as the logits say."""
    biased = len(params.logit_bias) > len(_never(params))
    links = int(llama.llama_sampler_chain_n(chain))
    return params.temperature == 0 and not biased and links == 1 + bool(banned)


def banned_tokens(params: SamplingParams, ends: Callable[[], Sequence[int]]) -> list[int]:
    """What a request is never to get; `ends` finds the tokens with which the model ends its answer.

    It is asked where these matter, as it looks through the whole vocabulary: 30 ms for 49,152 tokens.
    """
    return [*(ends() if params.ignore_eos else ()), *_never(params)]


def _never(params: SamplingParams) -> list[int]:
    """OpenAI's -100."""
    return [token for token, bias in params.logit_bias if bias <= -100]


def sampler_chain(
    params: SamplingParams, prompt: Sequence[int], n_ctx: int, n_vocab: int, banned: Sequence[int]
) -> object:
    """A chain in llama.cpp's usual order: bias, penalties, top-k, typical, top-p, min-p, temperature, choice.

    `banned` tokens are never chosen.
    """
    chain = llama.llama_sampler_chain_init(llama.llama_sampler_chain_default_params())
    for sampler in [*_reweighting(params, prompt, n_ctx, n_vocab, banned), *_choosing(params, n_vocab)]:
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
    biases = [llama.llama_logit_bias(token, float("-inf")) for token in banned]
    biases += [llama.llama_logit_bias(token, bias) for token, bias in params.logit_bias if bias > -100]
    if biases:
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


def _choosing(params: SamplingParams, n_vocab: int) -> list[object]:
    if params.temperature == 0:
        return [llama.llama_sampler_init_greedy()]
    seed, tau, eta = seed_of(params.seed), params.mirostat_tau, params.mirostat_eta
    if params.mirostat == 1:
        last = llama.llama_sampler_init_mirostat(n_vocab, seed, tau, eta, _MIROSTAT_M)
        return [llama.llama_sampler_init_temp(params.temperature), last]
    if params.mirostat == 2:
        return [
            llama.llama_sampler_init_temp(params.temperature),
            llama.llama_sampler_init_mirostat_v2(seed, tau, eta),
        ]
    samplers: list[object] = []
    keep = max(1, params.min_keep)
    if params.top_k > 0:
        samplers.append(llama.llama_sampler_init_top_k(params.top_k))
    if params.typical_p < 1:
        samplers.append(llama.llama_sampler_init_typical(params.typical_p, keep))
    if params.top_p < 1:
        samplers.append(llama.llama_sampler_init_top_p(params.top_p, keep))
    if params.min_p > 0:
        samplers.append(llama.llama_sampler_init_min_p(params.min_p, keep))
    samplers.append(_temperature(params))
    samplers.append(llama.llama_sampler_init_dist(seed))
    return samplers


def _temperature(params: SamplingParams) -> object:
    if not params.dynatemp_range:
        return llama.llama_sampler_init_temp(params.temperature)
    return llama.llama_sampler_init_temp_ext(
        params.temperature, params.dynatemp_range, params.dynatemp_exponent
    )
