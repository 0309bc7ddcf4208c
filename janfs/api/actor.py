"""Who asks, as the log names it."""

import re
from typing import Any, TypeAlias

from litestar import Request
from litestar.di import NamedDependency
from litestar.params import SkipValidation

from janfs.api.errors import HttpRefusal

HEADER = "X-Janfs-Actor"
_NAME = re.compile(r"[\w.@-]{1,64}")

Actor: TypeAlias = SkipValidation[NamedDependency[str]]


def actor_of(request: Request[Any, Any, Any]) -> str:
    """`api`, or `api:NAME` where the caller says a name, as the janfs commands do. Raises `HttpRefusal`."""
    said = request.headers.get(HEADER)
    if said is None:
        return "api"
    if not _NAME.fullmatch(said):
        allowed = "1 to 64 letters, digits, dots, hyphens, underscores or @"
        raise HttpRefusal(400, "invalid_header", f"{HEADER} is no name: {allowed}.")
    return f"api:{said}"
