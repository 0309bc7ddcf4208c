"""Putting it all together: from settings to a running service, and back to nothing."""

import asyncio
import contextlib
import errno
import gc
import math
import signal
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import uvicorn
import uvloop

from janfs.api import ApiContext, create_api
from janfs.archiving import Archives
from janfs.catalogue.catalogue import present_models
from janfs.clock import SystemClock, random_id
from janfs.downloading import Downloader
from janfs.downloads.guard import Policy
from janfs.elsewhere import remote_engines
from janfs.engines.llama_cpp.spare import SpareWorkers
from janfs.engines.pool import EnginePool
from janfs.errors import SettingsError
from janfs.folder import paths
from janfs.folder.keeper import WatchKeeper
from janfs.folder.real import RealFileSystem
from janfs.folder.watcher import PollingWatcher, choose_watcher
from janfs.following import Following, follow_engines_elsewhere
from janfs.loading import create_pool, preload
from janfs.manifest.engine_file import default_engine_file
from janfs.manifest.spellings import DEFAULT_ENGINE
from janfs.pipeline.hasher import Hasher
from janfs.pipeline.loop import Pipeline
from janfs.pipeline.snapshot import Snapshot
from janfs.pipeline.thread import start_thread
from janfs.root import OpenRoot, RootPaths
from janfs.sample import put_sample
from janfs.settings import Settings

Say = Callable[[str], None]

_LAST_WORDS = 2  # seconds for answers whose time is over to say so


def run(settings: Settings, say: Say) -> None:
    """Serve until told to stop (SIGINT, SIGTERM). `say` gets what a person at the terminal should read."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(settings, say))


async def serve(settings: Settings, say: Say) -> None:
    """Open the root, start the pipeline, the pool and the API; take all down again in the opposite order."""
    async with contextlib.AsyncExitStack() as stack:
        root = stack.enter_context(OpenRoot(settings.root, SystemClock(), checkpoints=settings.checkpoints))
        listener = stack.enter_context(_listen(settings.host, settings.port))
        pipeline = Pipeline(
            RealFileSystem(settings.root),
            root.log,
            SystemClock(),
            random_id,
            organise=settings.organise,
            engine_files={paths.join(paths.ENGINES, f"{DEFAULT_ENGINE}.json"): default_engine_file()},
        )
        if settings.sample and put_sample(settings.root, pipeline.catalogue.files):
            say("There was no model yet; a small one was put into the models folder to begin with.")
        workers = SpareWorkers()
        pool = create_pool(settings, pipeline, workers)
        host, port = listener.getsockname()[:2]
        url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        downloader = Downloader(
            settings.root, pipeline, Policy(settings.download_hosts, settings.download_private)
        )
        archives = Archives(settings.root, pipeline)
        remotes = remote_engines(settings.root, pipeline)
        context = ApiContext(
            settings=settings,
            host=host,
            port=port,
            pipeline=pipeline,
            log=root.log,
            pool=pool,
            downloads=downloader,
            archives=archives,
            remotes=remotes,
            warning=root.warning,
        )
        server = _Server(context, pool, settings.grace)
        pipeline.on_publish(_suggestion(url, say))
        pipeline.on_publish(_resuming(downloader))
        keeper = WatchKeeper(
            settings.root,
            PollingWatcher if settings.polling else lambda: choose_watcher(settings.root),
            pipeline.hint,
        )
        stack.callback(keeper.close)
        stack.enter_context(_running(pipeline))
        archives.start()
        stack.push_async_callback(asyncio.to_thread, archives.close)
        stack.push_async_callback(asyncio.to_thread, downloader.close)
        if settings.hashing:
            stack.enter_context(_hashing(settings, pipeline, root.paths, pool))
        stack.push_async_callback(workers.close)
        if settings.spare_worker:
            workers.prepare()
        stack.push_async_callback(remotes.aclose)
        stack.push_async_callback(pool.close, settings.grace)  # it records what it stops
        Following(pipeline, pool, settings.preload).start()
        follow_engines_elsewhere(pipeline, remotes)
        stack.enter_context(_beside(preload(pipeline, pool, settings.preload, say)))
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, server.stop)
        root.lock.announce(url)
        say(f"janfs serves {root.paths.models} at {url}/v1. Drop .gguf files in there; Ctrl-C ends it.")
        if problem := keeper.watcher.problem():
            say(problem)
        stack.callback(pipeline.wind_down)  # first of all: the others wait for what they record
        _collect_again()
        await server.serve(sockets=[listener])


def _collect_again() -> None:
    """Look for garbage again, for which the start had no time; what it made stays, and is left out."""
    gc.freeze()
    gc.enable()


class _Server(uvicorn.Server):
    """uvicorn as a guest: it is told when to stop, and tells event streams and engines before it waits for
    what is open: an answer that is cut has to say why, which takes a connection.
    """

    def __init__(self, context: ApiContext, pool: EnginePool, grace: float) -> None:
        super().__init__(
            uvicorn.Config(
                create_api(context),
                log_config=None,
                access_log=False,
                timeout_graceful_shutdown=math.ceil(grace) + _LAST_WORDS,
                timeout_keep_alive=30,
                server_header=False,
                lifespan="on",
            )
        )
        self._context = context
        self._pool = pool
        self._grace = grace
        self._hurrying: asyncio.Future[None] | None = None

    def stop(self) -> None:
        """Stop; at once when told a second time."""
        self._context.stopping.set()
        if self.should_exit:
            self._hurrying = asyncio.ensure_future(self._pool.close(0))
        self.force_exit = self.should_exit
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """See `uvicorn.Server`, which leaves the application's own end out where it hurries."""
        async with asyncio.TaskGroup() as ending:
            ending.create_task(self._pool.close(self._grace))
            await super().shutdown(sockets)
        if self.force_exit:
            await self.lifespan.shutdown()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """The signals are ours; uvicorn would raise them again, and end the process before its time."""
        yield


def _listen(host: str, port: int) -> socket.socket:
    """A socket that listens. Raises `SettingsError` when the address is not to be had."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host.strip("[]"), port))
        listener.listen(1024)
    except OSError as error:
        listener.close()
        taken = error.errno == errno.EADDRINUSE
        reason = "is already in use" if taken else f"cannot be listened on ({error.strerror})"
        raise SettingsError(
            f"{host}:{port} {reason}. Stop what listens there, or take another --port (0: any free one).",
            param="port",
        ) from error
    return listener


@contextlib.contextmanager
def _running(pipeline: Pipeline) -> Iterator[None]:
    thread = start_thread(pipeline)
    try:
        yield
    finally:
        pipeline.stop()
        thread.join()


@contextlib.contextmanager
def _beside(work: Coroutine[Any, Any, None]) -> Iterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()


@contextlib.contextmanager
def _hashing(settings: Settings, pipeline: Pipeline, where: RootPaths, pool: EnginePool) -> Iterator[None]:
    state = where.private / "hashing.json"
    hasher = Hasher(RealFileSystem(settings.root), pipeline, state, SystemClock(), lambda: pool.busy)
    hasher.start()
    try:
        yield
    finally:
        hasher.close()


def _resuming(downloader: Downloader) -> Callable[[Snapshot], None]:
    """Goes on, once everything has been looked at, with the downloads that ran when janfs ended."""
    done = threading.Event()

    def look(snapshot: Snapshot) -> None:
        if snapshot.caught_up and not done.is_set():
            done.set()
            threading.Thread(target=downloader.resume, name="resume", daemon=True).start()

    return look


def _suggestion(url: str, say: Say) -> Callable[[Snapshot], None]:
    """Says once, as soon as a model is ready, how to talk to it."""
    said = threading.Event()

    def look(snapshot: Snapshot) -> None:
        here = (model for model in present_models(snapshot.catalogue) if model.remote is None)
        ready = (model.id for model in here if model.status == "ready")
        if said.is_set() or not snapshot.caught_up or (name := next(ready, None)) is None:
            return
        said.set()
        say(
            f"Try it:\n  curl {url}/v1/chat/completions -H 'Content-Type: application/json' \\\n"
            f'    -d \'{{"model": "{name}", "messages": [{{"role": "user", "content": "Say hello."}}]}}\''
        )

    return look
