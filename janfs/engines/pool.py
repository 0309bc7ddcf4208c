"""Keeps engines: loads a model when it is asked for, shares it, replaces it, and makes room for another.

All methods belong to one event loop. What changes is told to `record` as facts, in the order it happened.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, asynccontextmanager

import msgspec

from janfs.engines.instance import Instance, Phase
from janfs.engines.protocol import (
    Engine,
    EngineCrashed,
    EngineExit,
    EngineFact,
    EngineFactory,
    EngineInfo,
    EngineStarted,
    EngineStartFailed,
    EngineState,
    EngineStopped,
    GenerateRequest,
    Reply,
    RunSpec,
    describe_exit,
)
from janfs.errors import Busy, EngineError, JanfsError, LoadFailed, ModelNotRunnable, WorkerCrashed

_LONGEST_COOLDOWN = 30.0  # seconds


class PoolLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of a pool. Times are in seconds.

    `max_loaded` models are held at once, `max_queue` requests wait per model beyond those that run.
    A load that finds only busy models waits `patience`, then the one longest unused takes no more requests.
    """

    max_loaded: int = 2
    max_queue: int = 64
    patience: float = 10.0


DEFAULT_LIMITS = PoolLimits()


class _Failure(msgspec.Struct, frozen=True):
    fingerprint: str
    reason: str
    count: int
    until: float  # in the loop's time


class EnginePool:
    """The engines that are loaded, by model id.

    `spec_of` says how to run a model, or raises `ModelNotFound` or `ModelNotRunnable`; it is asked at every
    request. `factories` load a spec, by the name of its engine.
    """

    def __init__(
        self,
        spec_of: Callable[[str], RunSpec],
        record: Callable[[EngineFact], Awaitable[None]],
        factories: Mapping[str, EngineFactory],
        limits: PoolLimits = DEFAULT_LIMITS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._spec_of = spec_of
        self._record = record
        self._factories = factories
        self._limits = limits
        self._clock = clock
        self._current: dict[str, Instance] = {}  # who takes requests
        self._instances: set[Instance] = set()  # all that live, those that end included
        self._rest: dict[str, EngineState] = {}  # how a model ended
        self._failures: dict[str, _Failure] = {}
        self._turn = asyncio.Lock()  # first come, first served: who may make room
        self._changed = asyncio.Event()  # wakes the one who holds the turn
        self._closing = False

    async def start(self, model_id: str) -> EngineInfo:
        """Load a model now, even while a failed load cools down. Raises as `generate` does."""
        async with self.engine(model_id, insist=True) as engine:
            return engine.info

    async def generate(self, model_id: str, request: GenerateRequest) -> AsyncGenerator[Reply]:
        """What the model answers; loads it if need be. Close the iterator (`aclosing`) to cancel.

        Raises what `spec_of` raises, `Busy` when the model's queue is full, `LoadFailed`, and what
        `Engine.generate` raises.
        """
        async with self.engine(model_id) as engine, aclosing(engine.generate(request)) as replies:
            async for reply in replies:
                yield reply

    @asynccontextmanager
    async def engine(self, model_id: str, *, insist: bool = False) -> AsyncIterator[Engine]:
        """A loaded engine that stays for the length of the block. Raises as `generate` does."""
        instance = self._acquire(model_id, insist=insist)
        try:
            yield await asyncio.shield(instance.ready)
        except WorkerCrashed:
            instance.lost += 1
            self._detach(instance)  # at once: whoever asks next gets a fresh one
            raise
        finally:
            self._release(instance)

    async def stop(self, model_id: str, *, grace: float = 10.0, reason: str = "stopped on request") -> bool:
        """Unload a model; its requests have `grace` seconds, then fail with `EngineError`.

        Returns when it is gone: True if there was something to stop.
        """
        instances = [instance for instance in self._instances if instance.model_id == model_id]
        await self._end_all(instances, grace, reason)
        return bool(instances)

    async def close(self, grace: float) -> None:
        """Unload everything and take no more requests."""
        self._closing = True
        await self._end_all(list(self._instances), grace, "janfs is shutting down")

    def state(self, model_id: str) -> EngineState:
        """What a model is doing now. Cheap enough to ask for every model of a list."""
        instance = self._current.get(model_id)
        if instance is None:
            ending = (each for each in self._instances if each.model_id == model_id)
            instance = next(ending, None)
        return instance.state() if instance else self._rest.get(model_id, EngineState(state="stopped"))

    def _acquire(self, model_id: str, *, insist: bool) -> Instance:
        if self._closing:
            raise EngineError("janfs is shutting down.")
        spec = self._spec_of(model_id)
        instance = self._current.get(spec.model_id)  # which may differ from an alias that was asked for
        if instance is not None and instance.spec.fingerprint != spec.fingerprint:
            self._detach(instance)
            instance.drain("its settings changed", replaced=True)
            instance = None
        if instance is None:
            instance = self._open(spec, insist=insist)
        most = spec.settings.n_parallel + self._limits.max_queue
        if instance.refs >= most:
            rounds = self._limits.max_queue // spec.settings.n_parallel
            raise Busy(
                f"{instance.refs} requests wait for the model '{spec.model_id}'. Try again later.",
                retry_after=1 + rounds,
            )
        instance.acquire()
        return instance

    def _release(self, instance: Instance) -> None:
        instance.release()
        if instance.refs == 0:
            if instance.phase is Phase.WAITING:  # nobody waits any more, so it need not be loaded
                self._detach(instance)
                instance.task.cancel()
            self._changed.set()

    def _open(self, spec: RunSpec, *, insist: bool) -> Instance:
        if spec.engine not in self._factories:
            known = ", ".join(sorted(self._factories))
            raise ModelNotRunnable(f"No engine is called '{spec.engine}'. Known: {known}.", param="model")
        failure = self._failures.get(spec.model_id)
        if failure and failure.fingerprint == spec.fingerprint and not insist:
            left = failure.until - asyncio.get_running_loop().time()
            if left > 0:
                raise LoadFailed(f"{failure.reason} (the next try is in {left:.0f} seconds)")
        instance = Instance(spec, self._clock, self._live)
        self._current[spec.model_id] = instance
        self._instances.add(instance)
        return instance

    def _detach(self, instance: Instance) -> None:
        if self._current.get(instance.model_id) is instance:
            del self._current[instance.model_id]

    async def _end_all(self, instances: list[Instance], grace: float, reason: str) -> None:
        for instance in instances:
            self._detach(instance)
            instance.end(reason, grace)
        if instances:
            await asyncio.wait([instance.task for instance in instances])

    async def _live(self, instance: Instance) -> None:
        """An instance from its beginning to its end; the task that each of them has."""
        spec = instance.spec
        try:
            engine = await self._load(instance)
            if engine is None:
                return
            instance.enter(Phase.RUNNING)  # from here on it is not cancelled but closed
            self._changed.set()
            try:
                info = engine.info
                await self._record(
                    EngineStarted(
                        uid=spec.uid,
                        fingerprint=spec.fingerprint,
                        load_seconds=info.load_seconds,
                        pid=info.pid,
                    )
                )
                crash = await instance.serve(engine)
            finally:
                self._detach(instance)
                await engine.close(instance.grace, f"The model was unloaded: {instance.reason}.")
            await self._ended(instance, crash)
        finally:
            self._detach(instance)
            self._instances.discard(instance)
            instance.fail(
                EngineError(f"The model was not loaded: {instance.reason or 'nobody waited for it'}.")
            )
            self._changed.set()

    async def _load(self, instance: Instance) -> Engine | None:
        spec = instance.spec
        self._rest.pop(spec.model_id, None)
        async with self._turn:
            await self._make_room(instance)
            instance.enter(Phase.LOADING)
        try:
            engine = await self._factories[spec.engine](spec)
        except JanfsError as error:
            before = self._failures.get(spec.model_id)
            count = before.count + 1 if before and before.fingerprint == spec.fingerprint else 1
            until = asyncio.get_running_loop().time() + min(_LONGEST_COOLDOWN, 2.0 ** (count - 1))
            self._failures[spec.model_id] = _Failure(spec.fingerprint, error.detail, count, until)
            self._rest[spec.model_id] = EngineState(state="failed", reason=error.detail, since=self._clock())
            self._detach(instance)
            instance.fail(error)
            await self._record(
                EngineStartFailed(uid=spec.uid, fingerprint=spec.fingerprint, reason=error.detail)
            )
            return None
        self._failures.pop(spec.model_id, None)
        return engine

    async def _ended(self, instance: Instance, crash: EngineExit | None) -> None:
        spec = instance.spec
        now = self._clock()
        if crash is None:
            self._rest[spec.model_id] = EngineState(state="stopped", reason=instance.reason, since=now)
            await self._record(
                EngineStopped(uid=spec.uid, fingerprint=spec.fingerprint, reason=instance.reason)
            )
        else:
            reason = f"The engine {describe_exit(crash)}"
            self._rest[spec.model_id] = EngineState(state="failed", reason=reason, since=now)
            died = instance.lost + instance.refs
            await self._record(
                EngineCrashed(uid=spec.uid, fingerprint=spec.fingerprint, requests=died, exit=crash)
            )

    async def _make_room(self, newcomer: Instance) -> None:
        """Wait for a place, evicting the longest unused idle model; busy ones are only ever drained."""
        while self._occupied() >= self._limits.max_loaded:
            self._changed.clear()
            leaving = [each for each in self._instances if each.phase is Phase.STOPPING]
            idle = [each for each in self._running() if each.refs == 0]
            if idle and all(each.refs for each in leaving):  # one at a time
                self._evict(idle, newcomer)
            try:
                async with asyncio.timeout(self._limits.patience):
                    await self._changed.wait()
            except TimeoutError:
                if not leaving and self._running():
                    self._evict(self._running(), newcomer)

    def _running(self) -> list[Instance]:
        return [each for each in self._instances if each.phase is Phase.RUNNING]

    def _evict(self, candidates: list[Instance], newcomer: Instance) -> None:
        oldest = min(candidates, key=lambda each: each.last_used)
        self._detach(oldest)
        oldest.drain(f"room was needed for '{newcomer.model_id}'")

    def _occupied(self) -> int:
        """Places taken. One that is being replaced leaves its place to its successor, within bounds."""
        held = [each for each in self._instances if each.phase is not Phase.WAITING]
        replaced = sum(each.replaced for each in held)
        return len(held) - min(replaced, self._limits.max_loaded)
