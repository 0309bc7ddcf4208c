"""The catalogue of any moment is the fold of what came before."""

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from janfs.catalogue.catalogue import Catalogue
from janfs.catalogue.fold import Recorded, fold
from janfs.catalogue.rows import to_rows
from janfs.errors import InvalidInput, NotFound
from janfs.events.types import RootReturned
from janfs.past.moments import AsOf, position_at, record_at
from janfs.pipeline.recorder import Draft, new_record
from tests.catalogue.strategies import histories
from tests.fakes.clock import FakeClock
from tests.pipeline.world import open_log


@settings(max_examples=40, deadline=None)
@given(histories, st.lists(st.integers(0, 25), min_size=1, max_size=8))
def test_the_catalogue_of_a_moment_is_the_fold_of_all_before(
    history: list[Recorded], asked: list[int]
) -> None:
    clock = FakeClock()
    with tempfile.TemporaryDirectory() as folder:
        log = open_log(Path(folder) / "log.db", clock)
        told: list[Recorded] = []
        for item in history:
            (record,) = log.append([new_record(Draft(item.stream, item.event))])
            told.append(Recorded(record.position, record.stream, record.recorded_at, item.event))
            clock.advance(1)
        past = AsOf(log)
        for position in (min(each, len(told)) for each in asked):
            expected = Catalogue()
            for item in told[:position]:
                expected, _ = fold(expected, [item])
            assert dict(to_rows(past.at(position))) == dict(to_rows(expected)), f"at {position} of {asked}"
        log.close()


def test_a_time_leads_to_the_last_event_by_then(tmp_path: Path) -> None:
    clock = FakeClock()
    log = open_log(tmp_path / "log.db", clock)
    times = []
    for _ in range(5):
        log.append([new_record(Draft("root", RootReturned()))])
        times.append(clock.now())
        clock.advance(60)
    for position, time in enumerate(times, 1):
        assert position_at(log, 5, time.isoformat(), clock.now()) == position
        just_before = time - timedelta(microseconds=1)
        assert position_at(log, 5, just_before.isoformat(), clock.now()) == position - 1
    assert position_at(log, 5, "now", clock.now()) == 5
    assert position_at(log, 5, "90 seconds ago", clock.now()) == 4
    assert position_at(log, 0, "now", datetime.now(UTC)) == 0
    with pytest.raises(InvalidInput, match="ends at position 5"):
        position_at(log, 5, "6", clock.now())
    with pytest.raises(NotFound, match="nothing at position 6"):
        record_at(log, 6)
    log.close()
