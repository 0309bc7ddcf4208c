"""What a sampler gives back."""

from typing import NamedTuple

from janfs.engines.protocol import TokenLogprob


class Chosen(NamedTuple):
    """The next token, and how likely it was, where a request wants to know."""

    token: int
    logprob: TokenLogprob | None = None
