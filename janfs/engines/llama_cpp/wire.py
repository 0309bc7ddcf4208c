"""What host and worker say to each other: MessagePack messages, each after its length in 4 bytes, big-endian.

The first frame to the worker says what to `Load`, every further one is a command. Events come back in
lists: what one step has for all requests. An id names one command and is never used again.
"""

import struct
from collections.abc import Sequence

import msgspec

from janfs.engines.protocol import (
    ChatPrompt,
    Embeddable,
    Embedding,
    EngineInfo,
    EngineSettings,
    GenerateRequest,
    PlainText,
    Prompt,
    Reply,
)
from janfs.errors import (
    ContextExceeded,
    EngineError,
    InvalidInput,
    JanfsError,
    LoadFailed,
    UnsupportedParameter,
)

MAX_FRAME = 64 * 2**20  # bytes
HEADER = struct.Struct(">I")


class Load(msgspec.Struct, frozen=True):
    """What to load. The paths are in bytes, since a file's name need not be Unicode."""

    path: bytes
    settings: EngineSettings
    adapters: tuple[bytes, ...] = ()
    projector: bytes | None = None


class Generate(msgspec.Struct, frozen=True, tag="generate"):
    """Answered by `Answer`s up to one that is `Finished`, or by one `Failure`."""

    id: str
    request: GenerateRequest


class Embed(msgspec.Struct, frozen=True, tag="embed"):
    """Answered by `Vectors`, until there is one for each input, or by one `Failure`."""

    id: str
    inputs: tuple[Embeddable, ...]


class Cancel(msgspec.Struct, frozen=True, tag="cancel"):
    """End a `Generate` or an `Embed` without another word."""

    id: str


class Tokenize(msgspec.Struct, frozen=True, tag="tokenize"):
    """Answered by `Tokens` or `Failure`; of a prompt `to_answer` by the one that `Generate` would have."""

    id: str
    prompt: Prompt | PlainText
    to_answer: bool = False


class Spell(msgspec.Struct, frozen=True, tag="spell"):
    """Answered by `Pieces` or `Failure`."""

    id: str
    tokens: tuple[int, ...]


class ApplyTemplate(msgspec.Struct, frozen=True, tag="apply-template"):
    """Answered by `Rendered` or `Failure`."""

    id: str
    prompt: ChatPrompt


class Ping(msgspec.Struct, frozen=True, tag="ping"):
    """Answered by `Pong` at once, whatever the worker computes."""

    id: str = ""


class Share(msgspec.Struct, frozen=True, tag="share"):
    """So many engines compute at once, this one counted; without an answer."""

    engines: int
    id: str = ""


class Spare(msgspec.Struct, frozen=True, tag="spare"):
    """Give up what is kept only to be faster. Answered by `Spared`, between two steps."""

    id: str


Command = Ping | Share | Spare | Generate | Embed | Cancel | Tokenize | Spell | ApplyTemplate


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """The model is loaded. A `Failure` with an empty id comes in its place when it could not be."""

    info: EngineInfo


class Pong(msgspec.Struct, frozen=True, tag="pong"):
    """The worker lives."""

    id: str = ""


class Worn(msgspec.Struct, frozen=True, tag="worn"):
    """The worker answers, but something in it takes a processor for good: it should be replaced."""

    id: str = ""


class Answer(msgspec.Struct, frozen=True, tag="answer"):
    """The next reply of a `Generate`."""

    id: str
    reply: Reply


class Vectors(msgspec.Struct, frozen=True, tag="vectors"):
    """The next ones of an `Embed`, in the order of its inputs."""

    id: str
    embeddings: tuple[Embedding, ...]


class Tokens(msgspec.Struct, frozen=True, tag="tokens"):
    id: str
    tokens: tuple[int, ...]


class Pieces(msgspec.Struct, frozen=True, tag="pieces"):
    id: str
    pieces: tuple[bytes, ...]


class Rendered(msgspec.Struct, frozen=True, tag="rendered"):
    id: str
    text: str


class Spared(msgspec.Struct, frozen=True, tag="spared"):
    """So many bytes are free again."""

    id: str
    nbytes: int


class Failure(msgspec.Struct, frozen=True, tag="failure"):
    """An error of the tree in `janfs.errors`; `sizes` are `ContextExceeded`'s two numbers."""

    id: str
    code: str
    detail: str
    param: str | None = None
    sizes: tuple[int, int] | None = None


Event = Ready | Pong | Worn | Answer | Vectors | Tokens | Pieces | Rendered | Spared | Failure

_encoder = msgspec.msgpack.Encoder()
_loads: msgspec.msgpack.Decoder[Load] = msgspec.msgpack.Decoder(Load)
_commands: msgspec.msgpack.Decoder[Command] = msgspec.msgpack.Decoder(Command)
_events: msgspec.msgpack.Decoder[list[Event]] = msgspec.msgpack.Decoder(list[Event])


def encode_command(command: Command | Load) -> bytes:
    """A frame. Raises `InvalidInput` if it would be too long, or holds text that is not Unicode."""
    return _frame(command, "The request")


def encode_events(events: Sequence[Event]) -> bytes:
    """A frame, or one for each where they are long. What is too long for any is a failure of its request."""
    try:
        return _frame(events, "The answer")
    except InvalidInput as error:
        if len(events) > 1:
            return b"".join(encode_events([each]) for each in events)
        (event,) = events
        if isinstance(event, Ready):
            raise
        return _frame([failure(event.id, error)], "The answer")


def decode_load(payload: bytes) -> Load:
    return _loads.decode(payload)


def decode_command(payload: bytes) -> Command:
    return _commands.decode(payload)


def decode_events(payload: bytes | bytearray) -> list[Event]:
    return _events.decode(payload)


def failure(request_id: str, error: JanfsError) -> Failure:
    """An error as it goes over the wire."""
    sizes = (error.n_prompt_tokens, error.n_ctx) if isinstance(error, ContextExceeded) else None
    return Failure(request_id, error.code, error.detail, error.param, sizes)


def answer(request_id: str, reply: Reply | JanfsError) -> Answer | Failure:
    """What a `Generate` is told next."""
    return failure(request_id, reply) if isinstance(reply, JanfsError) else Answer(request_id, reply)


def vectors(request_id: str, outcome: tuple[Embedding, ...] | JanfsError) -> Vectors | Failure:
    """What an `Embed` is told next."""
    return failure(request_id, outcome) if isinstance(outcome, JanfsError) else Vectors(request_id, outcome)


def error_of(failure: Failure) -> JanfsError:
    """The error that went over the wire."""
    if failure.sizes is not None:
        return ContextExceeded(*failure.sizes, param=failure.param)
    for kind in (InvalidInput, UnsupportedParameter, LoadFailed):
        if failure.code == kind.code:
            return kind(failure.detail, param=failure.param)
    return EngineError(failure.detail, param=failure.param)


def _frame(message: object, what: str) -> bytes:
    try:
        payload = _encoder.encode(message)
    except UnicodeEncodeError as error:
        raise InvalidInput("The text holds half of a surrogate pair, which is not a character.") from error
    if len(payload) > MAX_FRAME:
        raise InvalidInput(f"{what} has {len(payload)} bytes, at most {MAX_FRAME} are allowed.")
    return HEADER.pack(len(payload)) + payload
