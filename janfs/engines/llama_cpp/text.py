"""From token bytes to text that may be shown: whole characters, and nothing of a stop string. Pure."""

import codecs
from collections.abc import Sequence


class TextStream:
    """Turns the bytes of successive tokens into text, and watches for stop strings.

    A character may span tokens, and so may a stop string: what could still become one of either is held
    back. The result does not depend on how the bytes are cut into pieces: what comes out, put together,
    is the UTF-8 decoding of all bytes (U+FFFD for what is not UTF-8), cut where the stop string begins
    that is the first to be complete. Where two complete at once, the longer one counts.
    """

    def __init__(self, stop: Sequence[str] = ()) -> None:
        self._stop = tuple(stop)
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._held = ""
        self.found: str | None = None  # the stop string that was complete first

    @property
    def stopped(self) -> bool:
        """Whether a stop string is complete."""
        return self.found is not None

    def feed(self, piece: bytes) -> str:
        """The text that these bytes set free. Notes in `found` the stop string that they complete."""
        return self._advance(self._decoder.decode(piece))

    def finish(self) -> str:
        """The rest, at the end of the bytes. An unfinished character becomes U+FFFD."""
        text = self._advance(self._decoder.decode(b"", final=True))
        text, self._held = text + self._held, ""
        return text

    def _advance(self, new: str) -> str:
        if self.stopped:
            return ""
        text = self._held + new
        ends = [(at + len(stop), at, stop) for stop in self._stop if (at := text.find(stop)) >= 0]
        if ends:
            _, at, self.found = min(ends)
            self._held = ""
            return text[:at]
        keep = max((_overlap(text, stop) for stop in self._stop), default=0)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]


def _overlap(text: str, stop: str) -> int:
    """The length of the longest end of `text` with which `stop` begins."""
    for length in range(min(len(text), len(stop) - 1), 0, -1):
        if text.endswith(stop[:length]):
            return length
    return 0
