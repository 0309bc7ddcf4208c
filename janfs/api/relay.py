"""Requests for models on other machines: handed on as they came, and their answers as they come."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import msgspec
from litestar import Request
from litestar.response.base import ASGIResponse
from litestar.types import ASGIApp
from msgspec import Struct

from janfs.api.body import ClientGone
from janfs.api.context import ApiContext
from janfs.api.error_bodies import ErrorBody
from janfs.api.errors import decode_body
from janfs.api.generation import error_of
from janfs.api.leaving import nobody_listens, unless_gone
from janfs.api.sse import DONE, EventStream, message
from janfs.engines.remote.asking import EMBEDDINGS, GENERATING, RERANK, streams
from janfs.engines.remote.model import RemoteModel
from janfs.engines.remote.pieces import Piece, too_deep
from janfs.errors import UnsupportedParameter, UpstreamError
from janfs.remotes import find_remote

_encode = msgspec.json.Encoder().encode


class _Named(Struct, frozen=True):
    """Of a request, the model that it asks."""

    model: Any = None


def remote_of(context: ApiContext, body: bytes) -> RemoteModel | None:
    """The model that a request asks, if it is one on another machine.

    Raises `ModelNotRunnable` if it cannot be used as it stands, and `InvalidInput` for what is no JSON.
    """
    name = decode_body(body, _Named).model
    return find_remote(context.pipeline.snapshot.catalogue, name) if isinstance(name, str) else None


async def relay(
    request: Request[Any, Any, Any], context: ApiContext, model: RemoteModel, operation: str, body: bytes
) -> ASGIApp:
    """The response of the engine elsewhere, as ours. Whoever cannot be asked is said so before it begins."""
    asked = decode_body(body, dict[str, Any])
    pieces = _measured(context, model, operation, context.remotes.answer(model, operation, asked))
    try:
        first = await unless_gone(request, _next(pieces))
    except ClientGone:
        return nobody_listens()
    if not streams(operation, asked):
        async for _ in pieces:  # to its end, which is counted there
            pass
        return ASGIResponse(body=_written(first.data), media_type="application/json")
    messages = _messages(first, pieces)

    async def close() -> None:
        await messages.aclose()
        await pieces.aclose()

    return EventStream(messages, close)


async def relay_if_there(
    request: Request[Any, Any, Any], context: ApiContext, model: RemoteModel, operation: str, body: bytes
) -> ASGIApp:
    """The same for an operation that many engines do not have. Raises `UnsupportedParameter` if this one
    has not.
    """
    try:
        return await relay(request, context, model, operation, body)
    except UpstreamError as error:
        if error.status not in (404, 405):
            raise
        name = operation.removeprefix("../")
        raise UnsupportedParameter(
            f"The engine '{model.engine.id}' of '{model.id}' seems to have no /{name}, as llama.cpp's server "
            f"and janfs have. {error.detail}",
            param="model",
        ) from error


async def _messages(first: Piece, pieces: AsyncGenerator[Piece]) -> AsyncGenerator[bytes]:
    """The messages of a stream; an error after it has begun is its last one."""
    piece: Piece | None = first
    try:
        while piece is not None:
            if piece.data is not None:
                yield message(_written(piece.data))
            piece = await anext(pieces, None)
    except Exception as error:  # noqa: BLE001  # the status line is out: whatever it is, it is told here
        yield message(_encode(ErrorBody(error_of(error))))
        return
    yield DONE


def _written(data: dict[str, Any] | None) -> bytes:
    """A message of theirs. Raises `UpstreamError`."""
    try:
        return _encode(data)
    except RecursionError as error:
        raise too_deep() from error


async def _next(pieces: AsyncGenerator[Piece]) -> Piece:
    try:
        return await anext(pieces)
    except StopAsyncIteration as error:
        raise UpstreamError("The engine elsewhere ended its answer before it began.") from error


async def _measured(
    context: ApiContext, model: RemoteModel, operation: str, pieces: AsyncGenerator[Piece]
) -> AsyncGenerator[Piece]:
    """Pass on the pieces of an answer, and count them on the way."""
    async with aclosing(pieces):
        if operation in (EMBEDDINGS, RERANK):
            with context.metrics.embedding_of(model.id) as used:
                async for piece in pieces:
                    used(0 if piece.usage is None else piece.usage.prompt_tokens)
                    yield piece
            return
        if operation not in GENERATING:  # nothing of what is counted
            async for piece in pieces:
                yield piece
            return
        with context.metrics.answering(model.id) as books:
            reason, usage = "", None
            try:
                async for piece in pieces:
                    if piece.told:
                        books.told()
                    usage = piece.usage or usage  # some say with every word how many there are now
                    for reason in piece.ends.values():
                        books.ended(reason)
                    yield piece
            finally:
                if usage is not None:
                    books.used(usage)
            if not reason:  # it is whole, and does not say what ended it
                books.ended("other")
