"""What is needed of a model's tokenizer. Pure."""

from collections.abc import Sequence
from typing import Protocol

from janfs.errors import InvalidInput


class Vocabulary(Protocol):
    """What is needed of a model's tokenizer. A token of -1 is one that the vocabulary does not have."""

    @property
    def n_vocab(self) -> int: ...

    @property
    def bos(self) -> int: ...

    @property
    def eos(self) -> int: ...

    @property
    def adds_bos(self) -> bool:
        """Whether every text begins with `bos`."""
        ...

    def fewest(self, text: str) -> int:
        """So many tokens a text has at least, by its length alone."""
        ...

    def tokenize(self, text: str) -> list[int]:
        """The tokens of a text, special tokens recognised, nothing added."""
        ...

    def piece(self, token: int, *, special: bool = False) -> bytes:
        """The bytes of a token; of a special one only if they are asked for."""
        ...


def check_tokens(tokens: Sequence[int], n_vocab: int, *, param: str = "prompt") -> list[int]:
    """The tokens. Raises `InvalidInput`, naming `param`, if one is not in the vocabulary."""
    for token in tokens:
        if not 0 <= token < n_vocab:
            raise InvalidInput(f"Token {token} is not in the vocabulary (0 to {n_vocab - 1}).", param=param)
    return list(tokens)
