"""From whom files may come: which hosts, and never from a private network unless that is allowed.

A model.json may come from anyone, and must not make us read what only this machine can reach. So the
address that is connected to is checked, not the name alone, which could lead elsewhere a moment later.
"""

import ipaddress
import socket
from urllib.parse import urlsplit

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
