"""A projector with random weights for the tiny model, and images that it can look at."""

import struct
import zlib
from pathlib import Path

import gguf
import numpy as np

from tests.engines.tiny_model import N_EMBD

SIDE, PATCH, WIDTH, LAYERS = 28, 14, 32, 2
ROWS = (SIDE // PATCH) ** 2  # positions that an image takes


def write_tiny_projector(path: Path, *, n_embd: int = N_EMBD, seed: int = 3) -> Path:
    """A vision tower like LLaVA's, for images of `SIDE` pixels, and its two layers into the model's width."""
    writer = gguf.GGUFWriter(path, "clip")
    writer.add_type("mmproj")
    writer.add_name("tiny")
    writer.add_string("clip.projector_type", "mlp")
    writer.add_bool("clip.has_vision_encoder", True)
    writer.add_bool("clip.use_gelu", True)
    numbers = {
        "image_size": SIDE, "patch_size": PATCH, "embedding_length": WIDTH, "feed_forward_length": WIDTH,
        "block_count": LAYERS, "projection_dim": n_embd, "attention.head_count": 2,
    }  # fmt: skip
    for name, number in numbers.items():
        writer.add_uint32(f"clip.vision.{name}", number)
    writer.add_float32("clip.vision.attention.layer_norm_epsilon", 1e-5)
    writer.add_array("clip.vision.image_mean", [0.5, 0.5, 0.5])
    writer.add_array("clip.vision.image_std", [0.25, 0.25, 0.25])
    shapes: dict[str, tuple[int, ...]] = {
        "v.patch_embd.weight": (WIDTH, 3, PATCH, PATCH),
        "v.position_embd.weight": (ROWS, WIDTH),
        "mm.0.weight": (n_embd, WIDTH),
        "mm.0.bias": (n_embd,),
        "mm.2.weight": (n_embd, n_embd),
        "mm.2.bias": (n_embd,),
    }
    for layer in range(LAYERS):
        for name in ("attn_q", "attn_k", "attn_v", "attn_out", "ffn_up", "ffn_down"):
            shapes[f"v.blk.{layer}.{name}.weight"] = (WIDTH, WIDTH)
            shapes[f"v.blk.{layer}.{name}.bias"] = (WIDTH,)
        for name in ("ln1", "ln2"):
            shapes[f"v.blk.{layer}.{name}.weight"] = (WIDTH,)
            shapes[f"v.blk.{layer}.{name}.bias"] = (WIDTH,)
    random = np.random.default_rng(seed)
    for name, shape in shapes.items():
        # Without biases: the colours are all there is to see.
        plain = np.zeros(shape) if name.endswith("bias") else random.normal(0, 0.3, shape)
        plain = np.ones(shape) if name.endswith(("ln1.weight", "ln2.weight")) else plain
        writer.add_tensor(name, plain.astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def png(red: int, green: int, blue: int, *, width: int = SIDE, height: int = SIDE) -> bytes:
    """A PNG of one colour."""
    row = b"\0" + bytes((red, green, blue)) * width
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(row * height)), (b"IEND", b"")]
    chunks = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)
