"""What a running janfs does beside its pipeline: taking archives in, and pulling models."""

import contextlib
import functools
import re
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from janfs.archiving import Archives
from janfs.cli.offline import opened
from janfs.cli.sharing import _export
from janfs.clock import SystemClock
from janfs.downloading import Downloader
from janfs.downloads import fetch as fetching
from janfs.downloads import part as parts
from janfs.downloads.guard import Policy
from janfs.folder import staging
from janfs.pipeline.loop import Pipeline
from janfs.pipeline.thread import start_thread
from janfs.root import OpenRoot, RootPaths
from tests.crash.dying import Tree
from tests.crash.operations import Operation, Server, put
from tests.support.ggufs import tiny_gguf
from tests.support.patience import PATIENCE

ARCHIVE = "story.janfs.tar"


@functools.cache
def archive() -> bytes:
    """A model with its history."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        put(root / "models/story.gguf", tiny_gguf("Story"))
        with opened(root) as (_, _, work):
            work()
        _export(root, "story", root / ARCHIVE)
        return (root / ARCHIVE).read_bytes()


@functools.cache
def empty_log() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        OpenRoot(Path(folder), SystemClock()).close()
        return RootPaths(Path(folder)).database.read_bytes()


def an_empty_root(base: Path) -> None:
    where = RootPaths(base / "jan")
    for folder in (where.models, where.engines, where.logs, where.trash):
        folder.mkdir(parents=True)
    where.database.write_bytes(empty_log())
    put(where.models / ".janfs-root", b"It is there.\n")


def an_archive(base: Path) -> None:
    an_empty_root(base)
    put(base / "jan/models" / ARCHIVE, archive())


@contextlib.contextmanager
def living(base: Path) -> Iterator[Pipeline]:
    """The pipeline in a thread of its own, once it has looked at everything."""
    with opened(base / "jan") as (pipeline, _, work):
        work()
        thread = start_thread(pipeline)
        try:
            yield pipeline
        finally:
            pipeline.stop()
            thread.join()


def take_in(base: Path) -> None:
    """As a start does it: what lies there is taken in, or refused."""
    with living(base) as pipeline:
        staging.sweep(base / "jan")
        Archives(base / "jan", pipeline).take_all()


def pull(base: Path) -> None:
    """As a start does it, and then whoever wanted the model asks again."""
    parts.PIECE, fetching.AT_ONCE, fetching.SAVE_EVERY = 1_000, 1, 0.0
    with living(base) as pipeline:
        staging.sweep(base / "jan")
        downloader = Downloader(base / "jan", pipeline, Policy(private=True))
        try:
            downloader.resume()
            until = time.monotonic() + PATIENCE
            while downloader.running() and time.monotonic() < until:
                time.sleep(0.01)
            downloader.wait(downloader.pull(Server.url, "cli"))
        finally:
            downloader.close()


def without_times(found: Tree) -> Tree:
    """A model.json says when its file was made, which is not the same in two runs."""
    return {
        path: re.sub(rb'"created": \d+', b'"created": 0', what) if isinstance(what, bytes) else what
        for path, what in found.items()
    }


RUNNING = {
    "take an archive in": Operation(an_archive, take_in, take_in, tries=8),
    "pull a model": Operation(
        an_empty_root, pull, pull, kept=parts.PREFIX, in_steps=True, tries=5, same=without_times
    ),
}
