"""What a prompt means for how the tokens of its answer are chosen, beside what its request asks for. Pure."""

from typing import NamedTuple


class Thoughts(NamedTuple):
    """A bound on an answer's thought: after `most` tokens it is ended, with the tokens `closing`.

    A thought stands between `begins` and `ends`; the prompt may have `begun` it.
    """

    most: int
    begins: str
    ends: str
    closing: tuple[int, ...]
    begun: bool


class Guidance(NamedTuple):
    """Tokens that are `said` belong to the answer already, and `thoughts` bounds what is thought before it.

    A grammar goes on behind what is said if it allows that, and begins anew otherwise.
    """

    said: tuple[int, ...] = ()
    thoughts: Thoughts | None = None


UNGUIDED = Guidance()
