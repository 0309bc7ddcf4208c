"""The pipeline on a root that nobody serves, for a command that changes something."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from janfs.clock import SystemClock, random_id
from janfs.folder.real import RealFileSystem
from janfs.log.store import EventLog
from janfs.pipeline.commands import Command, Submitted
from janfs.pipeline.loop import Pipeline
from janfs.root import OpenRoot, read_log

PATIENCE = 30.0  # seconds that files which are still being written are waited for
BRIEFLY = 1.0  # where nothing comes in: a model.json that cannot be read may be half written, for an instant


@contextmanager
def opened(root: Path, *, organise: bool = True) -> Iterator[tuple[Pipeline, EventLog, Callable[[], None]]]:
    """The root's pipeline and log, and what brings everything to rest.

    A new root is made only for what comes in, and that is organised. Raises as `OpenRoot` and `read_log` do.
    """
    if not organise:
        read_log(root).close()
    with OpenRoot(root, SystemClock()) as there:
        pipeline = Pipeline(RealFileSystem(root), there.log, SystemClock(), random_id, organise=organise)
        yield pipeline, there.log, lambda: pipeline.settle(PATIENCE if organise else BRIEFLY, time.sleep)


def obey(root: Path, command: Command) -> int:
    """Do one thing; the log's position after it. Raises what the pipeline says against it."""
    with opened(root, organise=False) as (pipeline, _, work):
        work()
        submitted = Submitted(command)
        pipeline.tick([], [submitted])
        return submitted.done.result(0)
