"""From a model's settings to llama.cpp's parameters."""

import llama_cpp as llama

from janfs.engines.memory import CELL_BLOCK, LEAST_OUTPUTS, parts_of
from janfs.engines.protocol import EngineSettings, Pooling

_CACHE_TYPES = {
    "f32": llama.GGML_TYPE_F32,
    "f16": llama.GGML_TYPE_F16,
    "bf16": 30,  # ggml.h: GGML_TYPE_BF16, which the package does not name
    "q8_0": llama.GGML_TYPE_Q8_0,
    "q5_1": llama.GGML_TYPE_Q5_1,
    "q5_0": llama.GGML_TYPE_Q5_0,
    "q4_1": llama.GGML_TYPE_Q4_1,
    "q4_0": llama.GGML_TYPE_Q4_0,
}
_FLASH_ATTN = {
    "auto": llama.LLAMA_FLASH_ATTN_TYPE_AUTO,
    "on": llama.LLAMA_FLASH_ATTN_TYPE_ENABLED,
    "off": llama.LLAMA_FLASH_ATTN_TYPE_DISABLED,
}
_POOLINGS: dict[Pooling, int] = {
    "none": llama.LLAMA_POOLING_TYPE_NONE,
    "mean": llama.LLAMA_POOLING_TYPE_MEAN,
    "cls": llama.LLAMA_POOLING_TYPE_CLS,
    "last": llama.LLAMA_POOLING_TYPE_LAST,
    "rank": llama.LLAMA_POOLING_TYPE_RANK,
}
_LOAD_MODES = {  # (use_mmap, mlock)
    (False, False): llama.LLAMA_LOAD_MODE_NONE,
    (True, False): llama.LLAMA_LOAD_MODE_MMAP,
    (False, True): llama.LLAMA_LOAD_MODE_MLOCK,
    (True, True): llama.LLAMA_LOAD_MODE_MMAP_MLOCK,
}


def model_params(settings: EngineSettings) -> llama.llama_model_params:
    """For loading the file."""
    params = llama.llama_model_default_params()
    params.n_gpu_layers = settings.ngl
    params.load_mode = _LOAD_MODES[settings.use_mmap, settings.mlock]
    return params


def context_params(settings: EngineSettings, threads: int) -> llama.llama_context_params:
    """For the context, in which all sequences share one KV cache, or each has a part of it from the start."""
    params = llama.llama_context_default_params()
    params.n_ctx = settings.ctx_len
    params.n_batch = max(settings.n_batch, settings.n_parallel)
    params.n_ubatch = min(params.n_batch, 512)
    params.n_seq_max = settings.n_parallel
    # One token of a sequence is sampled at a time. The default, n_batch, cost 80 MB more with a vocabulary
    # of 49,152. A few more let the logprobs of a prompt be told at a bearable pace.
    params.n_outputs_max = max(settings.n_parallel, LEAST_OUTPUTS)
    params.kv_unified = parts_of(settings) == 1
    params.n_threads = params.n_threads_batch = threads
    params.type_k = params.type_v = _CACHE_TYPES[settings.cache_type]
    params.flash_attn_type = _FLASH_ATTN[settings.flash_attn]
    params.no_perf = True
    return params


def part_of(settings: EngineSettings, n_ctx: int) -> int | None:
    """How many of `n_ctx` tokens each request has where they are given parts while the model runs.

    None where they are not: because somebody wants it one way or the other, or a GPU has the cache, for which
    nothing was measured.
    """
    on_gpu = settings.ngl != 0 and llama.llama_supports_gpu_offload()
    if settings.kv_unified is not None or settings.n_parallel == 1 or on_gpu:
        return None
    return n_ctx // settings.n_parallel // CELL_BLOCK * CELL_BLOCK or None


def pooling_params(
    settings: EngineSettings, threads: int, pooling: Pooling, *, most_texts: int, n_ctx: int, n_batch: int
) -> llama.llama_context_params:
    """For a context that makes one vector of each sequence of a batch, of `most_texts` at most.

    A batch is computed at once: what sees all of its text, as encoders do, cannot be cut in pieces.
    """
    params = llama.llama_context_default_params()
    params.n_ctx = n_ctx
    params.n_batch = params.n_ubatch = n_batch
    params.n_seq_max = min(most_texts, n_batch)
    params.kv_unified = True
    params.n_threads = params.n_threads_batch = threads
    params.type_k = params.type_v = _CACHE_TYPES[settings.cache_type]
    params.flash_attn_type = _FLASH_ATTN[settings.flash_attn]
    params.embeddings = True
    params.pooling_type = _POOLINGS[pooling]
    params.no_perf = True
    return params
