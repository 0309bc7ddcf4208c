"""How deeply values may be nested that are read again after the decoder, each time on another stack. Pure."""

from typing import Any

from janfs.errors import InvalidInput
from janfs.manifest.leaves import fits

MAX_DEPTH = 256


def refuse_deep(value: Any, param: str) -> None:
    """Raises `InvalidInput` where more than `MAX_DEPTH` objects and lists stand in one another."""
    if not fits(value, MAX_DEPTH):
        raise too_deep(param)


def too_deep(param: str) -> InvalidInput:
    """What a value at this place is refused with."""
    return InvalidInput(f"'{param}' is nested too deeply; {MAX_DEPTH} levels are allowed.", param=param)
