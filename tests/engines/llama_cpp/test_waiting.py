import subprocess
import sys
from pathlib import Path

import pytest

from janfs.engines.llama_cpp.waiting import Waiting, waiting_of_this_process, waiting_policy
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


@pytest.mark.parametrize("counted", ["9 0 1\n", "0 0 0\n", None])
def test_threads_wait_awake_where_the_kernel_tells_whether_others_want_the_cores(
    tmp_path: Path, counted: str | None
) -> None:
    if counted is not None:
        (tmp_path / "schedstat").write_text(counted)
    awake = {"OMP_WAIT_POLICY": "active", "GOMP_SPINCOUNT": "300000"}
    assert waiting_policy({}, tmp_path) == (awake if counted == "9 0 1\n" else {"GOMP_SPINCOUNT": "3000"})


@pytest.mark.parametrize("environ", [{"GOMP_SPINCOUNT": "9"}, {"OMP_WAIT_POLICY": "active"}])
def test_what_the_user_has_set_stays(environ: dict[str, str]) -> None:
    assert waiting_policy(environ) == {}
    waiting_of_this_process(environ).computed()  # and would not change anything


def test_the_openmp_that_computes_is_found_also_where_its_path_has_spaces(tmp_path: Path) -> None:
    library = tmp_path / "a folder" / "libgomp-a34b3233.so.1.0.0"
    library.parent.mkdir()
    library.write_bytes(b"no library")
    line = f"7f00c0000000-7f00c0400000 r-xp 00000000 103:01 1234                     {library}\n"
    (tmp_path / "maps").write_text(line.replace(str(library), "/lib/libc.so.6") + line)
    awake = {"OMP_WAIT_POLICY": "active", "GOMP_SPINCOUNT": "300000"}
    with pytest.raises(OSError, match="a folder/libgomp-a34b3233"):  # as the loader cannot read it
        waiting_of_this_process(awake, tmp_path)


def printed(script: str) -> list[str]:
    """What a script prints in a process of its own, where no other threads come and go."""
    ran = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    return ran.stdout.split()


def test_a_second_team_has_more_threads_than_there_are_processors_and_ends() -> None:
    script = f"""
import ctypes, os, time
from janfs.engines.llama_cpp.waiting import OpenMpThreads
def tasks():
    return len(os.listdir("/proc/self/task"))
openmp = ctypes.CDLL("libgomp.so.1")
alone, threads = tasks(), OpenMpThreads(openmp)
for _ in range(3):
    threads.sleep_soon(True)
    print(tasks() - alone - openmp.omp_get_num_procs())
    threads.sleep_soon(False)
    until = time.monotonic() + {PATIENCE}
    while tasks() > alone and time.monotonic() < until:
        time.sleep(0.01)
    print(tasks() - alone)
"""
    assert printed(script) == ["1", "0"] * 3


def test_where_no_more_threads_can_be_started_all_stays_as_it_is() -> None:
    script = """
import ctypes, os, resource
from janfs.engines.llama_cpp.waiting import OpenMpThreads
threads, alone = OpenMpThreads(ctypes.CDLL("libgomp.so.1")), len(os.listdir("/proc/self/task"))
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 2**20, -1))
threads.sleep_soon(True)
print(len(os.listdir("/proc/self/task")) - alone)
threads.sleep_soon(False)
print("goes on")
"""
    assert printed(script) == ["0", "goes", "on"]


@pytest.mark.skipif("OMP_WAIT_POLICY" not in waiting_policy({}), reason="this kernel does not count it")
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
    (waited,) = printed(script)
    assert float(waited) > 0.1
