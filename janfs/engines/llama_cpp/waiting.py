"""How the threads of a worker wait for each other: awake, unless others want the cores.

They meet after every operation, some 500 times a token. Who waits awake is back at once, but where another
process is on one of the cores it turns in circles in the place of those that are waited for. So threads wait
awake as long as they get the cores they want, and sleep soon while they do not (docs/decisions/0040).
"""

import ctypes
import os
import re
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

_PROCESS = Path("/proc/self")
_AWAKE = {"OMP_WAIT_POLICY": "active", "GOMP_SPINCOUNT": "300000"}  # a few milliseconds, GCC's default
_BRIEFLY = {"GOMP_SPINCOUNT": "3000"}  # some ten microseconds
_LIBRARY = re.compile(r"^(?:\S+ +){5}(/.*/libgomp\S*\.so\S*)$", re.MULTILINE)  # in proc(5)'s maps
_WINDOW = 0.5  # seconds on a core, after which it is asked again
_CROWDED = 0.2  # seconds that all threads waited for a core, in one that the first of them had it
_ROOMY = 0.1


def waiting_policy(environ: Mapping[str, str], process: Path = _PROCESS) -> dict[str, str]:
    """Environment for a process that computes: how GCC's OpenMP threads wait. What the user has set stays.

    Briefly where the kernel does not tell how long threads wait for a core, as nobody could end it there.
    """
    if {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & set(environ):
        return {}
    return _AWAKE if _is_counted(process) else _BRIEFLY


def _is_counted(process: Path) -> bool:
    """Whether the kernel counts how long threads of a process wait; one that may not shows zeros."""
    try:
        return any(map(int, (process / "schedstat").read_text().split()))
    except FileNotFoundError:
        return False


class Threads(Protocol):
    """The threads of this process that compute."""

    def waited(self) -> float:
        """Seconds that they have waited for a core so far, all together."""
        ...

    def sleep_soon(self, wanted: bool) -> None:
        """Whether they are to sleep soon, rather than wait awake."""
        ...


class Waiting:
    """Asks now and then whether others want the cores, and has the threads wait accordingly.

    It belongs to the thread that has all compute; `clock` is that one's time on a core, in seconds.
    """

    def __init__(self, threads: Threads, clock: Callable[[], float] = time.thread_time) -> None:
        self._threads = threads
        self._clock = clock
        self._since: tuple[float, float] | None = None  # when the window began, and what they had waited then
        self._crowded = False

    def computed(self) -> None:
        """A step of computing has ended."""
        now = self._clock()
        if self._since is not None and now - self._since[0] < _WINDOW:
            return
        waited = self._threads.waited()
        if self._since is not None:
            share = (waited - self._since[1]) / (now - self._since[0])
            crowded = share > (_ROOMY if self._crowded else _CROWDED)
            if crowded != self._crowded:
                self._threads.sleep_soon(crowded)
            self._crowded = crowded
        self._since = now, waited


class OpenMpThreads:
    """The threads of GCC's OpenMP, and what the kernel knows of them.

    More OpenMP threads than there are processors sleep after 1,000 turns (libgomp's manual, GOMP_SPINCOUNT,
    for an active OMP_WAIT_POLICY). So a second team that does nothing has all of them sleep soon.
    """

    def __init__(self, library: ctypes.CDLL, process: Path = _PROCESS) -> None:
        self._library = library
        self._tasks = process / "task"
        self._team: _Team | None = None

    def waited(self) -> float:
        """See `Threads.waited`. The kernel counts nanoseconds (Documentation/scheduler/sched-stats)."""
        found = 0
        for task in self._tasks.iterdir():
            try:
                found += int((task / "schedstat").read_text().split()[1])
            except (FileNotFoundError, ProcessLookupError):  # it has ended
                continue
        return found / 1e9

    def sleep_soon(self, wanted: bool) -> None:
        """See `Threads.sleep_soon`. Without effect where so many threads cannot be started."""
        if self._team is not None:
            self._team.end()
        size = self._library.omp_get_num_procs() + 1
        self._team = _Team(self._library, size) if wanted and _may_start(size) else None


def _may_start(count: int) -> bool:
    """Whether so many more threads can be started; libgomp ends the process when it cannot start one."""
    ended, started = threading.Event(), list[threading.Thread]()
    try:
        for _ in range(count):
            started.append(threading.Thread(target=ended.wait, daemon=True))
            started[-1].start()
    except RuntimeError:
        del started[-1]
        return False
    finally:
        ended.set()
        for thread in started:
            thread.join()
    return True


class _Team:
    """So many OpenMP threads, which sleep until their first one ends."""

    def __init__(self, library: ctypes.CDLL, size: int) -> None:
        self._library = library
        self._size = size
        self._ended = threading.Event()
        begun = threading.Event()
        self._first = threading.Thread(target=self._lead, args=(begun,), name="team", daemon=True)
        self._first.start()
        begun.wait()

    def _lead(self, begun: threading.Event) -> None:
        nothing = ctypes.cast(ctypes.CDLL(None).free, ctypes.c_void_p)  # each calls free(NULL)
        self._library.GOMP_parallel(nothing, None, self._size, 0)
        begun.set()
        self._ended.wait()

    def end(self) -> None:
        self._ended.set()
        self._first.join()


class _OtherThreads:
    """Threads that nobody can have wait otherwise."""

    def waited(self) -> float:
        return 0.0

    def sleep_soon(self, wanted: bool) -> None:  # noqa: ARG002  # they are let be
        return


def waiting_of_this_process(environ: Mapping[str, str] = os.environ, process: Path = _PROCESS) -> Waiting:
    """That of GCC's OpenMP where it waits awake because we want it to. All else is let be."""
    if all(environ.get(name) == value for name, value in _AWAKE.items()):
        # The very library that computes: packages bring their own under other names.
        mapped = _LIBRARY.search((process / "maps").read_text())
        if mapped:
            return Waiting(OpenMpThreads(ctypes.CDLL(mapped[1]), process))
    return Waiting(_OtherThreads())
