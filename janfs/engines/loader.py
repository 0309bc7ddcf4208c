"""Loading models in the places there are, and not again and again what does not load."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from janfs.engines.cooldown import Cooldown
from janfs.engines.fingerprint import with_file
from janfs.engines.instance import Instance
from janfs.engines.places import Places
from janfs.engines.protocol import Engine, EngineFact, EngineFactory, EngineStartFailed, RunSpec
from janfs.errors import EngineError, JanfsError, ModelNotRunnable, OutOfMemory


class Loader:
    """Has `factories`, by the name of their engine, load models, each in a place of its own.

    A first try that failed while a second is made is told to `record`.
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
            self._cooldown.check(spec.uid, _told(spec), _now())

    async def load(self, instance: Instance) -> Engine:
        """Wait for a place, and load in it. Raises `LoadFailed` or `DoesNotFit`.

        The error says in `retry_after` for how long the next load is refused.
        """
        spec = instance.wanted
        try:
            await self._places.take(instance)
            engine = await self._try(instance)
        except JanfsError as error:
            wait = self._cooldown.failed(spec.uid, _told(spec), error, _now())
            if isinstance(error, EngineError):
                error.retry_after = wait
            raise
        self._cooldown.succeeded(spec.uid)
        if engine.info.grammar is not None:
            instance.spec = with_file(instance.spec, engine.info.grammar)
        return engine

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


def _told(spec: RunSpec) -> str:
    """What a load is tried anew for: also a setting that may be lowered now."""
    return f"{spec.version} {' '.join(sorted(spec.lowerable))}"


def _now() -> float:
    return asyncio.get_running_loop().time()
