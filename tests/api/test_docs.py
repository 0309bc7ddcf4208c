"""The description of the API."""

import re
from typing import Any

import pytest

from janfs.api.app import HANDLERS
from janfs.api.docs import render_page, type_of
from janfs.api.openapi import OPERATIONS, describe
from tests.api.service import Service


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return describe(OPERATIONS)


def test_every_route_of_the_api_is_described(document: dict[str, Any]) -> None:
    routed = {
        (re.sub(r":\w+}", "}", path), method.lower())
        for handler in HANDLERS
        for path in handler.paths
        for method in handler.http_methods
    }
    described = {(path, method) for path, item in document["paths"].items() for method in item}
    assert routed - described == {
        ("/", "get"),
        ("/docs", "get"),
        ("/openapi.json", "get"),
        ("/schemas/{name}", "get"),
    }
    assert described <= routed


def test_every_operation_says_in_words_what_it_does(document: dict[str, Any]) -> None:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            assert operation["summary"], f"{method} {path} has no docstring"


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    text = repr(document)
    for name in re.findall(r"#/components/schemas/(\w+)", text):
        assert name in document["components"]["schemas"], f"{name} is not described"


def test_operation_ids_are_unique(document: dict[str, Any]) -> None:
    ids = [operation["operationId"] for item in document["paths"].values() for operation in item.values()]
    assert len(ids) == len(set(ids))


def test_the_page_loads_nothing_from_anywhere(document: dict[str, Any]) -> None:
    page = render_page(document)
    assert not re.findall(r"(?:https?:)?//[\w.-]+", page), "the page refers to another machine"
    assert not re.findall(r"<(?:script|img|iframe|object)|@import|url\(", page)
    assert "/v1/chat/completions" in page
    assert "ChatRequest" in page


def test_the_page_shows_text_as_text(document: dict[str, Any]) -> None:
    page = render_page(document | {"info": {"title": "<script>x", "version": "", "description": ""}})
    assert "<script>" not in page


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"$ref": "#/components/schemas/Usage"}, "Usage"),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "string or null"),
        ({"enum": ["a", "b"]}, "'a' | 'b'"),
        ({"type": "array", "items": {"type": "integer"}}, "list of integer"),
        ({}, "anything"),
    ],
)
def test_schemas_in_words(schema: dict[str, Any], words: str) -> None:
    assert type_of(schema) == words


def test_both_are_served_and_the_root_leads_there(tiny: Service) -> None:
    assert tiny.get("/openapi.json")["openapi"].startswith("3.")
    page = tiny.client.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    root = tiny.client.get("/")
    assert (root.status_code, root.headers["location"]) == (302, "/docs")
