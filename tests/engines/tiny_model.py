"""A GGUF file with random weights and a token for each byte: loads in milliseconds, and writes noise."""

from pathlib import Path

import gguf
import numpy as np

N_EMBD, N_FF, N_HEAD, N_CTX = 64, 64, 2, 512
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
TOKENS = ["<unk>", "<s>", "</s>", *BYTES, "▁", *map(chr, range(97, 123))]
N_VOCAB = len(TOKENS)


def write_tiny_model(path: Path, *, chat_template: str | None = None, seed: int = 1) -> Path:
    """Llama architecture, one layer, a SentencePiece-like vocabulary that puts `<s>` in front."""
    kinds = [gguf.TokenType.UNKNOWN, gguf.TokenType.CONTROL, gguf.TokenType.CONTROL]
    kinds += [gguf.TokenType.BYTE] * 256 + [gguf.TokenType.NORMAL] * 27
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("tiny")
    writer.add_context_length(N_CTX)
    writer.add_embedding_length(N_EMBD)
    writer.add_block_count(1)
    writer.add_feed_forward_length(N_FF)
    writer.add_head_count(N_HEAD)
    writer.add_head_count_kv(N_HEAD)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(TOKENS)
    writer.add_token_scores([0.0] * N_VOCAB)
    writer.add_token_types(kinds)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_add_bos_token(True)
    writer.add_add_space_prefix(False)
    if chat_template is not None:
        writer.add_chat_template(chat_template)
    random = np.random.default_rng(seed)
    ones = np.ones(N_EMBD, np.float32)
    shapes = {
        "token_embd": (N_VOCAB, N_EMBD),
        "output": (N_VOCAB, N_EMBD),
        **{f"blk.0.attn_{part}": (N_EMBD, N_EMBD) for part in ("q", "k", "v", "output")},
        **{f"blk.0.ffn_{part}": (N_FF, N_EMBD) for part in ("gate", "up")},
        "blk.0.ffn_down": (N_EMBD, N_FF),
    }
    for name, shape in shapes.items():
        writer.add_tensor(f"{name}.weight", random.normal(0, 0.5, shape).astype(np.float32))
    for name in ("output_norm", "blk.0.attn_norm", "blk.0.ffn_norm"):
        writer.add_tensor(f"{name}.weight", ones)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
