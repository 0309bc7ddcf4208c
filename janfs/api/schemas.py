"""/schemas: what may stand in a model.json and in an engine's file, for editors. They hold nothing secret."""

import functools

import msgspec
from litestar import Response, get
from litestar.params import FromPath

from janfs.errors import NotFound
from janfs.manifest.json_schema import schemas


@get("/schemas/{name:str}", sync_to_thread=False)
def get_schema(name: FromPath[str]) -> Response[bytes]:
    """A JSON Schema: `model.json` or `engine.json`."""
    found = _encoded().get(name)
    if found is None:
        raise NotFound(f"There is no schema '{name}'; there are {', '.join(_encoded())}.")
    return Response(found, media_type="application/schema+json")


@functools.cache
def _encoded() -> dict[str, bytes]:
    return {name: msgspec.json.encode(schema) for name, schema in schemas().items()}
