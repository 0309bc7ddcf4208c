"""Every request gets an id, a line in the log and a place in the metrics, whoever answers it."""

import re
import time
import uuid
from collections.abc import Awaitable, Callable, Iterable

import structlog
from litestar.enums import ScopeType
from litestar.types import HTTPScope, LifeSpanScope, Message, Receive, Scope, Send

from janfs.metrics import Metrics

HEADER = b"x-request-id"
_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_NO_ROUTE = "none"  # what no handler answered: another's path is no label, or anyone could make a million

Inside = Callable[[Scope | LifeSpanScope, Receive, Send], Awaitable[None]]
Log = Callable[..., object]


class Access:
    """An ASGI application before another one.

    A client's own `X-Request-Id` is kept where it is one; the answer carries it, and so does every line that
    is logged meanwhile.
    """

    def __init__(self, inside: Inside, metrics: Metrics, log: Log | None = None) -> None:
        self._inside = inside
        self._metrics = metrics
        self._log = log or structlog.get_logger().info

    async def __call__(self, scope: Scope | LifeSpanScope, receive: Receive, send: Send) -> None:
        """Pass a request on, and note how it went."""
        if scope["type"] == "lifespan" or scope["type"] == ScopeType.WEBSOCKET:
            await self._inside(scope, receive, send)
        else:
            await self._request(scope, receive, send)

    async def _request(self, scope: HTTPScope, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        request_id = _id_of(scope["headers"])
        status = 0

        async def send_on(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", []), (HEADER, request_id)]
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id.decode()):
            try:
                await self._inside(scope, receive, send_on)
            finally:
                seconds = time.perf_counter() - began
                route = scope.get("path_template") or _NO_ROUTE
                self._metrics.request_answered(scope["method"], route, status, seconds)
                self._log(
                    "request",
                    method=scope["method"],
                    path=scope["path"],
                    status=status,
                    seconds=round(seconds, 4),
                )


def _id_of(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    given = next((value for name, value in headers if name == HEADER), b"")
    return given if _ID.fullmatch(given) else uuid.uuid4().hex.encode()
