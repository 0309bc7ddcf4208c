"""Where in a JSON text a number is too large for a double."""

import json
import math
from typing import Any


def path_of_infinity(text: bytes) -> str | None:
    """The keys and indexes that lead to such a number; None where there is none, or the text is no JSON."""
    try:
        left: list[tuple[str, Any]] = [("", json.loads(text))]
    except (ValueError, RecursionError):
        return None
    while left:
        path, value = left.pop()
        if isinstance(value, dict):
            left += ((f"{path}.{key}" if path else key, each) for key, each in value.items())
        elif isinstance(value, list):
            left += ((f"{path}[{index}]", each) for index, each in enumerate(value))
        elif isinstance(value, float) and math.isinf(value):
            return path
    return None
