"""/v1/chat/completions."""

import asyncio
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

from litestar import Request, post
from litestar.params import RawBody
from litestar.types import ASGIApp
from msgspec import UNSET, Struct, UnsetType

from janfs.api.chat_request import ChatRequest, logprobs_of, prompt_of
from janfs.api.context import Context
from janfs.api.error_bodies import ErrorBody, ErrorDetail
from janfs.api.errors import decode_body
from janfs.api.generation import Answered, Chunk, Part, answer, generated, seated
from janfs.api.images import refuse_unseen
from janfs.api.logprobs import ChatLogprobs, chat_logprobs
from janfs.api.relay import relay, remote_of
from janfs.api.sampling import requests_of, sampling_of, stops_of, wants_usage
from janfs.api.sse import DONE
from janfs.api.structured import names_of
from janfs.api.timings import Timings, own_timings, timings_of
from janfs.api.tools import FunctionCall, ToolCallView
from janfs.api.usage import Usage
from janfs.engines.protocol import (
    CallDelta,
    Finished,
    FinishReason,
    ReasoningDelta,
    Reply,
    TextDelta,
    TokenLogprob,
)
from janfs.engines.remote.asking import CHAT
from janfs.serving import resolve


class AnswerMessage(Struct, frozen=True):
    """The model's message."""

    content: str | None
    role: Literal["assistant"] = "assistant"
    refusal: None = None
    reasoning_content: str | UnsetType = UNSET
    tool_calls: list[ToolCallView] | UnsetType = UNSET


class Choice(Struct, frozen=True):
    """An answer, one of `n`. `stop_reason` is the request's stop string that ended it, if one did."""

    message: AnswerMessage
    finish_reason: FinishReason
    index: int
    logprobs: ChatLogprobs | None = None
    stop_reason: str | UnsetType = UNSET


class ChatCompletion(Struct, frozen=True, kw_only=True):
    """A whole answer. `created` is in seconds since 1970, `system_fingerprint` names file and settings."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    system_fingerprint: str
    choices: list[Choice]
    usage: Usage
    timings: Timings


class Delta(Struct, frozen=True):
    """What a chunk adds to the message."""

    role: Literal["assistant"] | UnsetType = UNSET
    content: str | UnsetType = UNSET
    reasoning_content: str | UnsetType = UNSET
    tool_calls: list[ToolCallView] | UnsetType = UNSET


class ChunkChoice(Struct, frozen=True, kw_only=True):
    """The next piece of an answer. `stop_reason` as of `Choice`."""

    index: int
    delta: Delta
    finish_reason: FinishReason | None = None
    logprobs: ChatLogprobs | None = None
    stop_reason: str | UnsetType = UNSET


class ChatChunk(Struct, frozen=True, kw_only=True):
    """A message of a stream."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    system_fingerprint: str
    choices: list[ChunkChoice]
    usage: Usage | UnsetType | None = UNSET
    timings: Timings | UnsetType = UNSET


class ChatFormat(Struct, frozen=True, kw_only=True):
    """See `janfs.api.generation.Format`. `stops` are the request's own stop strings."""

    id: str
    created: int
    model: str
    fingerprint: Callable[[], str]
    include_usage: bool = False
    logprobs: bool = False
    stops: Sequence[str] = ()

    def whole(self, answers: Sequence[Answered], usage: Usage) -> ChatCompletion:
        choices = [
            Choice(
                _message_of(each),
                each.end.finish_reason,
                number,
                self._logprobs(each.logprobs),
                self._stop_reason(each.end),
            )
            for number, each in enumerate(answers)
        ]
        return ChatCompletion(
            id=self.id,
            created=self.created,
            model=self.model,
            system_fingerprint=self.fingerprint(),
            choices=choices,
            usage=usage,
            timings=timings_of(usage, [each.end for each in answers]),
        )

    def begin(self, count: int, _first: Reply) -> Iterator[Chunk]:
        for number in range(count):
            opening = ChunkChoice(index=number, delta=Delta(role="assistant", content=""))
            yield None, self._chunk([opening])

    def tell(self, number: int, reply: Reply) -> Iterator[Chunk]:
        if isinstance(reply, Finished):
            last = ChunkChoice(
                index=number,
                delta=Delta(),
                finish_reason=reply.finish_reason,
                logprobs=self._logprobs(reply.logprobs) if reply.logprobs else None,
                stop_reason=self._stop_reason(reply),
            )
            yield None, self._chunk([last], timings=own_timings(reply))
            return
        logprobs = self._logprobs(reply.logprobs) if isinstance(reply, TextDelta) else None
        yield None, self._chunk([ChunkChoice(index=number, delta=_delta_of(reply), logprobs=logprobs)])

    def end(self, usage: Usage) -> Iterator[Chunk]:
        if self.include_usage:
            yield None, self._chunk([], usage)

    def failed(self, error: ErrorDetail) -> Chunk:
        return None, ErrorBody(error)

    @property
    def done(self) -> bytes:
        return DONE

    def _logprobs(self, tokens: Sequence[TokenLogprob]) -> ChatLogprobs | None:
        return chat_logprobs(tokens) if self.logprobs else None

    def _stop_reason(self, end: Finished) -> str | UnsetType:
        """A stop string of the model's own settings or template is its way to end, and nobody's to know."""
        return (end.stop_string or UNSET) if end.stop_string in self.stops else UNSET

    def _chunk(
        self, choices: list[ChunkChoice], usage: Usage | None = None, *, timings: Timings | UnsetType = UNSET
    ) -> ChatChunk:
        return ChatChunk(
            id=self.id,
            created=self.created,
            model=self.model,
            system_fingerprint=self.fingerprint(),
            choices=choices,
            usage=usage if self.include_usage else UNSET,
            timings=timings,
        )


def _message_of(answered: Answered) -> AnswerMessage:
    calls = [
        ToolCallView(id=_call_id(), type="function", function=FunctionCall(call.arguments, call.name or ""))
        for call in answered.calls
    ]
    return AnswerMessage(
        None if calls and not answered.text else answered.text,
        reasoning_content=answered.reasoning or UNSET,
        tool_calls=calls or UNSET,
    )


def _delta_of(part: Part) -> Delta:
    match part:
        case TextDelta():
            return Delta(content=part.text)
        case ReasoningDelta():
            return Delta(reasoning_content=part.text)
        case CallDelta(index, None, arguments):
            return Delta(tool_calls=[ToolCallView(index=index, function=FunctionCall(arguments))])
        case CallDelta(index, name, arguments):
            call = FunctionCall(arguments, name or "")
            return Delta(
                tool_calls=[ToolCallView(index=index, id=_call_id(), type="function", function=call)]
            )


def _call_id() -> str:
    return f"call_{uuid.uuid4().hex[:24]}"


@post("/v1/chat/completions", status_code=200)
async def create_chat_completion(request: Request[Any, Any, Any], context: Context, body: RawBody) -> ASGIApp:
    """The model's next message, whole or as a stream of server-sent events."""
    elsewhere = remote_of(context, body)
    if elsewhere is not None:
        return await relay(request, context, elsewhere, CHAT, body)
    asked = decode_body(body, ChatRequest)
    prompt = prompt_of(asked)
    include_usage = wants_usage(asked)
    runnable = resolve(context.pipeline.snapshot, context.settings.root, asked.model)
    refuse_unseen(prompt, runnable.spec)
    sampling = sampling_of(
        asked,
        runnable.model_parameters,
        max_tokens=asked.max_completion_tokens,
        logprobs=logprobs_of(asked),
    )
    format_ = ChatFormat(
        id=f"chatcmpl-{uuid.uuid4().hex}",
        created=int(time.time()),
        model=runnable.spec.model_id,
        fingerprint=context.fingerprint_of(runnable.spec),
        include_usage=include_usage,
        logprobs=bool(asked.logprobs),
        stops=stops_of(asked.stop),
    )
    requests = requests_of(asked, format_.id, prompt, sampling)
    seats = asyncio.Semaphore(runnable.spec.settings.n_parallel)
    names = names_of(asked.response_format)
    answers = [seated(seats, generated(context, runnable.spec.model_id, each, names)) for each in requests]
    return await answer(request, answers, format_, stream=bool(asked.stream))
