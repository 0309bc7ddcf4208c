"""The count of an answer's tokens, as OpenAI's APIs tell it. Pure."""

from collections.abc import Sequence

from msgspec import Struct

from janfs.engines.protocol import Finished


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


def usage_of(ends: Sequence[Finished]) -> Usage:
    """All answers together; their prompt is the same, and counts once."""
    prompt = ends[0].usage.prompt_tokens
    completion = sum(end.usage.completion_tokens for end in ends)
    cached = min(end.usage.cached_tokens for end in ends)
    thought = sum(end.usage.reasoning_tokens for end in ends)
    return Usage(prompt, completion, prompt + completion, PromptDetails(cached), CompletionDetails(thought))
