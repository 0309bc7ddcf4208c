"""How a caller of the API says who it is, for the log."""

import re

HEADER = "X-Janfs-Actor"
NAME = "1 to 64 letters, digits, dots, hyphens, underscores or @"
_LONGEST = 64
_NAME = re.compile(rf"[\w.@-]{{1,{_LONGEST}}}")


def is_name(said: str) -> bool:
    """Whether a caller may call itself so, which is `NAME`."""
    return _NAME.fullmatch(said) is not None


def as_name(user: str) -> str:
    """A name for somebody; what the header of a request cannot carry is left out of it."""
    return re.sub(r"[^\w.@-]", "_", user, flags=re.ASCII)[:_LONGEST]
