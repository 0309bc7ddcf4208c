"""What each parameter and field means, in words for people who write a model.json."""

from collections.abc import Mapping
from types import MappingProxyType

from janfs.manifest.parameters import WITHOUT_EFFECT

PARAMETERS: Mapping[str, str] = MappingProxyType(
    {
        "ctx_len": "Tokens of context of all parallel requests together. 0: as the model was trained.",
        "ngl": "Layers on the GPU. 0: none; -1: all.",
        "n_parallel": "Requests that are computed at the same time.",
        "kv_unified": "Whether these share the context. If not, each has an equal part of it for itself. "
        "null: as suits those that run.",
        "embedding": "Whether a model that writes text gives embeddings too. Those made for it always do.",
        "pooling": "How the vectors of a text's tokens become one. null: as the file's header says.",
        "cont_batching": "Whether new requests join running ones instead of waiting for them.",
        "cpu_threads": "Threads that compute. null: one for each physical core.",
        "n_batch": "The most tokens that are computed at once.",
        "flash_attn": "Whether flash attention is used.",
        "cache_type": "The type of the KV cache: smaller ones save memory and cost quality.",
        "use_mmap": "Whether the file is mapped instead of being read.",
        "mlock": "Whether the model is kept in memory.",
        "pinned": "Whether it is not unloaded to make room or for being idle; in model.json also whether it "
        "is loaded at the start.",
        "keep_alive": "Seconds without a request until it is unloaded. -1: never. null: --keep-alive.",
        "adapters": "Names of the LoRAs in the folder that are applied. null: all of them.",
        "llama_model_path": "Which file of the folder is the model, where there are several.",
        "mmproj": "The projector's file, with which the model sees images.",
        "prompt_template": "Text with {system_message} and {prompt}, in place of the file's chat template.",
        "system_prompt": "What stands before the system message, where prompt_template is given in pieces.",
        "user_prompt": "What stands before what the user says, where prompt_template is given in pieces.",
        "ai_prompt": "What stands before the answer, where prompt_template is given in pieces.",
        "caching_enabled": "Whether what was computed of a prompt is kept for the next.",
        "grammar_file": "A file of GBNF in the folder that binds answers to requests without a form.",
        "full_url": "Where an engine elsewhere answers: the address of its chat completions, or of its API.",
        "base_urls": "The same for several that are alike, among which requests are shared out.",
        "auth_header": "The header that carries api_key. both: Authorization and api-key.",
        "connect_timeout": "Seconds until there must be a connection to an engine elsewhere.",
        "read_timeout": "Seconds that an engine elsewhere may be silent.",
        "first_word_timeout": "Seconds until the first word of a streamed answer from elsewhere.",
        "health_checks": "Whether an engine elsewhere is given up that does not list its models any more.",
        "api_key": "The key of a remote engine, for its file in engines/, of which no key is ever recorded.",
        "temperature": "How freely tokens are chosen. 0 always takes the likeliest.",
        "top_p": "Only the likeliest tokens that reach this probability together.",
        "top_k": "Only so many of the likeliest tokens. 0 or -1: off.",
        "min_p": "Only tokens at least so likely, measured against the likeliest.",
        "max_tokens": "Tokens of an answer at most. null: until the context ends.",
        "stop": "Texts that end the answer.",
        "frequency_penalty": "How much a token is held back for each time that it occurred.",
        "presence_penalty": "How much a token is held back because it occurred.",
        "repeat_penalty": "What a token that occurred lately is divided by. 1: off.",
        "repeat_last_n": "Tokens that the penalties look back. -1: the whole context.",
        "stream": "Read and shown; the request decides.",
        "seed": "The same seed, prompt and settings give the same answer. null: a new one each time.",
        "ignore_eos": "Whether an answer goes on past the token that ends it.",
        "typ_p": "How typical a token must be. 1: off.",
        "mirostat": "Which Mirostat chooses tokens: 1 or 2. 0: none.",
        "mirostat_tau": "The surprise that Mirostat aims at.",
        "mirostat_eta": "How quickly Mirostat learns.",
        "dynatemp_range": "How far the temperature moves with how sure the model is. 0: not at all.",
        "dynatemp_exponent": "How the temperature follows how sure the model is.",
        "min_keep": "Tokens that typ_p, top_p and min_p leave to choose from at least.",
        **{name: f"Without effect: {why}." for name, why in WITHOUT_EFFECT.items()},
    }
)

FIELDS: Mapping[str, str] = MappingProxyType(
    {
        "$schema": "Where editors find what may stand here. Nothing else reads it.",
        "id": "For reading; the folder's name is what counts.",
        "object": "Always model.",
        "name": "The model's name for people.",
        "owned_by": "Whose it is, for OpenAI's clients.",
        "version": "The version of this description.",
        "created": "Seconds since 1970; milliseconds are understood.",
        "description": "What the model is, in a sentence.",
        "format": "gguf, or api for a model elsewhere.",
        "engine": "What runs it: llama-cpp (nitro is the same), or the name of a file in engines/.",
        "sources": "The model's files, and where each came from.",
        "engine_parameters": "How the model is loaded. null: as built in, whatever the engine's file says.",
        "model_parameters": "What a request that does not say otherwise gets.",
        "metadata": "Whatever else is to be known of the model.",
        "assets": "Further files.",
    }
)
