"""What a header's metadata says under a key, as far as it can be believed."""

from collections.abc import Mapping
from typing import TypeGuard

from janfs.folder.gguf.header import Scalar

MAX_TEXT = 160  # bytes of one text
MAX_TAG = 40
MAX_TAGS = 16
MAX_BLOCKS = 1 << 16
MAX_COUNT = (1 << 53) - 1  # the largest integer that every JSON reader keeps exact


class Said:
    """What the metadata says under a key, if it is of the right type and size."""

    def __init__(self, metadata: Mapping[str, Scalar | tuple[Scalar, ...]]) -> None:
        self._metadata = metadata

    def text(self, key: str) -> str | None:
        value = self._metadata.get(key)
        return _clean(value) if isinstance(value, str) else None

    def texts(self, key: str) -> tuple[str, ...]:
        value = self._metadata.get(key)
        if not isinstance(value, tuple):
            return ()
        cleaned = (_clean(entry, MAX_TAG) for entry in value if isinstance(entry, str))
        return tuple(entry for entry in cleaned if entry)[:MAX_TAGS]

    def url(self, *keys: str) -> str | None:
        """The first of the keys that holds a web address."""
        found = (self.text(key) for key in keys)
        return next((url for url in found if url and url.startswith(("https://", "http://"))), None)

    def count(self, key: str) -> int | None:
        value = self._metadata.get(key)
        return value if is_count(value) else None

    def flag(self, key: str) -> bool:
        return self._metadata.get(key) is True

    def per_block(self, key: str, blocks: int | None) -> tuple[int, ...]:
        """A value that is given once for all blocks, or once for each."""
        value = self._metadata.get(key)
        if isinstance(value, tuple):
            counts = tuple(entry for entry in value if is_count(entry))
            return counts if len(counts) == len(value) else ()
        return (value,) * min(blocks or 1, MAX_BLOCKS) if is_count(value) else ()


def is_count(value: object) -> TypeGuard[int]:
    """Whether a value is a number of things, and no more than there can be."""
    return type(value) is int and 0 <= value <= MAX_COUNT


def _clean(text: str, limit: int = MAX_TEXT) -> str | None:
    """One line of at most `limit` bytes, without control characters."""
    line = " ".join("".join(sign if sign.isprintable() else " " for sign in text[: 4 * limit]).split())
    return line.encode()[:limit].decode(errors="ignore").strip() or None
