"""The count of an answer's tokens, as OpenAI's APIs tell it. Pure."""

from collections.abc import Sequence

from msgspec import Struct

from janfs.engines import protocol


class PromptDetails(Struct, frozen=True):
    """Of the prompt's tokens, those that were computed already for an earlier request."""

    cached_tokens: int


class CompletionDetails(Struct, frozen=True):
    """Of the answer's tokens, those that went into a thought before it."""

    reasoning_tokens: int


class Usage(Struct, frozen=True):
    """OpenAI's count of tokens."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptDetails
    completion_tokens_details: CompletionDetails


def usage_of(counts: Sequence[protocol.Usage], per_prompt: int) -> Usage:
    """All answers together: so many in a row are to the same prompt, which counts once."""
    prompts = [counts[at : at + per_prompt] for at in range(0, len(counts), per_prompt)]
    prompt = sum(same[0].prompt_tokens for same in prompts)
    completion = sum(each.completion_tokens for each in counts)
    cached = sum(min(each.cached_tokens for each in same) for same in prompts)
    thought = sum(each.reasoning_tokens for each in counts)
    return Usage(prompt, completion, prompt + completion, PromptDetails(cached), CompletionDetails(thought))
