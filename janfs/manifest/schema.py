"""What a model.json says, in one spelling."""

from typing import Any

import msgspec


class SourceRef(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One file of a model: its name in the model's folder, and where it came from (a URL or a path)."""

    filename: str | None = None
    url: str | None = None


class Manifest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A model.json in the specification's spelling. None, or no key, means that the file does not say.

    In the two blocks of parameters an explicit null is a key with the value None: "as built in, whatever the
    engine file says". Elsewhere null says as little as absence. Known parameters have their right type.
    """

    id: str | None = None
    object: str | None = None
    name: str | None = None
    owned_by: str | None = None
    version: str | None = None
    created: int | None = None  # seconds since 1970
    description: str | None = None
    format: str | None = None  # "gguf", "api", ...
    engine: str | None = None  # "llama-cpp", or the name of a file in engines/
    sources: tuple[SourceRef, ...] = ()
    engine_parameters: dict[str, Any] = {}
    model_parameters: dict[str, Any] = {}
    metadata: dict[str, Any] = {}
    assets: tuple[str, ...] = ()
    extra: dict[str, Any] = {}  # top-level keys that the specification does not know
