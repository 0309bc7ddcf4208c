"""Connections of httpx that keep to the policy of downloads."""

import asyncio
import socket
from urllib.request import getproxies, proxy_bypass

import httpx

from janfs.downloads.guard import Policy, check_address, check_url


class GuardedTransport(httpx.AsyncBaseTransport):
    """Connects to the very address that was checked; through a proxy of the environment where one is set."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._certificates = httpx.create_ssl_context()
        # By host: connections are told apart by their address alone, and where two hosts share one, what is
        # for the second must not go to whoever showed the certificate of the first.
        self._direct: dict[str, httpx.AsyncHTTPTransport] = {}
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
        if host not in self._direct:
            self._direct[host] = httpx.AsyncHTTPTransport(verify=self._certificates)
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
                return await self._direct[host].handle_async_request(pinned)
            except httpx.ConnectError as error:
                failed = error
        raise failed or httpx.ConnectError(f"{host} has no address")

    async def aclose(self) -> None:
        """Close every connection."""
        for transport in (*self._direct.values(), *self._proxied.values()):
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
