"""The catalogue of any moment is the fold of what came before."""

import tempfile
import zlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from janfs.catalogue.catalogue import Catalogue
from janfs.catalogue.fold import Recorded, fold
from janfs.catalogue.rows import to_rows
from janfs.errors import InvalidInput, LogCorrupt, NotFound
from janfs.events.types import FileRemoved, RootReturned
from janfs.log.store import EventLog
from janfs.past import checkpoints, moments
from janfs.past.moments import AsOf, position_at, position_before, record_at
from janfs.pipeline.recorder import Draft, new_record, rebuild
from janfs.root import OpenRoot
from tests.catalogue.strategies import histories
from tests.fakes.clock import FakeClock
from tests.log.kit import by_hand
from tests.pipeline.world import open_log
from tests.support.lives import live


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


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(histories, st.lists(st.integers(0, 25), min_size=1, max_size=8))
def test_what_is_kept_on_disk_makes_no_difference(
    monkeypatch: pytest.MonkeyPatch, history: list[Recorded], asked: list[int]
) -> None:
    monkeypatch.setattr(checkpoints, "SPACING", 3)
    monkeypatch.setattr(checkpoints, "MOST", 2)
    with tempfile.TemporaryDirectory() as folder:
        log = open_log(Path(folder) / "log.db", FakeClock())
        log.append([new_record(Draft(item.stream, item.event)) for item in history])
        kept = Path(folder) / "past"
        for position in (min(each, len(history)) for each in asked):
            found = AsOf(log, kept).at(position)
            assert found == AsOf(log).at(position), f"at {position} of {asked}"
            assert not kept.exists() or len(list(kept.iterdir())) <= 3
        log.close()


def many(log: EventLog, count: int) -> None:
    log.append([new_record(Draft(f"u{n}", FileRemoved(f"models/{n}.gguf"))) for n in range(count)])


def test_a_long_log_is_folded_from_what_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "SPACING", 10)
    log = open_log(tmp_path / "log.db", FakeClock())
    many(log, 35)
    AsOf(log, tmp_path / "past").at(35)
    folded: list[int] = []
    monkeypatch.setattr(moments, "replay", lambda _log, after, until: folded.append(after) or iter(()))
    AsOf(log, tmp_path / "past").at(29)
    assert folded == [20], "it did not go on from position 20"
    log.close()


def test_what_is_kept_of_another_log_or_damaged_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "SPACING", 10)
    logs = []
    for name, count in (("a", 30), ("b", 20)):
        logs.append(open_log(tmp_path / f"{name}.db", FakeClock()))
        logs[-1].append([new_record(Draft(name, RootReturned()))])
        many(logs[-1], count)
    past = tmp_path / "past"
    for log in logs:
        position = log.head.position
        assert AsOf(log, past).at(position) == AsOf(log).at(position)
    for path in past.iterdir():
        path.write_bytes(path.read_bytes()[:-5])
    assert AsOf(logs[1], past).at(21) == AsOf(logs[1]).at(21)
    for log in logs:
        log.close()


@pytest.mark.parametrize("content", [b"", b"[[", b'[["file","\xff","{}"]]', b'[["file","a","\\udcff"]]'])
def test_what_is_kept_and_makes_no_sense_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    monkeypatch.setattr(checkpoints, "SPACING", 10)
    log = open_log(tmp_path / "log.db", FakeClock())
    many(log, 15)
    AsOf(log, tmp_path / "past").at(15)
    [kept] = (tmp_path / "past").iterdir()
    kept.write_bytes(zlib.compress(content))
    assert AsOf(log, tmp_path / "past").at(15) == AsOf(log).at(15)
    log.close()


def test_a_folder_that_takes_nothing_is_done_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "SPACING", 10)
    log = open_log(tmp_path / "log.db", FakeClock())
    many(log, 15)
    (tmp_path / "past").write_text("a file is in the way")
    assert AsOf(log, tmp_path / "past").at(15) == AsOf(log).at(15)
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


def test_when_a_damaged_event_was_recorded_is_known_still(tmp_path: Path) -> None:
    clock = FakeClock()
    log = open_log(tmp_path / "log.db", clock)
    for _ in range(3):
        log.append([new_record(Draft("root", RootReturned()))])
        clock.advance(60)
    by_hand(tmp_path / "log.db", "UPDATE events SET data = CAST(x'ff' AS TEXT)", guarded=False)
    assert [position_at(log, 3, f"{ago} seconds ago", clock.now()) for ago in (150, 90, 30)] == [1, 2, 3]
    log.close()


def test_what_is_yet_to_come_is_no_moment_of_the_log(tmp_path: Path) -> None:
    clock = FakeClock()
    log = open_log(tmp_path / "log.db", clock)
    log.append([new_record(Draft("root", RootReturned()))])
    recorded = clock.now()

    def asked(moment: datetime, now: datetime) -> tuple[int, int]:
        when = moment.isoformat()
        return position_at(log, 1, when, now), position_before(log, when, now)

    for ahead in (timedelta(minutes=6), timedelta(days=400)):
        with pytest.raises(InvalidInput, match=r"yet to come: it is \d{4}-"):
            position_at(log, 1, (recorded + ahead).isoformat(), recorded)
        with pytest.raises(InvalidInput, match="yet to come"):
            position_before(log, (recorded + ahead).isoformat(), recorded)
    assert asked(recorded + timedelta(minutes=4), recorded) == (1, 1), "a caller's clock may be ahead"
    assert asked(recorded, recorded - timedelta(days=1)) == (1, 0), "our clock was set back"
    log.close()


@pytest.mark.parametrize("when", ["0001-01-01T00:00Z", "0001-01-01T00:00+14:00"])
def test_the_first_moment_there_is_lies_before_everything(tmp_path: Path, when: str) -> None:
    log = open_log(tmp_path / "log.db", FakeClock())
    log.append([new_record(Draft("root", RootReturned()))])
    now = datetime.now(UTC)
    assert (position_at(log, 1, when, now), position_before(log, when, now)) == (0, 0)
    log.close()


def test_now_is_never_folded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with OpenRoot(tmp_path, FakeClock()) as root:
        live(root.log)
        now = rebuild(root.log)
        past = AsOf(root.log, now=lambda: now)
        then = past.at(now.position - 1)
        monkeypatch.setattr("janfs.past.moments.replay", None)
        assert past.at(now.position) is now
        assert past.at(now.position - 1) is then


def test_a_time_that_cannot_be_read_is_an_error_of_the_log(tmp_path: Path) -> None:
    clock = FakeClock()
    log = open_log(tmp_path / "log.db", clock)
    log.append([new_record(Draft("root", RootReturned()))])
    by_hand(tmp_path / "log.db", "UPDATE events SET recorded_at = 'once'", guarded=False)
    with pytest.raises(LogCorrupt, match=r"When position 1 was recorded cannot be read.*`janfs verify`"):
        position_at(log, 1, "1 minute ago", clock.now())
    log.close()
