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


def died(end: EngineExit, *, by_us: bool, before: int | None, after: int | None) -> LoadFailed:
    """The error for a worker that ended while it loaded. SIGKILL, if not `by_us`, is how the kernel takes
    memory back, unless it has counted as many such kills `before` the load as `after`; None: it does not.
    """
    killed = end.signal == "SIGKILL" and not by_us
    by_somebody = killed and before is not None and before == after
    lacking = (killed and not by_somebody) or any(map(_WORDS.search, end.stderr_tail))
    detail = f"While loading, the engine {describe_exit(end)}"
    if by_somebody:
        detail += ", by somebody and not by the kernel for lack of memory"
    elif killed:
        detail += ", as processes are when the machine runs out of memory"
    return OutOfMemory(detail) if lacking else LoadFailed(detail)
