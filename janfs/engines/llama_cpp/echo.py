"""The prompt as the beginning of its answer. Pure, but for the vocabulary it is given."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from janfs.engines.protocol import Prompt, TextPrompt


class Spelling(Protocol):
    """What is needed of a model's tokenizer."""

    def tokenize(self, text: str) -> list[int]:
        """The tokens of a text, nothing added."""
        ...

    def piece(self, token: int, *, special: bool = False) -> bytes:
        """The bytes of a token; of special ones only if asked for."""
        ...


class Echo(NamedTuple):
    """A prompt's text, and how many of its tokens, 0 or 1, were put in front of it and are not of it."""

    text: str
    n_added: int = 0


def echo_of(prompt: Prompt, tokens: Sequence[int], vocabulary: Spelling) -> Echo:
    """The echo of a prompt that became these tokens."""
    if isinstance(prompt, TextPrompt):
        return Echo(prompt.text, len(tokens) - len(vocabulary.tokenize(prompt.text)))
    spelled = b"".join(vocabulary.piece(token, special=True) for token in tokens)
    return Echo(spelled.decode("utf-8", "replace"))
