"""A pool without engines: it answers what a test tells it to."""

import asyncio
import struct
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Literal

from msgspec.structs import replace

from janfs.engines.protocol import (
    CallDelta,
    ChatPrompt,
    Embeddable,
    Embedding,
    EngineInfo,
    EngineState,
    Finished,
    FinishReason,
    GenerateRequest,
    PlainText,
    Prompt,
    ReasoningDelta,
    Reply,
    RunSpec,
    Spent,
    TextDelta,
    TokenLogprob,
    Usage,
)
from janfs.errors import InvalidInput

INFO = EngineInfo(
    pid=1, load_seconds=0.1, n_ctx=64, n_ctx_train=64, n_parallel=1, n_vocab=8, n_params=1, description="fake"
)

State = Literal["stopped", "loading", "running", "stopping", "failed"]


class FakePool:
    """Answers every request with `texts`; an error among them is raised there.

    A prompt among the `misfits` is refused with its error where it is checked before it is answered; with
    `checks_held` such a check never ends, and with `words_held` no other question about tokens and texts;
    `checking` of them run.
    Inputs become its `vectors` in turn, of two tokens each, and are noted in `embedded`. Tokens
    stand for its `pieces`; texts and chats are noted in `told`.
    It stops for good before the text with the number `held`. `asked` holds the requests, `cancelled` counts
    those that were closed before they had ended.
    """

    def __init__(self, uid_of: Callable[[str], str] = lambda model_id: model_id) -> None:
        self._uid_of = uid_of
        self.reset()

    def reset(self) -> None:
        """Be as new."""
        self.texts: list[str | TextDelta | ReasoningDelta | CallDelta | Exception] = ["Hello", " there"]
        self.finish: FinishReason = "stop"
        self.stop_string: str | None = None
        self.held: int | None = None
        self.logprobs: tuple[TokenLogprob, ...] = ()
        self.asked: list[tuple[str, GenerateRequest]] = []
        self.vectors: list[tuple[float, ...]] | Exception = [(3.0, 4.0)]
        self.pieces = [b"caf", b"\xc3", b"\xa9"]
        self.told: list[Prompt | PlainText] = []
        self.misfits: dict[Prompt | PlainText, Exception] = {}
        self.checks_held = self.words_held = False
        self.checking = 0
        self.embedded: list[tuple[str, tuple[Embeddable, ...]]] = []
        self.stopped: list[str] = []
        self.cancelled = 0
        self.running = 0
        self.replaced: list[tuple[str, EngineState]] = []
        self.most_at_once = 0
        self.start_error: Exception | None = None
        self._states: dict[str, State] = {}

    async def start(self, model_id: str) -> EngineInfo:
        if self.start_error is not None:
            raise self.start_error
        self._states[self._uid_of(model_id)] = "running"
        return INFO

    def begin(self, model_id: str) -> None:
        if self.start_error is not None:
            raise self.start_error
        self._states[self._uid_of(model_id)] = "loading"

    def become(self, model_id: str, state: State) -> None:
        """Be in a state with a model from now on."""
        self._states[self._uid_of(model_id)] = state

    async def stop(self, uid: str, *, grace: float = 10.0, reason: str = "") -> bool:
        self.stopped.append(uid)
        return self._states.pop(uid, None) is not None

    def state(self, uid: str) -> EngineState:
        now = self._states.get(uid, "stopped")
        return EngineState(state=now, info=INFO if now == "running" else None)

    def states(self) -> dict[str, EngineState]:
        return {uid: self.state(uid) for uid in self._states}

    def leaving(self) -> list[tuple[str, EngineState]]:
        return self.replaced

    def fingerprint_of(self, spec: RunSpec) -> str:
        return spec.fingerprint

    @asynccontextmanager
    async def engine(self, model_id: str) -> AsyncIterator["FakeVectors"]:
        yield FakeVectors(self, model_id)

    async def hold(self) -> None:
        """Never end."""
        self.checking += 1
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self.checking -= 1

    async def tokenize(self, model_id: str, prompt: Prompt) -> tuple[int, ...]:
        if self.words_held:
            await self.hold()
        self.asked.append((model_id, GenerateRequest(request_id="", prompt=prompt)))
        return (1, 2, 3)

    async def generate(self, model_id: str, request: GenerateRequest) -> AsyncGenerator[Reply]:
        self.asked.append((model_id, request))
        self.running += 1
        self.most_at_once = max(self.most_at_once, self.running)
        ended = False
        try:
            for number, text in enumerate(self.texts):
                await asyncio.sleep(0)
                if self.held == number:
                    await asyncio.get_running_loop().create_future()
                if isinstance(text, Exception):
                    ended = True
                    raise text
                reply = TextDelta(text, self.logprobs) if isinstance(text, str) else text
                yield replace(reply, usage=Usage(7, 1, 5)) if number == 0 else reply
            ended = True
            usage = Usage(7, len(self.texts), 5)
            yield Finished(self.finish, usage, stop_string=self.stop_string, spent=Spent(0.5, 0.25))
        finally:
            self.running -= 1
            self.cancelled += not ended


class FakeVectors:
    """An engine that gives the vectors of its pool."""

    def __init__(self, pool: FakePool, model_id: str) -> None:
        self._pool = pool
        self._model_id = model_id

    async def embed(self, inputs: tuple[Embeddable, ...]) -> tuple[Embedding, ...]:
        self._pool.embedded.append((self._model_id, inputs))
        vectors = self._pool.vectors
        if isinstance(vectors, Exception):
            raise vectors
        chosen = [vectors[number % len(vectors)] for number in range(len(inputs))]
        return tuple(Embedding(struct.pack(f"<{len(each)}f", *each), 2) for each in chosen)

    async def tokenize(self, prompt: Prompt | PlainText, *, to_answer: bool = False) -> tuple[int, ...]:
        if to_answer and prompt in self._pool.misfits:
            raise self._pool.misfits[prompt]
        if self._pool.checks_held if to_answer else self._pool.words_held:
            await self._pool.hold()
        self._pool.told.append(prompt)
        return tuple(range(len(self._pool.pieces)))

    async def pieces(self, tokens: tuple[int, ...]) -> tuple[bytes, ...]:
        if self._pool.words_held:
            await self._pool.hold()
        if not all(token < len(self._pool.pieces) for token in tokens):
            raise InvalidInput("A token is not in the vocabulary.", param="tokens")
        return tuple(self._pool.pieces[token] for token in tokens)

    async def apply_template(self, prompt: ChatPrompt) -> str:
        if self._pool.words_held:
            await self._pool.hold()
        self._pool.told.append(prompt)
        return "a chat"
