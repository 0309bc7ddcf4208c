"""What janfs does in several steps on a real disk, and what the next start makes of it."""

import asyncio
import errno
import hashlib
import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import alembic.command  # noqa: F401 - takes long, and every child would do it again
import msgspec
from msgspec import Struct

from janfs import safekeeping, sample
from janfs.bringing.bring import Mode, bring
from janfs.bringing.find import find
from janfs.catalogue.entries import Plan
from janfs.cli.sharing import _save
from janfs.clock import SystemClock
from janfs.downloads import fetch as fetching
from janfs.downloads import part as parts
from janfs.downloads.fetch import fetch
from janfs.downloads.guard import Policy
from janfs.downloads.part import Part
from janfs.downloads.sources import wanted
from janfs.downloads.web import Web
from janfs.errors import LogError
from janfs.folder import real, staging
from janfs.folder.filesystem import Stamp
from janfs.folder.real import RealFileSystem
from janfs.log.migrate import copy_database
from janfs.organise import sharing
from janfs.pipeline.root import MARKER
from janfs.root import OpenRoot
from tests.crash.dying import Act, Tree, tree
from tests.organise.hands import WithoutFlags, stamp
from tests.support.ggufs import tiny_gguf

CONTENT = tiny_gguf("Story")
COMING = tiny_gguf("Coming") + os.urandom(1_500)


class Operation(Struct, frozen=True):
    """What is there before, what is done, and what the next start does, which is then asked for it again.

    People look at the folder `shown`: they see all of it or nothing, or, `in_steps`, some of its files, each
    whole. `kept` is what an error may leave for the next try, by the beginning of its name. `same` makes two
    ends alike that may differ, `look` gives what is there. `make test` tries `tries` of the calls,
    `make test-long` all.
    """

    before: Act
    act: Act
    again: Act
    shown: str = "jan/models"
    one_disk: bool = True
    kept: str | None = None
    in_steps: bool = False
    tries: int = 24
    same: Callable[[Tree], Tree] = lambda found: found
    look: Callable[[Path], Tree] = tree


def put(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


# Bringing in.


def a_tree_elsewhere(base: Path) -> None:
    (base / "jan/models").mkdir(parents=True)
    put(base / "else/Story/story.gguf", CONTENT)
    put(base / "else/Story/README.md", b"read me")
    told = f"{'0' * 40}\n{hashlib.sha256(CONTENT).hexdigest()}\n9999999999\n"
    put(base / "else/Story/.cache/huggingface/download/story.gguf.metadata", told.encode())
    put(base / "else/alone.gguf", tiny_gguf("Alone"))


def take(name: str, mode: Mode, base: Path) -> None:
    time.time = lambda: 1_800_000_000.0  # in this process; it is noted beside the files
    for found in find(base / "else" / name):
        bring(base / "jan", found, mode, lambda _: None)


def take_again(name: str, mode: Mode, base: Path) -> None:
    staging.sweep(base / "jan")
    if not any((base / "jan/models").iterdir()):
        take(name, mode, base)


def bringing(name: str, mode: Mode, *, one_disk: bool = True) -> Operation:
    act, again = partial(take, name, mode), partial(take_again, name, mode)
    return Operation(a_tree_elsewhere, act, again, one_disk=one_disk, tries=16)


# Exporting.


def nothing(base: Path) -> None:
    (base / "out").mkdir(parents=True)


def save(base: Path) -> None:
    _save(base / "out/story.janfs.tar", iter([b"a" * 5000, b"b" * 5000]))


def save_again(base: Path) -> None:
    if not (base / "out/story.janfs.tar").exists():
        save(base)


def without_nameless_files(act: Act) -> Act:
    """In a process of its own, on a disk where every file has a name."""

    def on_such_a_disk(base: Path) -> None:
        opened = os.open

        def refuse(path: Any, flags: int, *rest: Any, **kwargs: Any) -> int:
            if flags & os.O_TMPFILE == os.O_TMPFILE:
                raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
            return opened(path, flags, *rest, **kwargs)

        os.open = refuse
        act(base)

    return on_such_a_disk


# Downloading.


class Server:
    """Where `download` finds its file."""

    url = ""


def a_model_without_a_file(base: Path) -> None:
    (base / "jan/models/m").mkdir(parents=True)


def download(base: Path) -> None:
    parts.PIECE, fetching.AT_ONCE, fetching.SAVE_EVERY = 1_000, 1, 0.0
    folder = base / "jan/models/m"
    digest = hashlib.sha256(COMING).hexdigest()
    file = wanted(Server.url, "m.gguf", digest, len(COMING))

    async def run() -> None:
        net = Web(Policy(private=True))
        try:
            await fetch(
                net, file, base / "jan", "models/m", Part(folder, file.url, file.file_name), wait=0.001
            )
        finally:
            await net.aclose()

    asyncio.run(run())


def download_again(base: Path) -> None:
    parts.sweep(base / "jan/models/m")
    if not (base / "jan/models/m/m.gguf").exists():
        download(base)


# Sharing.


def two_alike(base: Path) -> None:
    """A file and its copy, and how they were when they were compared."""
    for name in "ab":
        put(base / f"jan/models/{name}/{name}.gguf", CONTENT)
    original, copy = (stamp(RealFileSystem(base / "jan"), f"models/{name}/{name}.gguf") for name in "ab")
    put(base / "else/compared", msgspec.json.encode((original, copy)))


def share(base: Path) -> None:
    original, copy = msgspec.json.decode((base / "else/compared").read_bytes(), type=tuple[Stamp, Stamp])
    plan = Plan("0" * 32, "u", 1, "models/b/b.gguf", "models/a/a.gguf", original, "dedupe", how="hard-link")
    sharing.share(RealFileSystem(base / "jan"), plan, copy)


def without_swaps(act: Act) -> Act:
    """In a process of its own, on a disk where two files cannot change names at once."""

    def on_such_a_disk(base: Path) -> None:
        real._libc = WithoutFlags()  # type: ignore[assignment]
        act(base)

    return on_such_a_disk


def with_names(base: Path) -> Tree:
    """What is in the root, and whether two files are one by now."""
    copy = base / "jan/models/b/b.gguf"
    return {**tree(base / "jan"), "is one": str(copy.exists() and copy.stat().st_nlink == len("ab"))}


# The root, its log, its sample.


def an_old_log(base: Path) -> None:
    (base / "out").mkdir(parents=True)
    with closing(sqlite3.connect(base / "out/.log.db")) as made:
        made.executescript("CREATE TABLE a (b); INSERT INTO a VALUES (1);")


def copy(base: Path) -> None:
    try:
        copy_database(base / "out/.log.db", base / "out/copy")
    except OSError as error:  # as `migrate` does
        raise LogError(str(error)) from error


def a_log(base: Path) -> None:
    OpenRoot(base / "jan", SystemClock()).close()
    (base / "out").mkdir()


def back_up(base: Path) -> None:
    safekeeping.back_up(base / "jan", base / "out/backup.db")


def back_up_again(base: Path) -> None:
    if not (base / "out/backup.db").exists():
        back_up(base)


def open_root(base: Path) -> None:
    OpenRoot(base / "jan", SystemClock()).close()


def an_empty_root(base: Path) -> None:
    put(base / "jan" / MARKER, b"It is there.\n")
    put(base / "package/sample.gguf", CONTENT)


def put_sample(base: Path) -> None:
    sample.sample_file = lambda: base / "package/sample.gguf"
    sample.put_sample(base / "jan")


def put_sample_again(base: Path) -> None:
    staging.sweep(base / "jan")
    put_sample(base)


OPERATIONS = {
    "import a folder": bringing("Story", "copy"),
    "import a folder from another disk": bringing("Story", "copy", one_disk=False),
    "import and move a folder": bringing("Story", "move"),
    "import and move a folder from another disk": bringing("Story", "move", one_disk=False),
    "import links": bringing("Story", "link"),
    "import a file": bringing("alone.gguf", "copy"),
    "import and move a file": bringing("alone.gguf", "move"),
    "export": Operation(nothing, save, save_again, shown="out"),
    "export where every file has a name": Operation(
        nothing, without_nameless_files(save), without_nameless_files(save_again), shown="out"
    ),
    "download": Operation(a_model_without_a_file, download, download_again, kept=parts.PREFIX, tries=12),
    "let a copy share": Operation(two_alike, share, share, look=with_names, shown="models"),
    "let a copy share where files cannot be swapped": Operation(
        two_alike, without_swaps(share), without_swaps(share), look=with_names, shown="models", in_steps=True
    ),
    "copy the log": Operation(an_old_log, copy, copy, shown="out"),
    "back the log up": Operation(a_log, back_up, back_up_again, shown="out", tries=8),
    "make a root": Operation(lambda _: None, open_root, open_root, shown="none", tries=8),
    "put the sample": Operation(an_empty_root, put_sample, put_sample_again),
}
