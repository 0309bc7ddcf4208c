"""How a worker process ends when it cannot go on: with its host, or with a thread of its own."""

import ctypes
import os
import signal
import sys
import threading
import traceback

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def die_with(parent: int) -> None:
    """Have the kernel kill this process when the host dies, however it dies. See prctl(2)."""
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent:  # it died before we asked
        sys.exit(0)


def end_process(failure: threading.ExceptHookArgs) -> None:
    """A thread that fails would leave requests without an answer: end the process instead."""
    try:
        traceback.print_exception(failure.exc_type, failure.exc_value, failure.exc_traceback)
        sys.stderr.flush()
    finally:  # where memory has run out there may be none for words either
        os._exit(70)
