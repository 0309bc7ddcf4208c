"""A model elsewhere, as everyone knows it, and the key to it, which nobody sees."""

import html
import json
import os
import re
from collections.abc import Mapping
from itertools import chain
from typing import Any
from urllib.parse import quote, quote_plus

import msgspec
from msgspec import Struct

from janfs.errors import ModelNotRunnable
from janfs.manifest.remote import HIDDEN, AuthHeader, RemoteEngine

_LEFT_IN_URLS = ("", "/", "-_.!~*'()", ";,/?:@&=+$-_.!~*'()#")  # by Python's functions, and by JavaScript's
_QUOTES_IN_HTML = (('"', "'"), ("&quot;", "&#x27;"), ("&quot;", "&#39;"), ("&#34;", "&#39;"))
_ESCAPE = re.compile("%..")
_VARIABLE = re.compile(r"\$\{(\w+)\}")


class RemoteModel(Struct, frozen=True, kw_only=True):
    """A model that an engine elsewhere serves as `name`.

    `file` is the path of the engine's file, which has the key. `defaults` are the parameters that its
    model.json gives to requests that do not say otherwise. `fingerprint` names what answers are from.
    """

    id: str
    uid: str
    name: str
    engine: RemoteEngine
    file: str
    fingerprint: str
    defaults: Mapping[str, Any]

    @property
    def system_fingerprint(self) -> str:
        """The fingerprint as answers have it."""
        return f"fp_{self.fingerprint}"

    @property
    def settings(self) -> dict[str, Any]:
        """What the fingerprint stands for."""
        return {"model": self.name, "addresses": msgspec.to_builtins(self.engine.addresses)}


class Key:
    """The key to an engine. It is no Struct, so that nothing writes it out, and shows as `***`."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def __repr__(self) -> str:
        return HIDDEN

    def is_same(self, other: "Key") -> bool:
        """Whether it is the key that another one is."""
        return self._value == other._value

    def headers(self, style: AuthHeader) -> dict[str, str]:
        """The headers that carry it."""
        bearer = {"Authorization": f"Bearer {self._value}"}
        if style == "both":  # as Jan does: OpenAI reads the first, Azure the second
            return bearer | {"api-key": self._value}
        return bearer if style == "authorization" else {style: self._value}

    def hidden(self, text: str) -> str:
        """A text of the other side's, without the key if it tells it, as it is or in another spelling."""
        for spelled in _spellings(self._value):
            text = text.replace(spelled, HIDDEN)
        return text


def _spellings(key: str) -> list[str]:
    """A key as it is, and as it may stand in URLs, HTML, JSON, and JSON within JSON; the longest first."""
    urls = {quote_plus(key), *(quote(key, safe=signs) for signs in _LEFT_IN_URLS)}
    urls |= {_ESCAPE.sub(lambda escape: escape[0].lower(), url) for url in urls}
    texts = _in_json(key)
    marked = html.escape(key, quote=False)
    pages = {marked.replace('"', double).replace("'", single) for double, single in _QUOTES_IN_HTML}
    return sorted({key, *urls, *texts, *chain(*map(_in_json, texts)), *pages}, key=len, reverse=True)


def _in_json(text: str) -> set[str]:
    """Between the quotes of a string, as Python writes it, PHP, Go, and .NET."""
    plain = json.dumps(text)[1:-1]
    go = re.sub("[<>&]", lambda sign: rf"\u{ord(sign[0]):04x}", plain)
    dotnet = re.sub("[<>&'+`]", lambda sign: rf"\u{ord(sign[0]):04X}", plain.replace(r"\"", r"\u0022"))
    return {plain, plain.replace("/", r"\/"), go, dotnet}


def key_of(written: Any, file: str, variables: Mapping[str, str] = os.environ) -> Key | None:
    """The key that `api_key` in an engine's file gives; `${NAME}` is an environment variable.

    Raises `ModelNotRunnable` for one that cannot be used.
    """
    if written is None or written == "":
        return None
    named = _VARIABLE.fullmatch(written.strip()) if isinstance(written, str) else None
    if named is not None and not variables.get(named[1]):
        raise ModelNotRunnable(
            f"{file} takes its api_key from the environment variable {named[1]}, which janfs does not have. "
            "Set it where janfs is started.",
            param="model",
        )
    value = variables[named[1]].strip() if named is not None else written
    text = value.strip() if isinstance(value, str) else ""
    if not (text and text.isascii() and text.isprintable()):
        raise ModelNotRunnable(
            f"The api_key in {file} cannot be one: a key has letters, digits and signs.", param="model"
        )
    return Key(text)
