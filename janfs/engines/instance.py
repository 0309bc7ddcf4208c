"""One engine in the pool: who holds it, what it is doing, and what ends it. No policy: that is the pool's."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable
from contextlib import aclosing
from enum import Enum
from typing import Any

from janfs.engines.memory import Split
from janfs.engines.protocol import (
    Engine,
    EngineCrashed,
    EngineExit,
    EngineFact,
    EngineState,
    EngineStopped,
    Finished,
    GenerateRequest,
    Reply,
    RunSpec,
    describe_exit,
)
from janfs.engines.throughput import Throughput
from janfs.errors import JanfsError


class Phase(Enum):
    WAITING = "waiting"  # for a place
    LOADING = "loading"
    RUNNING = "running"
    STOPPING = "stopping"


class Instance:
    """An engine from the first request for it to its end. `life` is the coroutine of its task.

    A reference is taken before the engine is ready, so nobody can take it away in between. `wanted` is the
    latest spec that asks for this engine, `spec` the one that it is loaded with, which may be lowered to fit;
    `takes` is the memory it takes by estimate.
    """

    def __init__(
        self,
        spec: RunSpec,
        clock: Callable[[], float],
        life: "Callable[[Instance], Coroutine[Any, Any, None]]",
    ) -> None:
        self.wanted = self.spec = spec
        self.takes = Split(0, 0)
        self.pid: int | None = None
        self.phase = Phase.WAITING
        self.open = True  # takes requests
        self.refs = 0
        self.lost = 0  # requests that have failed with its process
        self.last_used = time.monotonic()
        self.used_at = clock()
        self.unloads_at: float | None = None  # if it stays unused
        self.replaced = False
        self.reason = ""
        self.grace = 0.0
        self.ready: asyncio.Future[Engine] = asyncio.get_running_loop().create_future()
        self._clock = clock
        self._since = clock()
        self._unused = asyncio.Event()
        self._unused.set()
        self._draining = asyncio.Event()
        self._cut = asyncio.Event()  # do not wait for those that run
        self._hurried = asyncio.Event()  # nor for as long as was said before
        self._wrote = Throughput()
        self._rest: asyncio.TimerHandle | None = None
        self.task = asyncio.create_task(life(self), name=f"engine {spec.model_id}")

    def serves(self, spec: RunSpec) -> bool:
        """Whether it answers a spec as that says: nothing of it is lowered that may not be."""
        return self.wanted.version == spec.version and self.lowered.keys() <= spec.lowerable

    def acquire(self) -> None:
        self.refs += 1
        self._unused.clear()
        self._wake()

    def release(self) -> None:
        self.refs -= 1
        self.last_used = time.monotonic()
        self.used_at = self._clock()
        if self.refs == 0:
            self._unused.set()

    def load(self, spec: RunSpec, takes: Split) -> None:
        """Begin to load with these settings."""
        self.spec, self.takes = spec, takes
        self.enter(Phase.LOADING)

    def rest(self, keep_alive: float | None) -> None:
        """Unload unless somebody comes, in so many seconds if it wants no others; None: never."""
        self._wake()
        own = self.wanted.keep_alive
        after = keep_alive if own is None else own
        if after is None or after < 0 or self.wanted.pinned:
            return
        if self.refs == 0 and self.phase is Phase.RUNNING:
            reason = f"nobody used it for {after:g} seconds"
            self.unloads_at = self._clock() + after
            self._rest = asyncio.get_running_loop().call_later(after, self.drain, reason)

    def _wake(self) -> None:
        self.unloads_at = None
        if self._rest is not None:
            self._rest.cancel()
            self._rest = None

    def enter(self, phase: Phase) -> None:
        self.phase = phase
        self._since = self._clock()

    def drain(self, reason: str, *, replaced: bool = False) -> None:
        """Take no more requests, and end when the last has ended."""
        self.open = False
        self.reason = self.reason or reason
        self.replaced = replaced
        self._draining.set()
        self._wake()
        if self.phase is Phase.RUNNING:
            self.enter(Phase.STOPPING)

    def end(self, reason: str, grace: float) -> None:
        """End within `grace` seconds; a load is broken off. Told again, it does not take longer."""
        told = self._cut.is_set()
        if told and grace < self.grace:
            self._hurried.set()
        self.grace = min(grace, self.grace) if told else grace
        self.drain(reason, replaced=self.replaced)
        self._cut.set()
        if self.phase in {Phase.WAITING, Phase.LOADING} and not told:
            self.task.cancel()

    async def serve(self, engine: Engine) -> EngineExit | None:
        """Hand the engine to those who wait, until it is to be closed (None) or has ended by itself."""
        self.enter(Phase.STOPPING if self._draining.is_set() else Phase.RUNNING)
        self.ready.set_result(engine)
        exit_ = asyncio.ensure_future(engine.wait())
        await _first(exit_, self._draining.wait(), engine.worn())
        if not (exit_.done() or self._draining.is_set()):
            self.drain("work without end takes a processor", replaced=True)
        self.enter(Phase.STOPPING)
        if not exit_.done():
            await _first(exit_, self._unused.wait(), self._cut.wait())
        if exit_.done():
            return exit_.result()
        exit_.cancel()
        return None

    async def close(self, engine: Engine) -> None:
        """Close the engine with the grace that there is; with less, once `end` is told of less meanwhile."""
        reason = f"The model was unloaded: {self.reason}."
        closing = asyncio.ensure_future(engine.close(self.grace, reason))
        await _first(closing, self._hurried.wait())
        if not closing.done():
            await engine.close(self.grace, reason)
        await closing

    async def generate(self, engine: Engine, request: GenerateRequest) -> AsyncGenerator[Reply]:
        """What the engine answers, counted on the way: a piece is a token, and the end tells of the rest."""
        pieces = 0
        async with aclosing(engine.generate(request)) as replies:
            async for reply in replies:
                if isinstance(reply, Finished):
                    self._wrote.add(max(0, reply.usage.completion_tokens - pieces), time.monotonic())
                else:
                    pieces += reply.pieces
                    self._wrote.add(reply.pieces, time.monotonic())
                yield reply

    def fail(self, error: JanfsError) -> None:
        """Tell those who wait that there will be no engine."""
        if not self.ready.done():
            self.ready.set_exception(error)
            self.ready.exception()  # nobody may be waiting any more, which is no fault

    def outcome(self, crash: EngineExit | None) -> tuple[EngineState, EngineFact]:
        """What is shown and told once it has been closed, or its process died."""
        uid, named, now = self.spec.uid, self.spec.fingerprint, self._clock()
        if crash is None:
            ended = EngineState(state="stopped", reason=self.reason, since=now)
            return ended, EngineStopped(uid=uid, fingerprint=named, reason=self.reason)
        failed = EngineState(state="failed", reason=f"The engine {describe_exit(crash)}", since=now)
        died = self.lost + self.refs
        return failed, EngineCrashed(uid=uid, fingerprint=named, requests=died, exit=crash)

    @property
    def lowered(self) -> dict[str, int]:
        """The settings that are lower than wanted, so that it fits."""
        return {
            name: getattr(self.spec.settings, name)
            for name in sorted(self.wanted.lowerable)
            if getattr(self.spec.settings, name) != getattr(self.wanted.settings, name)
        }

    @property
    def engine(self) -> Engine | None:
        """The engine, once it is loaded."""
        return self.ready.result() if self.ready.done() and not self.ready.exception() else None

    def state(self) -> EngineState:
        loading = self.phase in {Phase.WAITING, Phase.LOADING}
        active = 0 if loading else min(self.refs, self.spec.settings.n_parallel)
        engine = self.engine
        return EngineState(
            state="loading" if loading else "stopping" if self.phase is Phase.STOPPING else "running",
            reason=self.reason or None,
            since=self._since,
            active=active,
            waiting=self.refs - active,
            fingerprint=self.spec.fingerprint,
            wanted=self.wanted.fingerprint,
            info=engine.info if engine else None,
            memory=self.takes.host + self.takes.device,
            lowered=self.lowered,
            last_used=self.used_at,
            unloads_at=self.unloads_at,
            pinned=self.wanted.pinned,
            tokens_per_second=round(self._wrote.rate(time.monotonic()), 1),
        )


def end_all(instances: Iterable[Instance], grace: float, reason: str) -> list[Instance]:
    """Have them end within `grace` seconds; those that do."""
    ending = list(instances)
    for instance in ending:
        instance.end(reason, grace)
    return ending


async def gone(instances: Iterable[Instance]) -> None:
    """Wait until they have ended."""
    if tasks := [instance.task for instance in instances]:
        await asyncio.wait(tasks)


async def _first(exit_: "asyncio.Future[Any]", *others: Coroutine[Any, Any, object]) -> None:
    """Wait until the engine has ended or one of the others is done."""
    tasks: list[asyncio.Future[Any]] = [asyncio.ensure_future(other) for other in others]
    try:
        await asyncio.wait([exit_, *tasks], return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
