import threading
import time
from collections.abc import Iterator

import pytest

from janfs.engines.llama_cpp.aside import Aside
from janfs.engines.llama_cpp.limits import LimitExceeded


@pytest.fixture
def ended() -> Iterator[threading.Event]:
    """Ends what a test leaves behind."""
    event = threading.Event()
    yield event
    event.set()


def test_a_call_gives_what_it_finds_in_another_thread() -> None:
    aside = Aside("aside", 1)
    first, second = aside.call(threading.get_ident), aside.call(threading.get_ident)
    assert first == second != threading.get_ident()
    assert aside.left == 0


@pytest.mark.parametrize("error", [ValueError("no"), TimeoutError("no"), LimitExceeded("no")])
def test_what_a_call_raises_is_the_callers(error: Exception) -> None:
    def fail() -> None:
        raise error

    aside = Aside("aside", 1)
    with pytest.raises(type(error), match="no"):
        aside.call(fail)
    assert (aside.call(lambda: 5), aside.left) == (5, 0)


def test_a_call_without_end_is_left_behind_and_the_next_one_is_answered(ended: threading.Event) -> None:
    def compute() -> None:
        while not ended.is_set():
            pass

    aside = Aside("aside", 0.1)
    with pytest.raises(LimitExceeded, match=r"0\.1 seconds"):
        aside.call(compute)
    assert (aside.call(lambda: 5), aside.left) == (5, 1)


def test_time_that_it_does_not_compute_is_not_counted() -> None:
    aside = Aside("aside", 0.1)
    aside.call(lambda: time.sleep(0.3))
    assert aside.left == 0
