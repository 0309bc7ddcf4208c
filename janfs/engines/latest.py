"""What each model is doing: its latest engine, or how the last one ended."""

from collections.abc import Mapping

from msgspec import Struct

from janfs.engines.instance import Instance, Phase
from janfs.engines.protocol import EngineState, RunSpec

_STOPPED = EngineState(state="stopped")


class _Ended(Struct, frozen=True):
    """How an engine ended, and what it was to run."""

    state: EngineState
    spec: RunSpec


class Latest:
    """The latest engine of each model, by uid, to its very end; and how it ended, until another begins."""

    def __init__(self) -> None:
        self._engines: dict[str, Instance] = {}
        self._ended: dict[str, _Ended] = {}

    def __contains__(self, instance: Instance) -> bool:
        return self._engines.get(instance.spec.uid) is instance

    def get(self, uid: str) -> Instance | None:
        return self._engines.get(uid)

    def put(self, instance: Instance) -> None:
        """Have an engine be the latest of its model from now on."""
        self._engines[instance.spec.uid] = instance

    def begin(self, uid: str) -> None:
        """The latest one begins to load: how another ended is no longer of interest."""
        self._ended.pop(uid, None)

    def end(self, instance: Instance, state: EngineState) -> None:
        """Note how an engine ended. What a later one has come to is not overwritten by an earlier one."""
        if instance in self or instance.spec.uid not in self._ended:
            self._ended[instance.spec.uid] = _Ended(state, instance.wanted)

    def failed(self) -> set[str]:
        """The uids of those whose last engine failed."""
        return {uid for uid, ended in self._ended.items() if ended.state.state == "failed"}

    def review(self, uid: str, now: RunSpec | None) -> None:
        """Forget a failure if it was one of something else than what would be loaded now.

        One that waits for its place is loaded from where its files lie now, if they are the same.
        """
        instance = self._engines.get(uid)
        if instance is not None and instance.phase is Phase.WAITING and now and instance.serves(now):
            instance.wanted = now
        ended = self._ended.get(uid)
        if ended is None or ended.state.state != "failed":
            return
        if now is None or now.attempt != ended.spec.attempt:
            del self._ended[uid]

    def forget(self, instance: Instance) -> None:
        """Have it be gone."""
        if instance in self:
            del self._engines[instance.spec.uid]

    def state(self, uid: str) -> EngineState:
        """What a model is doing now."""
        instance = self._engines.get(uid)
        if instance is not None:
            return instance.state()
        return self._ended[uid].state if uid in self._ended else _STOPPED

    def states(self) -> Mapping[str, EngineState]:
        """What every model is doing that is loaded, or was since the start, by uid."""
        ended = {uid: each.state for uid, each in self._ended.items()}
        return ended | {uid: instance.state() for uid, instance in self._engines.items()}
