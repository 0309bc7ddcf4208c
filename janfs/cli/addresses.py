"""What a person names on the command line, as the API of a running janfs takes it."""

import os
from urllib.parse import quote

from janfs.errors import ModelNotFound


def of_model(name: str, below: str = "") -> str:
    """The path of a model, or of what is `below` it.

    Raises `ModelNotFound` for what no model is called and would lead elsewhere.
    """
    if name in ("", ".", "..") or "/" in name:
        raise ModelNotFound(name)
    return f"/v1/models/{quote(readable(name), safe='')}{below}"


def readable(said: str) -> str:
    """A name with U+FFFD for the bytes that are not UTF-8, as names are shown."""
    return os.fsencode(said).decode(errors="replace")
