"""How long an answer took, as llama.cpp's server tells it. Pure."""

from collections.abc import Sequence

from msgspec import Struct

from janfs.api.usage import Usage, usage_of
from janfs.engines.protocol import Finished


class Timings(Struct, frozen=True):
    """Of the prompt `cache_n` tokens were computed before, `prompt_n` for this answer of `predicted_n`."""

    cache_n: int
    prompt_n: int
    prompt_ms: float
    prompt_per_token_ms: float
    prompt_per_second: float
    predicted_n: int
    predicted_ms: float
    predicted_per_token_ms: float
    predicted_per_second: float


def timings_of(usage: Usage, ends: Sequence[Finished]) -> Timings:
    """All answers together: computed at the same time, they take as long as the longest."""
    cached, predicted = usage.prompt_tokens_details.cached_tokens, usage.completion_tokens
    computed = usage.prompt_tokens - cached
    prompt_ms = 1000 * max(end.spent.prompt for end in ends)
    answer_ms = 1000 * max(end.spent.answer for end in ends)
    return Timings(
        cached,
        computed,
        prompt_ms,
        _ratio(prompt_ms, computed),
        _ratio(1000 * computed, prompt_ms),
        predicted,
        answer_ms,
        _ratio(answer_ms, predicted),
        _ratio(1000 * predicted, answer_ms),
    )


def own_timings(end: Finished) -> Timings:
    """Of one answer alone, at the end of which its stream tells them."""
    return timings_of(usage_of([end.usage], 1), [end])


def _ratio(amount: float, by: float) -> float:
    return amount / by if by else 0.0
