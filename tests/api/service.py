"""A real server on a real port, over a real log, pipeline and folder; only the engines are fakes."""

import asyncio
import contextlib
import functools
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import uvicorn
import uvloop

from janfs.api import ApiContext, create_api
from janfs.archiving import Archives
from janfs.catalogue.catalogue import find_model
from janfs.clock import SystemClock, random_id
from janfs.downloading import Downloader
from janfs.downloads.guard import Policy
from janfs.elsewhere import remote_engines
from janfs.folder.real import RealFileSystem
from janfs.folder.settle import BEING_WRITTEN
from janfs.pipeline.commands import Look
from janfs.pipeline.loop import Pipeline
from janfs.root import OpenRoot, RootPaths
from janfs.settings import Settings
from tests.fakes.pool import FakePool
from tests.folder import gguf_bytes as make
from tests.support.patience import PATIENCE


def gguf(name: str) -> bytes:
    """A small, whole, valid model."""
    values = {"general.architecture": make.text("llama"), "general.name": make.text(name)}
    head = make.header(values, [make.Tensor("t")])
    return head + bytes(-len(head) % 32) + bytes(128)


def projector() -> bytes:
    """A projector that fits any model that is alone with it."""
    values = {
        "general.architecture": make.text("clip"),
        "general.type": make.text("mmproj"),
        "clip.has_vision_encoder": make.Value("bool", True),
    }
    head = make.header(values, [make.Tensor("v.t")])
    return head + bytes(-len(head) % 32) + bytes(128)


def eventually(check: Callable[[], object], what: str) -> None:
    """Fail with `what` unless `check` comes true."""
    until = time.monotonic() + PATIENCE
    while not check():
        assert time.monotonic() < until, what
        time.sleep(0.005)


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Service:
    """The API of one root, as a client sees it and as its owner does."""

    def __init__(self, root: Path, pipeline: Pipeline, context: ApiContext, pool: FakePool) -> None:
        self.root = root
        self.pipeline = pipeline
        self.context = context
        self.pool = pool
        self.url = f"http://127.0.0.1:{context.port}"
        # Not verified: to read all certificates takes 40 ms, and there are none.
        self.client = httpx.Client(base_url=self.url, timeout=PATIENCE, trust_env=False, verify=False)
        self._loop: asyncio.AbstractEventLoop | None = None
        config = uvicorn.Config(
            create_api(context),
            log_config=None,
            access_log=False,
            lifespan="on",
            timeout_graceful_shutdown=3600,
        )
        self._server = _Server(config)

    def drop(self, name: str, content: bytes | None = None) -> None:
        """Put a file below models/, whole from the first moment, and wait until it was looked at."""
        target = self.root / "models" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        written = self.root / "written"  # renamed: a file seen while it is written is `arriving` at first
        written.write_bytes(gguf(name) if content is None else content)
        written.replace(target)
        self.look()

    def look(self) -> None:
        """Have the pipeline look at everything, and wait for it; anew while something is being written: a
        busy kernel may let go of a writer a moment after `close` returned.
        """
        eventually(self._looked, "a file goes on being written")

    def look_once(self) -> None:
        """Have the pipeline look at everything, and wait for it."""
        self.pipeline.submit(Look()).result(PATIENCE)

    def _looked(self) -> bool:
        self.look_once()
        return all(each.reason != BEING_WRITTEN for each in self.pipeline.snapshot.arrivals.values())

    def get(self, path: str, **arguments: Any) -> Any:
        """The JSON of a successful GET."""
        answer = self.client.get(path, **arguments)
        assert answer.status_code == 200, f"GET {path}: {answer.status_code} {answer.text}"
        return answer.json()

    def stop_server(self) -> None:
        """Tell the server to stop, as the owner does on a signal."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stop)

    def _stop(self) -> None:
        self.context.stopping.set()
        self._server.should_exit = True

    def run(self, listener: socket.socket) -> None:
        """Serve until told to stop; in a thread of its own, on the loop that `janfs serve` has.

        asyncio's own leaves Nagle's algorithm on for this listener, which holds every answer back for 40 ms.
        """

        async def main() -> None:
            self._loop = asyncio.get_running_loop()
            await self._server.serve(sockets=[listener])
            await self.context.remotes.aclose()

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(main())

    @property
    def serving(self) -> bool:
        """Whether requests are taken."""
        return self._server.started


def uid_of(pipeline: Pipeline, name: str) -> str:
    """The uid of the model with this id or alias."""
    model = find_model(pipeline.snapshot.catalogue, name)
    assert model is not None, f"there is no model {name}"
    return model.uid


@functools.cache
def _empty_database() -> bytes:
    """A database with its tables; migrating takes long, so it is done once."""
    with tempfile.TemporaryDirectory() as folder:
        OpenRoot(Path(folder), SystemClock()).close()
        return RootPaths(Path(folder)).database.read_bytes()


@contextlib.contextmanager
def running_service(root: Path, **changes: Any) -> Iterator[Service]:
    """A service on an empty root; `changes` go to `Settings` and `ApiContext`."""
    context_changes = {key: changes.pop(key) for key in ("limits", "heartbeat") if key in changes}
    where = RootPaths(root)
    if not where.database.exists():
        where.models.mkdir(parents=True)
        where.private.mkdir()
        where.database.write_bytes(_empty_database())
    with OpenRoot(root, SystemClock()) as opened, socket.create_server(("127.0.0.1", 0)) as listener:
        pipeline = Pipeline(RealFileSystem(root), opened.log, SystemClock(), random_id)
        settings = Settings(root=root, **changes)
        port, pool = listener.getsockname()[1], FakePool(lambda name: uid_of(pipeline, name))
        downloads = Downloader(root, pipeline, Policy(settings.download_hosts, settings.download_private))
        archives = Archives(root, pipeline)
        remotes = remote_engines(root, pipeline)
        context = ApiContext(
            settings=settings,
            host="127.0.0.1",
            port=port,
            pipeline=pipeline,
            log=opened.log,
            pool=pool,
            downloads=downloads,
            archives=archives,
            remotes=remotes,
            **context_changes,
        )
        service = Service(root, pipeline, context, pool)
        threads = [
            threading.Thread(target=pipeline.run),
            threading.Thread(target=service.run, args=(listener,)),
        ]
        for thread in threads:
            thread.start()
        archives.start()
        try:
            eventually(lambda: service.serving, "the server did not start")
            yield service
        finally:
            service.client.close()
            service.stop_server()
            threads[1].join(PATIENCE)
            downloads.close()
            archives.close()
            pipeline.stop()
            threads[0].join(PATIENCE)
            assert not threads[1].is_alive(), "the server did not stop"
