"""Reading forward through the header of a file, in blocks, within bounds."""

import struct
from collections.abc import Callable
from typing import Protocol

from janfs.errors import GgufError, GgufTruncated

ReadAt = Callable[[int, int], bytes]
"""`read_at(offset, length)` returns up to `length` bytes from `offset`; nothing at the end of the file."""

BLOCK = 1 << 20
SMALL_BLOCK = 1 << 14
"""For looking up one string in a known neighbourhood."""
MAX_HEADER = 1 << 27
"""No known header is a third of this: a vocabulary of half a million tokens takes about 20 MB."""
MAX_TEXT = 1 << 20
"""Longer strings are skipped: none that we want is so long, some files carry a whole tokenizer.json."""
STRIDE = 1024
"""Every how many strings `skip_strings` notes an offset."""

_LENGTH = struct.Struct("<Q")


class Digest(Protocol):
    """What the bytes passed over are fed to."""

    def update(self, data: bytes, /) -> None: ...


class Cursor:
    """A position in a file's header, with about one block of it in memory.

    With a `digest` every byte passed over is read and fed to it; without one, long skips read nothing.
    Everything raises `GgufTruncated` where the file ends too early and `GgufError` past `MAX_HEADER`.
    """

    def __init__(
        self, read_at: ReadAt, size: int, *, offset: int = 0, block: int = BLOCK, digest: Digest | None = None
    ) -> None:
        self._read_at = read_at
        self._size = size
        self._block_size = block
        self._base = offset  # where in the file `_block` begins
        self._block = b""
        self._pos = 0
        self._digest = digest

    @property
    def offset(self) -> int:
        """Where in the file the cursor stands."""
        return self._base + self._pos

    def require(self, length: int, what: str) -> None:
        """Refuses a declared `length` that cannot be there, before any work is spent on it."""
        end = self.offset + length
        if end > MAX_HEADER:
            raise GgufError(
                f"{what} at byte {self.offset} claims {length} bytes, more than any header holds."
            )
        if end > self._size:
            raise GgufTruncated(
                f"The file ends at byte {self._size}, inside its header; {what} needs it to reach {end}.",
                needed=end,
            )

    def unpack(self, layout: struct.Struct, what: str) -> tuple[int | float | bool, ...]:
        """The next values."""
        self._load(layout.size, what)
        values = layout.unpack_from(self._block, self._pos)
        self._pos += layout.size
        return values

    def length(self, what: str) -> int:
        """The next unsigned 64-bit number."""
        self._load(8, what)
        value: int = _LENGTH.unpack_from(self._block, self._pos)[0]
        self._pos += 8
        return value

    def text(self, what: str, limit: int = MAX_TEXT) -> str | None:
        """The next string, invalid UTF-8 replaced; None, and skipped, if it is longer than `limit` bytes."""
        length = self.length(what)
        if length > limit:
            self.skip(length, what)
            return None
        self._load(length, what)
        start = self._pos
        self._pos += length
        return self._block[start : self._pos].decode("utf-8", "replace")

    def skip(self, length: int, what: str) -> None:
        """Moves over `length` bytes."""
        self.require(length, what)
        if self._digest is None:
            self._drop()
            self._base += length
            return
        while length:
            step = min(length, BLOCK)
            self._load(step, what)
            self._pos += step
            length -= step

    def skip_strings(self, count: int, what: str) -> list[int]:
        """Moves over `count` strings; returns the file offset of every `STRIDE`-th, the first included."""
        offsets = []
        for first in range(0, count, STRIDE):
            offsets.append(self.offset)
            left = min(STRIDE, count - first)
            while left:
                self._load(8, what)
                left -= self._skip_loaded_strings(left)
                if self._pos > len(self._block):
                    beyond = self._pos - len(self._block)
                    self._pos = len(self._block)
                    self.skip(beyond, what)
        return offsets

    def finish(self) -> None:
        """Feeds what lies before the cursor to the digest; the cursor must not be used after."""
        self._drop()

    def _skip_loaded_strings(self, most: int) -> int:
        """Steps over up to `most` strings whose length is in memory; the last may reach past the block."""
        # Half a million of these stand in a header: hence no call per string, and locals only.
        block, pos, last, unpack = self._block, self._pos, len(self._block) - 8, _LENGTH.unpack_from
        done = 0
        while done < most and pos <= last:
            pos += 8 + unpack(block, pos)[0]
            done += 1
        self._pos = pos
        return done

    def _load(self, length: int, what: str) -> None:
        """Makes the next `length` bytes available at `_pos`; `length` is at most a block."""
        if self._pos + length <= len(self._block):
            return
        self.require(length, what)
        parts = [self._block[self._pos :]]
        self._drop()
        have = len(parts[0])
        while have < length:
            offset = self._base + have
            part = self._read_at(offset, min(max(self._block_size, length - have), self._size - offset))
            if not part:
                raise GgufTruncated(
                    f"The file now ends at byte {offset}, inside its header.", needed=self._base + length
                )
            parts.append(part)
            have += len(part)
        self._block = b"".join(parts)

    def _drop(self) -> None:
        """Forgets the block up to the cursor, having fed it to the digest, and the rest of it unhashed."""
        if self._digest is not None:
            self._digest.update(self._block[: self._pos])
        self._base += self._pos
        self._block = b""
        self._pos = 0
