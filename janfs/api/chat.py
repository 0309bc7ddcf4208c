"""/v1/chat/completions."""

import time
import uuid
from collections.abc import Mapping
from typing import Any, Literal

from litestar import Request, post
from litestar.params import RawBody
from litestar.types import ASGIApp
from msgspec import UNSET, Struct, UnsetType

from janfs.api.context import Context
from janfs.api.errors import decode_body
from janfs.api.generation import Usage, answer, generated
from janfs.api.sampling import GenerationFields, refuse_unsupported, sampling_of, wants_usage
from janfs.engines.protocol import ChatMessage, ChatPrompt, FinishReason, GenerateRequest
from janfs.errors import InvalidInput, UnsupportedParameter
from janfs.serving import resolve

_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}


class ContentPart(Struct, frozen=True):
    """A part of a message. Only parts of the type `text` are supported."""

    type: str
    text: str | None = None


class Message(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A message of a chat. The role is system, developer (read as system), user or assistant."""

    role: str
    content: str | list[ContentPart] | None = None
    name: Any = None
    tool_calls: Any = None
    tool_call_id: Any = None
    function_call: Any = None
    refusal: Any = None
    audio: Any = None
    annotations: Any = None


class ChatRequest(GenerationFields, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request for the next message of a chat. `max_completion_tokens` wins over `max_tokens`."""

    messages: list[Message]
    max_completion_tokens: int | None = None

    tools: Any = None
    tool_choice: Any = None
    parallel_tool_calls: Any = None
    functions: Any = None
    function_call: Any = None
    top_logprobs: Any = None
    modalities: Any = None
    audio: Any = None
    prediction: Any = None
    reasoning_effort: Any = None
    verbosity: Any = None
    web_search_options: Any = None


_NOT_YET: Mapping[str, tuple[Any, ...]] = {
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "parallel_tool_calls": (True, False),
    "functions": ([],),
    "function_call": ("none", "auto"),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "modalities": (["text"],),
    "audio": (),
    "prediction": (),
    "reasoning_effort": ("none",),
    "verbosity": (),
    "web_search_options": (),
}
_NOT_IN_MESSAGES: Mapping[str, tuple[Any, ...]] = {
    "name": (),
    "tool_calls": ([],),
    "tool_call_id": (),
    "function_call": (),
    "refusal": (),
    "audio": (),
    "annotations": ([],),
}


class AnswerMessage(Struct, frozen=True):
    """The model's message."""

    content: str
    role: Literal["assistant"] = "assistant"
    refusal: None = None


class Choice(Struct, frozen=True):
    """The one answer."""

    message: AnswerMessage
    finish_reason: FinishReason
    index: int = 0
    logprobs: None = None


class ChatCompletion(Struct, frozen=True, kw_only=True):
    """A whole answer. `created` is in seconds since 1970, `system_fingerprint` names file and settings."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    system_fingerprint: str
    choices: list[Choice]
    usage: Usage


class Delta(Struct, frozen=True):
    """What a chunk adds to the message."""

    role: Literal["assistant"] | UnsetType = UNSET
    content: str | UnsetType = UNSET


class ChunkChoice(Struct, frozen=True):
    """The one answer's next piece."""

    delta: Delta
    finish_reason: FinishReason | None = None
    index: int = 0
    logprobs: None = None


class ChatChunk(Struct, frozen=True, kw_only=True):
    """A message of a stream."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    system_fingerprint: str
    choices: list[ChunkChoice]
    usage: Usage | UnsetType | None = UNSET


class ChatFormat(Struct, frozen=True, kw_only=True):
    """See `janfs.api.generation.Format`."""

    id: str
    created: int
    model: str
    system_fingerprint: str
    include_usage: bool = False

    def whole(self, text: str, finish_reason: FinishReason, usage: Usage) -> ChatCompletion:
        return ChatCompletion(
            id=self.id,
            created=self.created,
            model=self.model,
            system_fingerprint=self.system_fingerprint,
            choices=[Choice(AnswerMessage(text), finish_reason)],
            usage=usage,
        )

    def opening(self) -> ChatChunk:
        return self._chunk([ChunkChoice(Delta(role="assistant", content=""))])

    def piece(self, text: str) -> ChatChunk:
        return self._chunk([ChunkChoice(Delta(content=text))])

    def closing(self, finish_reason: FinishReason) -> ChatChunk:
        return self._chunk([ChunkChoice(Delta(), finish_reason)])

    def usage(self, usage: Usage) -> ChatChunk | None:
        return self._chunk([], usage) if self.include_usage else None

    def _chunk(self, choices: list[ChunkChoice], usage: Usage | None = None) -> ChatChunk:
        return ChatChunk(
            id=self.id,
            created=self.created,
            model=self.model,
            system_fingerprint=self.system_fingerprint,
            choices=choices,
            usage=usage if self.include_usage else UNSET,
        )


@post("/v1/chat/completions", status_code=200)
async def create_chat_completion(request: Request[Any, Any, Any], context: Context, body: RawBody) -> ASGIApp:
    """The model's next message, whole or as a stream of server-sent events."""
    asked = decode_body(body, ChatRequest)
    prompt = prompt_of(asked)
    include_usage = wants_usage(asked)
    runnable = resolve(context.pipeline.snapshot, context.settings.root, asked.model)
    sampling = sampling_of(asked, runnable.model_parameters, asked.max_completion_tokens)
    format_ = ChatFormat(
        id=f"chatcmpl-{uuid.uuid4().hex}",
        created=int(time.time()),
        model=runnable.spec.model_id,
        system_fingerprint=f"fp_{runnable.spec.fingerprint}",
        include_usage=include_usage,
    )
    generate = GenerateRequest(request_id=format_.id, prompt=prompt, sampling=sampling)
    replies = generated(context, runnable.spec.model_id, generate)
    return await answer(request, replies, format_, stream=bool(asked.stream))


def prompt_of(asked: ChatRequest) -> ChatPrompt:
    """The messages for the engine. Raises `InvalidInput` or `UnsupportedParameter`, naming the place."""
    refuse_unsupported(asked, _NOT_YET)
    if not asked.messages:
        raise InvalidInput("'messages' is empty; there is nothing to answer.", param="messages")
    return ChatPrompt(
        tuple(_message(item, f"messages[{number}]") for number, item in enumerate(asked.messages))
    )


def _message(item: Message, place: str) -> ChatMessage:
    for name, neutral in _NOT_IN_MESSAGES.items():
        value = getattr(item, name)
        if value is not None and value not in neutral:
            raise UnsupportedParameter(f"'{place}.{name}' is not supported yet.", param=f"{place}.{name}")
    if item.role in ("tool", "function"):
        raise UnsupportedParameter(
            f"{place}.role: '{item.role}' is not supported yet.", param=f"{place}.role"
        )
    if item.role not in _ROLES:
        known = ", ".join(_ROLES)
        raise InvalidInput(f"{place}.role: '{item.role}' is not one of {known}.", param=f"{place}.role")
    return ChatMessage(_ROLES[item.role], _text(item.content, f"{place}.content"))


def _text(content: str | list[ContentPart] | None, place: str) -> str:
    if content is None:
        raise InvalidInput(f"'{place}' is missing.", param=place)
    if isinstance(content, str):
        return content
    for number, part in enumerate(content):
        here = f"{place}[{number}]"
        if part.type != "text":
            raise UnsupportedParameter(
                f"{here}.type: '{part.type}' is not supported yet.", param=f"{here}.type"
            )
        if part.text is None:
            raise InvalidInput(f"'{here}.text' is missing.", param=f"{here}.text")
    # A line each, as llama.cpp's server does (common/chat.cpp).
    return "\n".join(part.text or "" for part in content)
