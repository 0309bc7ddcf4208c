"""One request to one server of an engine, and what its failure means."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import Any

import httpx
import msgspec

import janfs
from janfs.engines.remote.asking import streams
from janfs.engines.remote.model import Key
from janfs.engines.remote.pieces import DONE, MOST_BYTES, Piece, Rewriter, count_of, message_of, messages
from janfs.engines.remote.upstream import Upstream, named
from janfs.errors import UpstreamError
from janfs.retry_after import seconds_of

_LINGERING = 0.1  # seconds in which a stream ends after its last message, or its connection is given up
# Not the request's fault: another server may do better.
_ELSEWHERE = frozenset({401, 403, 429, 502, 503, 504})
_KEPT_FROM_US = 403  # of a list: some keys are for answers alone, and with the wrong ones these say so
_UNLISTED = "it does not let our key list its models (status 403)"
_SAME_STATUS = frozenset({503, 504})  # the other failures of a server are a 502 of ours


class Wire:
    """Connections to servers elsewhere."""

    def __init__(self) -> None:
        self._made: asyncio.Future[httpx.AsyncClient] | None = None

    async def aclose(self) -> None:
        """Close every connection."""
        if self._made is not None:
            await (await self._made).aclose()

    async def _client(self) -> httpx.AsyncClient:
        """Made when it is first needed, and in a thread: reading all certificates takes a while."""
        if self._made is None:
            self._made = asyncio.ensure_future(asyncio.to_thread(_client))
        try:
            return await asyncio.shield(self._made)
        except (ImportError, ValueError, OSError, httpx.InvalidURL) as error:
            self._made = None
            raise UpstreamError(f"no connection can be made from here ({error})") from error

    async def answer(
        self, upstream: Upstream, key: Key | None, operation: str, body: Mapping[str, Any], rewriter: Rewriter
    ) -> AsyncGenerator[Piece]:
        """The messages of a stream, or the one of an answer that is none. Ends with `UpstreamError` where
        it breaks off.
        """
        async with self._sent("POST", upstream, key, operation, body) as answer:
            if not streams(operation, body):
                yield rewriter.piece(await _read(answer))
                return
            kind = answer.headers.get("content-type", "")
            if "text/event-stream" not in kind:  # some tell of an error with the status of a good answer
                said = message_of(_decoded(await _read(answer))) if "json" in kind else None
                raise UpstreamError(said or "it does not stream", elsewhere=True)
            ended = False
            async with aclosing(messages(answer.aiter_bytes())) as found:
                async for data in found:
                    if data.strip() == DONE:
                        await _read_on(found)
                        return
                    piece = rewriter.piece(data)
                    ended = ended or bool(piece.ends)
                    yield piece
            if not ended:  # some leave out the last message, but none the reason why an answer ends
                raise UpstreamError("its answer broke off", elsewhere=True, broken=True)

    async def models(self, upstream: Upstream, key: Key | None, patience: float) -> frozenset[str] | None:
        """The models that a server lists, None where it does not say; it has `patience` seconds for that.

        Where it says that it does not let us know, `upstream` has a note of that. Raises `UpstreamError`.
        """
        try:
            async with (
                asyncio.timeout(patience),
                self._sent("GET", upstream, key, "models", None, well=_KEPT_FROM_US) as answer,
            ):
                kept = answer.status_code == _KEPT_FROM_US
                upstream.note = _UNLISTED if kept else None
                listed = None if kept else _decoded(await _read(answer))
        except TimeoutError as error:
            raise named(upstream, key, _silent(patience)) from error
        except UpstreamError as error:
            if error.status < 500:  # it answers, and gives no list: a deployment of Azure's, or a limit
                upstream.note = None
                return None
            raise
        data = listed.get("data") if isinstance(listed, dict) else None
        if not isinstance(data, list):
            return None
        return frozenset(str(each["id"]) for each in data if isinstance(each, dict) and "id" in each)

    @asynccontextmanager
    async def _sent(
        self,
        method: str,
        upstream: Upstream,
        key: Key | None,
        operation: str,
        body: Mapping[str, Any] | None,
        *,
        well: int | None = None,
    ) -> AsyncIterator[httpx.Response]:
        """A good answer, or one whose status is as `well`. Whatever goes wrong with it is an `UpstreamError`
        that names the server.
        """
        engine = upstream.engine
        headers = {} if key is None else key.headers(engine.auth_header)
        try:
            client = await self._client()
            request = client.build_request(
                method,
                upstream.address.url(operation),
                content=None if body is None else msgspec.json.encode(body),
                headers=headers if body is None else {**headers, "Content-Type": "application/json"},
                timeout=httpx.Timeout(engine.read_timeout, connect=engine.connect_timeout),
            )
            answer = await client.send(request, stream=True)
            try:
                if not answer.is_success and answer.status_code != well:
                    raise _refused(answer, await _read(answer))
                yield answer
            finally:
                await answer.aclose()
        except httpx.ReadTimeout as error:
            raise named(upstream, key, _silent(engine.read_timeout)) from error
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError, OSError) as error:  # no host is called so
            raise named(upstream, key, _broken(error)) from error
        except UpstreamError as error:
            raise named(upstream, key, error) from error


def _client() -> httpx.AsyncClient:
    """Proxies of the environment are heeded, but not for this machine. The key goes to the address that was
    written down, and to nobody that one redirects to.
    """
    here = {f"all://{name}": None for name in ("localhost", "127.0.0.1", "[::1]")}
    return httpx.AsyncClient(
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=100, keepalive_expiry=15.0),
        mounts=here,
        follow_redirects=False,
        headers={"User-Agent": f"janfs/{janfs.version()}", "Accept-Encoding": "identity"},
    )


def _broken(error: Exception) -> UpstreamError:
    refused = httpx.ConnectError | httpx.ConnectTimeout | httpx.InvalidURL | UnicodeError
    unconnected = isinstance(error, refused)
    what = "there is no connection" if unconnected else "the connection broke"
    words = f"{what} ({str(error) or type(error).__name__})"
    return UpstreamError(words, kind="upstream_unreachable", elsewhere=True, broken=True)


def _silent(seconds: float) -> UpstreamError:
    return UpstreamError(
        f"it was silent for {seconds:g} seconds", status=504, kind="upstream_timeout", broken=True
    )


async def _read_on(stream: AsyncIterator[bytes]) -> None:
    """Take what follows on the last message, mostly nothing: so the connection can be used again."""
    with contextlib.suppress(TimeoutError, httpx.HTTPError, UpstreamError):
        async with asyncio.timeout(_LINGERING):
            async for _ in stream:
                pass


async def _read(answer: httpx.Response) -> bytes:
    """The whole of a body. Raises `UpstreamError` for one that is too large."""
    body = bytearray()
    async for chunk in answer.aiter_bytes():
        body += chunk
        if len(body) > MOST_BYTES:
            raise UpstreamError(f"its answer has more than {MOST_BYTES:,} bytes")
    return bytes(body)


def _refused(answer: httpx.Response, body: bytes) -> UpstreamError:
    """What an answer that is no good means for ours."""
    status = answer.status_code
    said = _decoded(body)
    error = said.get("error") if isinstance(said, dict) else None
    fields: dict[str, Any] = error if isinstance(error, dict) else {}
    told = message_of(said)
    words = f"it answers with status {status}" + (f": {told}" if told else "")
    elsewhere = status in _ELSEWHERE
    if status in (401, 403):
        words = f"it does not let us in (status {status}). Look at api_key in the engine's file"
        # A key that is none is a 401; a good one may be for some models only.
        of_model = status == 403
        return UpstreamError(words, kind="upstream_unauthorized", elsewhere=elsewhere, of_model=of_model)
    if answer.is_redirect:
        place = answer.headers.get("location", "nowhere")
        words = f"it sends us to {place}, which is not followed. Write down the address itself"
        return UpstreamError(words, kind="upstream_redirects")
    if status in (407, 511) or (status >= 500 and status not in _SAME_STATUS):
        return UpstreamError(words, elsewhere=elsewhere)
    names = (each for each in (fields.get("code"), fields.get("type")) if isinstance(each, str) and each)
    kind = next(names, None) if status < 500 else None
    param = fields.get("param")
    # As llama.cpp and we tell them.
    prompt, context = count_of(fields.get("n_prompt_tokens")), count_of(fields.get("n_ctx"))
    return UpstreamError(
        words,
        status=status,
        kind=kind or ("rate_limit_exceeded" if status == 429 else None),
        param=param if isinstance(param, str) else None,
        retry_after=seconds_of(answer.headers, time.time()),
        counts=(prompt, context) if prompt and context else None,
        elsewhere=elsewhere,
    )


def _decoded(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
