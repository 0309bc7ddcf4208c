"""What chat and text completions have in common in a request, and the sampling it asks for. Pure."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from janfs.api.structured import ResponseFormat, schema_of
from janfs.engines.protocol import GenerateRequest, Prompt, SamplingParams
from janfs.errors import InvalidInput, UnsupportedParameter

_IN_MODEL_JSON = {"typical_p": "typ_p"}  # another name for the same thing
# Taken from the request alone.
_BOUND = ("logit_bias", "grammar", "json_schema", "logprobs")
_PLAIN = tuple(name for name in SamplingParams.__struct_fields__ if name not in _BOUND)


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
    cache_prompt: bool | None = None

    # For the caller's own books; they change nothing in an answer.
    user: Any = None
    metadata: Any = None
    store: Any = None
    safety_identifier: Any = None
    prompt_cache_key: Any = None
    prompt_cache_retention: Any = None
    prompt_cache_options: Any = None
    service_tier: Any = None

    n: int | None = None
    logit_bias: dict[str, float] | None = None
    grammar: str | None = None
    json_schema: Any = None
    response_format: ResponseFormat | None = None
    typical_p: float | None = None
    min_keep: int | None = None
    dynatemp_range: float | None = None
    dynatemp_exponent: float | None = None
    mirostat: int | None = None
    mirostat_tau: float | None = None
    mirostat_eta: float | None = None
    n_probs: Any = None


NOT_YET: Mapping[str, tuple[Any, ...]] = {"n_probs": (0,)}
"""Fields that are known but not supported, with the values that change nothing."""
MAX_CHOICES = 32  # of one request


def refuse_unsupported(fields: GenerationFields, table: Mapping[str, tuple[Any, ...]]) -> None:
    """Raises `UnsupportedParameter` for the first field that asks for what is not offered."""
    refuse(fields, {**NOT_YET, **table})


def refuse(fields: Struct, table: Mapping[str, tuple[Any, ...]], place: str = "") -> None:
    """The same for the fields of a table alone, which stand at `place`, a path with its last dot."""
    for name, neutral in table.items():
        value = getattr(fields, name)
        if value is not None and value not in neutral:
            raise UnsupportedParameter(f"'{place}{name}' is not supported.", param=place + name)


def wants_usage(fields: GenerationFields) -> bool:
    """Whether the stream is to end with the usage. Raises `InvalidInput` where there is no stream."""
    if fields.stream_options is None:
        return False
    if not fields.stream:
        raise InvalidInput("'stream_options' has a meaning only with 'stream': true.", param="stream_options")
    return bool(fields.stream_options.include_usage)


def sampling_of(
    fields: GenerationFields,
    defaults: Mapping[str, Any],
    *,
    max_tokens: int | None = None,
    logprobs: int | None = None,
    least_tokens: int = 1,
) -> SamplingParams:
    """The request's sampling over the model's. Raises `InvalidInput`, naming a field out of range."""
    values = {name: defaults.get(_IN_MODEL_JSON.get(name, name)) for name in _PLAIN}
    values.update({name: getattr(fields, name) for name in _PLAIN if getattr(fields, name) is not None})
    if max_tokens is not None:
        values["max_tokens"] = max_tokens
    if values["max_tokens"] is not None and values["max_tokens"] < least_tokens:
        said = "max_tokens" if max_tokens is None else "max_completion_tokens"
        raise InvalidInput(f"{said} must be at least {least_tokens}, not {values['max_tokens']}.", param=said)
    values["stop"] = stops_of(values["stop"])
    return SamplingParams(
        **{name: value for name, value in values.items() if value is not None},
        logit_bias=_biases(fields.logit_bias),
        grammar=fields.grammar or None,
        json_schema=schema_of(fields.response_format, fields.json_schema, fields.grammar),
        logprobs=logprobs,
    )


def asked_of(fields: GenerationFields) -> dict[str, tuple[str, Any]]:
    """What a request says of model parameters, by their names: its own name for each, and the value."""
    return {
        _IN_MODEL_JSON.get(name, name): (name, value)
        for name in ("stream", *_PLAIN)
        if (value := getattr(fields, name)) is not None
    }


def choices_of(fields: GenerationFields, sampling: SamplingParams) -> list[SamplingParams]:
    """The sampling of each of the `n` answers: with a seed each has the next one, so that they differ."""
    count = 1 if fields.n is None else fields.n
    if not 1 <= count <= MAX_CHOICES:
        raise InvalidInput(f"'n' must be between 1 and {MAX_CHOICES}, not {count}.", param="n")
    if sampling.seed is None or sampling.seed == -1:
        return [sampling] * count
    return [replace(sampling, seed=_following(sampling.seed, number)) for number in range(count)]


def _following(seed: int, number: int) -> int:
    """The seed so many after this one: of 64 bits, and without -1, which stands for any."""
    if -1 - number <= seed < -1:
        number += 1
    return (seed + number + 2**63) % 2**64 - 2**63


def requests_of(
    fields: GenerationFields, request_id: str, prompt: Prompt, sampling: SamplingParams, *, echo: bool = False
) -> list[GenerateRequest]:
    """What the engine is asked, once for each of the `n` answers."""
    caching = fields.cache_prompt is not False
    same = GenerateRequest(request_id=request_id, prompt=prompt, cache_prompt=caching, echo=echo)
    return [replace(same, sampling=each) for each in choices_of(fields, sampling)]


def _biases(given: Mapping[str, float] | None) -> tuple[tuple[int, float], ...]:
    found = []
    for token, bias in (given or {}).items():
        if not token.isascii() or not token.isdigit() or len(token) > 9:
            raise InvalidInput(f"'{token[:20]}' is no token id.", param="logit_bias")
        found.append((int(token), bias))
    return tuple(found)


def stops_of(stop: str | list[str] | None) -> tuple[str, ...]:
    """A request's stop strings, of which one may stand by itself."""
    return (stop,) if isinstance(stop, str) else tuple(stop or ())
