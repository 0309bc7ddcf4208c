"""Who asks, as the log names it."""

from typing import Any, TypeAlias

from litestar import Request
from litestar.di import NamedDependency
from litestar.params import SkipValidation

from janfs.api.errors import HttpRefusal
from janfs.callers import HEADER, NAME, is_name

Actor: TypeAlias = SkipValidation[NamedDependency[str]]


def actor_of(request: Request[Any, Any, Any]) -> str:
    """`api`, or `api:NAME` where the caller says a name, as the janfs commands do. Raises `HttpRefusal`."""
    said = request.headers.get(HEADER)
    if said is None:
        return "api"
    if not is_name(said):
        raise HttpRefusal(400, "invalid_header", f"{HEADER} is no name: {NAME}.")
    return f"api:{said}"
