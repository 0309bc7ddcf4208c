"""GGUF files with random weights and a token for each byte: they load in milliseconds, and write noise."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np

N_EMBD, N_FF, N_HEAD, N_CTX, WINDOW = 64, 64, 2, 512, 16
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
TOKENS = ["<unk>", "<s>", "</s>", *BYTES, "▁", *map(chr, range(97, 123))]
N_VOCAB = len(TOKENS)
Shapes = Mapping[str, tuple[int, ...]]


def write_tiny_model(
    path: Path, *, chat_template: str | None = None, n_head: int = N_HEAD, seed: int = 1
) -> Path:
    """Llama architecture, one layer, a SentencePiece-like vocabulary that puts `<s>` in front."""
    writer = _writer(path, "llama", n_layers=1, n_head=n_head)
    if chat_template is not None:
        writer.add_chat_template(chat_template)
    shapes = {"output.weight": (N_VOCAB, N_EMBD), **_attention_layer(0)}
    return _write(writer, path, shapes, seed)


def write_tiny_model_with_a_window(path: Path, *, seed: int = 1) -> Path:
    """Gemma 3 architecture: of two layers one sees only the last `WINDOW` tokens."""
    writer = _writer(path, "gemma3", n_layers=2)
    writer.add_sliding_window(WINDOW)
    writer.add_sliding_window_pattern([True, False])
    writer.add_key_length(N_EMBD // N_HEAD)
    writer.add_value_length(N_EMBD // N_HEAD)
    shapes: dict[str, tuple[int, ...]] = {"output.weight": (N_VOCAB, N_EMBD)}
    for layer in range(2):
        shapes |= _attention_layer(layer)
        norms = {"post_attention_norm": N_EMBD, "post_ffw_norm": N_EMBD}
        norms |= {"attn_q_norm": N_EMBD // N_HEAD, "attn_k_norm": N_EMBD // N_HEAD}
        shapes |= {f"blk.{layer}.{name}.weight": (size,) for name, size in norms.items()}
    return _write(writer, path, shapes, seed)


def write_tiny_model_with_mrope(path: Path, *, architecture: str = "qwen2vl", seed: int = 1) -> Path:
    """Qwen2-VL's architecture, or Qwen3-VL's: positions in three dimensions (M-RoPE).

    Qwen3-VL adds what its projector saw on the way to the first layers, here to one.
    """
    writer, head = _writer(path, architecture, n_layers=2), N_EMBD // N_HEAD
    writer.add_rope_dimension_sections([4, 6, 6, 0])
    shapes: dict[str, tuple[int, ...]] = {"output.weight": (N_VOCAB, N_EMBD)}
    for layer in range(2):
        shapes |= _attention_layer(layer)
        if architecture == "qwen3vl":
            shapes |= {f"blk.{layer}.{name}.weight": (head,) for name in ("attn_q_norm", "attn_k_norm")}
    if architecture == "qwen3vl":
        writer.add_num_deepstack_layers(1)
        writer.add_key_length(head)
        writer.add_value_length(head)
    return _write(writer, path, shapes, seed)


def write_tiny_recurrent_model(path: Path, *, seed: int = 1) -> Path:
    """Mamba architecture: a state in place of a cell for every token."""
    conv, inner, state, rank = 4, 2 * N_EMBD, 4, 4
    writer = _writer(path, "mamba", n_layers=1)
    writer.add_ssm_conv_kernel(conv)
    writer.add_ssm_inner_size(inner)
    writer.add_ssm_state_size(state)
    writer.add_ssm_time_step_rank(rank)
    shapes = {
        "blk.0.attn_norm.weight": (N_EMBD,),
        "blk.0.ssm_in.weight": (2 * inner, N_EMBD),
        "blk.0.ssm_conv1d.weight": (inner, conv),
        "blk.0.ssm_conv1d.bias": (inner,),
        "blk.0.ssm_x.weight": (rank + 2 * state, inner),
        "blk.0.ssm_dt.weight": (inner, rank),
        "blk.0.ssm_dt.bias": (inner,),
        "blk.0.ssm_a": (inner, state),
        "blk.0.ssm_d": (inner,),
        "blk.0.ssm_out.weight": (N_EMBD, inner),
    }
    return _write(writer, path, shapes, seed)


def write_tiny_adapter(path: Path, *, width: int = N_EMBD, seed: int = 2) -> Path:
    """A LoRA for the tiny model, strong enough to change every answer; for none with another `width`."""
    rank = 4
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, float(rank))
    random = np.random.default_rng(seed)
    for name, shape in {"lora_a": (rank, width), "lora_b": (width, rank)}.items():
        weights = random.normal(0, 1, shape).astype(np.float32)
        writer.add_tensor(f"blk.0.ffn_down.weight.{name}", weights)
    _finish(writer)
    return path


def _writer(path: Path, architecture: str, *, n_layers: int, n_head: int = N_HEAD) -> gguf.GGUFWriter:
    kinds = [gguf.TokenType.UNKNOWN, gguf.TokenType.CONTROL, gguf.TokenType.CONTROL]
    kinds += [gguf.TokenType.BYTE] * 256 + [gguf.TokenType.NORMAL] * 27
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_name("tiny")
    writer.add_context_length(N_CTX)
    writer.add_embedding_length(N_EMBD)
    writer.add_block_count(n_layers)
    writer.add_feed_forward_length(N_FF)
    writer.add_head_count(n_head)
    writer.add_head_count_kv(n_head)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(TOKENS)
    writer.add_token_scores([0.0] * N_VOCAB)
    writer.add_token_types(kinds)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_add_bos_token(True)
    writer.add_add_space_prefix(False)
    return writer


def _attention_layer(layer: int) -> Shapes:
    return {
        f"blk.{layer}.attn_norm.weight": (N_EMBD,),
        **{f"blk.{layer}.attn_{part}.weight": (N_EMBD, N_EMBD) for part in ("q", "k", "v", "output")},
        f"blk.{layer}.ffn_norm.weight": (N_EMBD,),
        **{f"blk.{layer}.ffn_{part}.weight": (N_FF, N_EMBD) for part in ("gate", "up")},
        f"blk.{layer}.ffn_down.weight": (N_EMBD, N_FF),
    }


def _write(writer: gguf.GGUFWriter, path: Path, shapes: Shapes, seed: int) -> Path:
    random = np.random.default_rng(seed)
    all_shapes: Shapes = {
        "token_embd.weight": (N_VOCAB, N_EMBD),
        "output_norm.weight": (N_EMBD,),
        **shapes,
    }
    for name, shape in all_shapes.items():
        plain = np.ones(shape) if "norm" in name else random.normal(0, 0.5, shape)
        weights: Any = plain.astype(np.float32)
        writer.add_tensor(name, -np.abs(weights) if name.endswith("ssm_a") else weights)
    _finish(writer)
    return path


def _finish(writer: gguf.GGUFWriter) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
