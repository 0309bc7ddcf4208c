"""A model elsewhere, as everyone knows it, and the key to it, which nobody sees."""

import os
import re
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from janfs.errors import ModelNotRunnable
from janfs.manifest.remote import HIDDEN, AuthHeader, RemoteEngine

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

    def headers(self, style: AuthHeader) -> dict[str, str]:
        """The headers that carry it."""
        bearer = {"Authorization": f"Bearer {self._value}"}
        if style == "both":  # as Jan does: OpenAI reads the first, Azure the second
            return bearer | {"api-key": self._value}
        return bearer if style == "authorization" else {style: self._value}

    def hidden(self, text: str) -> str:
        """A text of the other side's, without the key if it tells it."""
        return text.replace(self._value, HIDDEN)


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
