"""Taking in a request's body within bounds, before anyone decodes it."""

import asyncio
import re
from collections.abc import Mapping

from litestar.types import Receive
from litestar.types.asgi_types import ReceiveMessage

from janfs.api.context import Limits
from janfs.api.errors import HttpRefusal

_JSON = re.compile(
    r"application/((merge-patch|json-patch)\+)?json(\s*;\s*charset\s*=\s*\"?utf-8\"?)?\s*", re.IGNORECASE
)


class ClientGone(Exception):  # no error: the client may leave
    """The client left before there was an answer."""


def check_announced(headers: Mapping[str, str], limits: Limits) -> bool:
    """Whether a body follows. Raises `HttpRefusal` (413) for one that says itself that it is too large."""
    length = headers.get("content-length", "0")
    if not length.isascii() or not length.isdigit():
        raise HttpRefusal(400, "invalid_header", "Content-Length is not a number.")
    if len(length) > 18 or int(length) > limits.body:
        raise _too_large(limits)
    return int(length) > 0 or "transfer-encoding" in headers


def check_type(headers: Mapping[str, str]) -> None:
    """Raises `HttpRefusal` (415) for anything but JSON, which no web page can send unasked, and for a body
    that is compressed.
    """
    if not _JSON.fullmatch(headers.get("content-type", "").strip()):
        said = headers.get("content-type") or "none"
        raise HttpRefusal(
            415, "unsupported_media_type", f"The Content-Type must be application/json, not {said[:100]}."
        )
    encoding = headers.get("content-encoding", "").strip()
    if encoding.lower() not in ("", "identity"):
        raise HttpRefusal(
            415,
            "unsupported_media_type",
            f"A body must not be compressed; the Content-Encoding is {encoding[:100]}.",
            {"accept-encoding": "identity"},
        )


async def read_body(receive: Receive, limits: Limits) -> bytes:
    """The whole body. Raises `HttpRefusal` when it is too large or too slow; `ClientGone`."""
    parts: list[bytes] = []
    size = 0
    more = True
    try:
        async with asyncio.timeout(limits.body_seconds):
            while more:
                message = await receive()
                if message["type"] != "http.request":
                    raise ClientGone
                size += len(message["body"])
                if size > limits.body:
                    raise _too_large(limits)
                parts.append(message["body"])
                more = message["more_body"]
    except TimeoutError as error:
        raise HttpRefusal(
            408, "request_timeout", f"The body did not arrive within {limits.body_seconds:.0f} seconds."
        ) from error
    return b"".join(parts)


def replayed(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body once more, and then what comes after it."""
    given = False

    async def receive_again() -> ReceiveMessage:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_again


def _too_large(limits: Limits) -> HttpRefusal:
    return HttpRefusal(413, "request_too_large", f"The body may have {limits.body:,} bytes at most.")
