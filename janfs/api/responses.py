"""/v1/responses: chats as OpenAI's newer API has them, without its memory.

Reference: https://platform.openai.com/docs/api-reference/responses
"""

import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from litestar import Request, post
from litestar.params import RawBody
from litestar.types import ASGIApp
from msgspec.structs import asdict, replace

from janfs.api.chat_model import chat_model
from janfs.api.context import Context
from janfs.api.error_bodies import ErrorDetail
from janfs.api.errors import decode_body
from janfs.api.generation import Answered, Chunk, answer, refused_of
from janfs.api.logprobs import ContentLogprob, chat_logprobs
from janfs.api.responses_request import ResponsesRequest, TextFormat, fields_of, logprobs_of, prompt_of
from janfs.api.responses_views import (
    FailedBecause,
    IncompleteBecause,
    OutputItem,
    OutputText,
    ResponseEvent,
    ResponseView,
    Status,
    response_usage,
)
from janfs.api.sampling import sampling_of
from janfs.api.usage import Usage
from janfs.engines.protocol import (
    CallDelta,
    Finished,
    ReasoningDelta,
    Reply,
    SamplingParams,
    TextDelta,
    TokenLogprob,
)

_INCOMPLETE = {
    "length": IncompleteBecause("max_output_tokens"),
    "content_filter": IncompleteBecause("content_filter"),
}
_NAMES = {"messages": "input", "json_schema": "text.format.schema"}  # of what an engine may refuse


class _Open(NamedTuple):
    """The item that is being written: how it began, and what is there of it."""

    kind: tuple[str, int]  # a call's has its number
    item: OutputItem
    text: str = ""
    logprobs: tuple[TokenLogprob, ...] = ()

    def now(self, status: Status) -> OutputItem:
        """The item with all that is there of it."""
        if self.item.type == "function_call":
            return replace(self.item, status=status, arguments=self.text)
        return replace(self.item, status=status, content=[_part(self.item, self.text, self.logprobs)])


class ResponsesFormat:
    """See `janfs.api.generation.Format`; remembers which item of the one answer is being written."""

    done = b""

    def __init__(self, begun: ResponseView, fingerprint: Callable[[], str]) -> None:
        self._begun = begun
        self._fingerprint = fingerprint
        self._open: _Open | None = None
        self._output: list[OutputItem] = []  # those that are whole
        self._sent = 0
        self._ended: Status = "completed"
        self._because: IncompleteBecause | None = None

    @property
    def _response(self) -> ResponseView:
        return replace(self._begun, system_fingerprint=self._fingerprint())

    def whole(self, answers: Sequence[Answered], usage: Usage) -> ResponseView:
        [one] = answers
        for reply in _replies(one):
            for _ in self.tell(0, reply):
                pass
        return self._finished(usage)

    def begin(self, _count: int, _first: Reply) -> Iterator[Chunk]:
        yield self._event("response.created", response=self._response)
        yield self._event("response.in_progress", response=self._response)

    def tell(self, _number: int, reply: Reply) -> Iterator[Chunk]:
        match reply:
            case ReasoningDelta(text):
                item = OutputItem(
                    id=_id("rs"), type="reasoning", status="in_progress", summary=[], content=[]
                )
                yield from self._switch(("reasoning", 0), item)
                yield self._add("response.reasoning_text.delta", text, content_index=0)
            case TextDelta(text, logprobs):
                yield from self._begin_message()
                yield self._add("response.output_text.delta", text, logprobs, content_index=0)
            case CallDelta(index, name, arguments):
                item = OutputItem(
                    id=_id("fc"), type="function_call", status="in_progress", call_id=_id("call"),
                    name=name or "", arguments="",
                )  # fmt: skip
                yield from self._switch(("call", index), item)
                if arguments:
                    yield self._add("response.function_call_arguments.delta", arguments)
            case Finished(reason):
                self._because = _INCOMPLETE.get(reason)
                self._ended = "completed" if self._because is None else "incomplete"
                if self._open is None:  # nothing was said; a message says so
                    yield from self._begin_message()
                yield from self._close(self._ended)

    def end(self, usage: Usage) -> Iterator[Chunk]:
        yield self._event(f"response.{self._ended}", response=self._finished(usage))

    def failed(self, error: ErrorDetail) -> Chunk:
        because = FailedBecause(error.message)
        output = [*self._output, *([self._open.now("incomplete")] if self._open is not None else [])]
        broken = replace(self._response, status="failed", error=because, output=output)
        return self._event("response.failed", response=broken)

    def _finished(self, usage: Usage) -> ResponseView:
        return replace(
            self._response,
            status=self._ended,
            output=self._output,
            incomplete_details=self._because,
            usage=response_usage(usage),
        )

    def _begin_message(self) -> Iterator[Chunk]:
        item = OutputItem(id=_id("msg"), type="message", status="in_progress", role="assistant", content=[])
        return self._switch(("message", 0), item)

    def _switch(self, kind: tuple[str, int], item: OutputItem) -> Iterator[Chunk]:
        if self._open is not None and self._open.kind == kind:
            return
        yield from self._close("completed")
        self._open = _Open(kind, item)
        yield self._event("response.output_item.added", output_index=len(self._output), item=item)
        if item.type != "function_call":
            yield self._about("response.content_part.added", content_index=0, part=_part(item, "", ()))

    def _add(self, type_: str, text: str, logprobs: tuple[TokenLogprob, ...] = (), **fields: Any) -> Chunk:
        assert self._open is not None
        self._open = self._open._replace(text=self._open.text + text, logprobs=self._open.logprobs + logprobs)
        if self._open.item.type == "message":
            fields["logprobs"] = _logprobs(logprobs)
        return self._about(type_, delta=text, **fields)

    def _close(self, status: Status) -> Iterator[Chunk]:
        if self._open is None:
            return
        (_, item, text, logprobs), whole = self._open, self._open.now(status)
        if item.type == "function_call":
            yield self._about("response.function_call_arguments.done", name=item.name, arguments=text)
        else:
            if item.type == "message":
                all_of_them = _logprobs(logprobs)
                yield self._about(
                    "response.output_text.done", content_index=0, text=text, logprobs=all_of_them
                )
            else:
                yield self._about("response.reasoning_text.done", content_index=0, text=text)
            part = _part(item, text, logprobs)
            yield self._about("response.content_part.done", content_index=0, part=part)
        yield self._event("response.output_item.done", output_index=len(self._output), item=whole)
        self._output.append(whole)
        self._open = None

    def _about(self, type_: str, **fields: Any) -> Chunk:
        """An event about the item that is being written."""
        assert self._open is not None
        return self._event(type_, item_id=self._open.item.id, output_index=len(self._output), **fields)

    def _event(self, type_: str, **fields: Any) -> Chunk:
        number, self._sent = self._sent, self._sent + 1
        return type_, ResponseEvent(type=type_, sequence_number=number, **fields)


@post("/v1/responses", status_code=200)
async def create_response(request: Request[Any, Any, Any], context: Context, body: RawBody) -> ASGIApp:
    """The model's response to an input, whole or as a stream of server-sent events. Nothing is stored."""
    asked = decode_body(body, ResponsesRequest)
    prompt = prompt_of(asked)
    logprobs = logprobs_of(asked)
    model, fields = chat_model(context, asked.model), fields_of(asked)
    sampling = sampling_of(fields, model.defaults, logprobs=logprobs)
    response = _begun(asked, sampling, model.id)
    replies = refused_of(_NAMES, model.answer(response.id, prompt, sampling, fields))
    format_ = ResponsesFormat(response, model.fingerprint)
    return await answer(request, [replies], format_, stream=bool(asked.stream))


def _begun(asked: ResponsesRequest, sampling: SamplingParams, model: str) -> ResponseView:
    choice = asked.tool_choice or "auto"
    format_ = asked.text.format if asked.text is not None else None
    return ResponseView(
        id=_id("resp"),
        created_at=int(time.time()),
        model=model,
        instructions=asked.instructions,
        max_output_tokens=sampling.max_tokens,
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        tools=[{"parameters": {}, "strict": False} | tool for tool in asked.tools or ()],
        tool_choice=choice if isinstance(choice, str) else _given(choice),
        parallel_tool_calls=asked.parallel_tool_calls is not False,
        text={"format": _given(format_ or TextFormat())},
        metadata=asked.metadata or {},
    )


def _given(fields: Any) -> dict[str, Any]:
    return {name: value for name, value in asdict(fields).items() if value is not None}


def _replies(one: Answered) -> Iterator[Reply]:
    """A whole answer as if it came piece by piece."""
    if one.reasoning:
        yield ReasoningDelta(one.reasoning)
    if one.text:
        yield TextDelta(one.text, one.logprobs)
    yield from one.calls
    yield one.end


def _part(item: OutputItem, text: str, logprobs: Sequence[TokenLogprob]) -> OutputText:
    if item.type == "reasoning":
        return OutputText(type="reasoning_text", text=text)
    return OutputText(type="output_text", text=text, annotations=[], logprobs=_logprobs(logprobs))


def _logprobs(tokens: Sequence[TokenLogprob]) -> list[ContentLogprob]:
    return chat_logprobs(tokens).content


def _id(kind: str) -> str:
    return f"{kind}_{uuid.uuid4().hex}"
