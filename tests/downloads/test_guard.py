"""From whom files may come."""

import pytest

from janfs.downloads.guard import Policy, check_address, check_url
from janfs.errors import DownloadRefused

PRIVATE = [
    "127.0.0.1",
    "127.1",
    "2130706433",
    "0x7f000001",
    "0177.0.0.1",
    "10.0.0.1",
    "192.168.1.1",
    "172.16.0.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",
    "224.0.0.1",
    "[::1]",
    "[::]",
    "[fe80::1]",
    "[fd00::1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:10.0.0.1]",
    "[64:ff9b::7f00:1]",
    "localhost",
    "LOCALHOST.",
    "printer.local",
    "db.internal",
]


@pytest.mark.parametrize("host", PRIVATE)
def test_a_private_address_is_refused_unless_allowed(host: str) -> None:
    with pytest.raises(DownloadRefused, match="private"):
        check_url(Policy(), f"http://{host}/x.gguf")
    check_url(Policy(private=True), f"http://{host}/x.gguf")


@pytest.mark.parametrize("host", ["1.1.1.1", "[2606:4700:4700::1111]", "example.org", "huggingface.co:443"])
def test_a_public_one_may_be_asked(host: str) -> None:
    check_url(Policy(), f"https://{host}/x.gguf")


@pytest.mark.parametrize(
    "url",
    ["ftp://example.org/x", "file:///etc/passwd", "https:///x", "x.gguf", "http://[bad", "http://a:99999/"],
)
def test_only_http_is_spoken(url: str) -> None:
    with pytest.raises(DownloadRefused):
        check_url(Policy(private=True), url)


def test_hosts_can_be_limited_to_some_and_their_subdomains() -> None:
    policy = Policy(hosts=("huggingface.co",))
    check_url(policy, "https://huggingface.co/x")
    check_url(policy, "https://cdn.huggingface.co/x")
    for url in ("https://example.org/x", "https://evilhuggingface.co/x", "https://huggingface.co.evil.org/x"):
        with pytest.raises(DownloadRefused, match="limited"):
            check_url(policy, url)


def test_a_name_that_leads_to_a_private_address_is_refused() -> None:
    with pytest.raises(DownloadRefused, match=r"inside\.example\.org leads to 10\.1\.2\.3"):
        check_address(Policy(), "inside.example.org", "10.1.2.3")
    check_address(Policy(), "example.org", "93.184.216.34")
