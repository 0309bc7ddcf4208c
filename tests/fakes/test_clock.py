"""The fake clock keeps time as the product expects it."""

from datetime import UTC, datetime, timedelta

import pytest

from janfs.clock import Clock
from tests.fakes.clock import FakeClock


def test_time_moves_only_when_told() -> None:
    clock: Clock = FakeClock(datetime(2026, 5, 1, tzinfo=UTC))
    assert (clock.now(), clock.monotonic()) == (datetime(2026, 5, 1, tzinfo=UTC), 0.0)
    assert (clock.now(), clock.monotonic()) == (datetime(2026, 5, 1, tzinfo=UTC), 0.0)


def test_both_times_advance_together() -> None:
    clock = FakeClock()
    start = clock.now()
    clock.advance(1.25)
    assert clock.monotonic() == 1.25
    assert clock.now() - start == timedelta(seconds=1.25)
    assert clock.time_ns() == 1_767_225_601_250_000_000, "2026-01-01T00:00:01.25Z in ns since the epoch"


def test_wall_time_may_jump_monotonic_time_never_goes_back() -> None:
    clock = FakeClock()
    start = clock.now()
    clock.jump(-3600)
    assert clock.now() == start - timedelta(hours=1)
    assert clock.monotonic() == 0.0
    with pytest.raises(ValueError, match="backwards"):
        clock.advance(-1)
