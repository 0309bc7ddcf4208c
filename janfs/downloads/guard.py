"""From whom files may come: which hosts, and never from a private network unless that is allowed.

A model.json may come from anyone, and must not make us read what only this machine can reach. So the
address that is connected to is checked, not the name alone, which could lead elsewhere a moment later.
"""

import asyncio
import ipaddress
import socket
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx
from msgspec import Struct

from janfs.errors import DownloadRefused

_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class Policy(Struct, frozen=True):
    """With `hosts` only those and their subdomains; `private` lets private addresses in."""

    hosts: tuple[str, ...] = ()
    private: bool = False


def check_url(policy: Policy, url: str) -> None:
    """Whether an address may be asked at all. Raises `DownloadRefused`."""
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").rstrip(".").lower()
        _ = parts.port
    except ValueError as error:
        raise DownloadRefused(f"{url} is no address: {error}.") from error
    if parts.scheme not in ("http", "https") or not host:
        raise DownloadRefused(f"{url} is refused: only http and https are fetched.")
    if policy.hosts and not any(host == name or host.endswith("." + name) for name in policy.hosts):
        raise DownloadRefused(
            f"{host} is refused: downloads are limited to {', '.join(policy.hosts)} (--download-host)."
        )
    literal = _literal(host)
    if literal is not None:
        check_address(policy, host, literal)
    elif not policy.private and (host == "localhost" or host.endswith((".localhost", ".local", ".internal"))):
        raise DownloadRefused(_why(host, host))


def check_address(policy: Policy, host: str, address: str) -> None:
    """Whether a host may be reached at this address. Raises `DownloadRefused`."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            found = found.ipv4_mapped
        elif found in _NAT64:
            found = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
    if not policy.private and (not found.is_global or found.is_multicast):
        raise DownloadRefused(_why(host, address))


class GuardedTransport(httpx.AsyncBaseTransport):
    """Connects to the very address that was checked; through a proxy of the environment where one is set."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._direct = httpx.AsyncHTTPTransport()
        self._proxied: dict[str, httpx.AsyncHTTPTransport] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """One request. Raises `DownloadRefused`, or what httpx raises."""
        check_url(self._policy, str(request.url))
        host = request.url.host
        proxies = getproxies()
        proxy = proxies.get(request.url.scheme) or proxies.get("all")
        if proxy and not proxy_bypass(host):  # it resolves the name, and answers for where that leads
            if proxy not in self._proxied:
                self._proxied[proxy] = httpx.AsyncHTTPTransport(proxy=proxy)
            return await self._proxied[proxy].handle_async_request(request)
        failed: httpx.ConnectError | None = None
        for address in await self._addresses(host, request.url.port or (443 if _is_tls(request) else 80)):
            pinned = httpx.Request(
                request.method,
                request.url.copy_with(host=address),
                headers=request.headers,  # with the Host that was asked for
                stream=request.stream,
                extensions={**request.extensions, "sni_hostname": host},
            )
            try:
                return await self._direct.handle_async_request(pinned)
            except httpx.ConnectError as error:
                failed = error
        raise failed or httpx.ConnectError(f"{host} has no address")

    async def aclose(self) -> None:
        """Close every connection."""
        for transport in (self._direct, *self._proxied.values()):
            await transport.aclose()

    async def _addresses(self, host: str, port: int) -> list[str]:
        """The addresses of a host, if all of them may be asked."""
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise httpx.ConnectError(f"{host} is not known: {error.strerror or error}") from error
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        for address in addresses:
            check_address(self._policy, host, address)
        return addresses


def _is_tls(request: httpx.Request) -> bool:
    return request.url.scheme == "https"


def _literal(host: str) -> str | None:
    """The address that a host is, if it is one; also in the old spellings that resolvers take (`127.1`)."""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        pass
    try:
        return socket.inet_ntoa(socket.inet_aton(host)) if host[:1].isdigit() else None
    except OSError:
        return None


def _why(host: str, address: str) -> str:
    leads = "" if host == address else f" leads to {address}, which"
    return f"{host}{leads} is on a private network. --download-private allows such downloads."
