"""From a model's settings to llama.cpp's parameters."""

import llama_cpp as llama

from janfs.engines.protocol import EngineSettings

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
    """For the context, in which all sequences share one KV cache."""
    params = llama.llama_context_default_params()
    params.n_ctx = settings.ctx_len
    params.n_batch = max(settings.n_batch, settings.n_parallel)
    params.n_ubatch = min(params.n_batch, 512)
    params.n_seq_max = settings.n_parallel
    # One token of a sequence is sampled at a time. The default, n_batch, cost 80 MB more with a vocabulary
    # of 49,152.
    params.n_outputs_max = settings.n_parallel
    params.kv_unified = True
    params.n_threads = params.n_threads_batch = threads
    params.type_k = params.type_v = _CACHE_TYPES[settings.cache_type]
    params.flash_attn_type = _FLASH_ATTN[settings.flash_attn]
    params.embeddings = settings.embedding
    params.no_perf = True
    return params
