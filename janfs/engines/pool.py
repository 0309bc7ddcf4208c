"""Keeps engines: loads a model when it is asked for, shares it, replaces it, and makes room for another.

All methods belong to one event loop. What changes is told to `record` as facts, in the order it happened.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, asynccontextmanager

import structlog
from msgspec.structs import replace

from janfs.engines.instance import Instance, Phase, end_all, gone
from janfs.engines.latest import Latest
from janfs.engines.loader import Loader
from janfs.engines.places import FreeMemory, FreeOnGpus, Places, PoolLimits, no_gpus
from janfs.engines.protocol import (
    Engine,
    EngineFact,
    EngineFactory,
    EngineInfo,
    EngineStartFailed,
    EngineState,
    GenerateRequest,
    Prompt,
    Reply,
    RunSpec,
)
from janfs.errors import Busy, EngineError, JanfsError, WorkerCrashed

_log = structlog.get_logger()

DEFAULT_LIMITS = PoolLimits()
GRACE = 10.0  # seconds for the answers of a model that is unloaded


class EnginePool:
    """The engines that are loaded, by their models' uids, so that one that is renamed keeps its own.

    `spec_of` says how to run a model, or raises `ModelNotFound` or `ModelNotRunnable`, at every request.
    `factories` load a spec, by the name of its engine. `free` and `free_on_gpus` say what memory there is.
    """

    def __init__(
        self,
        spec_of: Callable[[str], RunSpec],
        record: Callable[[EngineFact], Awaitable[None]],
        factories: Mapping[str, EngineFactory],
        limits: PoolLimits = DEFAULT_LIMITS,
        *,
        clock: Callable[[], float] = time.time,
        free: FreeMemory = lambda _: 2**62,
        free_on_gpus: FreeOnGpus = no_gpus,
    ) -> None:
        self.spec_of = spec_of
        self._record = record
        self._limits = limits
        self._clock = clock
        self._places = Places(limits, free, free_on_gpus)
        self._loader = Loader(factories, self._places, record)
        self._latest = Latest()
        self._closing = False

    async def start(self, model_id: str) -> EngineInfo:
        """Load a model now, even while a failed load cools down. Raises as `generate` does."""
        async with self.engine(model_id, insist=True) as engine:
            return engine.info

    def begin(self, model_id: str) -> None:
        """Begin to load a model; what becomes of it is its state. Raises what `start` knows at once."""
        instance = self._acquire(model_id, insist=True)
        instance.ready.add_done_callback(lambda _: self._release(instance))

    async def generate(self, model_id: str, request: GenerateRequest) -> AsyncGenerator[Reply]:
        """What the model answers; loads it if need be. Close the iterator (`aclosing`) to cancel.

        Raises what `spec_of` raises, `Busy` when the model's queue is full, `LoadFailed`, what `record`
        raises of a model that is loaded, and what `Engine.generate` raises.
        """
        async with (
            self._using(model_id) as (instance, engine),
            aclosing(instance.generate(engine, request)) as replies,
        ):
            async for reply in replies:
                yield reply

    async def tokenize(self, model_id: str, prompt: Prompt) -> tuple[int, ...]:
        """The tokens that would be computed for a prompt; loads the model. Raises as `generate` does."""
        async with self.engine(model_id) as engine:
            return await engine.tokenize(prompt)

    @asynccontextmanager
    async def engine(self, model_id: str, *, insist: bool = False) -> AsyncIterator[Engine]:
        """A loaded engine that stays for the length of the block. Raises as `generate` does."""
        async with self._using(model_id, insist=insist) as (_, engine):
            yield engine

    @asynccontextmanager
    async def _using(self, model_id: str, *, insist: bool = False) -> AsyncIterator[tuple[Instance, Engine]]:
        instance = self._acquire(model_id, insist=insist)
        try:
            engine = await asyncio.shield(instance.ready)
            self._places.share_out()
            yield instance, engine
        except WorkerCrashed:
            instance.lost += 1
            instance.open = False  # at once: whoever asks next gets a fresh one
            raise
        finally:
            self._release(instance)

    async def stop(self, uid: str, *, grace: float = GRACE, reason: str = "stopped on request") -> bool:
        """Unload a model; its requests have `grace` seconds, then fail with `EngineError`.

        Returns when it is gone: True if there was something to stop.
        """
        ending = self.end(uid, reason, grace=grace)
        await gone(ending)
        return bool(ending)

    def end(self, uid: str, reason: str, *, grace: float = GRACE) -> list[Instance]:
        """Begin to unload a model, as `stop` does."""
        return end_all((each for each in self._places if each.wanted.uid == uid), grace, reason)

    def loaded(self) -> set[str]:
        """The uids of all models that are loaded, or will be."""
        return {instance.wanted.uid for instance in self._places}

    def failed(self) -> set[str]:
        """The uids of models whose last engine failed."""
        return self._latest.failed()

    def review(self, uid: str, now: RunSpec | None) -> None:
        """Show a failure no more if something else would be loaded `now`, or nothing; load what waits so."""
        self._latest.review(uid, now)

    def keep(self, uid: str, *, pinned: bool, keep_alive: float | None) -> None:
        """Have a loaded model be kept as its settings say now, without waiting for its next request."""
        instance = self._latest.get(uid)
        if instance is None or (instance.wanted.pinned, instance.wanted.keep_alive) == (pinned, keep_alive):
            return
        instance.wanted = replace(instance.wanted, pinned=pinned, keep_alive=keep_alive)
        self._let_rest(instance)

    async def close(self, grace: float) -> None:
        """Unload everything and take no more requests."""
        self._closing = True
        await gone(end_all(self._places, grace, "janfs is shutting down"))

    @property
    def busy(self) -> bool:
        """Whether any request runs or waits; may be asked from another thread."""
        return any(instance.refs > 0 for instance in self._places)

    def state(self, uid: str) -> EngineState:
        """What a model is doing now. Cheap enough to ask for every model of a list."""
        return self._latest.state(uid)

    def states(self) -> Mapping[str, EngineState]:
        """What every model is doing that is loaded, or was since the start, by uid."""
        return self._latest.states()

    def leaving(self) -> list[tuple[str, EngineState]]:
        """What those are doing that were replaced and still answer, with their models' uids."""
        return [(each.wanted.uid, each.state()) for each in self._places if each not in self._latest]

    def fingerprint_of(self, spec: RunSpec) -> str:
        """That of what answers a spec: lowered to fit, or with a file that was read as it was loaded.

        One that is being replaced still answers those who waited for it.
        """
        same = (each for each in self._places if each.serves(spec))
        return next((each.spec.fingerprint for each in same if each.wanted.uid == spec.uid), spec.fingerprint)

    def _acquire(self, model_id: str, *, insist: bool) -> Instance:
        if self._closing:
            raise EngineError("janfs is shutting down.")
        spec = self.spec_of(model_id)
        instance = self._latest.get(spec.uid)
        if instance is not None and instance.open and not instance.serves(spec):
            instance.drain("its settings changed", replaced=True)
        if instance is None or not instance.open:
            instance = self._open(spec, insist=insist)
        instance.wanted = spec
        if instance.refs >= spec.settings.n_parallel + self._limits.max_queue:
            after = 1 + self._limits.max_queue // spec.settings.n_parallel  # as if an answer took a second
            waiting = f"{instance.refs} requests wait for the model '{spec.model_id}'. Try again later."
            raise Busy(waiting, retry_after=after)
        instance.acquire()
        return instance

    def _release(self, instance: Instance) -> None:
        instance.release()
        if instance.refs == 0:
            if instance.phase is Phase.WAITING:
                instance.end("nobody waited for it any more", 0)
            self._let_rest(instance)
            self._places.share_out()

    def _let_rest(self, instance: Instance) -> None:
        """Unload it after a while, unless somebody comes; or now, if its room is waited for."""
        instance.rest(self._limits.keep_alive)
        self._places.look_again()

    def _open(self, spec: RunSpec, *, insist: bool) -> Instance:
        self._loader.check(spec, insist=insist)
        instance = Instance(spec, self._clock, self._live)
        self._latest.put(instance)
        self._places.add(instance)
        instance.task.add_done_callback(lambda _: self._gone(instance))
        return instance

    async def _live(self, instance: Instance) -> None:
        """An instance from its beginning to its end; the task that each of them has."""
        engine = await self._load(instance)
        if engine is None:
            return
        self._let_rest(instance)
        try:
            crash = await instance.serve(engine)
        finally:
            instance.open = False
            await instance.close(engine)
        ended, fact = instance.outcome(crash)
        self._latest.end(instance, ended)
        await self._record(fact)

    def _gone(self, instance: Instance) -> None:
        """Clean up when an instance's task is done; one that was cancelled at once never began its life."""
        self._latest.forget(instance)
        reason = instance.reason or "an internal error, see the log"
        instance.fail(EngineError(f"The model was not loaded: {reason}."))
        self._places.remove(instance)
        if not instance.task.cancelled() and (error := instance.task.exception()):
            _log.error("engine task failed", model=instance.wanted.model_id, exc_info=error)

    async def _load(self, instance: Instance) -> Engine | None:
        spec = instance.wanted
        self._latest.begin(spec.uid)
        try:
            return await self._loader.load(instance)
        except JanfsError as error:
            reason = error.detail
            instance.open = False
            self._latest.end(instance, EngineState(state="failed", reason=reason, since=self._clock()))
            self._latest.forget(instance)
            instance.fail(error)
            await self._record(EngineStartFailed(uid=spec.uid, fingerprint=spec.fingerprint, reason=reason))
            return None
