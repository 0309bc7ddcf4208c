"""Writes the model.json of a file that came without one, from the facts in its header."""

import hashlib
import json
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from janfs.folder.gguf import GgufFacts
from janfs.manifest.spellings import DEFAULT_ENGINE, LAST_SECOND

# Raised whenever the same facts would give another model.json: every one that was generated is then
# brought up to date, but for what people wrote into it.
VERSION = 1

MAX_GENERATED_CONTEXT = 8192
"""In tokens. A model trained for more can be told so: a whole context is paid for in memory at once."""
MAX_GENERATED_TOKENS = 4096


class Derived(NamedTuple):
    """A value, and the key of the GGUF header that it was made from."""

    value: Any
    key: str


_EXTENSION = re.compile(r"\.gguf$", re.IGNORECASE)
_SHARD = re.compile(r"-\d{5}-of-\d{5}$")
_QUANTIZATION = re.compile(
    r"[-._ ](i1[-.])?(ud[-_])?(iq\d\w*|q\d\w*|tq\d\w*|bf16|f16|f32|fp16|fp32|mxfp4\w*|nvfp4)$", re.IGNORECASE
)
_SEPARATOR = re.compile(r"[-_\s]+|(?<!\d)\.|\.(?!\d)")
_WORD = re.compile(r"[a-z]+|\d+")
_NAMELESS = frozenset({"", "ggml model", "gguf", "model", "unnamed"})


def generate(
    *,
    model_id: str,
    file_names: Sequence[str],
    size: int,
    created: int,
    facts: GgufFacts,
    mmproj: str | None = None,
    schema: str | None = None,
) -> dict[str, Any]:
    """The model.json of a model, in the specification's order and spelling.

    `file_names` are the model's files (all shards, the first one first), `mmproj` is its projector's, both
    relative to its folder; `size` is the bytes of all, `created` in seconds, `schema` where editors find what
    may stand in it. What engines/<engine>.json
    would give is left out, so that it can.
    """
    name = display_name(file_names[0], facts)
    names = [*file_names, *([mmproj] if mmproj else [])]
    return {
        **({} if schema is None else {"$schema": schema}),
        "object": "model",
        "sources": [{"filename": file_name, "url": file_name} for file_name in names],
        "id": model_id,
        "name": name,
        "owned_by": "you",
        "version": "1",
        "created": min(max(0, created), LAST_SECOND),  # a file may have any time
        "description": describe(name, facts, vision=mmproj is not None),
        "format": "gguf",
        "engine": DEFAULT_ENGINE,
        "engine_parameters": _engine_parameters(names[0], facts, mmproj, several=len(names) > 1),
        "model_parameters": _model_parameters(facts),
        "metadata": _metadata(size, facts),
        "assets": [],
    }


def digest(
    model_id: str, file_names: Sequence[str], size: int, facts: GgufFacts, mmproj: str | None, *, schema: str
) -> str:
    """A digest of what `generate` is given, but for the time, and of how it goes about it."""
    inputs = (VERSION, model_id, file_names, size, facts, mmproj, schema)
    return hashlib.sha256(msgspec.json.encode(inputs)).hexdigest()


def encode(document: dict[str, Any]) -> bytes:
    """The bytes of a model.json as janfs writes it."""
    return (json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def display_name(file_name: str, facts: GgufFacts) -> str:
    """The model's name for people: general.name if the file's name agrees or says nothing, else the latter.

    Headers often carry the name of a training run or of the base model; who renames a file means it.
    """
    readable = _readable(file_name)
    if facts.name is None or not facts.name.strip():
        return readable or file_name
    said, shown = _words(facts.name), _words(readable)
    if readable.lower() in _NAMELESS or (said and said <= shown):
        return facts.name
    return readable or file_name


def describe(name: str, facts: GgufFacts, *, vision: bool = False) -> str:
    """One plain sentence on what the model is."""
    kind = "embedding model" if facts.is_embedding else "reranking model" if facts.is_reranker else None
    parts = [
        name,
        kind,
        "sees images" if vision else None,
        f"{facts.architecture} architecture" if facts.architecture else None,
        f"{_rounded(facts.parameter_count)} parameters" if facts.parameter_count else None,
        facts.quantization,
        f"{facts.context_length:,} tokens of context" if facts.context_length else None,
    ]
    return ", ".join(part for part in parts if part) + "."


def from_header(facts: GgufFacts) -> dict[str, Derived]:
    """The engine parameters that follow from a header, for a model.json to be made or one without them."""
    found: dict[str, Derived] = {}
    if facts.context_length:
        length = min(facts.context_length, MAX_GENERATED_CONTEXT)
        found["ctx_len"] = Derived(length, f"{facts.architecture}.context_length")
    if facts.is_embedding:
        key = "general.architecture" if facts.pooling_type is None else f"{facts.architecture}.pooling_type"
        found["embedding"] = Derived(True, key)
    return found


def stop_from_header(facts: GgufFacts) -> dict[str, Derived]:
    """The texts that end an answer of a model that generates any, as its header has them."""
    if facts.is_embedding or facts.is_reranker:
        return {}
    ends = {"eos": facts.eos_token, "eot": facts.eot_token}
    named = {name: text for name, text in ends.items() if text and text.strip()}
    keys = " and ".join(f"tokenizer.ggml.{name}_token_id" for name in named)
    return {"stop": Derived(list(dict.fromkeys(named.values())), keys or "tokenizer.ggml.eos_token_id")}


def _engine_parameters(binary: str, facts: GgufFacts, mmproj: str | None, *, several: bool) -> dict[str, Any]:
    found: dict[str, Any] = {name: derived.value for name, derived in from_header(facts).items()}
    if several:
        found["llama_model_path"] = binary
    if mmproj:
        found["mmproj"] = mmproj
    return found


def _model_parameters(facts: GgufFacts) -> dict[str, Any]:
    if facts.is_embedding or facts.is_reranker:
        return {}  # they generate no text
    return {
        "temperature": 0.7,
        "top_p": 0.95,
        "stream": True,
        "max_tokens": min(MAX_GENERATED_TOKENS, facts.context_length or MAX_GENERATED_TOKENS),
        "stop": stop_from_header(facts)["stop"].value,
        "frequency_penalty": 0,
        "presence_penalty": 0,
    }


def _metadata(size: int, facts: GgufFacts) -> dict[str, Any]:
    known = {
        "author": facts.author or facts.organization,
        "tags": list(facts.tags),
        "languages": list(facts.languages),
        "size": size,
        "architecture": facts.architecture,
        "parameters": facts.parameter_count,
        "quantization": facts.quantization,
        "context_length": facts.context_length,
        "license": facts.license,
        "source": facts.source_url,
        "base_model": facts.base_model,
        "header_sha256": facts.header_sha256,
    }
    return {key: value for key, value in known.items() if value or key in ("tags", "size")}


def _readable(file_name: str) -> str:
    """`Llama-3.1-8B-Instruct.Q4_K_M.gguf` as `Llama 3.1 8B Instruct`."""
    stem = _SHARD.sub("", _EXTENSION.sub("", file_name.rpartition("/")[2]))
    return " ".join(_SEPARATOR.sub(" ", _QUANTIZATION.sub("", stem)).split())


def _words(text: str) -> set[str]:
    return set(_WORD.findall(text.lower()))


def _rounded(count: int) -> str:
    for limit, unit in ((10**12, "T"), (10**9, "B"), (10**6, "M"), (10**3, "k")):
        if count * 1.0005 >= limit:  # 999.96M is shown as 1.0B
            return f"{count / limit:.1f}{unit}"
    return str(count)
