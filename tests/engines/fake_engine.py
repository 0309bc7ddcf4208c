"""An engine without a model: a token is a word, and takes a millisecond."""

import asyncio
import itertools
import struct
from collections.abc import AsyncGenerator

from msgspec.structs import replace

from janfs.engines.protocol import (
    ChatPrompt,
    Embeddable,
    Embedding,
    EngineExit,
    EngineInfo,
    Finished,
    GenerateRequest,
    PairPrompt,
    PlainText,
    Prompt,
    Reply,
    RunSpec,
    SpecPart,
    TextDelta,
    TokenPrompt,
    Usage,
    describe_exit,
)
from janfs.errors import (
    ContextExceeded,
    EngineError,
    InvalidInput,
    JanfsError,
    LoadFailed,
    OutOfMemory,
    WorkerCrashed,
)

TICK = 0.001


class FakeEngine:
    def __init__(self, spec: RunSpec, pid: int) -> None:
        self.spec = spec
        self.live: list[str] = []
        self.sharing = 1
        self.closing = False
        self.kept = 0  # bytes that it takes only to be faster
        self.info = EngineInfo(
            pid=pid,
            load_seconds=0.0,
            n_ctx=spec.settings.ctx_len,
            n_ctx_train=spec.settings.ctx_len,
            n_parallel=spec.settings.n_parallel,
            n_vocab=100,
            n_params=1,
            description="a fake",
        )
        self._error: JanfsError | None = None
        self.wear = asyncio.Event()
        self._exit: asyncio.Future[EngineExit] = asyncio.get_running_loop().create_future()

    @property
    def ended(self) -> bool:
        return self._exit.done()

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[Reply]:
        if self._error:
            raise self._error
        size = len(await self.tokenize(request.prompt, to_answer=True))
        self.live.append(request.request_id)
        room = self.info.n_ctx - size
        words = min(room, request.sampling.max_tokens or room)
        try:
            for number in range(words):
                await asyncio.sleep(TICK)
                if self._error:
                    raise self._error
                yield TextDelta(f"word{number} ", usage=Usage(size, 1) if number == 0 else None)
            yield Finished("length", Usage(size, words))
        finally:
            self.live.remove(request.request_id)

    async def embed(self, inputs: tuple[Embeddable, ...]) -> tuple[Embedding, ...]:
        if not self.spec.settings.embedding:
            raise InvalidInput("This fake makes no embeddings.", param="model")
        found = []
        for number, each in enumerate(inputs):
            await asyncio.sleep(TICK)
            if self._error:
                raise self._error
            if isinstance(each, PairPrompt):
                raise InvalidInput("This fake does not rank.", param="model")
            size = len(await self.tokenize(each))
            if size > self.info.n_ctx:
                raise ContextExceeded(size, self.info.n_ctx, param=f"input[{number}]")
            found.append(Embedding(struct.pack("<2f", size, 1), size))
        return tuple(found)

    async def tokenize(self, prompt: Prompt | PlainText, *, to_answer: bool = False) -> tuple[int, ...]:
        tokens = await self._tokens_of(prompt)
        if to_answer and len(tokens) >= self.info.n_ctx:
            raise ContextExceeded(len(tokens), self.info.n_ctx, param="prompt")
        return tokens

    async def _tokens_of(self, prompt: Prompt | PlainText) -> tuple[int, ...]:
        if isinstance(prompt, TokenPrompt):
            return prompt.tokens
        text = await self.apply_template(prompt) if isinstance(prompt, ChatPrompt) else prompt.text
        return tuple(range(len(text.split()))) or (0,) * (not isinstance(prompt, PlainText))

    async def pieces(self, tokens: tuple[int, ...]) -> tuple[bytes, ...]:
        if not all(0 <= token < self.info.n_vocab for token in tokens):
            raise InvalidInput("A token is not in the vocabulary.", param="tokens")
        return tuple(f"word{token} ".encode() for token in tokens)

    async def apply_template(self, prompt: ChatPrompt) -> str:
        return " ".join(f"{message.role}: {message.content}" for message in prompt.messages)

    async def spare(self) -> int:
        await asyncio.sleep(TICK)
        if self._error:
            raise self._error
        freed, self.kept = self.kept, 0
        return freed

    def share(self, engines: int) -> None:
        self.sharing = engines

    async def worn(self) -> None:
        await self.wear.wait()

    async def wait(self) -> EngineExit:
        return await asyncio.shield(self._exit)

    async def close(self, grace: float, reason: str) -> None:
        self.closing = True
        deadline = asyncio.get_running_loop().time() + grace
        while self.live and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(TICK)
        self._error = self._error or EngineError(reason)
        if not self.ended:
            self._exit.set_result(EngineExit(code=0, signal=None))

    def crash(self) -> None:
        end = EngineExit(code=None, signal="SIGKILL", stderr_tail=("out of luck",))
        self._error = WorkerCrashed(f"The engine {describe_exit(end)}")
        self._exit.set_result(end)


class FakeFactory:
    """Loads fakes and keeps them. `hold` makes loads wait for `release`, `failing` lets them fail.

    What it loads has read a `grammar`. There is `enough` memory for the context of all that live, in tokens,
    whatever somebody thinks it takes.
    """

    def __init__(self) -> None:
        self.engines: list[FakeEngine] = []
        self.failing: str | None = None
        self.enough: int | None = None
        self.grammar: SpecPart | None = None  # that is read
        self.loads = 0
        self.most_alive = 0
        self._pids = itertools.count(1000)
        self._gate = asyncio.Event()
        self._gate.set()

    def hold(self) -> None:
        self._gate.clear()

    def release(self) -> None:
        self._gate.set()

    @property
    def alive(self) -> list[FakeEngine]:
        return [engine for engine in self.engines if not engine.ended]

    async def __call__(self, spec: RunSpec) -> FakeEngine:
        self.loads += 1
        await asyncio.sleep(TICK)
        await self._gate.wait()
        if self.failing:
            raise LoadFailed(self.failing)
        if self.enough is not None:
            alive = sum(engine.spec.settings.ctx_len for engine in self.alive)
            if alive + spec.settings.ctx_len > self.enough:
                raise OutOfMemory("There is no memory left.")
        engine = FakeEngine(spec, next(self._pids))
        engine.info = replace(engine.info, grammar=self.grammar)
        self.engines.append(engine)
        self.most_alive = max(self.most_alive, len(self.alive))
        return engine
