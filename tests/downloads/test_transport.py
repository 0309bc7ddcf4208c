"""Connections that keep to the policy."""

import asyncio
import socket
from typing import Any

import httpx
import pytest

from janfs.downloads.guard import Policy
from janfs.downloads.transport import GuardedTransport
from tests.support.web import web


@pytest.fixture(autouse=True)
def _names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every name leads to this machine, and there is no proxy."""
    look_up = socket.getaddrinfo

    def here(_: object, port: int, *args: Any, **how: Any) -> object:
        return look_up("127.0.0.1", port, *args, **how)

    monkeypatch.setattr(socket, "getaddrinfo", here)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(("hosts", "connections"), [(("one", "two"), 2), (("one", "one"), 1)])
def test_two_hosts_at_one_address_share_no_connection(hosts: tuple[str, str], connections: int) -> None:
    async def ask(port: str) -> None:
        async with httpx.AsyncClient(transport=GuardedTransport(Policy(private=True))) as client:
            for host in hosts:
                assert (await client.get(f"http://{host}.example.org:{port}/m")).content == b"model"

    with web() as site:
        site.put("m", b"model")
        asyncio.run(ask(site.url.rpartition(":")[2]))
        assert site.connections == connections
