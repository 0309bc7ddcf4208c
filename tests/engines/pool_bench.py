"""A pool of fake engines, on a machine with as much memory as a test says."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Iterator
from contextlib import aclosing, contextmanager

import msgspec

from janfs.engines.fit import Room, taken
from janfs.engines.places import PoolLimits
from janfs.engines.pool import EnginePool
from janfs.engines.protocol import (
    EngineFact,
    EngineSettings,
    Finished,
    GenerateRequest,
    RunSpec,
    SamplingParams,
    TextPrompt,
)
from janfs.errors import (
    ModelNotFound,
)
from tests.engines.fake_engine import FakeFactory
from tests.engines.shapes import SMOLLM2
from tests.support.patience import PATIENCE

FOREVER = 100_000  # words: more than any test waits for


class Bench:
    """A pool of fakes, the models it knows, and the facts it told. What does not come in time is not waited
    for where its `limits` say so.
    """

    def __init__(self, **limits: float) -> None:
        self.machine = 2**62  # bytes of memory
        self.gpu: int | None = None
        self.lost: dict[int, int] = {}  # by process, what does not come back when it ends
        self.specs = {name: spec_of(name) for name in ("a", "b", "c")}
        self.facts: list[EngineFact] = []
        self.factory = FakeFactory()
        self.numbers = iter(range(1_000_000))
        self.pool = EnginePool(
            self.find,
            self.record,
            {"fake": self.factory},
            PoolLimits(**{"patience": PATIENCE, "settle": PATIENCE, **limits}),
            free=self.free,
            free_on_gpus=self.free_on_gpus,
        )

    def free(self, pids: Collection[int]) -> int:
        """What the machine has left beside the engines that live, and what was lost of those that ended."""
        room = Room(0, self.gpu)
        alive = sum(taken(engine.spec, room).host + engine.kept for engine in self.factory.alive)
        lost = sum(self.lost.get(engine.info.pid, 0) for engine in self.factory.engines if engine.ended)
        return self.machine - alive - lost

    async def free_on_gpus(self) -> int | None:
        """What the machine's GPU has left."""
        if self.gpu is None:
            return None
        return self.gpu - sum(taken(engine.spec, Room(0, 0)).device for engine in self.factory.alive)

    def sizes(self, *, lowerable: bool = False, **contexts: int) -> None:
        """Give models a shape, and so many tokens of context."""
        for name, context in contexts.items():
            self.specs[name] = msgspec.structs.replace(
                self.specs[name],
                shape=SMOLLM2,
                settings=EngineSettings(ctx_len=context, n_parallel=2),
                lowerable=frozenset({"ctx_len"}) if lowerable else frozenset(),
            )

    def states(self) -> str:
        """What the models do, in the order of their names."""
        return " ".join(self.pool.state(f"uid-{name}").state for name in self.specs)

    def find(self, model_id: str) -> RunSpec:
        if model_id not in self.specs:
            raise ModelNotFound(model_id)
        return self.specs[model_id]

    async def record(self, fact: EngineFact) -> None:
        self.facts.append(fact)

    def change(self, name: str, fingerprint: str) -> None:
        self.specs[name] = msgspec.structs.replace(self.specs[name], fingerprint=fingerprint)

    async def ask(self, name: str, words: int = 3) -> Finished:
        """A whole answer; each word is counted."""
        request = GenerateRequest(
            request_id=f"r{next(self.numbers)}",
            prompt=TextPrompt("hello"),
            sampling=SamplingParams(max_tokens=words),
        )
        async with aclosing(self.pool.generate(name, request)) as replies:
            async for reply in replies:
                if isinstance(reply, Finished):
                    assert reply.usage.completion_tokens == words
                    return reply
        raise AssertionError("the answer had no end")

    def kinds(self, uid: str | None = None) -> list[type]:
        return [type(fact) for fact in self.facts if uid is None or fact.uid == uid]


def spec_of(name: str) -> RunSpec:
    settings = EngineSettings(ctx_len=2 * FOREVER, n_parallel=2)
    return RunSpec(
        model_id=name,
        uid=f"uid-{name}",
        engine="fake",
        path=f"/{name}.gguf",
        settings=settings,
        fingerprint="one",
    )


async def until(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"it never happened that {what}"
        await asyncio.sleep(0.001)


def run(test: Callable[[Bench], Awaitable[None]], **limits: float) -> Bench:
    """Run a scenario on a fresh pool, close it, and check that nothing is left."""

    async def whole() -> Bench:
        bench = Bench(**limits)
        await test(bench)
        await bench.pool.close(0)
        assert not bench.factory.alive, "engines outlived the pool"
        left = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.sleep(0)
        assert not {task for task in left if not task.done()}, f"tasks were left: {left}"
        return bench

    return asyncio.run(whole())


@contextmanager
def cancelling(*tasks: "asyncio.Task[Finished]") -> Iterator[None]:
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
