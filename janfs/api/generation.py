"""Running a generation for a client: whole or streamed, and ended as soon as nobody listens."""

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from typing import Any, Protocol, TypeVar

import msgspec
import structlog
from litestar import Request
from litestar.response.base import ASGIResponse
from litestar.types import ASGIApp
from msgspec import Struct

from janfs.api.body import ClientGone
from janfs.api.context import ApiContext
from janfs.api.errors import ErrorBody, answer_to
from janfs.api.sse import DONE, EventStream, message
from janfs.engines.protocol import Finished, FinishReason, GenerateRequest, Reply, TextDelta
from janfs.errors import EngineError

_CLIENT_GONE = 499  # nobody reads it; nginx's number for a client that closed the connection
_encode = msgspec.json.Encoder().encode
_log = structlog.get_logger()
T = TypeVar("T")


class Usage(Struct, frozen=True):
    """OpenAI's count of tokens."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class Format(Protocol):
    """What an answer looks like: whole, or as the chunks of a stream. None: no such chunk."""

    def whole(self, text: str, finish_reason: FinishReason, usage: Usage) -> Struct: ...

    def opening(self) -> Struct | None: ...

    def piece(self, text: str) -> Struct: ...

    def closing(self, finish_reason: FinishReason) -> Struct: ...

    def usage(self, usage: Usage) -> Struct | None: ...


def generated(context: ApiContext, model_id: str, request: GenerateRequest) -> AsyncGenerator[Reply]:
    """What the model answers, measured on the way."""
    return context.metrics.generation(model_id, context.pool.generate(model_id, request))


async def answer(
    request: Request[Any, Any, Any],
    replies: AsyncGenerator[Reply],
    format_: Format,
    *,
    stream: bool,
) -> ASGIApp:
    """The response to a generation. What fails before the first reply is raised, with a status of its own."""
    try:
        if not stream:
            whole = await _unless_gone(request, _collect(replies, format_))
            return ASGIResponse(body=_encode(whole), media_type="application/json")
        first = await _unless_gone(request, _next(replies))
    except ClientGone:
        return ASGIResponse(status_code=_CLIENT_GONE)
    messages = _messages(first, replies, format_)

    async def close() -> None:
        await messages.aclose()
        await replies.aclose()

    return EventStream(messages, close)


async def _collect(replies: AsyncGenerator[Reply], format_: Format) -> Struct:
    texts: list[str] = []
    async for reply in replies:
        if isinstance(reply, TextDelta):
            texts.append(reply.text)
        else:
            return format_.whole("".join(texts), reply.finish_reason, _usage(reply))
    raise _unfinished()


async def _messages(first: Reply, replies: AsyncGenerator[Reply], format_: Format) -> AsyncGenerator[bytes]:
    """The chunks; an error after the stream has begun is its last message."""
    opening = format_.opening()
    if opening is not None:
        yield message(_encode(opening))
    try:
        reply = first
        while isinstance(reply, TextDelta):
            yield message(_encode(format_.piece(reply.text)))
            reply = await _next(replies)
    except Exception as error:  # noqa: BLE001  # the status line is out: whatever it is, it is told here
        yield message(_encode(_error(error)))
        return
    yield message(_encode(format_.closing(reply.finish_reason)))
    usage = format_.usage(_usage(reply))
    if usage is not None:
        yield message(_encode(usage))
    yield DONE


async def _next(replies: AsyncGenerator[Reply]) -> Reply:
    try:
        return await anext(replies)
    except StopAsyncIteration as error:
        raise _unfinished() from error


def _error(error: Exception) -> ErrorBody:
    found = answer_to(error)
    if found.status == 500:
        _log.error("stream-failed", exc_info=error)
    return ErrorBody(found.detail)


def _unfinished() -> EngineError:
    return EngineError("The engine ended its answer without saying why.")


def _usage(reply: Finished) -> Usage:
    prompt, completion = reply.usage.prompt_tokens, reply.usage.completion_tokens
    return Usage(prompt, completion, prompt + completion)


async def _unless_gone(request: Request[Any, Any, Any], work: Coroutine[Any, Any, T]) -> T:
    """The outcome of `work`, which is cancelled when the client disconnects first."""
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise ClientGone
    finally:
        working.cancel()
        leaving.cancel()
        await asyncio.wait((working, leaving))


async def _disconnected(request: Request[Any, Any, Any]) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
