"""What errors look like when they are answered, in OpenAI's words and in Anthropic's. Pure."""

from typing import Literal

from msgspec import Struct

ANTHROPICS = "/v1/messages"  # what lies below speaks as Anthropic's API does
_ANTHROPICS_TYPES = {
    "model_not_found": "not_found_error",
    "unknown_url": "not_found_error",
    "invalid_api_key": "authentication_error",
    "host_not_allowed": "permission_error",
    "origin_not_allowed": "permission_error",
    "request_too_large": "request_too_large",
}
_OTHERS = {"rate_limit_error": "rate_limit_error", "server_error": "api_error"}  # by OpenAI's types


class ErrorDetail(Struct, frozen=True, omit_defaults=True):
    """OpenAI's error object. The two counts in tokens are there when a prompt does not fit."""

    message: str
    type: str
    param: str | None
    code: str | None
    n_prompt_tokens: int | None = None
    n_ctx: int | None = None


class ErrorBody(Struct, frozen=True):
    """OpenAI's envelope of an error."""

    error: ErrorDetail


class AnthropicErrorDetail(Struct, frozen=True):
    """Anthropic's error object."""

    type: str
    message: str


class AnthropicErrorBody(Struct, frozen=True):
    """Anthropic's envelope of an error."""

    error: AnthropicErrorDetail
    type: Literal["error"] = "error"


def anthropic_error(detail: ErrorDetail) -> AnthropicErrorBody:
    """The same error in Anthropic's words, by which clients know that a prompt is to be shortened."""
    kind = _ANTHROPICS_TYPES.get(detail.code or "") or _OTHERS.get(detail.type, "invalid_request_error")
    return AnthropicErrorBody(AnthropicErrorDetail(kind, _too_long(detail) + detail.message))


def _too_long(detail: ErrorDetail) -> str:
    if detail.n_prompt_tokens is None or detail.n_ctx is None:
        return ""
    return f"prompt is too long: {detail.n_prompt_tokens} tokens > {detail.n_ctx - 1} maximum. "


def body_at(path: str, detail: ErrorDetail) -> ErrorBody | AnthropicErrorBody:
    """What is answered there, in the words of those who ask there."""
    return anthropic_error(detail) if path.startswith(ANTHROPICS) else ErrorBody(detail)
