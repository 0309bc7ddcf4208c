"""How deeply values may be nested that are read again after the decoder, each time on another stack. Pure."""

from typing import Any

from janfs.errors import InvalidInput

MAX_DEPTH = 256


def refuse_deep(value: Any, param: str) -> None:
    """Raises `InvalidInput` where more than `MAX_DEPTH` objects and lists stand in one another."""
    level = _holders([value])
    for _ in range(MAX_DEPTH):
        level = [inner for outer in level for inner in _holders(outer)]
        if not level:
            return
    raise too_deep(param)


def too_deep(param: str) -> InvalidInput:
    """What a value at this place is refused with."""
    return InvalidInput(f"'{param}' is nested too deeply; {MAX_DEPTH} levels are allowed.", param=param)


def _holders(values: dict[str, Any] | list[Any]) -> list[dict[str, Any] | list[Any]]:
    """Those of the values that hold others."""
    inner = values.values() if isinstance(values, dict) else values
    return [each for each in inner if isinstance(each, dict | list)]
