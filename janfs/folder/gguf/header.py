"""Reads the header of a GGUF file: its metadata and its table of tensors, never its weights.

Layout: docs/gguf.md in ggml's repository. What llama.cpp's own reader (gguf.cpp) refuses is refused here too.
A file is input that nobody vouches for: every count is checked against what is left before it is believed,
long arrays are stepped over, and the limits below and in `cursor` bound the work.
"""

import hashlib
import struct

import msgspec

from janfs.errors import GgufError
from janfs.folder.gguf.cursor import SMALL_BLOCK, STRIDE, Cursor, ReadAt
from janfs.folder.gguf.impostors import what_it_is
from janfs.folder.gguf.tables import ARRAY, SCALARS, STRING, TENSOR_TYPES

Scalar = bool | int | float | str

MAGIC = b"GGUF"
VERSIONS = (2, 3)
DEFAULT_ALIGNMENT = 32
MAX_KEYS = 1 << 16
MAX_TENSORS = 1 << 17
MAX_STRINGS = 1 << 22
"""In all arrays together."""
MAX_NAME = 1 << 16
MAX_DIMENSIONS = 4
KEPT_STRINGS = 64
"""String arrays up to this length are kept: tags, languages."""
KEPT_NUMBERS = 1024
"""Number arrays up to this length are kept: values per layer."""
MAX_FILE = (1 << 63) - 1

_FIXED = struct.Struct("<4sIQQ")
_U32 = struct.Struct("<I")
_TENSOR_TAIL = struct.Struct("<IQ")
_BLOCK = "blk."
_TOKENS = "tokenizer.ggml.tokens"
_TOKEN_IDS = {
    "bos": "tokenizer.ggml.bos_token_id",
    "eos": "tokenizer.ggml.eos_token_id",
    "eot": "tokenizer.ggml.eot_token_id",
    "eom": "tokenizer.ggml.eom_token_id",
    "pad": "tokenizer.ggml.padding_token_id",
}


class ArraySummary(msgspec.Struct, frozen=True):
    """An array's element type ("string", "float32", ...) and length."""

    type: str
    count: int


class TypeShare(msgspec.Struct, frozen=True):
    """How many tensors are stored in one tensor type, and how many parameters they hold."""

    tensors: int
    parameters: int


class GgufHeader(msgspec.Struct, frozen=True, kw_only=True):
    """A GGUF file's header. Offsets and sizes are in bytes from the start of the file.

    `metadata` holds the scalars and the short arrays, without strings of over 1 MiB; `arrays` describes
    every array. `tokens` has the texts of the special tokens that the file names: "bos", "eos", "eot", "eom",
    "pad".
    """

    version: int
    alignment: int
    metadata: dict[str, Scalar | tuple[Scalar, ...]]
    arrays: dict[str, ArraySummary]
    tensor_count: int
    tensor_types: dict[str, TypeShare]
    parameter_count: int
    block_bytes: int
    """Of the tensors of the repeated layers (`blk.N.…`): what can lie on a GPU layer by layer."""
    header_end: int
    data_offset: int
    data_end: int
    """Where the last tensor ends: a smaller file is incomplete."""
    header_sha256: str
    tokens: dict[str, str]


def read_header(read_at: ReadAt, size: int) -> GgufHeader:
    """Reads the header of a file of `size` bytes through `read_at(offset, length)`.

    Raises `GgufTruncated` if the file ends inside its header, `GgufError` if it is not a GGUF file that
    llama.cpp would read. Whatever `read_at` raises passes through.
    """
    digest = hashlib.sha256()
    cursor = Cursor(read_at, size, digest=digest)
    version, tensor_count, key_count = _fixed_part(read_at, size, cursor)
    reader = _Metadata(cursor)
    for _ in range(key_count):
        reader.read_pair()
    alignment = reader.alignment()
    tensors = _tensor_table(cursor, tensor_count, alignment)
    header_end = cursor.offset
    cursor.finish()
    data_offset = header_end + -header_end % alignment
    data_end = data_offset + tensors.data_size if tensor_count else header_end
    if data_end > MAX_FILE:
        raise GgufError("The tensors reach beyond what any file can hold.")
    return GgufHeader(
        version=version,
        alignment=alignment,
        metadata=reader.values,
        arrays=reader.arrays,
        tensor_count=tensor_count,
        tensor_types=tensors.types,
        parameter_count=sum(share.parameters for share in tensors.types.values()),
        block_bytes=tensors.block_bytes,
        header_end=header_end,
        data_offset=data_offset,
        data_end=data_end,
        header_sha256=digest.hexdigest(),
        tokens=reader.special_tokens(read_at, size),
    )


def _fixed_part(read_at: ReadAt, size: int, cursor: Cursor) -> tuple[int, int, int]:
    """Version, number of tensors, number of metadata keys; the counts are possible ones."""
    start = read_at(0, min(size, 8)) if size else b""
    if not MAGIC.startswith(start[:4]):
        seems = what_it_is(read_at, size)
        raise GgufError(
            f"Not a GGUF file: it starts with {start[:4]!r} instead of {MAGIC!r}. {seems}".strip()
        )
    if len(start) == 8:
        _check_version(*_U32.unpack_from(start, 4))
    version, tensors, keys = cursor.unpack(_FIXED, "the file header")[1:]
    for what, count, most, least_size in (
        ("tensors", tensors, MAX_TENSORS, 24),
        ("keys", keys, MAX_KEYS, 13),
    ):
        if count > most:
            raise GgufError(f"The header claims {count} {what}; no model has more than {most}.")
        cursor.require(int(count) * least_size, f"a list of {count} {what}")
    return int(version), int(tensors), int(keys)


def _check_version(version: int) -> None:
    if version in VERSIONS:
        return
    if version == 1:
        raise GgufError("GGUF version 1 is no longer read by llama.cpp; convert the model again.")
    if version & 0xFFFF == 0 and version:
        raise GgufError("This is a big-endian GGUF file; llama.cpp needs the little-endian one here.")
    raise GgufError(f"GGUF version {version} is unknown; versions 2 and 3 are read.")


class _Metadata:
    """The key-value part of the header."""

    def __init__(self, cursor: Cursor) -> None:
        self.values: dict[str, Scalar | tuple[Scalar, ...]] = {}
        self.arrays: dict[str, ArraySummary] = {}
        self._types: dict[str, int] = {}
        self._cursor = cursor
        self._strings = 0
        self._token_offsets: list[int] = []

    def read_pair(self) -> None:
        """Reads one key and its value."""
        key = _name(self._cursor, "metadata key")
        if key in self._types:
            raise GgufError(f"The metadata key {key!r} occurs twice.")
        kind = _u32(self._cursor, f"the type of {key!r}")
        self._types[key] = kind
        if kind == ARRAY:
            self._read_array(key)
        elif kind == STRING:
            text = self._cursor.text(f"the text of {key!r}")
            if text is not None:
                self.values[key] = text
        elif kind in SCALARS:
            self.values[key] = self._cursor.unpack(SCALARS[kind][1], f"the value of {key!r}")[0]
        else:
            raise GgufError(f"The metadata key {key!r} has the unknown type {kind}.")

    def _read_array(self, key: str) -> None:
        what = f"the array {key!r}"
        kind = _u32(self._cursor, what)
        count = self._cursor.length(what)
        if kind == STRING:
            self.arrays[key] = ArraySummary("string", count)
            self._read_strings(key, count, what)
        elif kind in SCALARS:
            name, layout = SCALARS[kind]
            self.arrays[key] = ArraySummary(name, count)
            self._cursor.require(count * layout.size, what)
            if count <= KEPT_NUMBERS:
                self.values[key] = self._cursor.unpack(struct.Struct(f"<{count}{layout.format[1:]}"), what)
            else:
                self._cursor.skip(count * layout.size, what)
        elif kind == ARRAY:
            raise GgufError(
                f"The metadata key {key!r} holds an array of arrays, which llama.cpp does not read."
            )
        else:
            raise GgufError(f"The array {key!r} has the unknown element type {kind}.")

    def _read_strings(self, key: str, count: int, what: str) -> None:
        self._cursor.require(count * 8, what)
        self._strings += count
        if self._strings > MAX_STRINGS:
            raise GgufError(f"The metadata holds over {MAX_STRINGS} strings; no model does.")
        if count <= KEPT_STRINGS:
            texts = [self._cursor.text(what) for _ in range(count)]
            self.values[key] = tuple(text for text in texts if text is not None)
            return
        offsets = self._cursor.skip_strings(count, what)
        if key == _TOKENS:
            self._token_offsets = offsets

    def alignment(self) -> int:
        """The alignment of tensor data: general.alignment, a power of two."""
        value = self.values.get("general.alignment", DEFAULT_ALIGNMENT)
        if type(value) is not int or value <= 0 or value & (value - 1):
            raise GgufError(f"general.alignment must be a power of two, not {value!r}.")
        return value

    def special_tokens(self, read_at: ReadAt, size: int) -> dict[str, str]:
        """The texts of the tokens that the metadata names by a number inside the vocabulary."""
        summary = self.arrays.get(_TOKENS)
        if summary is None or summary.type != "string":
            return {}
        kept = self.values.get(_TOKENS)
        found = {}
        for name, key in _TOKEN_IDS.items():
            number = self.values.get(key)
            if type(number) is not int or not 0 <= number < summary.count:
                continue
            if self._token_offsets:
                cursor = Cursor(
                    read_at, size, offset=self._token_offsets[number // STRIDE], block=SMALL_BLOCK
                )
                cursor.skip_strings(number % STRIDE, "the vocabulary")
                text = cursor.text("the vocabulary")
            else:
                text = str(kept[number]) if isinstance(kept, tuple) and len(kept) == summary.count else None
            if text is not None:
                found[name] = text
        return found


class _Tensors(msgspec.Struct, frozen=True):
    types: dict[str, TypeShare]
    data_size: int
    block_bytes: int


def _tensor_table(cursor: Cursor, count: int, alignment: int) -> _Tensors:
    names: set[str] = set()
    types: dict[str, TypeShare] = {}
    data_size = block_bytes = 0
    for _ in range(count):
        name = _name(cursor, "tensor name")
        if name in names:
            raise GgufError(f"The tensor {name!r} occurs twice.")
        names.add(name)
        rank = _u32(cursor, f"the shape of {name!r}")
        if rank > MAX_DIMENSIONS:
            raise GgufError(f"The tensor {name!r} has {rank} dimensions; ggml has at most {MAX_DIMENSIONS}.")
        shape = [cursor.length(f"the shape of {name!r}") for _ in range(rank)]
        number, offset = cursor.unpack(_TENSOR_TAIL, f"the place of {name!r}")
        tensor_type = TENSOR_TYPES.get(int(number))
        if tensor_type is None:
            raise GgufError(
                f"The tensor {name!r} has the type {number}, which is unknown or was removed from ggml."
            )
        elements = 1
        for length in shape:
            elements *= length
        if elements > MAX_FILE:
            raise GgufError(f"The tensor {name!r} has more elements than any file can hold: {shape}.")
        if (shape[0] if shape else 1) % tensor_type.block:
            raise GgufError(f"The rows of {name!r} ({shape}) are not whole {tensor_type.name} blocks.")
        if int(offset) % alignment:
            raise GgufError(f"The tensor {name!r} is not aligned to {alignment} bytes.")
        share = types.get(tensor_type.name, TypeShare(0, 0))
        types[tensor_type.name] = TypeShare(share.tensors + 1, share.parameters + elements)
        stored = elements // tensor_type.block * tensor_type.size
        data_size = max(data_size, int(offset) + stored)
        block_bytes += stored if name.startswith(_BLOCK) else 0
    return _Tensors(types, data_size, block_bytes)


def _name(cursor: Cursor, what: str) -> str:
    name = cursor.text(f"a {what}", MAX_NAME)
    if not name:
        raise GgufError(f"A {what} before byte {cursor.offset} is {'empty' if name == '' else 'too long'}.")
    return name


def _u32(cursor: Cursor, what: str) -> int:
    return int(cursor.unpack(_U32, what)[0])
