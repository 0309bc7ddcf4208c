"""The downloads that run: a few at a time, each model's files one after another, in a thread of their own.

Writing gigabytes can hold up whoever does it; so it is not done where requests are answered.
"""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import structlog
from msgspec import Struct

from janfs.downloads.answers import Unreliable
from janfs.downloads.fetch import Fetched, fetch
from janfs.downloads.guard import Policy
from janfs.downloads.part import Part
from janfs.downloads.sources import Wanted
from janfs.errors import DownloadError, JanfsError

if TYPE_CHECKING:
    from janfs.downloads.web import Web

AT_ONCE = 2  # models whose files come at the same time

T = TypeVar("T")
_log = structlog.get_logger()


class Download(Struct, frozen=True):
    """Files that belong into the folder of one model; `actor` asked for them."""

    uid: str
    folder: str
    wanted: tuple[Wanted, ...]
    actor: str


class Progress(Struct, frozen=True):
    """How far a download is: bytes, `total` where all servers say it, `rate` in bytes per second.

    `file_name` is the file that comes now, None while the download waits for others to end.
    """

    uid: str
    folder: str
    done: int
    total: int | None
    rate: float
    file_name: str | None = None


class Started(Struct, frozen=True):
    """A download begins."""


class Came(Struct, frozen=True):
    """A file is here, whole."""

    url: str
    fetched: Fetched


class Ended(Struct, frozen=True):
    """A download is over: well, with the `error` that ended it and its `url`, or `cancelled` for a reason."""

    seconds: float
    error: DownloadError | None = None
    url: str = ""
    cancelled: str | None = None


Fact = Started | Came | Ended
Tell = Callable[[Download, Fact], Awaitable[None]]


class Downloads:
    """Everything that is being fetched. All methods may be called from any thread."""

    def __init__(self, root: Path, tell: Tell, policy: Policy) -> None:
        """`tell` hears what happens, in the thread of the downloads."""
        self._root = root
        self._tell = tell
        self._policy = policy
        self._running: dict[str, _Running] = {}
        self._lock = threading.Lock()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="downloads", daemon=True)
        self._thread.start()
        self._made: Web | None = None
        self._places = asyncio.Semaphore(AT_ONCE)

    def start(self, download: Download) -> Future[None]:
        """Begin, unless this model's download runs already; the future ends with it, and never fails."""
        with self._lock:
            known = self._running.get(download.uid)
            if known is None:
                known = self._running[download.uid] = _Running(download, self._root)
                known.ended = self._call(self._attend(known))
            return known.ended

    def cancel(self, uid: str, reason: str) -> bool:
        """Stop a download and remove what came of it; False if there is none. Returns once it is over."""
        with self._lock:
            known = self._running.get(uid)
        if known is None:
            return False
        known.cancelled = reason
        self._loop.call_soon_threadsafe(known.stop)
        known.ended.result()
        return True

    def wait(self, uid: str) -> None:
        """Return once a model's download is over, if one runs."""
        with self._lock:
            known = self._running.get(uid)
        if known is not None:
            known.ended.result()

    def progress(self) -> list[Progress]:
        """How far everything is."""
        with self._lock:
            return [known.progress() for known in self._running.values()]

    def ask(self, url: str) -> object:
        """A JSON answer from the net. Raises `DownloadError`."""

        async def get() -> object:
            try:
                return await self._web().json(url)
            except Unreliable as error:
                raise DownloadError(f"{url}: {error.reason}.") from error

        return self._call(get()).result()

    def close(self) -> None:
        """Stop everything; what came is kept, and gone on with after the next start."""
        with self._lock:
            running = list(self._running.values())
        for known in running:
            self._loop.call_soon_threadsafe(known.stop)
        for known in running:
            known.ended.result()
        if self._made is not None:
            self._call(self._made.aclose()).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _web(self) -> "Web":
        """For the downloads' own thread. Made when it is first needed: to import httpx and to read all
        certificates takes a while, and most starts have nothing to fetch.
        """
        if self._made is None:
            from janfs.downloads.web import Web

            self._made = Web(self._policy)
        return self._made

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def _call(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    async def _attend(self, known: "_Running") -> None:
        download = known.download
        known.task = asyncio.create_task(self._fetch_all(known))
        if known.stopped:
            known.task.cancel()
        try:
            await asyncio.wait([known.task])
            if not known.task.cancelled() and (error := known.task.exception()) is not None:
                raise error
            if known.cancelled is not None:
                for part in known.parts:
                    part.remove()
                await self._tell(download, Ended(known.seconds, cancelled=known.cancelled))
        except JanfsError as error:  # the log cannot be written, say; the parts are still here
            _log.warning("download-ended", folder=download.folder, reason=error.detail)
        except Exception:  # noqa: BLE001 - a defect must not leave the model downloading for ever
            _log.exception("download-failed", folder=download.folder)
        finally:
            with self._lock:
                self._running.pop(download.uid, None)

    async def _fetch_all(self, known: "_Running") -> None:
        download = known.download
        for part in known.parts:
            part.announce()
        await self._tell(download, Started())
        async with self._places:
            known.begun = time.monotonic()
            for wanted, part in zip(download.wanted, known.parts, strict=True):
                known.now = part
                try:
                    fetched = await fetch(self._web(), wanted, self._root, download.folder, part)
                except DownloadError as error:
                    for each in known.parts:
                        each.forget_wish()
                    await self._tell(download, Ended(known.seconds, error, wanted.url))
                    return
                known.whole += fetched.stamp.size
                known.now = None
                await self._tell(download, Came(wanted.url, fetched))
        await self._tell(download, Ended(known.seconds))


class _Running:
    """A download and how far it is."""

    ended: Future[None]

    def __init__(self, download: Download, root: Path) -> None:
        self.download = download
        folder = root / download.folder
        self.parts = [Part(folder, wanted.url, wanted.file_name) for wanted in download.wanted]
        self.task: asyncio.Task[None] | None = None
        self.now: Part | None = None
        self.whole = 0  # bytes of the files that are done
        self.begun: float | None = None
        self.stopped = False
        self.cancelled: str | None = None
        self._at_first: int | None = None  # bytes that were here before this start

    @property
    def seconds(self) -> float:
        return 0.0 if self.begun is None else time.monotonic() - self.begun

    def stop(self) -> None:
        self.stopped = True
        if self.task is not None:
            self.task.cancel()

    def progress(self) -> Progress:
        now = self.now
        pairs = zip(self.parts, self.download.wanted, strict=True)
        sizes = [part.size if part.size is not None else wanted.size for part, wanted in pairs]
        total = sum(size for size in sizes if size is not None) if None not in sizes else None
        done = self.whole + (now.done if now is not None else 0)
        self._at_first = done if self._at_first is None and now is not None else self._at_first
        came = done - (self._at_first or 0)
        rate = came / self.seconds if self.seconds > 0 else 0.0
        name = now.file_name if now is not None else None
        return Progress(self.download.uid, self.download.folder, done, total, rate, name)
