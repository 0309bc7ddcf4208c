"""What is done with the log as a file: another takes its place, or a shorter one."""

import errno
import functools
import os
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from janfs import compacting, safekeeping
from janfs.root import OpenRoot, RootPaths, read_log
from tests.crash.dying import Act, Tree, tree
from tests.crash.operations import Operation, put
from tests.fakes.clock import FakeClock
from tests.support.lives import live

LOG = "jan/log"  # where the files of the log are shown
HALF = 20  # the position up to which `compact` archives


@functools.cache
def material() -> tuple[bytes, bytes, bytes]:
    """A log, a backup of what it was before, and all of it as lines."""
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        with OpenRoot(base / "jan", FakeClock()) as opened:
            live(opened.log)
        safekeeping.back_up(base / "jan", base / "backup.db")
        with OpenRoot(base / "jan", FakeClock()) as opened:
            live(opened.log, first=3)
        safekeeping.write_out(base / "jan", base / "log.jsonl")
        safekeeping.back_up(base / "jan", base / "whole.db")
        return tuple((base / name).read_bytes() for name in ("whole.db", "backup.db", "log.jsonl"))  # type: ignore[return-value]


def a_log(base: Path) -> None:
    whole, backup, exported = material()
    put(RootPaths(base / "jan").database, whole)
    put(base / "out/backup.db", backup)
    put(base / "out/log.jsonl", exported)
    start(base)


def an_empty_root(base: Path) -> None:
    put(base / "out/log.jsonl", material()[2])
    start(base)


def start(base: Path) -> None:
    OpenRoot(base / "jan", FakeClock()).close()


def head(database: Path) -> str:
    with closing(sqlite3.connect(database)) as connection:
        [(position, digest)] = connection.execute("SELECT max(position), hash FROM events")
    return f"{position} {'' if digest is None else digest.hex()}"


def look(base: Path) -> Tree:
    """All, and of each file of the log where it ends; a second name of the log itself is not another one."""
    found = tree(base)
    database = RootPaths(base / "jan").database
    for path in sorted(database.parent.glob(f"{database.name}*")) if database.exists() else []:
        if path.name.endswith(("-wal", "-shm")) or (path != database and path.samefile(database)):
            continue
        if path == database or (".before-" in path.name and path.suffix != ".new"):
            found[f"{LOG}/{path.name}"] = head(path).encode()
        else:
            found[f"jan/left behind/{path.name}"] = None
    return found


def look_at_ends(base: Path) -> Tree:
    """The same where each end of a log counts once, in how many files it is: two of them may be copies."""
    found = look(base)
    here = {path: found.pop(path) for path in list(found) if path.startswith(LOG)}
    ends = {what.decode() for what in here.values() if isinstance(what, bytes)}
    current = here.get(f"{LOG}/log.db")
    kept = {f"{LOG}/{end}": end.encode() for end in ends if end.encode() != current}
    return found | kept | {f"{LOG}/log.db": current}


def look_at_what_counts(base: Path) -> Tree:
    """The same of a log that may become shorter: its end and its beginning are no content that is lost."""
    return {path: str(what) if path.startswith(LOG) else what for path, what in look(base).items()}


def restore(base: Path) -> None:
    safekeeping.restore(base / "jan", base / "out/backup.db", FakeClock())


def restore_again(base: Path) -> None:
    """Whoever is not sure asks again; where that is not needed, the next start finds nothing to do."""
    wanted = head(base / "out/backup.db")
    if head(RootPaths(base / "jan").database) != wanted:
        restore(base)
    start(base)


def without_links(act: Act) -> Act:
    """In a process of its own, on a disk that gives no file a second name."""

    def on_such_a_disk(base: Path) -> None:
        def refuse(*_: Any, **__: Any) -> None:
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))

        os.link = refuse
        act(base)

    return on_such_a_disk


def read_in(base: Path) -> None:
    safekeeping.read_in(base / "jan", [base / "out/log.jsonl"], FakeClock())


def read_in_again(base: Path) -> None:
    if head(RootPaths(base / "jan").database).startswith("None"):
        read_in(base)
    start(base)


def compact(base: Path) -> None:
    compacting.compact(base / "jan", lambda _: HALF, FakeClock())


def compact_again(base: Path) -> None:
    with closing(read_log(base / "jan")) as log:
        done = log.start.position == HALF
    if not done:
        compact(base)
    start(base)


def operation(before: Act, act: Act, again: Act, look: Callable[[Path], Tree] = look) -> Operation:
    return Operation(before, act, again, shown=LOG, look=look, tries=8)


LOGS = {
    "restore a backup": operation(a_log, restore, restore_again),
    "restore a backup where no file has two names": operation(
        a_log, without_links(restore), without_links(restore_again), look_at_ends
    ),
    "import the log": operation(an_empty_root, read_in, read_in_again, look_at_what_counts),
    "compact the log": operation(a_log, compact, compact_again, look_at_what_counts),
}
