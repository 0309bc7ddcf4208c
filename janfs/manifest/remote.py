"""Engines on other machines: which models they serve, where they answer, and how they are spoken to. Pure."""

from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from janfs.errors import InvalidInput
from janfs.manifest.parameters import ENGINE_PARAMETERS, checked
from janfs.manifest.schema import Manifest

FORMAT = "api"  # of a model that is somewhere else
HIDDEN = "***"  # stands for a secret that is there

AuthHeader = Literal["both", "authorization", "api-key", "x-api-key"]
_OPTIONS = ("auth_header", "connect_timeout", "read_timeout", "first_word_timeout", "health_checks")
_OPERATIONS = ("/chat/completions", "/completions", "/embeddings")  # what a `full_url` may end with


class Address(Struct, frozen=True):
    """Where an upstream answers. `base` has no slash at its end; `query` goes along with every request."""

    base: str
    query: str = ""

    def url(self, operation: str) -> str:
        """The address of an operation such as `chat/completions`, or of `../tokenize`, beside `/v1`."""
        base = self.base.removesuffix("/v1") if operation.startswith("../") else self.base
        address = f"{base}/{operation.removeprefix('../')}"
        return f"{address}?{self.query}" if self.query else address


class RemoteEngine(Struct, frozen=True, kw_only=True):
    """An engine elsewhere, at one address or at several that are alike. Its key is not in here.

    `auth_header` says in which header the key goes; "both" is `Authorization` and `api-key`. The time-outs
    are in seconds: until there is a connection, without a sign of an answer, and until the first word of one
    that is streamed (None: as long as it may be silent). With `health_checks` a server that does not even
    list its models any more is given up before that.
    """

    id: str
    addresses: tuple[Address, ...]
    auth_header: AuthHeader = "both"
    connect_timeout: float = 5.0
    read_timeout: float = 300.0
    first_word_timeout: float | None = None
    health_checks: bool = True


def is_remote(manifest: Manifest | None) -> bool:
    """Whether a model.json is that of a model elsewhere; the first draft said so with the engine's name."""
    return manifest is not None and (
        manifest.format == FORMAT or (manifest.format is None and manifest.engine == FORMAT)
    )


def remote_engine(engine: str, parameters: Mapping[str, Any]) -> RemoteEngine:
    """The engine that a file in `engines/` describes. Raises `InvalidInput`, naming the parameter.

    `full_url` is that of OpenAI's chat completions, as Jan wrote it, or what comes before; each of
    `base_urls` likewise. An address without a path means `/v1`.
    """
    urls = [
        *([parameters["full_url"]] if parameters.get("full_url") else ()),
        *(parameters.get("base_urls") or ()),
    ]
    if not urls:
        raise InvalidInput("it has neither full_url nor base_urls.", param="full_url")
    said = {name: parameters.get(name) for name in _OPTIONS}
    known = {
        name: checked(name, ENGINE_PARAMETERS[name], value)
        for name, value in said.items()
        if value is not None
    }
    addresses = tuple(dict.fromkeys(map(_address, urls)))
    return msgspec.convert({"id": engine, "addresses": addresses, **known}, RemoteEngine)


def _address(url: Any) -> Address:
    text = url.strip() if isinstance(url, str) else ""
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise InvalidInput(f"{_shown(url)} is no address: {error}.", param="full_url") from error
    if parts.scheme not in ("http", "https") or not host or not text.isprintable() or " " in text:
        raise InvalidInput(
            f"{_shown(url)} is no address that begins with http:// or https://.", param="full_url"
        )
    if "@" in parts.netloc or HIDDEN in text:
        raise InvalidInput(
            "an address must hold no name and no key; the key goes into api_key.", param="full_url"
        )
    path = parts.path.rstrip("/")
    for operation in _OPERATIONS:
        path = path.removesuffix(operation)
    return Address(f"{parts.scheme}://{parts.netloc}{path or '/v1'}", parts.query)


def _shown(url: Any) -> str:
    text = repr(url)
    return text if len(text) <= 100 else f"{text[:97]}..."
