"""What llama.cpp says of its own doings."""

import ctypes
import sys
from collections import deque

import llama_cpp as llama

_WARN, _ERROR, _CONTINUED = 3, 4, 5  # enum ggml_log_level


class Log:
    """llama.cpp's log: warnings and errors go to stderr, errors are remembered to explain a failed load.

    Keep the instance: llama.cpp calls back for as long as the process lives, and a collected callback is
    a segmentation fault at the next line.
    """

    def __init__(self) -> None:
        self.errors: deque[str] = deque(maxlen=8)
        self._level = 0
        self.callback = llama.llama_log_callback(self._line)
        llama.llama_log_set(self.callback, ctypes.c_void_p(0))

    def reason(self) -> str:
        """llama.cpp's own words, without the names of its functions and without repeats."""
        words = [line.split(": ", 1)[-1] for line in self.errors]
        return "; ".join(dict.fromkeys(words)) or "llama.cpp gave no reason."

    def _line(self, level: int, text: bytes, _: object) -> None:
        if level != _CONTINUED:
            self._level = level
        if self._level not in {_WARN, _ERROR}:
            return
        line = text.decode("utf-8", "replace")
        sys.stderr.write(line)
        if self._level == _ERROR and line.strip():
            self.errors.append(line.strip())
