"""/v1/completions: a raw prompt, continued."""

import asyncio
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

from litestar import Request, post
from litestar.params import RawBody
from litestar.types import ASGIApp
from msgspec import UNSET, Struct, UnsetType

from janfs.api.body import ClientGone
from janfs.api.context import ApiContext, Context
from janfs.api.error_bodies import ErrorBody, ErrorDetail
from janfs.api.errors import decode_body
from janfs.api.generation import Answered, Chunk, answer, generated, seated
from janfs.api.leaving import nobody_listens, unless_gone
from janfs.api.logprobs import Offsets, TextLogprobs, text_logprobs
from janfs.api.prompts import Given, prompts_of
from janfs.api.relay import relay, remote_of
from janfs.api.sampling import GenerationFields, refuse_unsupported, requests_of, sampling_of, wants_usage
from janfs.api.sse import DONE
from janfs.api.structured import names_of
from janfs.api.timings import Timings, own_timings, timings_of
from janfs.api.usage import Usage
from janfs.engines.protocol import (
    Finished,
    FinishReason,
    Reply,
    TextDelta,
    TextPrompt,
    TokenLogprob,
    TokenPrompt,
)
from janfs.engines.remote.asking import TEXT
from janfs.errors import InvalidInput
from janfs.serving import resolve

MAX_ANSWERS = 2048  # of one request


class CompletionRequest(GenerationFields, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request to continue a prompt, or several: a text, token ids, or a list of those.

    With `echo` an answer begins with its prompt, and `logprobs` tells of the prompt's tokens too.
    """

    prompt: Given
    logprobs: int | None = None
    echo: bool | None = None

    best_of: Any = None
    suffix: Any = None


_NOT_YET: Mapping[str, tuple[Any, ...]] = {"best_of": (1,), "suffix": ("",)}


class TextChoice(Struct, frozen=True, kw_only=True):
    """An answer, or the next piece of one."""

    index: int
    text: str
    finish_reason: FinishReason | None = None
    logprobs: TextLogprobs | None = None


class Completion(Struct, frozen=True, kw_only=True):
    """A whole answer, or a message of a stream. `created` is in seconds since 1970."""

    id: str
    object: Literal["text_completion"] = "text_completion"
    created: int
    model: str
    system_fingerprint: str
    choices: list[TextChoice]
    usage: Usage | UnsetType | None = UNSET
    timings: Timings | UnsetType = UNSET


class CompletionFormat:
    """See `janfs.api.generation.Format`; counts the characters of each answer that were sent."""

    def __init__(
        self,
        id_: str,
        created: int,
        model: str,
        fingerprint: Callable[[], str],
        *,
        include_usage: bool,
        logprobs: bool,
    ) -> None:
        self.id = id_
        self._common: Any = {"id": id_, "created": created, "model": model}
        self._fingerprint = fingerprint
        self._include_usage = include_usage
        self._logprobs = logprobs
        self._sent: Counter[int] = Counter()
        self._offsets: defaultdict[int, Offsets] = defaultdict(Offsets)

    def whole(self, answers: Sequence[Answered], usage: Usage) -> Completion:
        choices = [
            self._choice(number, each.text, each.logprobs, each.end.finish_reason)
            for number, each in enumerate(answers)
        ]
        return self._completion(choices, usage, timings_of(usage, [each.end for each in answers]))

    def begin(self, _count: int, _first: Reply) -> Iterable[Chunk]:
        return ()

    def tell(self, number: int, reply: Reply) -> Iterator[Chunk]:
        """A raw prompt is continued by nothing but text."""
        if isinstance(reply, TextDelta):
            yield None, self._chunk([self._choice(number, reply.text, reply.logprobs)])
        elif isinstance(reply, Finished):
            last = self._choice(number, "", reply.logprobs, reply.finish_reason)
            yield None, self._chunk([last], timings=own_timings(reply))

    def end(self, usage: Usage) -> Iterator[Chunk]:
        if self._include_usage:
            yield None, self._chunk([], usage)

    def failed(self, error: ErrorDetail) -> Chunk:
        return None, ErrorBody(error)

    @property
    def done(self) -> bytes:
        return DONE

    def _choice(
        self, number: int, text: str, tokens: Sequence[TokenLogprob], end: FinishReason | None = None
    ) -> TextChoice:
        self._sent[number] += len(text)
        offsets = self._offsets[number]
        logprobs = text_logprobs(tokens, offsets, self._sent[number]) if self._logprobs else None
        return TextChoice(index=number, text=text, finish_reason=end, logprobs=logprobs)

    def _chunk(
        self, choices: list[TextChoice], usage: Usage | None = None, *, timings: Timings | UnsetType = UNSET
    ) -> Completion:
        return self._completion(choices, usage if self._include_usage else UNSET, timings)

    def _completion(
        self, choices: list[TextChoice], usage: Usage | UnsetType | None, timings: Timings | UnsetType
    ) -> Completion:
        told: Any = {"choices": choices, "usage": usage, "timings": timings}
        return Completion(**self._common, system_fingerprint=self._fingerprint(), **told)


@post("/v1/completions", status_code=200)
async def create_completion(request: Request[Any, Any, Any], context: Context, body: RawBody) -> ASGIApp:
    """The continuation of a prompt, whole or as a stream of server-sent events."""
    elsewhere = remote_of(context, body)
    if elsewhere is not None:
        return await relay(request, context, elsewhere, TEXT, body)
    asked = decode_body(body, CompletionRequest)
    refuse_unsupported(asked, _NOT_YET)
    prompts = prompts_of(asked.prompt, "prompt", MAX_ANSWERS // max(1, asked.n or 1))
    include_usage = wants_usage(asked)
    runnable = resolve(context.pipeline.snapshot, context.settings.root, asked.model)
    sampling = sampling_of(asked, runnable.model_parameters, logprobs=asked.logprobs, least_tokens=0)
    format_ = CompletionFormat(
        f"cmpl-{uuid.uuid4().hex}",
        int(time.time()),
        runnable.spec.model_id,
        context.fingerprint_of(runnable.spec),
        include_usage=include_usage,
        logprobs=asked.logprobs is not None,
    )
    requests = [requests_of(asked, format_.id, each, sampling, echo=bool(asked.echo)) for each in prompts]
    if len(prompts) > 1:
        try:
            await unless_gone(request, _check_each(context, runnable.spec.model_id, prompts))
        except ClientGone:
            return nobody_listens()
    seats = asyncio.Semaphore(runnable.spec.settings.n_parallel)
    names = names_of(asked.response_format)
    answers = [
        seated(seats, generated(context, runnable.spec.model_id, each, names))
        for same in requests
        for each in same
    ]
    per_prompt = len(requests[0])
    return await answer(request, answers, format_, stream=bool(asked.stream), per_prompt=per_prompt)


async def _check_each(
    context: ApiContext, model_id: str, prompts: Sequence[TextPrompt | TokenPrompt]
) -> None:
    """Raise, before any is answered, what the model says of a prompt that it cannot answer."""
    with context.metrics.preparing(model_id):
        async with context.pool.engine(model_id) as engine:
            for number, prompt in enumerate(prompts):
                try:
                    await engine.tokenize(prompt, to_answer=True)
                except InvalidInput as error:
                    error.param = f"prompt[{number}]" if error.param == "prompt" else error.param
                    raise
