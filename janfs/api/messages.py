"""/v1/messages: chats as Anthropic's clients speak them (https://docs.anthropic.com/en/api/messages)."""

import json
import math
import re
import uuid
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any, Literal

from litestar import Request, post
from litestar.params import RawBody
from litestar.types import ASGIApp
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from janfs.api.chat_model import chat_model
from janfs.api.context import Context
from janfs.api.error_bodies import ErrorDetail, anthropic_error
from janfs.api.errors import decode_body
from janfs.api.generation import Answered, Chunk, answer
from janfs.api.images import refuse_unseen
from janfs.api.leaving import answer_unless_gone
from janfs.api.messages_request import ChatParams, MessagesRequest, fields_of, prompt_of
from janfs.api.relay import relay_if_there, remote_of
from janfs.api.sampling import sampling_of
from janfs.api.usage import Usage, usage_of
from janfs.engines.protocol import CallDelta, Finished, ReasoningDelta, Reply, TextDelta
from janfs.engines.remote.asking import COUNT_TOKENS
from janfs.serving import resolve

_SURROGATE = re.compile("[\ud800-\udfff]")
_STOP_REASONS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
}


class ContentBlock(Struct, frozen=True, kw_only=True):
    """A part of an answer: `text`, `thinking` or `tool_use`."""

    type: Literal["text", "thinking", "tool_use"]
    text: str | UnsetType = UNSET
    thinking: str | UnsetType = UNSET
    signature: str | UnsetType = UNSET
    id: str | UnsetType = UNSET
    name: str | UnsetType = UNSET
    input: Annotated[Raw, Meta(extra_json_schema={"type": "object"})] | UnsetType = UNSET


class MessageUsage(Struct, frozen=True):
    """Counts of tokens; those of the prompt that were computed before count for themselves."""

    input_tokens: int
    output_tokens: int
    cache_read_input_tokens: int = 0
    cache_creation_input_tokens: int = 0


class MessageAnswer(Struct, frozen=True, kw_only=True):
    """A whole answer, or what a stream begins with."""

    id: str
    type: Literal["message"] = "message"
    role: Literal["assistant"] = "assistant"
    model: str
    content: list[ContentBlock]
    stop_reason: str | None
    stop_sequence: str | None = None
    usage: MessageUsage


class BlockDelta(Struct, frozen=True, kw_only=True):
    """What is new of a block, or of the message itself at its end."""

    type: Literal["text_delta", "thinking_delta", "input_json_delta"] | UnsetType = UNSET
    text: str | UnsetType = UNSET
    thinking: str | UnsetType = UNSET
    partial_json: str | UnsetType = UNSET
    stop_reason: str | UnsetType = UNSET
    stop_sequence: str | UnsetType | None = UNSET


class StreamEvent(Struct, frozen=True, kw_only=True):
    """A message of a stream; `type` is the name of its event too."""

    type: str
    message: MessageAnswer | UnsetType = UNSET
    index: int | UnsetType = UNSET
    content_block: ContentBlock | UnsetType = UNSET
    delta: BlockDelta | UnsetType = UNSET
    usage: MessageUsage | UnsetType = UNSET


class CountedTokens(Struct, frozen=True):
    """How many tokens a prompt has."""

    input_tokens: int


class MessagesFormat:
    """See `janfs.api.generation.Format`; remembers which block of the one answer is being written."""

    done = b""

    def __init__(self, model: str, stop_sequences: Sequence[str] = ()) -> None:
        self.id = f"msg_{uuid.uuid4().hex[:24]}"
        self._model = model
        self._block = -1
        self._kind: tuple[str, int] | None = None  # of the block that is open; a call's has its number
        self._stop_sequences = stop_sequences
        self._end: tuple[str | None, str | None] = (None, None)  # the reason, and the stop sequence

    def whole(self, answers: Sequence[Answered], usage: Usage) -> MessageAnswer:
        [one] = answers
        content: list[ContentBlock] = []
        if one.reasoning:
            content.append(ContentBlock(type="thinking", thinking=one.reasoning, signature=""))
        if one.text:
            content.append(ContentBlock(type="text", text=one.text))
        content += [_call_block(call, _arguments(call.arguments)) for call in one.calls]
        self._end = self._end_of(one.end)
        return self._message(content, _usage(usage))

    def begin(self, _count: int, first: Reply) -> Iterator[Chunk]:
        usage = MessageUsage(0, 0) if first.usage is None else _usage(usage_of([first.usage], 1))
        message = self._message([], usage)
        yield "message_start", StreamEvent(type="message_start", message=message)

    def tell(self, _number: int, reply: Reply) -> Iterator[Chunk]:
        match reply:
            case Finished():
                self._end = self._end_of(reply)
                yield from self._close()
            case TextDelta():
                yield from self._open(("text", 0), ContentBlock(type="text", text=""))
                yield self._delta(BlockDelta(type="text_delta", text=reply.text))
            case ReasoningDelta():
                yield from self._open(
                    ("thinking", 0), ContentBlock(type="thinking", thinking="", signature="")
                )
                yield self._delta(BlockDelta(type="thinking_delta", thinking=reply.text))
            case CallDelta():
                yield from self._open(("tool_use", reply.index), _call_block(reply, Raw(b"{}")))
                yield self._delta(BlockDelta(type="input_json_delta", partial_json=reply.arguments))

    def end(self, usage: Usage) -> Iterable[Chunk]:
        reason, sequence = self._end
        delta = BlockDelta(stop_reason=reason or UNSET, stop_sequence=sequence)
        last = StreamEvent(type="message_delta", delta=delta, usage=_usage(usage))
        return ("message_delta", last), ("message_stop", StreamEvent(type="message_stop"))

    def failed(self, error: ErrorDetail) -> Chunk:
        return "error", anthropic_error(error)

    def _open(self, kind: tuple[str, int], block: ContentBlock) -> Iterator[Chunk]:
        if self._kind == kind:
            return
        yield from self._close()
        self._kind, self._block = kind, self._block + 1
        start = StreamEvent(type="content_block_start", index=self._block, content_block=block)
        yield "content_block_start", start

    def _close(self) -> Iterator[Chunk]:
        if self._kind is not None:
            self._kind = None
            yield "content_block_stop", StreamEvent(type="content_block_stop", index=self._block)

    def _delta(self, delta: BlockDelta) -> Chunk:
        return "content_block_delta", StreamEvent(type="content_block_delta", index=self._block, delta=delta)

    def _end_of(self, end: Finished) -> tuple[str, str | None]:
        """A stop string of the model's own settings or template is its way to end, as clients see it."""
        if end.finish_reason == "stop" and end.stop_string in self._stop_sequences:
            return "stop_sequence", end.stop_string
        return _STOP_REASONS[end.finish_reason], None

    def _message(self, content: list[ContentBlock], usage: MessageUsage) -> MessageAnswer:
        reason, sequence = self._end
        return MessageAnswer(
            id=self.id,
            model=self._model,
            content=content,
            stop_reason=reason,
            stop_sequence=sequence,
            usage=usage,
        )


@post("/v1/messages", status_code=200)
async def create_message(request: Request[Any, Any, Any], context: Context, body: RawBody) -> ASGIApp:
    """The model's next message, whole or as a stream of server-sent events, in Anthropic's words."""
    asked = decode_body(body, MessagesRequest)
    prompt = prompt_of(asked)
    model, fields = chat_model(context, asked.model), fields_of(asked)
    format_ = MessagesFormat(model.id, asked.stop_sequences or ())
    replies = model.answer(format_.id, prompt, sampling_of(fields, model.defaults), fields)
    return await answer(request, [replies], format_, stream=bool(asked.stream))


@post("/v1/messages/count_tokens", status_code=200)
async def count_message_tokens(request: Request[Any, Any, Any], context: Context, body: RawBody) -> ASGIApp:
    """How many tokens a chat is, with its tools, in the model's own template. Loads the model if need be."""
    elsewhere = remote_of(context, body)
    if elsewhere is not None:
        return await relay_if_there(request, context, elsewhere, COUNT_TOKENS, body)
    asked = decode_body(body, ChatParams)
    prompt = prompt_of(asked)
    runnable = resolve(context.pipeline.snapshot, context.settings.root, asked.model)
    refuse_unseen(prompt, runnable.spec)

    async def counted() -> CountedTokens:
        return CountedTokens(len(await context.pool.tokenize(runnable.spec.model_id, prompt)))

    return await answer_unless_gone(request, counted())


def _call_block(call: CallDelta, arguments: Raw) -> ContentBlock:
    id_ = f"toolu_{uuid.uuid4().hex[:24]}"
    return ContentBlock(type="tool_use", id=id_, name=call.name or "", input=arguments)


def _arguments(text: str) -> Raw:
    """A call's arguments, as any client can read them; those that broke off in the middle are none.

    Half a character, which JSON can spell and UTF-8 cannot, becomes U+FFFD, and what is no number null.
    """
    try:
        found = json.loads(text or "{}", parse_float=_finite, parse_constant=_finite)
        written = json.dumps(found, ensure_ascii=False)
    except (ValueError, RecursionError):
        return Raw(b"{}")
    return Raw(_SURROGATE.sub("\ufffd", written) if isinstance(found, dict) else b"{}")


def _finite(text: str) -> float | None:
    value = float(text)
    return value if math.isfinite(value) else None


def _usage(usage: Usage) -> MessageUsage:
    cached = usage.prompt_tokens_details.cached_tokens
    return MessageUsage(usage.prompt_tokens - cached, usage.completion_tokens, cached)
