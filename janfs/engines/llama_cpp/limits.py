"""A limit on time and memory for code that is not trusted, in the main thread of a process."""

import faulthandler
import os
import resource
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from janfs.errors import EngineError

_PAGE = os.sysconf("SC_PAGE_SIZE")  # bytes; statm counts in pages
_INTERVAL = 0.05  # seconds between two looks
_STUCK = 15  # times the limit: so much may a machine be busy with other things


class LimitExceeded(EngineError):
    """Untrusted code took too long or grew too big."""


@contextmanager
def limited(seconds: float, memory: int) -> Iterator[None]:
    """Raise `LimitExceeded` in the body after `seconds`, or when the process grew by `memory` bytes.

    What counts are this thread's seconds on a processor: a busy machine is no fault of the body. An alarm
    interrupts Python code only. For a body stuck in C code, which may hold Python's lock, a watchdog ends
    the process after fifteen times `seconds` by the wall's clock, with a traceback on stderr.
    """
    deadline = time.thread_time() + seconds
    ceiling = anonymous_memory() + memory
    over = False

    def look(_signal: int, _frame: FrameType | None) -> None:
        if over:
            return
        signal.setitimer(signal.ITIMER_REAL, _INTERVAL)  # first: what is raised in a finalizer is lost
        if time.thread_time() > deadline:
            raise LimitExceeded(f"it took more than {seconds:g} seconds")
        if anonymous_memory() > ceiling:
            raise LimitExceeded(f"it took more than {memory >> 20} MiB of memory")

    before = signal.signal(signal.SIGALRM, look)
    faulthandler.dump_traceback_later(_STUCK * seconds, exit=True)
    signal.setitimer(signal.ITIMER_REAL, _INTERVAL)
    try:
        yield
    finally:
        over = True
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        faulthandler.cancel_dump_traceback_later()


def deepen_stacks(size: int) -> None:
    """Let the stacks of later threads, and where the machine allows it the main one's, be so many bytes."""
    threading.stack_size(size)
    _, most = resource.getrlimit(resource.RLIMIT_STACK)
    resource.setrlimit(resource.RLIMIT_STACK, (size if most < 0 else min(size, most), most))


def anonymous_memory() -> int:
    """Resident bytes that are not of a file: weights mapped in meanwhile do not count. See proc(5)."""
    _, resident, shared, *_ = Path("/proc/self/statm").read_text().split()
    return (int(resident) - int(shared)) * _PAGE
