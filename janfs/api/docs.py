"""/openapi.json, and /docs: the same for people, as one page that loads nothing from anywhere."""

import functools
from importlib import resources
from typing import Any

import msgspec
from litestar import Response, get
from litestar.response import Redirect
from msgspec import Struct

from janfs.api.openapi import OPERATIONS, describe

_CSP = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


class Rendered(Struct, frozen=True):
    """The description as JSON and as a page."""

    document: bytes
    page: str


@get("/openapi.json", sync_to_thread=True)
def get_openapi() -> Response[bytes]:
    """The description of this API."""
    return Response(_rendered().document, media_type="application/json")


@get("/docs", sync_to_thread=True)
def get_docs() -> Response[str]:
    """The description of this API, for people."""
    return Response(_rendered().page, media_type="text/html", headers={"content-security-policy": _CSP})


@get("/", sync_to_thread=False)
def get_root() -> Redirect:
    """Leads to the description."""
    return Redirect("/docs")


def render_page(document: dict[str, Any]) -> str:
    """An OpenAPI document as HTML."""
    from jinja2 import Environment

    template = resources.files(__package__).joinpath("docs.html.j2").read_text("utf-8")
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(template).render(document=document, type_of=type_of)


def type_of(schema: dict[str, Any]) -> str:
    """A JSON schema in a few words; the name of another type stands as it is."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " or ".join(type_of(part) for part in schema["anyOf"])
    if "enum" in schema:
        return " | ".join(repr(value) for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {type_of(schema['items'])}" if schema.get("items") else "list"
    return str(schema.get("type", "anything"))


@functools.cache
def _rendered() -> Rendered:
    document = describe(OPERATIONS)
    return Rendered(msgspec.json.encode(document), render_page(document))
