"""C code that may take for ever, run where it can be left alone: nothing can break it off."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, TypeVar

from janfs.engines.llama_cpp.limits import LimitExceeded

_T = TypeVar("_T")
_LOOK = 0.05  # seconds between two looks at how long it has taken


class Aside:
    """Runs calls in a thread of its own, one after the other, for one thread that waits for them.

    A call that takes more than `seconds` on a processor is left behind: its thread goes on, and takes one of
    the processors, for as long as the process lives. `left` says how many were. The thread begins with the
    first call, or is `begun` at once: where memory is short by then, Python may wait for it for ever.
    """

    def __init__(self, name: str, seconds: float, *, begun: bool = False) -> None:
        self.left = 0
        self._name = name
        self._seconds = seconds
        self._thread: _Thread | None = _Thread(name) if begun else None

    def call(self, work: Callable[[], _T]) -> _T:
        """What a call gives, or raises. Raises `LimitExceeded` if it is left behind."""
        if self._thread is None:
            self._thread = _Thread(self._name)
        outcome: Future[_T] = Future()
        began = self._thread.seconds
        self._thread.calls.put((outcome, work))
        while True:
            try:
                return outcome.result(_LOOK)
            except TimeoutError:
                if outcome.done():
                    return outcome.result()
                if self._thread.seconds - began > self._seconds:
                    self._thread = None
                    self.left += 1
                    raise LimitExceeded(f"it took more than {self._seconds:g} seconds") from None


class _Thread:
    def __init__(self, name: str) -> None:
        self.calls: SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = SimpleQueue()
        thread = threading.Thread(target=self._run, name=name, daemon=True)
        thread.start()
        self._clock = time.pthread_getcpuclockid(thread.ident or 0)

    @property
    def seconds(self) -> float:
        """How long it has been on a processor."""
        return time.clock_gettime(self._clock)

    def _run(self) -> None:
        while True:
            outcome, work = self.calls.get()
            try:
                outcome.set_result(work())
            except Exception as error:  # noqa: BLE001  # it is raised where the call was made
                outcome.set_exception(error)
