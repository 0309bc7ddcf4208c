import pytest
from hypothesis import given
from hypothesis import strategies as st

from janfs.engines.cooldown import LONGEST, Cooldown
from janfs.errors import LoadFailed


def waits(cooldown: Cooldown, now: float, version: str = "one") -> bool:
    try:
        cooldown.check("m", version, now)
    except LoadFailed:
        return True
    return False


@given(failures=st.integers(1, 2000))
def test_each_failure_waits_longer_up_to_a_bound(failures: int) -> None:
    cooldown = Cooldown()
    for _ in range(failures):
        cooldown.failed("m", "one", LoadFailed("broken"), now=100.0)
    wait = min(2.0 ** min(failures - 1, 10), LONGEST)
    assert waits(cooldown, 100.0 + wait - 0.01)
    assert not waits(cooldown, 100.0 + wait)


def test_another_version_and_a_success_begin_anew() -> None:
    cooldown = Cooldown()
    for _ in range(5):
        cooldown.failed("m", "one", LoadFailed("broken"), now=0.0)
    assert not waits(cooldown, 0.0, "two")
    cooldown.failed("m", "two", LoadFailed("broken"), now=0.0)
    assert not waits(cooldown, 1.0, "two"), "the count of the old version was kept"
    cooldown.succeeded("m")
    assert not waits(cooldown, 0.0, "two")


def test_the_reason_of_the_last_failure_is_told() -> None:
    cooldown = Cooldown()
    cooldown.failed("m", "one", LoadFailed("no such tensor"), now=0.0)
    with pytest.raises(LoadFailed, match=r"no such tensor \(the next try is in 0.8 seconds\)"):
        cooldown.check("m", "one", 0.2)
