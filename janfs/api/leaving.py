"""Work that nobody waits for any more is ended."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from litestar import Request
from litestar.response.base import ASGIResponse

from janfs.api.body import ClientGone
from janfs.api.json_answer import json_answer

T = TypeVar("T")


def nobody_listens() -> ASGIResponse:
    """The answer to a client that left, which nobody reads: 499, nginx's number for that."""
    return ASGIResponse(status_code=499)


async def unless_gone(request: Request[Any, Any, Any], work: Coroutine[Any, Any, T]) -> T:
    """The outcome of `work`, which is cancelled when the client disconnects first: `ClientGone`."""
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


async def answer_unless_gone(request: Request[Any, Any, Any], work: Coroutine[Any, Any, Any]) -> ASGIResponse:
    """The outcome of `work` in JSON, if the client waits for it."""
    try:
        return json_answer(await unless_gone(request, work))
    except ClientGone:
        return nobody_listens()


async def _disconnected(request: Request[Any, Any, Any]) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
