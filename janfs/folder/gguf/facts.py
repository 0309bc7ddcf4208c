"""What janfs remembers of a GGUF header: a small, frozen, JSON-able record for the event log."""

import msgspec

from janfs.folder.gguf.header import GgufHeader
from janfs.folder.gguf.said import Said, is_count
from janfs.folder.gguf.tables import FILE_TYPE_GUESSED, FILE_TYPES, FLOAT_TYPES, POOLING_TYPES

MAX_TOKEN = 64

_POOLED = frozenset({"mean", "cls", "last"})
_ENCODERS = frozenset(
    {
        "bert",
        "eurobert",
        "gemma-embedding",
        "jina-bert-v2",
        "jina-bert-v3",
        "modern-bert",
        "neo-bert",
        "nomic-bert",
        "nomic-bert-moe",
        "t5encoder",
    }
)


class GgufFacts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The facts of one GGUF file, at most a few kB as JSON. None means that the file does not say.

    Sizes are in bytes, lengths in tokens or elements. Texts are cleaned of control characters and clipped.
    """

    header_sha256: str  # over the header's bytes alone: metadata and tensor table
    data_end: int  # the size in bytes that a complete file has at least
    architecture: str | None = None
    type: str = "model"  # "model", "adapter", "mmproj", "vocab", "imatrix", or what general.type says

    name: str | None = None
    basename: str | None = None
    finetune: str | None = None
    size_label: str | None = None
    author: str | None = None
    organization: str | None = None
    license: str | None = None
    source_url: str | None = None  # the repository or page this file, or its original, came from
    base_model: str | None = None  # name of the first base model
    base_model_url: str | None = None
    tags: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()

    quantization: str | None = None  # "Q4_K_M"; what the tensors are where general.file_type contradicts them
    file_type: int | None = None  # general.file_type as written
    parameter_count: int = 0
    tensor_count: int = 0

    context_length: int | None = None
    embedding_length: int | None = None
    block_count: int | None = None
    head_count: int | None = None  # the largest of any block
    head_count_kv: int | None = None  # the largest of any block
    kv_heads_total: int | None = None  # sum over all blocks; with the two lengths below, the KV cache's size
    key_length: int | None = None  # elements of one head's key
    value_length: int | None = None
    feed_forward_length: int | None = None  # the largest of any block
    state_elements: int | None = None  # of a recurrent layer's state, for one sequence
    block_bytes: int | None = None  # of all repeated layers together
    sliding_window: int | None = None
    expert_count: int | None = None
    vocab_size: int | None = None

    has_chat_template: bool = False
    bos_token: str | None = None
    eos_token: str | None = None
    eot_token: str | None = None
    pooling_type: str | None = None  # "none", "mean", "cls", "last", "rank"
    is_embedding: bool = False
    is_reranker: bool = False

    has_vision: bool = False  # of a projector
    has_audio: bool = False
    projection_dim: int | None = None  # of a projector: equals embedding_length of the models it fits
    adapter_type: str | None = None  # "lora", ...

    split_no: int | None = None  # counts from 0
    split_count: int | None = None


def facts(header: GgufHeader) -> GgufFacts:
    """The facts of a header. Values of a wrong type or an impossible size count as not given; never raises.

    Key names: docs/gguf.md in ggml's repository and gguf-py's constants.
    """
    said = Said(header.metadata)
    raw_architecture = header.metadata.get("general.architecture")
    arch = raw_architecture if isinstance(raw_architecture, str) else ""
    blocks = said.count(f"{arch}.block_count")
    width = said.count(f"{arch}.embedding_length")
    heads = said.per_block(f"{arch}.attention.head_count", blocks)
    kv_heads = said.per_block(f"{arch}.attention.head_count_kv", blocks) or heads
    head_width = width // max(heads) if width and heads and max(heads) else None
    pooling = said.count(f"{arch}.pooling_type")
    pooling_type = None if pooling is None else POOLING_TYPES.get(pooling)
    kind = _type(arch, said, header)
    vocabulary = header.arrays.get("tokenizer.ggml.tokens")
    return GgufFacts(
        header_sha256=header.header_sha256,
        data_end=header.data_end,
        architecture=said.text("general.architecture"),
        type=kind,
        name=said.text("general.name"),
        basename=said.text("general.basename"),
        finetune=said.text("general.finetune"),
        size_label=said.text("general.size_label"),
        author=said.text("general.author"),
        organization=said.text("general.organization"),
        license=said.text("general.license"),
        source_url=said.url(
            "general.source.repo_url", "general.repo_url", "general.source.url", "general.url"
        ),
        base_model=said.text("general.base_model.0.name"),
        base_model_url=said.url("general.base_model.0.repo_url", "general.base_model.0.url"),
        tags=said.texts("general.tags"),
        languages=said.texts("general.languages"),
        quantization=_quantization(header),
        file_type=said.count("general.file_type"),
        parameter_count=header.parameter_count,
        tensor_count=header.tensor_count,
        context_length=said.count(f"{arch}.context_length"),
        embedding_length=width,
        block_count=blocks,
        head_count=max(heads) if heads else None,
        head_count_kv=max(kv_heads) if kv_heads else None,
        kv_heads_total=sum(kv_heads) if kv_heads and len(kv_heads) == blocks else None,
        key_length=said.count(f"{arch}.attention.key_length") or head_width,
        value_length=said.count(f"{arch}.attention.value_length") or head_width,
        feed_forward_length=max(said.per_block(f"{arch}.feed_forward_length", blocks), default=None),
        state_elements=_state_elements(arch, said, width),
        block_bytes=header.block_bytes or None,
        sliding_window=said.count(f"{arch}.attention.sliding_window"),
        expert_count=said.count(f"{arch}.expert_count"),
        vocab_size=vocabulary.count if vocabulary else said.count(f"{arch}.vocab_size"),
        has_chat_template=bool(said.text("tokenizer.chat_template")),
        bos_token=_token(header, "bos"),
        eos_token=_token(header, "eos"),
        eot_token=_token(header, "eot"),
        pooling_type=pooling_type,
        is_embedding=pooling_type != "rank" and (pooling_type in _POOLED or arch in _ENCODERS),
        is_reranker=pooling_type == "rank",
        has_vision=kind == "mmproj" and said.flag("clip.has_vision_encoder"),
        has_audio=kind == "mmproj" and said.flag("clip.has_audio_encoder"),
        projection_dim=said.count("clip.vision.projection_dim") or said.count("clip.audio.projection_dim"),
        adapter_type=said.text("adapter.type"),
        split_no=said.count("split.no"),
        split_count=said.count("split.count"),
    )


def _type(arch: str, said: Said, header: GgufHeader) -> str:
    if arch == "clip":  # older projectors carry no general.type
        return "mmproj"
    stated = said.text("general.type")
    if stated:
        return stated.lower()
    if said.text("adapter.type"):
        return "adapter"
    return "vocab" if not header.tensor_count and "tokenizer.ggml.tokens" in header.arrays else "model"


def _state_elements(arch: str, said: Said, width: int | None) -> int | None:
    """Of a layer with a state in place of cells for tokens: n_embd_r and n_embd_s in llama-hparams.cpp."""
    inner, state = said.count(f"{arch}.ssm.inner_size"), said.count(f"{arch}.ssm.state_size")
    if inner and state:
        groups, kernel = (
            said.count(f"{arch}.ssm.group_count") or 0,
            said.count(f"{arch}.ssm.conv_kernel") or 1,
        )
        return (kernel - 1) * (inner + 2 * groups * state) + state * inner
    head = said.count(f"{arch}.wkv.head_size")
    return width * (head + 2) if head and width else None


def _quantization(header: GgufHeader) -> str | None:
    """general.file_type's label where the tensors bear it out, else the type that holds most parameters.

    A mix such as Q4_K_M may hold few Q4_K parameters (small models keep big embeddings in Q8_0), so one
    tensor is proof enough. A claim of plain floats is believed only if floats of that kind prevail: files
    quantised by other tools often kept their source's value.
    """
    if not header.tensor_types:
        return None
    prevailing = max(header.tensor_types, key=lambda name: (header.tensor_types[name].parameters, name))
    number = header.metadata.get("general.file_type")
    claim = FILE_TYPES.get(number & ~FILE_TYPE_GUESSED) if is_count(number) else None
    if claim is None or claim.tensor_type not in header.tensor_types:
        return prevailing
    if claim.tensor_type in FLOAT_TYPES and claim.tensor_type != prevailing:
        return prevailing
    return claim.label


def _token(header: GgufHeader, name: str) -> str | None:
    """A special token's exact text; None if it is empty, too long to be one or not text at all."""
    text = header.tokens.get(name)
    return text if text and len(text) <= MAX_TOKEN and "\ufffd" not in text else None
