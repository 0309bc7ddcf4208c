"""What a worker carries along that llama.cpp comes to no end with, and when that is too much."""

import os
import sys
from collections.abc import Callable

from janfs.engines.llama_cpp import wire
from janfs.engines.llama_cpp.limits import anonymous_memory

_MOST_LEFT = 2  # grammars and texts that each take a processor while the last answers are written
_MOST_GROWN = 2**30  # bytes that they may take meanwhile


class Wear:
    """Looks at how many calls were `left` behind, each in a thread of its own."""

    def __init__(self, left: Callable[[], int]) -> None:
        self._left = left
        self._grown_from = 0  # bytes, when the first one was left behind

    def told(self) -> list[wire.Event]:
        """Asks to be replaced where there are any. Ends the process where they take too much."""
        left = self._left()
        if not left:
            return []
        memory = anonymous_memory()
        self._grown_from = self._grown_from or memory
        if left > _MOST_LEFT or memory - self._grown_from > _MOST_GROWN:
            taken = (memory - self._grown_from) >> 20
            print(f"what llama.cpp comes to no end with: {left}, and {taken} MiB", file=sys.stderr)
            os._exit(1)
        return [wire.Worn()]
