"""Running a generation for a client: whole or streamed, and ended as soon as nobody listens."""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Protocol

import msgspec
import structlog
from litestar import Request
from litestar.types import ASGIApp
from msgspec import Struct

from janfs.api.body import ClientGone
from janfs.api.context import ApiContext
from janfs.api.error_bodies import ErrorDetail
from janfs.api.errors import answer_to
from janfs.api.json_answer import json_answer
from janfs.api.leaving import nobody_listens, unless_gone
from janfs.api.sse import EventStream, message
from janfs.api.usage import Usage, usage_of
from janfs.engines.protocol import (
    CallDelta,
    Finished,
    GenerateRequest,
    ReasoningDelta,
    Reply,
    TextDelta,
    TokenLogprob,
)
from janfs.errors import EngineError, InvalidInput, UpstreamError

_encode = msgspec.json.Encoder().encode
_log = structlog.get_logger()
Part = TextDelta | ReasoningDelta | CallDelta


class Answered:
    """An answer, one of `n`, as it is put together of its parts."""

    end: Finished

    def __init__(self) -> None:
        self.text = ""
        self.reasoning = ""
        self.calls: list[CallDelta] = []  # each whole
        self.logprobs: tuple[TokenLogprob, ...] = ()

    def add(self, reply: Reply) -> None:
        """Add what comes next."""
        match reply:
            case TextDelta():
                self.text += reply.text
                self.logprobs += reply.logprobs
            case ReasoningDelta():
                self.reasoning += reply.text
            case CallDelta(index, name, arguments) if index < len(self.calls):
                known = self.calls[index]
                self.calls[index] = CallDelta(index, known.name or name, known.arguments + arguments)
            case CallDelta():
                self.calls.append(reply)
            case Finished():
                self.end = reply
                self.logprobs += reply.logprobs


Chunk = tuple[str | None, Struct]
"""A message of an event stream: the name of its event, where it has one, and its data."""


class Format(Protocol):
    """What answers look like in one of the APIs: whole, or as the messages of a stream."""

    def whole(self, answers: Sequence[Answered], usage: Usage) -> Struct: ...

    def begin(self, count: int, first: Reply, /) -> Iterable[Chunk]:
        """What a stream of so many answers begins with, of which `first` is yet to be told."""
        ...

    def tell(self, number: int, reply: Reply) -> Iterable[Chunk]:
        """What is new of the answer with that number, its end included."""
        ...

    def end(self, usage: Usage) -> Iterable[Chunk]:
        """What follows after the end of the last answer."""
        ...

    def failed(self, error: ErrorDetail) -> Chunk:
        """The last message of a stream that broke."""
        ...

    @property
    def done(self) -> bytes:
        """The bytes after the last message of a stream that did not."""
        ...


def generated(
    context: ApiContext, model_id: str, request: GenerateRequest, names: Mapping[str, str] | None = None
) -> AsyncGenerator[Reply]:
    """What the model answers, measured on the way; for `names` see `refused_of`."""
    replies = context.metrics.generation(model_id, context.pool.generate(model_id, request))
    return refused_of(names, replies) if names else replies


async def answer(
    request: Request[Any, Any, Any],
    answers: Sequence[AsyncGenerator[Reply]],
    format_: Format,
    *,
    stream: bool,
    per_prompt: int | None = None,
) -> ASGIApp:
    """The response to a generation. What fails before the first reply is raised, with a status of its own.

    The answers are all to the same prompt, or `per_prompt` in a row are.
    """
    replies = merged(answers)
    per_prompt = per_prompt or len(answers)
    try:
        if not stream:
            whole = await unless_gone(request, _collect(replies, len(answers), per_prompt, format_))
            return json_answer(whole)
        first = await unless_gone(request, _next(replies))
    except ClientGone:
        return nobody_listens()
    messages = _messages(first, replies, len(answers), per_prompt, format_)

    async def close() -> None:
        await messages.aclose()
        await replies.aclose()

    return EventStream(messages, close)


async def refused_of(names: Mapping[str, str], replies: AsyncGenerator[Reply]) -> AsyncGenerator[Reply]:
    """The same replies; what an engine refuses, here or elsewhere, is refused by what the caller calls it."""
    try:
        async with aclosing(replies):
            async for reply in replies:
                yield reply
    except (InvalidInput, UpstreamError) as error:
        error.param = names.get(error.param or "", error.param)
        raise


async def seated(seats: asyncio.Semaphore, replies: AsyncGenerator[Reply]) -> AsyncGenerator[Reply]:
    """The replies of a generation that begins when there is a seat: one request does not fill the queue."""
    async with seats, aclosing(replies):
        async for reply in replies:
            yield reply


async def merged(answers: Sequence[AsyncGenerator[Reply]]) -> AsyncGenerator[tuple[int, Reply]]:
    """The replies of several generations as they come, each with its generation's number."""
    if len(answers) == 1:
        async with aclosing(answers[0]) as alone:  # most are: a task for each token costs a tenth of it
            async for reply in alone:
                if isinstance(reply, Finished):
                    await alone.aclose()
                    yield 0, reply
                    return
                yield 0, reply
        raise _unfinished()
    waiting = {asyncio.ensure_future(anext(each)): number for number, each in enumerate(answers)}
    try:
        while waiting:
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in sorted(done, key=waiting.__getitem__):
                number = waiting.pop(task)
                try:
                    reply = task.result()
                except StopAsyncIteration as error:
                    raise _unfinished() from error
                if isinstance(reply, Finished):
                    await answers[number].aclose()  # what it holds is for the others
                else:
                    waiting[asyncio.ensure_future(anext(answers[number]))] = number
                yield number, reply
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        for each in answers:
            await each.aclose()


async def _collect(
    replies: AsyncGenerator[tuple[int, Reply]], count: int, per_prompt: int, format_: Format
) -> Struct:
    answers = [Answered() for _ in range(count)]
    async with aclosing(replies):
        async for number, reply in replies:
            answers[number].add(reply)
    return format_.whole(answers, usage_of([each.end.usage for each in answers], per_prompt))


async def _messages(
    first: tuple[int, Reply],
    replies: AsyncGenerator[tuple[int, Reply]],
    count: int,
    per_prompt: int,
    format_: Format,
) -> AsyncGenerator[bytes]:
    """The chunks; an error after the stream has begun is its last message."""
    for chunk in format_.begin(count, first[1]):
        yield _sse(chunk)
    ends: dict[int, Finished] = {}
    try:
        number, reply = first
        while True:
            for chunk in format_.tell(number, reply):
                yield _sse(chunk)
            if isinstance(reply, Finished):
                ends[number] = reply
            if len(ends) == count:
                break
            number, reply = await _next(replies)
    except Exception as error:  # noqa: BLE001  # the status line is out: whatever it is, it is told here
        yield _sse(format_.failed(error_of(error)))
        return
    for chunk in format_.end(usage_of([ends[each].usage for each in range(count)], per_prompt)):
        yield _sse(chunk)
    if format_.done:
        yield format_.done


def _sse(chunk: Chunk) -> bytes:
    event, data = chunk
    return message(_encode(data), event=event)


async def _next(replies: AsyncGenerator[tuple[int, Reply]]) -> tuple[int, Reply]:
    try:
        return await anext(replies)
    except StopAsyncIteration as error:
        raise _unfinished() from error


def error_of(error: Exception) -> ErrorDetail:
    """What a stream that has begun ends with; what nobody foresaw is logged."""
    found = answer_to(error)
    if found.status == 500:
        _log.error("stream-failed", exc_info=error)
    return found.detail


def _unfinished() -> EngineError:
    return EngineError("The engine ended its answer without saying why.")
