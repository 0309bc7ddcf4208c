"""Loading models in the places there are, and not again and again what does not load."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack

from janfs.engines.cooldown import Cooldown
from janfs.engines.fingerprint import with_file
from janfs.engines.instance import Instance, Phase
from janfs.engines.places import Places
from janfs.engines.protocol import (
    Engine,
    EngineFact,
    EngineFactory,
    EngineStarted,
    EngineStartFailed,
    RunSpec,
)
from janfs.errors import EngineError, JanfsError, ModelNotRunnable, OutOfMemory


class Loader:
    """Has `factories`, by the name of their engine, load models, each in a place of its own.

    What was loaded is told to `record`, and a first try that failed while a second is made.
    """

    def __init__(
        self,
        factories: Mapping[str, EngineFactory],
        places: Places,
        record: Callable[[EngineFact], Awaitable[None]],
    ) -> None:
        self._factories = factories
        self._places = places
        self._record = record
        self._cooldown = Cooldown()

    def check(self, spec: RunSpec, *, insist: bool) -> None:
        """Raise `ModelNotRunnable` for an engine that nobody knows.

        Unless somebody does `insist`, raise `LoadFailed` or `DoesNotFit` while a failed load cools down.
        """
        if spec.engine not in self._factories:
            known = ", ".join(sorted(self._factories))
            raise ModelNotRunnable(f"No engine is called '{spec.engine}'. Known: {known}.", param="model")
        if not insist:
            self._cooldown.check(spec.uid, spec.attempt, _now())

    async def load(self, instance: Instance) -> Engine:
        """Wait for a place, and load in it. Raises `LoadFailed` or `DoesNotFit`, or what `record` raises.

        The next load is refused for a while then; an `EngineError` says in `retry_after` for how long.
        """
        spec = instance.wanted
        try:
            await self._places.take(instance)
            engine = await self._try(instance)
            await self._tell(instance, engine)
        except JanfsError as error:
            wait = self._cooldown.failed(spec.uid, spec.attempt, error, _now())
            if isinstance(error, EngineError):
                error.retry_after = wait
            raise
        self._cooldown.succeeded(spec.uid)
        return engine

    async def _tell(self, instance: Instance, engine: Engine) -> None:
        """Have it run, and record that; what the log does not know of does not run."""
        info = engine.info
        if info.grammar is not None:
            instance.spec = with_file(instance.spec, info.grammar)
        instance.pid = info.pid
        instance.enter(Phase.RUNNING)  # from here on it is not cancelled but closed
        started = EngineStarted(spec=instance.spec, load_seconds=info.load_seconds, pid=info.pid)
        async with AsyncExitStack() as unless_recorded:
            unless_recorded.push_async_callback(engine.close, 0, "It could not be recorded that it runs.")
            await self._record(started)
            unless_recorded.pop_all()

    async def _try(self, instance: Instance) -> Engine:
        """Load; and once more, in more room and with less, if it finds less memory than was thought."""
        factory, first = self._factories[instance.spec.engine], instance.spec
        try:
            return await factory(first)
        except OutOfMemory as error:
            gone = await self._places.clear(instance)
            lowered = await self._places.lower(instance)
            if not (gone or lowered):
                raise
            ways = [f"without {', '.join(sorted(gone))}"] if gone else []
            if lowered:
                ways.append("with " + ", ".join(f"{name} {each}" for name, each in instance.lowered.items()))
            reason = f"{error.detail.rstrip('.')}. It is tried once more {' and '.join(ways)}."
            await self._record(EngineStartFailed(uid=first.uid, fingerprint=first.fingerprint, reason=reason))
            return await factory(instance.spec)


def _now() -> float:
    return asyncio.get_running_loop().time()
