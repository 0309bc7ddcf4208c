import signal
import subprocess
import sys
import time

import pytest

from janfs.engines.llama_cpp import limits
from janfs.engines.llama_cpp.limits import LimitExceeded, limited
from tests.support.patience import PATIENCE


@pytest.fixture(autouse=True)
def no_watchdog_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes by the wall's clock, and would end the test run where that is far ahead of the processor's."""
    monkeypatch.setattr(limits, "_STUCK", 10_000)


def test_what_ends_in_time_is_left_alone_and_the_alarm_is_off_afterwards() -> None:
    before = signal.getsignal(signal.SIGALRM)
    with limited(0.1, 2**30):
        pass
    time.sleep(0.15)  # an alarm left on would end the test run here
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_an_endless_loop_is_ended() -> None:
    def body() -> None:
        with limited(0.1, 2**30):
            while True:
                pass

    with pytest.raises(LimitExceeded, match="seconds"):
        body()


def test_a_limit_that_a_finalizer_swallowed_holds_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    class Endless:
        def __del__(self) -> None:
            while True:
                pass

    def body() -> None:
        with limited(0.1, 2**30):
            Endless()
            end = time.thread_time() + 5
            while time.thread_time() < end:
                pass

    swallowed: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda lost: swallowed.append(lost.exc_type))
    with pytest.raises(LimitExceeded, match="seconds"):
        body()
    assert swallowed == [LimitExceeded], "the finalizer did not swallow it"


def test_waiting_for_a_processor_is_not_held_against_the_body() -> None:
    with limited(0.1, 2**30):
        time.sleep(0.3)


def test_growing_without_end_is_ended() -> None:
    hoard: list[bytes] = []

    def body() -> None:
        with limited(30, 64 * 2**20):
            while True:
                hoard.append(b"x" * 2**20)

    with pytest.raises(LimitExceeded, match="memory"):
        body()
    assert len(hoard) < 4096, "it was let grow far beyond its limit"


def test_a_body_stuck_in_c_code_ends_the_process_with_a_traceback() -> None:
    stuck = """
from collections import deque
from itertools import repeat
from janfs.engines.llama_cpp import limits
from janfs.engines.llama_cpp.limits import limited
with limited(0.1, 2**30):
    deque(repeat(1), 0)
"""
    ended = subprocess.run([sys.executable, "-c", stuck], capture_output=True, timeout=PATIENCE, check=False)
    assert ended.returncode == 1
    assert b"Timeout" in ended.stderr
