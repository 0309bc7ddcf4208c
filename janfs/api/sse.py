"""Server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""

from collections.abc import AsyncGenerator, Awaitable, Callable

from litestar.response.streaming import ASGIStreamingResponse
from litestar.types import Receive, Scope, Send

DONE = b"data: [DONE]\n\n"  # OpenAI's end of a stream


def message(data: bytes, *, event: str | None = None, id_: str | None = None) -> bytes:
    """One message. `data` is JSON, which holds no line feed."""
    head = f"id: {id_}\n" if id_ is not None else ""
    head += f"event: {event}\n" if event is not None else ""
    return b"%bdata: %b\n\n" % (head.encode(), data)


def comment(text: str) -> bytes:
    """What every reader skips, and what keeps a connection alive."""
    return f": {text}\n\n".encode()


class EventStream(ASGIStreamingResponse):
    """Streams messages until they end or the client is gone; then, in any case, awaits `close`."""

    __slots__ = ("_close",)

    def __init__(self, messages: AsyncGenerator[bytes], close: Callable[[], Awaitable[None]]) -> None:
        super().__init__(
            iterator=messages,
            media_type="text/event-stream",
            headers={"cache-control": "no-cache", "x-accel-buffering": "no"},
        )
        self._close = close

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._close()
