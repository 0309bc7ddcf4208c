"""Projectors with random weights for the tiny models, and images that they can look at."""

import struct
import zlib
from collections.abc import Mapping
from pathlib import Path

import gguf
import numpy as np

from tests.engines.tiny_model import N_EMBD

SIDE, PATCH, WIDTH, LAYERS = 28, 14, 32, 2
ROWS = (SIDE // PATCH) ** 2  # positions that an image takes
WIDE_SIDE = 112  # of an image for the projector like Gemma's
WIDE_ROWS = (WIDE_SIDE // PATCH // 2) ** 2
Shapes = Mapping[str, tuple[int, ...]]


def write_tiny_projector(path: Path, *, n_embd: int = N_EMBD, seed: int = 3) -> Path:
    """A vision tower like LLaVA's, for images of `SIDE` pixels, and its two layers into the model's width."""
    writer = _writer(path, "mlp", SIDE, n_embd)
    shapes = {
        "v.position_embd.weight": (ROWS, WIDTH),
        "mm.0.weight": (n_embd, WIDTH),
        "mm.0.bias": (n_embd,),
        "mm.2.weight": (n_embd, n_embd),
        "mm.2.bias": (n_embd,),
    }
    return _write(writer, path, shapes, seed)


def write_tiny_qwen_projector(path: Path, *, deep: bool = False, seed: int = 3) -> Path:
    """A tower like Qwen2-VL's: images keep their shape, and each 28 by 28 pixels become a row.

    One that is `deep`, like Qwen3-VL's, hands on what its first layer saw as well.
    """
    writer = _writer(path, "qwen3vl_merger" if deep else "qwen2vl_merger", SIDE, N_EMBD)
    joined = 4 * WIDTH
    shapes: dict[str, tuple[int, ...]] = {"v.patch_embd.weight.1": (WIDTH, 3, PATCH, PATCH)}
    layers = {"mm.0": (joined, joined), "mm.2": (N_EMBD, joined)}
    if deep:
        shapes |= {"v.position_embd.weight": (ROWS, WIDTH), "v.patch_embd.bias": (WIDTH,)}
        shapes |= {f"v.deepstack.0.norm.{part}": (joined,) for part in ("weight", "bias")}
        layers |= {"v.deepstack.0.fc1": (joined, joined), "v.deepstack.0.fc2": (N_EMBD, joined)}
        layers |= {f"v.blk.{layer}.attn_qkv": (3 * WIDTH, WIDTH) for layer in range(LAYERS)}
    for name, shape in layers.items():
        shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    return _write(writer, path, shapes, seed)


def write_tiny_gemma_projector(path: Path, *, seed: int = 3) -> Path:
    """A tower like Gemma 3's, for images of `WIDE_SIDE` pixels, whose rows see one another in the model."""
    writer = _writer(path, "gemma3", WIDE_SIDE, N_EMBD)
    writer.add_uint32("clip.vision.projector.scale_factor", 2)
    shapes = {
        "v.position_embd.weight": ((WIDE_SIDE // PATCH) ** 2, WIDTH),
        "v.post_ln.weight": (WIDTH,),
        "v.post_ln.bias": (WIDTH,),
        "mm.input_projection.weight": (WIDTH, N_EMBD),
        "mm.soft_emb_norm.weight": (WIDTH,),
    }
    return _write(writer, path, shapes, seed)


def write_tiny_hunyuan_projector(path: Path, *, seed: int = 3) -> Path:
    """A tower like HunyuanVL's: images keep their shape, each line ends with a row of its own, and marks
    stand around them.
    """
    writer = _writer(path, "hunyuanvl", SIDE, N_EMBD)
    writer.add_uint32("clip.vision.spatial_merge_size", 2)
    for name, rows in {"min": 4, "max": 16}.items():
        writer.add_uint32(f"clip.vision.image_{name}_pixels", rows * (2 * PATCH) ** 2)
    joined = 2 * WIDTH
    shapes: dict[str, tuple[int, ...]] = {
        "v.position_embd.weight": (ROWS, WIDTH),
        "mm.0.weight": (joined, WIDTH, 2, 2),
        "mm.0.bias": (joined,),
        "mm.2.weight": (joined, joined, 1, 1),
        "mm.2.bias": (joined,),
        "mm.model.fc.weight": (N_EMBD, joined),
        "mm.model.fc.bias": (N_EMBD,),
        "mm.pre_norm.weight": (WIDTH,),
        "mm.post_norm.weight": (N_EMBD,),
        "mm.image_begin": (N_EMBD,),
        "mm.image_end": (N_EMBD,),
        "v.image_newline": (joined,),
    }
    return _write(writer, path, shapes, seed)


def write_tiny_deepseek_projector(path: Path, *, seed: int = 3) -> Path:
    """A tower like DeepSeek-V4's: an image has as many rows in front of it as its place in the text wants."""
    writer = _writer(path, "deepseek4v", SIDE, N_EMBD)
    writer.add_uint32("clip.vision.projector.scale_factor", 2)
    writer.add_uint32("clip.vision.image_min_pixels", 4 * (2 * PATCH) ** 2)
    shapes: dict[str, tuple[int, ...]] = {
        "mm.1.weight": (N_EMBD, 4 * WIDTH),
        "mm.1.bias": (N_EMBD,),
        "mm.2.weight": (N_EMBD, N_EMBD),
        "mm.2.bias": (N_EMBD,),
        "v.image_newline": (N_EMBD,),
        **{f"v.token_embd.img_{mark}": (N_EMBD,) for mark in ("start", "end", "pad")},
    }
    return _write(writer, path, shapes, seed)


def _writer(path: Path, kind: str, side: int, n_embd: int) -> gguf.GGUFWriter:
    writer = gguf.GGUFWriter(path, "clip")
    writer.add_type("mmproj")
    writer.add_name("tiny")
    writer.add_string("clip.projector_type", kind)
    writer.add_bool("clip.has_vision_encoder", True)
    writer.add_bool("clip.use_gelu", True)
    numbers = {
        "image_size": side, "patch_size": PATCH, "embedding_length": WIDTH, "feed_forward_length": WIDTH,
        "block_count": LAYERS, "projection_dim": n_embd, "attention.head_count": 2,
    }  # fmt: skip
    for name, number in numbers.items():
        writer.add_uint32(f"clip.vision.{name}", number)
    writer.add_float32("clip.vision.attention.layer_norm_epsilon", 1e-5)
    writer.add_array("clip.vision.image_mean", [0.5, 0.5, 0.5])
    writer.add_array("clip.vision.image_std", [0.25, 0.25, 0.25])
    return writer


def _write(writer: gguf.GGUFWriter, path: Path, more: Shapes, seed: int) -> Path:
    shapes: dict[str, tuple[int, ...]] = {"v.patch_embd.weight": (WIDTH, 3, PATCH, PATCH), **more}
    for layer in range(LAYERS):
        names = ["attn_q", "attn_k", "attn_v", "attn_out", "ffn_up", "ffn_down"]
        for name in names[3:] if f"v.blk.{layer}.attn_qkv.weight" in more else names:
            shapes[f"v.blk.{layer}.{name}.weight"] = (WIDTH, WIDTH)
            shapes[f"v.blk.{layer}.{name}.bias"] = (WIDTH,)
        for name in ("ln1", "ln2"):
            shapes[f"v.blk.{layer}.{name}.weight"] = (WIDTH,)
            shapes[f"v.blk.{layer}.{name}.bias"] = (WIDTH,)
    random = np.random.default_rng(seed)
    for name, shape in shapes.items():
        # Without biases: the colours are all there is to see.
        plain = np.zeros(shape) if name.endswith("bias") else random.normal(0, 0.3, shape)
        plain = np.ones(shape) if name.endswith(("ln1.weight", "ln2.weight", "norm.weight")) else plain
        writer.add_tensor(name, plain.astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def png(red: int, green: int, blue: int, *, width: int = SIDE, height: int = SIDE) -> bytes:
    """A PNG of one colour."""
    return _png([bytes((red, green, blue)) * width] * height, width)


def noise(seed: int, width: int, height: int) -> bytes:
    """A PNG of squares in colours of their own, so that no two parts of it look the same."""
    random = np.random.default_rng(seed)
    squares = random.integers(0, 256, (-(-height // PATCH), -(-width // PATCH), 3), np.uint8)
    pixels = squares.repeat(PATCH, 0).repeat(PATCH, 1)[:height, :width]
    return _png([line.tobytes() for line in pixels], width)


def _png(lines: list[bytes], width: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, len(lines), 8, 2, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + line for line in lines))
    parts = [(b"IHDR", header), (b"IDAT", data), (b"IEND", b"")]
    chunks = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)
