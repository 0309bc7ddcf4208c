"""What an engine elsewhere sends, read piece by piece and written anew as ours. Pure."""

import codecs
import contextlib
from collections.abc import AsyncGenerator, AsyncIterable, Iterator
from typing import Any

import msgspec
from msgspec import Struct

from janfs.engines.protocol import Usage
from janfs.errors import UpstreamError

MOST_BYTES = 64 * 1024 * 1024  # of an answer that is not streamed, or of one message of a stream
DONE = b"[DONE]"  # the last message of a stream
_NO_COUNT = 2**53  # what JSON's readers cannot tell from its neighbours, and no model has tokens of
_ANSWERED = frozenset({"content", "reasoning_content", "reasoning", "refusal", "tool_calls", "audio"})


class Piece(Struct, frozen=True, kw_only=True):
    """A whole answer, or the next message of a stream, with what our own books want to know of it.

    `data` is None for a usage that nobody asked for. `told` says whether it has something of the answer in
    it, `ends` which answers end with it and how.
    """

    data: dict[str, Any] | None
    told: bool
    ends: dict[int, str]
    usage: Usage | None


class Rewriter:
    """Makes the messages of one answer ours: the model's name, the fingerprint, and no usage unasked."""

    def __init__(self, model: str, fingerprint: str, *, usage: bool) -> None:
        self._model = model
        self._fingerprint = fingerprint
        self._usage = usage

    def piece(self, said: bytes) -> Piece:
        """A message as ours. Raises `UpstreamError` for an error, and for what is no message."""
        try:
            data = msgspec.json.decode(said)
        except RecursionError as error:
            raise UpstreamError("what it sends is nested too deeply", elsewhere=True) from error
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise UpstreamError("what it sends is no JSON", elsewhere=True) from error
        if not isinstance(data, dict):
            raise UpstreamError("what it sends is no JSON object", elsewhere=True)
        if data.get("error") or data.get("object") == "error":
            raise UpstreamError(message_of(data) or "it sends an error without a message", elsewhere=True)
        choices = data.get("choices")
        parts = [each for each in choices if isinstance(each, dict)] if isinstance(choices, list) else []
        usage = _usage(data.get("usage"))
        if "model" in data:
            data["model"] = self._model
        if "choices" in data or "system_fingerprint" in data:
            data["system_fingerprint"] = self._fingerprint
        if not self._usage:
            data.pop("usage", None)
        ends = {
            _index(part): reason
            for part in parts
            if isinstance(reason := part.get("finish_reason"), str) and reason  # some say "" for none yet
        }
        wanted = self._usage or usage is None or choices != []
        told = bool(ends) or any(map(_tells, parts))
        return Piece(data=data if wanted else None, told=told, ends=ends, usage=usage)


async def messages(chunks: AsyncIterable[bytes]) -> AsyncGenerator[bytes]:
    """The data of each message in a stream of server-sent events; comments and names are left out.

    Raises `UpstreamError` for a message that has no end.
    """
    line: list[bytes] = []  # in parts: a long one comes in many, and must not be copied for each
    size = 0
    data: list[bytes] = []
    held = 0  # bytes of it
    mark = codecs.BOM_UTF8  # which a stream may begin with
    half = False  # whether the last line ended with a CR whose LF may be yet to come
    async for chunk in chunks:
        came = chunk[1:] if half and chunk.startswith(b"\n") else chunk
        half = chunk.endswith(b"\r") or (half and not chunk)
        *ends, rest = came.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        for end in ends:
            text = b"".join((*line, end)).removeprefix(mark)
            line, size, mark = [], 0, b""
            if text.startswith(b"data:"):
                data.append(text[5:].removeprefix(b" "))
                held += len(text)
            elif not text and data:
                yield b"\n".join(data)
                data, held = [], 0
        line.append(rest)
        size += len(rest)
        if size + held > MOST_BYTES:
            raise UpstreamError(f"a message of its stream has more than {MOST_BYTES:,} bytes")
    last = b"".join(line).removeprefix(mark)
    if last.startswith(b"data:") and _is_whole(b"\n".join((*data, last[5:]))):
        data.append(last[5:].removeprefix(b" "))
    if data:  # some end without the empty line, or even without the end of the last one
        yield b"\n".join(data)


def _is_whole(data: bytes) -> bool:
    """Whether a message was not cut: it is the last one, or an object with its end."""
    try:
        return data.strip() == DONE or isinstance(msgspec.json.decode(data), dict)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False


def too_deep() -> UpstreamError:
    """What the encoder cannot follow, as it is told: it may get less of the stack than the decoder had."""
    return UpstreamError("What the engine elsewhere sends is nested too deeply.")


def message_of(said: Any) -> str | None:
    """The message of an error in any of the shapes that servers have for it."""
    for text in _texts(said):
        if isinstance(text, str) and text.strip():
            return text.strip()
    return None


def _texts(said: Any) -> Iterator[Any]:
    if not isinstance(said, dict):
        return
    error = said.get("error")
    yield error.get("message") if isinstance(error, dict) else error
    yield said.get("message")
    detail = said.get("detail")
    with contextlib.suppress(RecursionError):  # as of `too_deep`
        yield detail if isinstance(detail, str) or detail is None else msgspec.json.encode(detail).decode()


def _tells(choice: dict[str, Any]) -> bool:
    """Whether a choice has anything of an answer in it."""
    if choice.get("text"):
        return True
    said = choice.get("delta", choice.get("message"))
    return isinstance(said, dict) and any(said.get(name) for name in _ANSWERED)


def _index(choice: dict[str, Any]) -> int:
    index = choice.get("index")
    return index if isinstance(index, int) else 0


def _usage(said: Any) -> Usage | None:
    if not isinstance(said, dict):
        return None
    prompt, answer = count_of(said.get("prompt_tokens")), count_of(said.get("completion_tokens"))
    return Usage(
        prompt,
        answer,
        _detail(said.get("prompt_tokens_details"), "cached_tokens", prompt),
        _detail(said.get("completion_tokens_details"), "reasoning_tokens", answer),
    )


def _detail(details: Any, name: str, of: int) -> int:
    """A part of a count; some count it for itself, beside the rest."""
    return min(of, count_of(details.get(name))) if isinstance(details, dict) else 0


def count_of(said: Any) -> int:
    """A number of tokens as a server says it; 0 for whatever is none."""
    return said if isinstance(said, int) and not isinstance(said, bool) and 0 < said < _NO_COUNT else 0
