"""The door: who may come in, from where, and with what. It stands before every route, unknown ones too.

Any page in a browser can send requests to this machine, and by DNS rebinding even read the answers. So the
Host must be one that we listen on, with its port, an Origin one of ours or allowed by name, and a body JSON,
which a foreign page cannot send without asking first.
"""

import hmac
from collections.abc import Iterable, Mapping

from litestar import Litestar
from litestar.enums import ScopeType
from litestar.response.base import ASGIResponse
from litestar.types import HTTPScope, LifeSpanScope, Message, Receive, Scope, Send

from janfs.api.body import ClientGone, check_announced, check_type, read_body, replayed
from janfs.api.context import ApiContext, Limits
from janfs.api.errors import HttpRefusal, asgi_response

OPEN_PATHS = frozenset(
    {
        *("/healthz", "/readyz"),
        # What is the same everywhere.
        *("/", "/docs", "/openapi.json", "/schemas/model.json", "/schemas/engine.json"),
    }
)
"""What needs no key."""
_PREFLIGHT_SECONDS = "600"
_ANY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104  # not bound here, but not a name either


class Door:
    """An ASGI application before another one."""

    def __init__(self, inside: Litestar, context: ApiContext) -> None:
        self._inside = inside
        self._limits = context.limits
        self._key = context.settings.api_key
        self._hosts = allowed_hosts(context.host, context.port, context.settings.allowed_hosts)
        self._origins = frozenset(context.settings.allowed_origins)

    async def __call__(self, scope: Scope | LifeSpanScope, receive: Receive, send: Send) -> None:
        """Let a request in, or answer it here."""
        if scope["type"] == "lifespan":
            await self._inside(scope, receive, send)
        elif scope["type"] == ScopeType.WEBSOCKET:
            await send({"type": "websocket.close", "code": 1008, "reason": "There are no websockets here."})
        else:
            await self._receive(scope, receive, send)

    async def _receive(self, scope: HTTPScope, receive: Receive, send: Send) -> None:
        try:
            headers = check_headers(scope["headers"], scope["raw_path"], scope["query_string"], self._limits)
            check_host(headers, self._hosts)
            origin = check_origin(headers, self._origins)
            if origin in self._origins:
                send = _with_headers(send, _cors_headers(origin))
            if origin in self._origins and _is_preflight(scope["method"], headers):
                await _preflight(headers)(scope, receive, send)
                return
            has_body = check_announced(headers, self._limits)
            if self._key is not None and scope["path"] not in OPEN_PATHS:
                check_key(headers, self._key)
            if has_body:
                check_type(headers)
                receive = replayed(await read_body(receive, self._limits), receive)
        except HttpRefusal as refusal:
            await asgi_response(refusal, scope["path"])(scope, receive, send)
            return
        except ClientGone:
            return
        await self._inside(scope, receive, send)


def allowed_hosts(host: str, port: int, further: Iterable[str]) -> frozenset[str]:
    """The values of the Host header that mean us; names given without a port may come with ours."""
    named = "" if host in _ANY_ADDRESS else f"[{host}]" if ":" in host else host
    names = {name for name in ("127.0.0.1", "localhost", "[::1]", named) if name}
    ours = {f"{name}:{port}" for name in names} | (names if port == 80 else set())
    for name in further:
        ours |= {name} if _has_port(name) else {name, f"{name}:{port}"}
    return frozenset(name.lower() for name in ours)


def check_headers(
    raw: Iterable[tuple[bytes, bytes]], path: bytes, query: bytes, limits: Limits
) -> dict[str, str]:
    """The headers by lower-case name. Raises `HttpRefusal` when they are too many or contradict."""
    found: dict[str, str] = {}
    size = 0
    if len(path) + len(query) > limits.url_bytes:
        raise HttpRefusal(414, "url_too_long", f"The URL may have {limits.url_bytes:,} bytes.")
    for count, (name, value) in enumerate(raw, start=1):
        size += len(name) + len(value)
        if count > limits.headers or size > limits.header_bytes:
            raise HttpRefusal(
                431,
                "headers_too_large",
                f"There may be {limits.headers} headers with {limits.header_bytes:,} bytes in all.",
            )
        key = name.decode("latin-1").lower()
        if key in found and key in ("host", "origin", "content-type", "content-length"):
            raise HttpRefusal(400, "invalid_header", f"The header {key} is there twice.")
        found[key] = value.decode("latin-1")
    return found


def check_host(headers: Mapping[str, str], ours: frozenset[str]) -> None:
    """Raises `HttpRefusal` unless the Host header means us."""
    host = headers.get("host", "").lower()
    if not host:
        raise HttpRefusal(400, "invalid_header", "The Host header is missing.")
    if host not in ours:
        raise HttpRefusal(
            403, "host_not_allowed", f"'{host[:100]}' is not a host of this service. See --allow-host."
        )


def check_origin(headers: Mapping[str, str], allowed: frozenset[str]) -> str | None:
    """The Origin, if one is named. Raises `HttpRefusal` for a foreign one that was not allowed."""
    origin = headers.get("origin")
    if origin is None or origin in allowed:
        return origin
    if origin.lower() in (f"http://{headers['host']}".lower(), f"https://{headers['host']}".lower()):
        return origin
    raise HttpRefusal(
        403,
        "origin_not_allowed",
        f"Pages of '{origin[:100]}' may not call this service. See --allow-origin.",
    )


def check_key(headers: Mapping[str, str], key: str) -> None:
    """Raises `HttpRefusal` (401) unless the right key is there, as a bearer token or as X-Api-Key."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    given = token.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "")
    if not hmac.compare_digest(given.encode("latin-1"), key.encode()):
        raise HttpRefusal(
            401,
            "invalid_api_key",
            "The API key is missing or wrong. Send it as 'Authorization: Bearer KEY'.",
            {"www-authenticate": "Bearer"},
        )


def _has_port(name: str) -> bool:
    return name.rpartition(":")[2].isdigit() and not name.endswith("]")


def _is_preflight(method: str, headers: Mapping[str, str]) -> bool:
    return method == "OPTIONS" and "access-control-request-method" in headers


def _preflight(headers: Mapping[str, str]) -> ASGIResponse:
    """What a browser asks before it sends an allowed page's request (fetch.spec.whatwg.org)."""
    return ASGIResponse(
        status_code=204,
        headers={
            "access-control-allow-methods": "GET, POST, PUT, PATCH, DELETE",
            "access-control-allow-headers": headers.get("access-control-request-headers", ""),
            "access-control-max-age": _PREFLIGHT_SECONDS,
        },
    )


def _cors_headers(origin: str | None) -> list[tuple[bytes, bytes]]:
    return [
        (b"access-control-allow-origin", (origin or "").encode("latin-1")),
        (b"access-control-expose-headers", b"retry-after"),
        (b"vary", b"origin"),
    ]


def _with_headers(send: Send, headers: list[tuple[bytes, bytes]]) -> Send:
    async def send_with(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", []), *headers]
        await send(message)

    return send_with
