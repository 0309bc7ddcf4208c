"""The one place where errors become HTTP answers, all of OpenAI's shape."""

import math
import re
from typing import Any, TypeVar

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, NotFoundException, ValidationException
from litestar.response.base import ASGIResponse
from msgspec import Struct
from msgspec.structs import replace

from janfs import errors
from janfs.api.error_bodies import AnthropicErrorBody, ErrorBody, ErrorDetail, body_at
from janfs.api.infinity import path_of_infinity

_log = structlog.get_logger()
T = TypeVar("T")

STATUS: tuple[tuple[type[errors.JanfsError], int], ...] = (
    (errors.InvalidInput, 400),
    (errors.ManifestError, 400),
    (errors.ArchiveError, 400),
    (errors.NotFound, 404),
    (errors.ModelNotRunnable, 409),
    (errors.CannotRevert, 409),
    (errors.WrongExpectedVersion, 409),
    (errors.ManifestUntouched, 409),
    (errors.OthersInside, 409),
    (errors.PreconditionFailed, 412),
    (errors.DownloadRefused, 403),
    (errors.DownloadError, 502),
    (errors.Busy, 429),
    (errors.WorkerCrashed, 502),
    (errors.EngineError, 503),
    (errors.LogError, 503),
    (errors.PipelineFailed, 503),
    (errors.RootUnusable, 503),
    (errors.FolderError, 503),
)
_UNKNOWN_FIELD = re.compile(r"Object contains unknown field `(?P<name>[^`]*)`")
_MISSING_FIELD = re.compile(r"Object missing required field `(?P<name>[^`]*)`")
_Waits = errors.EngineError | errors.PipelineFailed  # which may say when to come back
_OUT_OF_RANGE = "Number out of range"  # the decoder does not know where
_AT = re.compile(r" - at `(?:key in )?\$?\.?(?P<path>[^`]*)`$")


class HttpRefusal(errors.JanfsError):
    """A request that is refused for its form, before anyone looks at what it asks."""

    def __init__(self, status: int, code: str, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.refusal = code
        self.headers = headers or {}


class ErrorAnswer(Struct, frozen=True):
    """An error as it is answered."""

    status: int
    detail: ErrorDetail
    headers: dict[str, str]


def answer_to(error: Exception) -> ErrorAnswer:
    """The answer to any error. What nobody foresaw gives nothing away; log it before."""
    match error:
        case HttpRefusal():
            return _answer(error.status, error.detail, error.refusal, headers=error.headers)
        case errors.ContextExceeded():
            detail = ErrorDetail(
                error.detail, error.code, error.param, error.code, error.n_prompt_tokens, error.n_ctx
            )
            return ErrorAnswer(400, detail, {})
        case errors.Busy():
            headers = {"retry-after": str(error.retry_after)}
            return _answer(429, error.detail, error.code, headers=headers)
        case errors.UpstreamError():
            told = _answer(error.status, error.detail, error.kind, error.param, headers=_wait(error))
            if error.counts is None:
                return told
            prompt, context = error.counts
            return replace(told, detail=replace(told.detail, n_prompt_tokens=prompt, n_ctx=context))
        case errors.JanfsError():
            status = next((status for kind, status in STATUS if isinstance(error, kind)), 500)
            wait = _wait(error) if isinstance(error, _Waits) else None
            return _answer(status, error.detail, error.code, error.param, headers=wait)
        case ValidationException():
            return _answer(400, *_invalid_parameter(error))
        case HTTPException():
            headers = dict(error.headers or {})
            return _answer(error.status_code, error.detail, _code_of(error.status_code), headers=headers)
        case _:
            return _answer(500, "Something went wrong inside janfs; its log says what.", "internal_error")


def _wait(error: _Waits) -> dict[str, str]:
    """When to come back, where that is known."""
    return {} if error.retry_after is None else {"retry-after": str(math.ceil(error.retry_after))}


def handle(request: Request[Any, Any, Any], error: Exception) -> Response[ErrorBody | AnthropicErrorBody]:
    """Litestar's way in."""
    if isinstance(error, NotFoundException):
        error = _nothing_there(request)
    answer = answer_to(error)
    if answer.status == 500:
        where = {"method": request.method, "path": request.url.path}
        if isinstance(error, errors.JanfsError):
            _log.warning("request-failed", **where, reason=error.detail)
        else:
            _log.error("request-failed", **where, exc_info=error)
    return Response(
        body_at(request.scope["path"], answer.detail),
        status_code=answer.status,
        headers=answer.headers,
        media_type="application/json",
    )


def asgi_response(error: Exception, path: str) -> ASGIResponse:
    """For those who answer before Litestar does."""
    answer = answer_to(error)
    body = msgspec.json.encode(body_at(path, answer.detail))
    return ASGIResponse(
        body=body, status_code=answer.status, headers=answer.headers, media_type="application/json"
    )


def decode_body(body: bytes, type_: type[T]) -> T:
    """A request's JSON in its type. Raises `InvalidInput` that names the path of what is wrong."""
    try:
        return msgspec.json.decode(body, type=type_)
    except msgspec.ValidationError as error:
        if str(error).startswith(_OUT_OF_RANGE) and (path := path_of_infinity(body)) is not None:
            raise errors.InvalidInput(f"{path}: This number is too large.", param=path) from error
        raise _wrong_body(str(error)) from error
    except msgspec.DecodeError as error:
        raise errors.InvalidInput(f"The body is not valid JSON: {error}.") from error
    except UnicodeDecodeError as error:
        raise errors.InvalidInput("The body is not valid UTF-8.") from error
    except RecursionError as error:
        # The decoder's own bound; looking for brackets beforehand cost up to 2 s and 1 GB on hostile bodies.
        raise errors.InvalidInput("The body is nested too deeply.") from error


class _Nothing(Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a request that says all in its address."""


def refuse_fields(body: bytes) -> None:
    """Of a request that has no body, or an empty one. Raises `UnsupportedParameter` for a field of it."""
    type_: Any = _Nothing | None
    if body.strip():
        decode_body(body, type_)


def convert(value: Any, type_: type[T], place: str) -> T:
    """What stands at a `place` of a body in its type. Raises `InvalidInput` that names what is wrong."""
    try:
        return msgspec.convert(value, type_)
    except msgspec.ValidationError as error:
        raise _wrong_body(str(error), place) from error


def _wrong_body(text: str, place: str = "") -> errors.InvalidInput:
    at = _AT.search(text)
    path = _joined(place, at["path"]) if at is not None else place
    message = _AT.sub("", text)
    if (unknown := _UNKNOWN_FIELD.match(message)) is not None:
        param = _joined(path, unknown["name"])
        return errors.UnsupportedParameter(f"The field '{param}' is not known here.", param=param)
    if (missing := _MISSING_FIELD.match(message)) is not None:
        param = _joined(path, missing["name"])
        return errors.InvalidInput(f"The field '{param}' is missing.", param=param)
    where = f"{path}: " if path else ""
    return errors.InvalidInput(f"{where}{message}.", param=path or None)


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path and name else path or name


def _nothing_there(request: Request[Any, Any, Any]) -> errors.JanfsError:
    path = request.scope["path"]
    if path.startswith("/v1/models/"):
        return errors.ModelNotFound(path.removeprefix("/v1/models/"))
    return HttpRefusal(404, "unknown_url", f"There is nothing at {request.method} {path}. See /docs.")


def _invalid_parameter(error: ValidationException) -> tuple[str, str, str | None]:
    """Of a path or query parameter that Litestar could not read."""
    first = error.extra[0] if isinstance(error.extra, list) and error.extra else {}
    name = first.get("key") if isinstance(first, dict) else None
    said = first.get("message") if isinstance(first, dict) else None
    detail = f"{name}: {said}." if name and said else error.detail
    return detail, errors.InvalidInput.code, name


def _code_of(status: int) -> str:
    known = {401: "invalid_api_key", 405: "method_not_allowed", 413: "request_too_large"}
    return known.get(status, errors.InvalidInput.code if status < 500 else "internal_error")


def _answer(
    status: int,
    message: str,
    code: str,
    param: str | None = None,
    headers: dict[str, str] | None = None,
) -> ErrorAnswer:
    type_ = (
        "rate_limit_error" if status == 429 else "invalid_request_error" if status < 500 else "server_error"
    )
    return ErrorAnswer(status, ErrorDetail(message, type_, param, code), headers or {})
