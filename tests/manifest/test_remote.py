"""Engines elsewhere: which addresses a file may give, and what is asked there."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from janfs.errors import InvalidInput
from janfs.manifest.remote import Address, is_remote, remote_engine
from janfs.manifest.spellings import read_manifest

OPENAI = "https://api.openai.com/v1/chat/completions"
AZURE = "https://x.openai.azure.com/openai/deployments/D/chat/completions?api-version=2024-02-01"


@pytest.mark.parametrize(
    ("url", "chat"),
    [
        (OPENAI, OPENAI),
        ("https://api.openai.com/v1", OPENAI),
        ("https://api.openai.com/v1/", OPENAI),
        ("https://api.openai.com", OPENAI),
        (" https://api.openai.com/v1/embeddings ", OPENAI),
        (AZURE, AZURE),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080/v1/chat/completions"),
        ("http://[::1]:8080/api/v3", "http://[::1]:8080/api/v3/chat/completions"),
    ],
)
def test_every_way_to_give_an_address_leads_to_the_same_place(url: str, chat: str) -> None:
    for said in ({"full_url": url}, {"base_urls": [url]}):
        (address,) = remote_engine("openai", said).addresses
        assert address.url("chat/completions") == chat


def test_full_url_and_base_urls_count_together_and_once() -> None:
    said = {"full_url": "http://a", "base_urls": ["http://b", "http://a/v1"]}
    assert remote_engine("x", said).addresses == (Address("http://a/v1"), Address("http://b/v1"))


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        ({}, "neither full_url nor base_urls"),
        ({"base_urls": []}, "neither full_url nor base_urls"),
        ({"full_url": "api.openai.com/v1"}, "begins with http"),
        ({"full_url": "ftp://api.openai.com/v1"}, "begins with http"),
        ({"full_url": "http://"}, "begins with http"),
        ({"full_url": "http://a:port/v1"}, "is no address"),
        ({"full_url": "http://a/v1\r\nX: y"}, "begins with http"),
        ({"full_url": "https://***@a/v1"}, "must hold no name and no key"),
        ({"full_url": "https://a/v1?key=***"}, "must hold no name and no key"),
        ({"full_url": "http://a", "read_timeout": 0}, "read_timeout must be a number"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_the_reason(said: dict[str, object], complaint: str) -> None:
    with pytest.raises(InvalidInput, match=complaint):
        remote_engine("openai", said)


@given(st.text(max_size=60))
def test_any_text_is_an_address_or_refused(text: str) -> None:
    try:
        engine = remote_engine("x", {"full_url": text})
    except InvalidInput:
        return
    assert all(address.base.startswith(("http://", "https://")) for address in engine.addresses)


@pytest.mark.parametrize(
    ("text", "remote"),
    [
        ('{"format": "api", "engine": "openai"}', True),
        ('{"format": "API"}', True),
        ('{"metadata": {"engine": "api"}}', True),
        ('{"engine": "openai"}', False),
        ('{"format": "gguf", "metadata": {"engine": "api"}}', False),
        ("{}", False),
    ],
)
def test_a_model_elsewhere_is_known_by_every_spelling(text: str, remote: bool) -> None:
    assert is_remote(read_manifest(text)[0]) is remote
