"""How much memory a model takes, from its header's numbers and its settings. Pure; sizes are in bytes.

What llama.cpp allocates: the weights (llama-model.cpp), a cell for every token of the context
(llama-kv-cache.cpp), a state for every sequence (llama-memory-recurrent.cpp), and buffers for the largest
batch (graph_reserve in llama-context.cpp). What those buffers take depends on the graph; the terms below are
its widest operations, and an upper bound for the families that were measured (docs/decisions/0029).
"""

import msgspec

from janfs.engines.protocol import EngineSettings, ModelShape

LEAST_OUTPUTS = 16
"""Tokens of a batch whose logits there is room for, at least: the logprobs of prompts take many."""
CELL_BLOCK = 256
"""Cells: llama.cpp rounds a context up to it."""
_LARGEST_BATCH = 512  # tokens that go through the graph at once (`n_ubatch`)
_FLOAT = 4
_FLOAT_AND_HALF = 4 + 2  # of what is made in single precision and copied to half of it, to be multiplied
_BITS = {"f32": 32, "f16": 16, "bf16": 16, "q8_0": 8.5, "q5_1": 6, "q5_0": 5.5, "q4_1": 5, "q4_0": 4.5}
"""Of an element of the cache, scales included: ggml's block sizes."""
_PROCESS = 72 << 20  # a worker before it loads: Python and the libraries
_TOKEN = 168  # a token's text in the vocabulary's two tables


class Need(msgspec.Struct, frozen=True):
    """What a model takes: its weights, the KV cache and states, buffers to compute in, and its process."""

    weights: int
    cache: int
    compute: int
    process: int

    @property
    def total(self) -> int:
        return self.weights + self.cache + self.compute + self.process


class Split(msgspec.Struct, frozen=True):
    """What of a model's memory lies in the machine's own, and what on its GPUs."""

    host: int
    device: int


def need(shape: ModelShape, settings: EngineSettings) -> Need:
    """What a model takes with these settings, when its whole context is in use."""
    cells = context_of(shape, settings)
    rows = min(_LARGEST_BATCH, max(settings.n_batch, settings.n_parallel))
    feed_forward = shape.feed_forward or 4 * shape.width
    activations = _FLOAT * rows * (6 * shape.width + 3 * feed_forward)
    seen = cells // parts_of(settings)  # by each row
    mask = rows * seen * _FLOAT_AND_HALF
    scores = rows * seen * shape.heads * _FLOAT_AND_HALF if settings.flash_attn == "off" else 0
    outputs = 2 * _FLOAT * max(settings.n_parallel, LEAST_OUTPUTS) * shape.vocabulary
    if settings.embedding:  # llama.cpp keeps room for the logits of all that becomes vectors, made or not
        outputs += _FLOAT * rows * shape.vocabulary
    return Need(
        weights=shape.weights,
        cache=int(cells * shape.kv_elements * _BITS[settings.cache_type] / 8)
        + _FLOAT * settings.n_parallel * shape.state_elements,
        compute=activations + mask + scores + outputs,
        process=_PROCESS + _TOKEN * shape.vocabulary,
    )


def context_of(shape: ModelShape, settings: EngineSettings) -> int:
    """The cells that a context gets."""
    block = parts_of(settings) * CELL_BLOCK
    wanted = settings.ctx_len or shape.trained_context or 0
    return -(-wanted // block) * block


def parts_of(settings: EngineSettings) -> int:
    """In how many equal parts the cells are shared out, at the start."""
    return settings.n_parallel if settings.kv_unified is False else 1


def split(shape: ModelShape, settings: EngineSettings) -> Split:
    """Where a model's memory lies on a machine with GPUs, which take the last `ngl` layers.

    Those layers have their part of the cache with them. One more than there are puts all other weights there
    too, but for the table of the tokens' embeddings; buffers to compute in are counted on both sides.
    """
    whole = need(shape, settings)
    layers = max(shape.layers, 1)
    offloaded = layers + 1 if settings.ngl < 0 else min(settings.ngl, layers + 1)
    share = min(offloaded, layers) / layers
    others = (shape.weights - shape.block_bytes) if offloaded > layers else 0
    moved = int(share * (shape.block_bytes + whole.cache)) + others
    return Split(
        host=whole.total - moved + others,
        device=moved + (whole.compute if offloaded else 0),
    )


def in_words(size: int) -> str:
    """A size for people: MiB, or GiB from one on."""
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.0f} MiB"
