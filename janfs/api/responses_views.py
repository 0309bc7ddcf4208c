"""What /v1/responses answers with, whole and in a stream."""

from typing import Any, Literal

from msgspec import UNSET, Struct, UnsetType

from janfs.api.logprobs import ContentLogprob
from janfs.api.usage import Usage

Status = Literal["in_progress", "completed", "incomplete", "failed"]


class OutputText(Struct, frozen=True, kw_only=True):
    """The words of a message (`output_text`), or of a thought (`reasoning_text`)."""

    type: Literal["output_text", "reasoning_text"]
    text: str
    annotations: list[Any] | UnsetType = UNSET
    logprobs: list[ContentLogprob] | UnsetType = UNSET


class OutputItem(Struct, frozen=True, kw_only=True):
    """A piece of an answer: a thought (`reasoning`), a `message`, or the call of a tool (`function_call`)."""

    id: str
    type: Literal["message", "reasoning", "function_call"]
    status: Status
    role: Literal["assistant"] | UnsetType = UNSET
    content: list[OutputText] | UnsetType = UNSET
    summary: list[Any] | UnsetType = UNSET
    call_id: str | UnsetType = UNSET
    name: str | UnsetType = UNSET
    arguments: str | UnsetType = UNSET


class InputDetails(Struct, frozen=True):
    """Of the prompt's tokens, those that were computed already for an earlier request."""

    cached_tokens: int
    cache_write_tokens: int = 0


class OutputDetails(Struct, frozen=True):
    """Of the answer's tokens, those that went into a thought before it."""

    reasoning_tokens: int


class ResponseUsage(Struct, frozen=True):
    """OpenAI's count of tokens, in the words of this API."""

    input_tokens: int
    input_tokens_details: InputDetails
    output_tokens: int
    output_tokens_details: OutputDetails
    total_tokens: int


class FailedBecause(Struct, frozen=True):
    """Why a response broke off."""

    message: str
    code: Literal["server_error"] = "server_error"


class IncompleteBecause(Struct, frozen=True):
    """What ended a response before the model did: `max_output_tokens` (also where the context is full), or
    the filter of a server elsewhere.
    """

    reason: Literal["max_output_tokens", "content_filter"]


class ResponseView(Struct, frozen=True, kw_only=True):
    """A response. What was asked comes back with it. `created_at` is in seconds since 1970."""

    id: str
    object: Literal["response"] = "response"
    created_at: int
    status: Status = "in_progress"
    model: str
    system_fingerprint: str = ""
    output: list[OutputItem] = []
    error: FailedBecause | None = None
    incomplete_details: IncompleteBecause | None = None
    usage: ResponseUsage | None = None
    instructions: str | None
    max_output_tokens: int | None
    temperature: float
    top_p: float
    tools: list[dict[str, Any]]
    tool_choice: Any
    parallel_tool_calls: bool
    text: dict[str, Any]
    metadata: dict[str, str]
    store: bool = False
    background: bool = False
    truncation: Literal["disabled"] = "disabled"
    previous_response_id: None = None


class ResponseEvent(Struct, frozen=True, kw_only=True):
    """A message of a stream; `type` is the name of its event too."""

    type: str
    sequence_number: int
    response: ResponseView | UnsetType = UNSET
    output_index: int | UnsetType = UNSET
    item_id: str | UnsetType = UNSET
    item: OutputItem | UnsetType = UNSET
    content_index: int | UnsetType = UNSET
    part: OutputText | UnsetType = UNSET
    delta: str | UnsetType = UNSET
    text: str | UnsetType = UNSET
    name: str | UnsetType = UNSET
    arguments: str | UnsetType = UNSET
    logprobs: list[ContentLogprob] | UnsetType = UNSET


def response_usage(usage: Usage) -> ResponseUsage:
    """The same counts in the words of this API."""
    return ResponseUsage(
        usage.prompt_tokens,
        InputDetails(usage.prompt_tokens_details.cached_tokens),
        usage.completion_tokens,
        OutputDetails(usage.completion_tokens_details.reasoning_tokens),
        usage.total_tokens,
    )
