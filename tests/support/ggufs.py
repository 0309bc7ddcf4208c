"""Small whole GGUF files, each a valid model by its header."""

import struct
from pathlib import Path

from tests.folder.gguf_bytes import Tensor, header, text, uint32

_F32 = 0
_ALIGNMENT = 32


def tiny_gguf(name: str = "tiny", *, architecture: str = "llama", context: int = 2048) -> bytes:
    """A model file with one tensor of 8 floats; llama.cpp would not load it, its header is sound."""
    metadata = {
        "general.architecture": text(architecture),
        "general.name": text(name),
        "general.type": text("model"),
        f"{architecture}.context_length": uint32(context),
    }
    start = header(metadata, [Tensor("token_embd.weight", (8,), _F32, 0)])
    padding = bytes(-len(start) % _ALIGNMENT)
    return start + padding + struct.pack("<8f", *range(8))


def large_gguf(name: str, size: int = 1 << 20) -> bytes:
    """A model file with a tensor of `size` bytes, the middle of it zeros; for what comes in pieces."""
    start = header(
        {"general.architecture": text("llama"), "general.name": text(name), "general.type": text("model")},
        [Tensor("token_embd.weight", (size // 4,), _F32, 0)],
    )
    quarter = (name.encode() * size)[: size // 4]
    return start + bytes(-len(start) % _ALIGNMENT) + quarter + bytes(size // 2) + quarter


def put_models(models: Path, count: int) -> None:
    """Make `count` model folders without a model.json."""
    for number in range(count):
        folder = models / f"model-{number:05d}"
        folder.mkdir(parents=True)
        (folder / f"model-{number:05d}.gguf").write_bytes(tiny_gguf(f"Model {number}"))
