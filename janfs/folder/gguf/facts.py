"""What janfs remembers of a GGUF header: a small, frozen, JSON-able record for the event log."""

import msgspec


class GgufFacts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
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
