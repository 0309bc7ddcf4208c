"""Texts and tokens as a request may give them: one, or many in a list. Pure."""

from typing import Annotated

from msgspec import Meta

from janfs.engines.protocol import TextPrompt, TokenPrompt
from janfs.errors import InvalidInput

TokenId = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Given = str | list[str | TokenId | list[TokenId]]
"""A text, the tokens of one, or a list of those."""


def is_one(given: Given) -> bool:
    """Whether it is a text, or the tokens of one, and no list of such."""
    return isinstance(given, str) or isinstance(given[0], int)


def prompts_of(given: Given, field: str, most: int) -> list[TextPrompt | TokenPrompt]:
    """Each for itself. Raises `InvalidInput`, naming the `field`, for none or for more than `most`."""
    if isinstance(given, str):
        return [TextPrompt(given)]
    tokens = [each for each in given if isinstance(each, int)]
    if tokens and len(tokens) < len(given):
        raise InvalidInput(f"'{field}' mixes token ids with texts or lists.", param=field)
    if tokens:
        return [TokenPrompt(tuple(tokens))]
    if not 1 <= len(given) <= most:
        raise InvalidInput(f"'{field}' must have 1 to {most} entries, not {len(given)}.", param=field)
    return [
        TextPrompt(each) if isinstance(each, str) else TokenPrompt(tuple(each))
        for each in given
        if not isinstance(each, int)
    ]
