import ctypes
import subprocess
import sys
import time
from pathlib import Path

import llama_cpp  # noqa: F401  # brings the OpenMP that computes
import pytest

from janfs.engines.llama_cpp.waiting import OpenMpThreads, Waiting, waiting_of_this_process, waiting_policy
from tests.support.patience import PATIENCE


class FakeThreads:
    """Threads that wait for a core for a given share of the time."""

    def __init__(self) -> None:
        self.now = self._waited = 0.0
        self.told: list[bool] = []

    def waited(self) -> float:
        return self._waited

    def sleep_soon(self, wanted: bool) -> None:
        self.told.append(wanted)

    def compute(self, waiting: Waiting, share: float, seconds: float = 1.0) -> None:
        for _ in range(round(seconds / 0.05)):
            self.now += 0.05
            self._waited += 0.05 * share
            waiting.computed()


@pytest.fixture
def threads() -> FakeThreads:
    return FakeThreads()


@pytest.fixture
def waiting(threads: FakeThreads) -> Waiting:
    return Waiting(threads, lambda: threads.now)


def test_threads_that_get_their_cores_stay_awake(threads: FakeThreads, waiting: Waiting) -> None:
    threads.compute(waiting, 0.1, 10)
    assert threads.told == []


def test_threads_sleep_soon_while_others_want_the_cores(threads: FakeThreads, waiting: Waiting) -> None:
    threads.compute(waiting, 0.7)
    assert threads.told == [True]
    threads.compute(waiting, 0.15)
    assert threads.told == [True], "what is neither much nor little changes nothing"
    threads.compute(waiting, 0.03)
    assert threads.told == [True, False]


def test_threads_wait_awake_where_the_kernel_tells_whether_others_want_the_cores(tmp_path: Path) -> None:
    assert waiting_policy({}, tmp_path)["GOMP_SPINCOUNT"] == "3000"
    (tmp_path / "schedstat").touch()
    assert waiting_policy({}, tmp_path) == {"OMP_WAIT_POLICY": "active", "GOMP_SPINCOUNT": "300000"}


@pytest.mark.parametrize("environ", [{"GOMP_SPINCOUNT": "9"}, {"OMP_WAIT_POLICY": "active"}])
def test_what_the_user_has_set_stays(environ: dict[str, str]) -> None:
    assert waiting_policy(environ) == {}
    waiting_of_this_process(environ).computed()  # and would not change anything


def _tasks() -> int:
    return sum(1 for _ in Path("/proc/self/task").iterdir())


def test_a_second_team_has_more_threads_than_there_are_processors(threads: FakeThreads) -> None:
    openmp = ctypes.CDLL("libgomp.so.1")
    few, team = _tasks(), OpenMpThreads(openmp)
    for _ in range(3):
        team.sleep_soon(True)
        assert _tasks() == few + openmp.omp_get_num_procs() + 1
        team.sleep_soon(False)
        until = time.monotonic() + PATIENCE
        while _tasks() > few:
            assert time.monotonic() < until, "they stay"
            time.sleep(0.01)


def test_the_kernel_counts_how_long_threads_wait_for_a_core() -> None:
    script = """
import ctypes, os, time
from janfs.engines.llama_cpp.waiting import OpenMpThreads
threads = OpenMpThreads(ctypes.CDLL(None))
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
other = os.fork()
while not other:
    pass
before, until = threads.waited(), time.process_time() + 0.3
while time.process_time() < until:
    pass
print(threads.waited() - before)
os.kill(other, 9)
"""
    waited = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
    assert float(waited) > 0.1
