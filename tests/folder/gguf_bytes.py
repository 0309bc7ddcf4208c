"""Writes GGUF headers byte by byte, wrong ones included: the official writer only writes right ones."""

import struct
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from janfs.folder.gguf.tables import ARRAY, SCALARS, STRING

NUMBER = {name: number for number, (name, _) in SCALARS.items()} | {"string": STRING, "array": ARRAY}


class Value(NamedTuple):
    """A metadata value of a stated type; with `element`, an array of it."""

    type: str
    value: object
    element: str = ""


class Tensor(NamedTuple):
    name: str
    shape: Sequence[int] = (32,)
    type: int = 0
    offset: int = 0


class ReadAt:
    """`read_at` over bytes, counting what was asked for."""

    def __init__(self, content: bytes, most: int = 1 << 30) -> None:
        self.content = content
        self.most = most  # a file system may return less than asked
        self.bytes_read = 0

    def __call__(self, offset: int, length: int) -> bytes:
        assert offset >= 0, f"read_at was called with the offset {offset}"
        assert length > 0, f"read_at was called with the length {length}"
        part = self.content[offset : offset + min(length, self.most)]
        self.bytes_read += len(part)
        return part


def string(text: str | bytes) -> bytes:
    raw = text.encode() if isinstance(text, str) else text
    return struct.pack("<Q", len(raw)) + raw


def scalar(kind: str, value: object) -> bytes:
    if kind == "string":
        assert isinstance(value, str | bytes)
        return string(value)
    return SCALARS[NUMBER[kind]][1].pack(value)


def pair(key: str, value: Value) -> bytes:
    start = string(key) + struct.pack("<I", NUMBER[value.type])
    if value.type != "array":
        return start + scalar(value.type, value.value)
    assert isinstance(value.value, Sequence)
    items = b"".join(scalar(value.element, item) for item in value.value)
    return start + struct.pack("<IQ", NUMBER[value.element], len(value.value)) + items


def tensor_info(tensor: Tensor) -> bytes:
    shape = b"".join(struct.pack("<Q", length) for length in tensor.shape)
    rank = struct.pack("<I", len(tensor.shape))
    return string(tensor.name) + rank + shape + struct.pack("<IQ", tensor.type, tensor.offset)


def text(value: str | bytes) -> Value:
    return Value("string", value)


def uint32(value: int) -> Value:
    return Value("uint32", value)


def array(element: str, items: Sequence[object]) -> Value:
    return Value("array", items, element)


def header(
    metadata: Mapping[str, Value] | None = None,
    tensors: Sequence[Tensor] = (),
    *,
    version: int = 3,
    tensor_count: int | None = None,
    key_count: int | None = None,
    magic: bytes = b"GGUF",
) -> bytes:
    """A header that says what it is told to, true or not."""
    pairs = [pair(key, value) for key, value in (metadata or {}).items()]
    tensor_count = len(tensors) if tensor_count is None else tensor_count
    key_count = len(pairs) if key_count is None else key_count
    fixed = magic + struct.pack("<IQQ", version, tensor_count, key_count)
    return fixed + b"".join(pairs) + b"".join(tensor_info(tensor) for tensor in tensors)
