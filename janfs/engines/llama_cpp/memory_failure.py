"""Telling whether a load failed for lack of memory, by what was said at its end. Pure."""

import re

from janfs.engines.protocol import EngineExit, describe_exit
from janfs.errors import JanfsError, LoadFailed, OutOfMemory

_WORDS = re.compile(
    r"(?:failed|unable) to allocate|cannot allocate memory|out of memory|bad_alloc|MemoryError", re.IGNORECASE
)


def told(error: JanfsError) -> JanfsError:
    """The error that a worker told, an `OutOfMemory` where it was that."""
    if isinstance(error, LoadFailed) and _WORDS.search(error.detail):
        return OutOfMemory(error.detail)
    return error


def died(end: EngineExit, *, by_us: bool) -> LoadFailed:
    """The error for a worker that ended while it loaded. SIGKILL, if not `by_us`, is how the kernel takes
    memory back.
    """
    by_the_kernel = end.signal == "SIGKILL" and not by_us
    lacking = by_the_kernel or any(map(_WORDS.search, end.stderr_tail))
    detail = f"While loading, the engine {describe_exit(end)}"
    if by_the_kernel:
        detail += ", as processes are when the machine runs out of memory"
    return OutOfMemory(detail) if lacking else LoadFailed(detail)
