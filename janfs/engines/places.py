"""The places for loaded models: who has one, who waits for one, and who has to go."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator
from contextlib import suppress

import msgspec

from janfs.engines.fingerprint import with_settings
from janfs.engines.fit import Room, fits, less, lowered, taken
from janfs.engines.instance import Instance, Phase
from janfs.engines.memory import Split
from janfs.engines.protocol import Engine
from janfs.errors import DoesNotFit, EngineError

_BACK = 0.5  # of what an unloaded model was thought to take: so much must be free again
_LOOK_AGAIN = 0.05  # seconds

FreeMemory = Callable[[Collection[int]], int]
"""Bytes that a new process can have, if the processes with these ids keep what they have. Quick."""

FreeOnGpus = Callable[[], Awaitable[int | None]]
"""What is free on all GPUs together; None where there are none. May take a while."""


async def no_gpus() -> int | None:
    """A machine without."""
    return None


class PoolLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of a pool. Times are in seconds, `memory` is in bytes.

    `max_loaded` models are held at once, which take no more than `memory` together, by their estimates.
    `max_queue` requests wait per model beyond those that run. A load that finds only busy models waits
    `patience`, then the longest unused takes no more requests. After an eviction the memory has `settle` to
    come back before the next. A model that is not used for `keep_alive` is unloaded; None: never.
    """

    max_loaded: int = 2
    memory: int | None = None
    max_queue: int = 64
    patience: float = 10.0
    settle: float = 5.0
    keep_alive: float | None = None


class Places:
    """At most so many models are held at once, and no more than fit. Newcomers are served in their order.

    An idle model makes room, the longest unused first; one that loads, stops, is busy or pinned is never
    taken away. Where that is not enough, the newcomer's settings are lowered. When what it needs stays busy
    for `patience` seconds, the longest unused one takes no more requests and goes when its last has ended, so
    that nobody waits for good.
    """

    def __init__(self, limits: PoolLimits, free: FreeMemory, free_on_gpus: FreeOnGpus) -> None:
        self._limits = limits
        self._free = free
        self._free_on_gpus = free_on_gpus
        self._on_gpus: int | None = None  # as it was last asked
        self._instances: set[Instance] = set()
        self._turn = asyncio.Lock()  # fair: it wakes waiters in their order
        self._changed = asyncio.Event()  # wakes the one who has the turn

    def __iter__(self) -> Iterator[Instance]:
        return iter(tuple(self._instances))

    def add(self, instance: Instance) -> None:
        self._instances.add(instance)

    def remove(self, instance: Instance) -> None:
        self._instances.discard(instance)
        self.look_again()

    def look_again(self) -> None:
        """Something has changed: a model is idle, or gone."""
        self._changed.set()

    def share_out(self) -> None:
        """Tell each engine how many compute at once, itself counted, also if it does not."""
        loaded = [(each.engine, each.refs > 0) for each in self._instances if each.engine is not None]
        for engine, works in loaded:
            engine.share(sum(others for _, others in loaded) + (not works))

    async def take(self, newcomer: Instance) -> None:
        """Wait for a place with room enough, and begin to load in it, with settings that fit.

        Raises `DoesNotFit` if there is no room, whatever is lowered and unloaded.
        """
        loop, patience = asyncio.get_running_loop(), self._limits.patience
        async with self._turn:
            patient, until = True, loop.time() + patience  # not anew at each change: they may have no end
            self._on_gpus = await self._free_on_gpus()
            while not await self._find_room(newcomer, patient=patient):
                self._changed.clear()
                idle, leaving = self._idle(), self._in(Phase.STOPPING)
                if idle and all(each.refs for each in leaving):  # one at a time
                    await self._unload([_oldest(idle)], newcomer)
                    until = loop.time() + patience
                    continue
                try:
                    async with asyncio.timeout_at(until):
                        await self._changed.wait()
                    self._on_gpus = await self._free_on_gpus()
                except TimeoutError:
                    patient, until = False, loop.time() + patience
                    await self._have_one_leave(newcomer)

    async def clear(self, instance: Instance) -> list[str]:
        """Unload all idle models for one whose load ran out of memory; their ids.

        All, since the estimate that says how many have to go has just proved wrong.
        """
        await self._spare()
        idle = self._idle()
        if idle:
            await self._unload(idle, instance)
        return [each.wanted.model_id for each in idle]

    async def lower(self, instance: Instance) -> bool:
        """Have one whose load ran out of memory keep its place with less; False where it cannot."""
        self._on_gpus = await self._free_on_gpus()
        room = self._room().plus(instance.takes)
        settings = less(instance.wanted, instance.spec.settings, room)
        if settings is None:
            return False
        spec = with_settings(instance.wanted, settings)
        instance.load(spec, taken(spec, room))
        return True

    async def _have_one_leave(self, newcomer: Instance) -> None:
        """Have the longest unused of busy models take no more requests, unless there is room without that.

        Or will be: while the newcomer waited, one may have become idle, or begun to leave.
        """
        if await self._find_room(newcomer, patient=False) or self._idle():
            return
        is_full = self._places_taken() >= self._limits.max_loaded  # who is replaced does not change that
        leaves = any(not (is_full and each.replaced) for each in self._in(Phase.STOPPING))
        if not leaves and (busy := [each for each in self._in(Phase.RUNNING) if not _stays(each)]):
            _evict(_oldest(busy), newcomer)

    async def _find_room(self, newcomer: Instance, *, patient: bool) -> bool:
        """Let it load, if there is room now, or could be at nobody's cost but speed."""
        if not fits(newcomer.wanted, self._room()):
            await self._spare()
        return self._admit(newcomer, patient=patient)

    async def _spare(self) -> None:
        """Have loaded models give up what they keep only to be faster. Who does not answer soon keeps it."""
        engines = [each.engine for each in self._in(Phase.RUNNING) if each.engine is not None]
        with suppress(TimeoutError):
            async with asyncio.timeout(self._limits.settle):
                await asyncio.gather(*map(_spared, engines))

    def _admit(self, newcomer: Instance, *, patient: bool) -> bool:
        """Let it load, if there is room now. The `patient` wait for what comes free by itself, too."""
        if newcomer.phase is not Phase.WAITING:
            return True
        spec, room = newcomer.wanted, self._room()
        staying = [each for each in self._held() if _stays(each)]
        held = [each for each in self._held() if not _stays(each)]
        most = room
        for each in held:
            most = most.plus(each.takes)
        lowered(spec, most)  # raises what stands, whoever makes room; nobody has to go in vain
        if len(staying) >= self._limits.max_loaded:
            names = ", ".join(sorted(each.wanted.model_id for each in staying))
            raise DoesNotFit(
                f"The model '{spec.model_id}' has no place: {self._limits.max_loaded} may be loaded at once, "
                f"and {names} stay, being pinned. Raise --max-loaded, or let one of them go."
            )
        if self._places_taken() >= self._limits.max_loaded:
            return False
        if not fits(spec, room):
            passing = any(each.phase in {Phase.LOADING, Phase.STOPPING} for each in held)
            if self._idle() or (patient and passing):
                return False
            try:
                spec = with_settings(spec, lowered(spec, room))
            except DoesNotFit:
                if held:
                    return False
                raise
        newcomer.load(spec, taken(spec, room))
        return True

    async def _unload(self, idle: list[Instance], newcomer: Instance) -> None:
        """Unload models, and see their memory come back: not all of it does at once everywhere."""
        back = self._room()
        for each in idle:
            _evict(each, newcomer)
            back = back.plus(Split(int(_BACK * each.takes.host), int(_BACK * each.takes.device)))
        await asyncio.wait([each.task for each in idle], timeout=self._limits.patience)
        loop = asyncio.get_running_loop()
        until = loop.time() + self._limits.settle
        while loop.time() < until:
            self._on_gpus = await self._free_on_gpus()
            room = self._room()
            if fits(newcomer.wanted, room) or room.covers(back):
                return
            await asyncio.sleep(_LOOK_AGAIN)

    def _room(self) -> Room:
        """What is free now, less what those take that have not begun to, within our own bound."""
        held = self._held()
        free = Room(self._free([each.pid for each in held if each.pid is not None]), self._on_gpus)
        for each in held:
            if each.phase is Phase.LOADING:
                free = free.plus(Split(-each.takes.host, -each.takes.device))
        if self._limits.memory is None:
            return free
        ours = self._limits.memory - sum(each.takes.host for each in held)
        return Room(min(free.host, ours), free.device)

    def _places_taken(self) -> int:
        """Places taken. One that is being replaced has left its place to its successor, within bounds."""
        held = self._held()
        replaced = sum(each.replaced for each in held)
        return len(held) - min(replaced, self._limits.max_loaded)

    def _held(self) -> list[Instance]:
        return [each for each in self._instances if each.phase is not Phase.WAITING]

    def _in(self, phase: Phase) -> list[Instance]:
        return [each for each in self._instances if each.phase is phase]

    def _idle(self) -> list[Instance]:
        return [each for each in self._in(Phase.RUNNING) if each.refs == 0 and not _stays(each)]


def _stays(instance: Instance) -> bool:
    """Whether a model is not to be unloaded; one that is being replaced or stopped goes all the same."""
    return instance.wanted.pinned and instance.open


async def _spared(engine: Engine) -> int:
    try:
        return await engine.spare()
    except EngineError:  # it ends, and gives back all it has
        return 0


def _oldest(candidates: list[Instance]) -> Instance:
    return min(candidates, key=lambda each: each.last_used)


def _evict(instance: Instance, newcomer: Instance) -> None:
    instance.drain(f"room was needed for '{newcomer.wanted.model_id}'")
