"""A worker whose thread cannot go on ends, whatever the reason."""

import subprocess
import sys

import pytest

FAILS = """
import threading, time, traceback
from janfs.engines.llama_cpp.ending import end_process

def run_out(*_: object) -> None:
    raise MemoryError

def read() -> None:
    raise {error}

{before}
threading.excepthook = end_process
threading.Thread(target=read, name="read", daemon=True).start()
time.sleep(600)
"""


@pytest.mark.parametrize(
    ("error", "before", "said"),
    [
        ("ValueError('of the socket')", "", b"ValueError: of the socket"),
        ("MemoryError", "traceback.print_exception = run_out", b""),
    ],
)
def test_a_thread_that_fails_ends_the_process_and_says_why_if_it_can(
    error: str, before: str, said: bytes
) -> None:
    code = FAILS.format(error=error, before=before)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, timeout=300)
    assert done.returncode == 70
    assert said in done.stderr
