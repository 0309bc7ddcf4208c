"""An answer in JSON, for handlers that have already made up their mind about everything else."""

from typing import Any

import msgspec
from litestar.response.base import ASGIResponse

_encode = msgspec.json.Encoder().encode


def json_answer(value: Any) -> ASGIResponse:
    """What is answered with the status 200."""
    return ASGIResponse(body=_encode(value), media_type="application/json")
