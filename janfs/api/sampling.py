"""What chat and text completions have in common in a request, and the sampling it asks for. Pure."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from janfs.engines.protocol import SamplingParams
from janfs.errors import InvalidInput, UnsupportedParameter


class StreamOptions(Struct, frozen=True, forbid_unknown_fields=True):
    """OpenAI's `stream_options`. Obfuscation pads chunks against eavesdroppers; there are none here."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class GenerationFields(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The fields of a request that OpenAI's and llama.cpp's APIs agree on. null is the same as absence.

    A sampling field that is absent has the value of the model's model.json. A field that is not here at all
    is refused, as are those of `NOT_YET` with another value than the one that changes nothing: an answer that
    quietly leaves out what was asked for is a wrong answer.
    """

    model: str
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    seed: int | None = None
    max_tokens: int | None = None
    stop: str | list[str] | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    repeat_penalty: float | None = None
    repeat_last_n: int | None = None
    ignore_eos: bool | None = None

    # For the caller's own books; they change nothing in an answer.
    user: Any = None
    metadata: Any = None
    store: Any = None
    safety_identifier: Any = None
    prompt_cache_key: Any = None
    prompt_cache_retention: Any = None
    service_tier: Any = None
    cache_prompt: Any = None

    n: Any = None
    logit_bias: Any = None
    logprobs: Any = None
    n_probs: Any = None
    grammar: Any = None
    json_schema: Any = None
    response_format: Any = None
    typical_p: Any = None
    mirostat: Any = None
    dynatemp_range: Any = None


NOT_YET: Mapping[str, tuple[Any, ...]] = {
    "n": (1,),
    "logit_bias": ({},),
    "n_probs": (0,),
    "grammar": ("",),
    "json_schema": (),
    "response_format": ({"type": "text"},),
    "typical_p": (1,),
    "mirostat": (0,),
    "dynatemp_range": (0,),
}
"""Fields that are known but not supported yet, with the values that change nothing."""


def refuse_unsupported(fields: Struct, *tables: Mapping[str, tuple[Any, ...]]) -> None:
    """Raises `UnsupportedParameter` for the first field that asks for what is not offered."""
    for table in (NOT_YET, *tables):
        for name, neutral in table.items():
            value = getattr(fields, name)
            if value is not None and value not in neutral:
                raise UnsupportedParameter(f"'{name}' is not supported yet.", param=name)


def wants_usage(fields: GenerationFields) -> bool:
    """Whether the stream is to end with the usage. Raises `InvalidInput` where there is no stream."""
    if fields.stream_options is None:
        return False
    if not fields.stream:
        raise InvalidInput("'stream_options' has a meaning only with 'stream': true.", param="stream_options")
    return bool(fields.stream_options.include_usage)


def sampling_of(
    fields: GenerationFields, defaults: Mapping[str, Any], max_tokens: int | None = None
) -> SamplingParams:
    """The request's sampling over the model's. Raises `InvalidInput`, naming a field out of range."""
    values = {name: defaults.get(name) for name in SamplingParams.__struct_fields__}
    values.update({name: getattr(fields, name) for name in values if getattr(fields, name) is not None})
    if max_tokens is not None:
        values["max_tokens"] = max_tokens
    stop = values["stop"]
    values["stop"] = (stop,) if isinstance(stop, str) else tuple(stop or ())
    return SamplingParams(**{name: value for name, value in values.items() if value is not None})
