"""What the API needs of the rest of janfs, handed in once."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from functools import cache
from typing import Protocol, TypeAlias

from litestar.di import NamedDependency
from litestar.params import SkipValidation
from msgspec import Struct, field

from janfs.archiving import Archives
from janfs.downloads.manager import Progress
from janfs.engines.protocol import Engine, EngineInfo, EngineState, GenerateRequest, Prompt, Reply, RunSpec
from janfs.engines.remote.engines import RemoteEngines
from janfs.log.reader import LogReader
from janfs.metrics import Metrics
from janfs.pipeline.loop import Pipeline
from janfs.pipeline.snapshot import Snapshot
from janfs.settings import Settings


class Limits(Struct, frozen=True, kw_only=True):
    """Bounds of a request: sizes in bytes, times in seconds."""

    body: int = 16 * 1024 * 1024
    body_seconds: float = 60.0
    headers: int = 100
    header_bytes: int = 32 * 1024
    url_bytes: int = 8 * 1024


class Pool(Protocol):
    """What the API asks of the pool of engines: to run a model by its id, about one by its uid."""

    async def start(self, model_id: str) -> EngineInfo: ...

    def begin(self, model_id: str) -> None: ...

    async def stop(self, uid: str, *, grace: float = ..., reason: str = ...) -> bool: ...

    def generate(self, model_id: str, request: GenerateRequest) -> AsyncGenerator[Reply]: ...

    def engine(self, model_id: str) -> AbstractAsyncContextManager[Engine]: ...

    async def tokenize(self, model_id: str, prompt: Prompt) -> tuple[int, ...]: ...

    def state(self, uid: str) -> EngineState: ...

    def spec_of(self, model_id: str, /) -> RunSpec: ...

    def fingerprint_of(self, spec: RunSpec) -> str: ...

    def states(self) -> Mapping[str, EngineState]: ...

    def leaving(self) -> list[tuple[str, EngineState]]: ...


class DownloadsPort(Protocol):
    """What the API asks of the downloads; all but `progress`, `running` and `snapshot` may take long."""

    def start(self, name: str, actor: str) -> str: ...

    def pull(self, source: str, actor: str) -> str: ...

    def cancel(self, name: str, actor: str) -> bool: ...

    def progress(self, uid: str) -> Progress | None: ...

    def running(self) -> list[tuple[str, Progress]]: ...

    def snapshot(self) -> Snapshot: ...


class ApiContext(Struct, frozen=True, kw_only=True):
    """The rest of janfs. `host` and `port` are those that are really listened on.

    Set `stopping`, in the event loop, before the server waits for open connections: event streams end then.
    They send a comment every `heartbeat` seconds in which nothing happens. `warning` is for whoever watches
    over the process.
    """

    settings: Settings
    host: str
    port: int
    pipeline: Pipeline
    log: LogReader
    pool: Pool
    downloads: DownloadsPort
    archives: Archives
    remotes: RemoteEngines
    warning: str | None = None
    metrics: Metrics = field(default_factory=Metrics)
    limits: Limits = Limits()
    heartbeat: float = 15.0
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    def fingerprint_of(self, spec: RunSpec) -> Callable[[], str]:
        """Says the `system_fingerprint` of a spec's answers, once there are any, and stays with it.

        What was loaded may differ from what was wanted: lowered to fit, or with a grammar that was read.
        """
        # A grammar's file is looked at when it is wanted, as another edit may come before the answer.
        wanted = spec if spec.settings.grammar_file is None else self.pool.spec_of(spec.model_id)

        @cache
        def find() -> str:
            return f"fp_{self.pool.fingerprint_of(wanted)}"

        return find

    def shown(self) -> list[tuple[str, EngineState]]:
        """What every model is doing that is loaded here, or was, with its id of now.

        Behind them stands what those do that were replaced and still answer.
        """
        states = [*self.pool.states().items(), *self.pool.leaving()]
        return [(self._id_of(uid), now) for uid, now in states]

    def _id_of(self, uid: str) -> str:
        models = self.pipeline.snapshot.catalogue.models
        return models[uid].id if uid in models else uid

    @property
    def state_of(self) -> Callable[[str], EngineState]:
        """Says what a model is doing, here or elsewhere, by its uid."""
        return self._state if self.remotes.in_use else self.pool.state

    def _state(self, uid: str) -> EngineState:
        model = self.pipeline.snapshot.catalogue.models.get(uid)
        elsewhere = model.remote if model is not None else None
        return self.pool.state(uid) if elsewhere is None else self.remotes.state(elsewhere)


Context: TypeAlias = SkipValidation[NamedDependency[ApiContext]]
