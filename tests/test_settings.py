"""Settings are checked before anything is opened, and a mistake says which option to change."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from janfs.errors import SettingsError
from janfs.settings import Settings, is_loopback, parse_size

ROOT = Path("/nowhere")


def test_the_defaults_are_shut_to_other_machines() -> None:
    settings = Settings(root=ROOT)
    assert (settings.host, settings.port) == ("127.0.0.1", 1337)
    assert settings.api_key is None
    assert not settings.insecure
    assert settings.allowed_hosts == settings.allowed_origins == ()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "[::1]", "localhost"])
def test_this_machine_alone_needs_no_key(host: str) -> None:
    assert is_loopback(host)
    assert Settings(root=ROOT, host=host).host == host


@pytest.mark.parametrize(
    "host",
    ["0.0.0.0", "::", "192.168.1.2", "example.org", "localhost.example.org", "", "127.0.0.1.example.org"],
)
def test_other_machines_are_let_in_only_on_purpose(host: str) -> None:
    assert not is_loopback(host)
    with pytest.raises(SettingsError, match=r"--api-key.*--insecure") as refused:
        Settings(root=ROOT, host=host)
    assert refused.value.param == "host"
    assert Settings(root=ROOT, host=host, api_key="secret").host == host
    assert Settings(root=ROOT, host=host, insecure=True).host == host


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({"port": -1}, "port"),
        ({"port": 65536}, "port"),
        ({"max_loaded": 0}, "max_loaded"),
        ({"max_loaded": -3}, "max_loaded"),
        ({"max_queue": -1}, "max_queue"),
        ({"grace": -0.1}, "grace"),
        ({"grace": float("nan")}, "grace"),
        ({"grace": float("inf")}, "grace"),
        ({"allowed_hosts": ("http://janfs.local",)}, "allowed_hosts"),
        ({"allowed_hosts": ("janfs.local/v1",)}, "allowed_hosts"),
        ({"allowed_origins": ("http://localhost:3000/",)}, "allowed_origins"),
        ({"allowed_origins": ("https://Chat.example",)}, "allowed_origins"),
        ({"allowed_origins": ("localhost:3000",)}, "allowed_origins"),
        ({"allowed_origins": ("*",)}, "allowed_origins"),
        ({"api_key": ""}, "api_key"),
        ({"api_key": " \t"}, "api_key"),
        ({"api_key": "secret "}, "api_key"),
        ({"api_key": "secret\nsecret"}, "api_key"),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(wrong: dict[str, Any], param: str) -> None:
    with pytest.raises(SettingsError) as refused:
        Settings(root=ROOT, **wrong)
    assert refused.value.param == param


def test_what_browsers_call_pages_is_allowed() -> None:
    origins = (
        "null",
        "http://localhost:3000",
        "https://chat.example",
        "http://[::1]:80",
        "app://obsidian.md",
    )
    assert Settings(root=ROOT, allowed_origins=origins).allowed_origins == origins
    hosts = ("janfs.local", "proxy.example:8443", "[fe80::1]", "[fe80::1]:80")
    assert Settings(root=ROOT, allowed_hosts=hosts).allowed_hosts == hosts


def test_an_empty_key_does_not_open_the_door() -> None:
    with pytest.raises(SettingsError):
        Settings(root=ROOT, host="0.0.0.0", api_key="")


@pytest.mark.parametrize("port", [0, 1, 1337, 65535])
def test_every_port_is_allowed(port: int) -> None:
    assert Settings(root=ROOT, port=port).port == port


@given(st.ip_addresses())
def test_an_address_is_loopback_exactly_when_it_cannot_leave_the_machine(address: Any) -> None:
    assert is_loopback(str(address)) == address.is_loopback


@pytest.mark.parametrize(
    ("text", "size"),
    [("8G", 8 << 30), ("512M", 512 << 20), ("1.5 GiB", 3 << 29), ("1024", 1024), ("2kb", 2048), ("off", 0)],
)
def test_a_size_is_read_as_people_write_it(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "much", "-1", "8X", "1e9", "nan"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="8G or 512M"):
        parse_size(text)
