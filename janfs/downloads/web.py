"""Requests as downloads need them: redirects followed by hand, a token for the hub and nobody else."""

import os
import re
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import msgspec

import janfs
from janfs.downloads.answers import Remote, Unreliable
from janfs.downloads.guard import Policy, check_url
from janfs.downloads.hub import address as hub_address
from janfs.downloads.transport import GuardedTransport
from janfs.errors import DownloadError
from janfs.retry_after import seconds_of

MOST_JSON = 64 * 1024 * 1024  # bytes of an answer that is no file
_REDIRECTS = 10
_TIMEOUTS = httpx.Timeout(30.0, connect=15.0)
_TOKEN = re.compile(r"[!-~]+")
_DIGEST = re.compile(r'"?([0-9a-f]{64})"?\Z')


class Web:
    """The net, as far as the policy lets us."""

    def __init__(self, policy: Policy, hub: str | None = None, token: str | None = None) -> None:
        """`hub` and `token` are those of the environment where they are not given."""
        self.hub = hub_address() if hub is None else hub
        self._policy = policy
        self._token = token if token is not None else _token()
        self._client = httpx.AsyncClient(
            transport=GuardedTransport(policy),
            timeout=_TIMEOUTS,
            follow_redirects=False,
            trust_env=False,
            headers={"User-Agent": f"janfs/{janfs.version()}", "Accept-Encoding": "identity"},
        )

    async def aclose(self) -> None:
        """Close every connection."""
        await self._client.aclose()

    async def describe(self, url: str) -> Remote:
        """What a server says of a file, by asking for its first byte. Raises as `get` does."""
        async with self.get(url, {"Range": "bytes=0-0"}) as (answer, seen):
            total = _total(answer.headers.get("content-range")) if answer.status_code == 206 else None
            if answer.status_code == 200 and answer.encoding is None:
                total = _number(answer.headers.get("content-length"))
            etag = answer.headers.get("etag", "")
            strong = etag if etag and not etag.startswith("W/") else None
            validator = strong or answer.headers.get("last-modified")
            # Without a validator nothing tells whether two pieces are of the same file.
            ranges = answer.status_code == 206 and total is not None and validator is not None
            return Remote(total, ranges, validator, seen.get("sha256"))

    async def json(self, url: str) -> object:
        """A JSON answer. Raises as `get` does."""
        async with self.get(url, {}) as (answer, _):
            body = bytearray()
            try:
                async for piece in answer.raw.aiter_bytes():
                    body += piece
                    if len(body) > MOST_JSON:
                        raise DownloadError(f"{url} answers with more than {MOST_JSON:,} bytes.")
                found: object = msgspec.json.decode(body)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, httpx.HTTPError) as error:
                raise DownloadError(f"{url} does not answer with JSON.") from error
            return found

    @asynccontextmanager
    async def get(
        self, url: str, headers: Mapping[str, str]
    ) -> AsyncIterator[tuple["Answer", dict[str, str]]]:
        """A GET whose redirects were followed, with what the hub said of the file on the way.

        Where they lead is in no error, since it may be signed: whoever knows it gets the file.

        Raises `DownloadRefused`, `DownloadError` for an answer that will not change, `Unreliable` otherwise.
        """
        seen: dict[str, str] = {}
        asked = url
        async with AsyncExitStack() as stack:
            for _ in range(_REDIRECTS):
                check_url(self._policy, url)
                answer = await _sent(self._client, url, {**headers, **self._secret(url)})
                stack.push_async_callback(answer.aclose)
                digest = _DIGEST.match(answer.headers.get("x-linked-etag", ""))
                if digest is not None:
                    seen.setdefault("sha256", digest[1])
                if answer.next_request is None:
                    _check(answer, asked)
                    yield Answer(answer), seen
                    return
                url = str(answer.next_request.url)
            raise DownloadError(f"{asked} leads from one address to the next without end.")

    def _secret(self, url: str) -> dict[str, str]:
        if not self._token or _origin(url) != _origin(self.hub):
            return {}
        if not _TOKEN.fullmatch(self._token):  # the error of whoever sends it would have it
            raise DownloadError(
                "The hub's token (HF_TOKEN or its file) holds what none does, as a line break."
            )
        return {"Authorization": f"Bearer {self._token}"}


class Answer:
    """An answer at the end of its redirects."""

    def __init__(self, raw: httpx.Response) -> None:
        self.raw = raw
        self.status_code = raw.status_code
        self.headers = raw.headers

    @property
    def encoding(self) -> str | None:
        """How the body is encoded; None where it is the file itself, which some servers call `identity`."""
        said = self.headers.get("content-encoding", "").strip()
        return said if said.lower() not in ("", "identity") else None

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body as it comes. Raises `Unreliable` when it breaks off."""
        try:
            async for piece in self.raw.aiter_raw():
                yield piece
        except httpx.HTTPError as error:
            raise Unreliable(f"the connection broke off: {_words(error)}") from error


async def _sent(client: httpx.AsyncClient, url: str, headers: Mapping[str, str]) -> httpx.Response:
    try:
        return await client.send(client.build_request("GET", url, headers=headers), stream=True)
    except (httpx.HTTPError, OSError) as error:
        raise Unreliable(_words(error)) from error
    except (httpx.InvalidURL, UnicodeError) as error:  # the latter for what cannot be the name of a host
        raise DownloadError(f"{url.partition('?')[0]} is no address, or leads to none: {error}.") from error


def _check(answer: httpx.Response, url: str) -> None:
    status = answer.status_code
    if status in (200, 206):
        return
    host = answer.url.host
    if status in (401, 403):
        raise DownloadError(
            f"{host} does not give {url} to us (status {status}). If it wants a token, set HF_TOKEN; the "
            "terms of some models must be accepted on their page first."
        )
    if status == 416:
        raise Unreliable("the file has become shorter")
    if status == 429 or status >= 500 or status == 408:
        raise Unreliable(f"{host} answers with status {status}", seconds_of(answer.headers, time.time()))
    raise DownloadError(f"{url} is not there: {host} answers with status {status}.")


def _token() -> str | None:
    """The hub's token, where its own tools look for it."""
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        if value := os.environ.get(name, "").strip():
            return value
    home = os.environ.get("HF_HOME") or Path("~/.cache/huggingface").expanduser()
    try:
        return Path(os.environ.get("HF_TOKEN_PATH") or Path(home) / "token").read_text().strip() or None
    except (OSError, UnicodeDecodeError):
        return None


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port


def _total(content_range: str | None) -> int | None:
    return _number(content_range.rpartition("/")[2]) if content_range else None


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 30 else None


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__
