"""Moments as people write them."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from janfs.errors import InvalidInput
from janfs.history.when import parse_when, position_of

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 4, 1, 15, 30, tzinfo=BERLIN)  # a Wednesday, three days into summer time


def here(naive: datetime) -> datetime:
    return naive.replace(tzinfo=BERLIN)


def when(text: str, now: datetime = NOW) -> int | datetime:
    return parse_when(text, now, here)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("0", 0),
        ("1234", 1234),
        ("#12", 12),
        (" 12 ", 12),
        (str(2**63 - 1), 2**63 - 1),
        ("now", NOW),
        ("NOW", NOW),
        ("today", here(datetime(2026, 4, 1))),
        ("yesterday", here(datetime(2026, 3, 31))),
        ("yesterday 14:00", here(datetime(2026, 3, 31, 14))),
        ("Yesterday at  9:05:30", here(datetime(2026, 3, 31, 9, 5, 30))),
        ("14:00", here(datetime(2026, 4, 1, 14))),
        ("monday", here(datetime(2026, 3, 30))),
        ("last friday 08:00", here(datetime(2026, 3, 27, 8))),
        ("wednesday", here(datetime(2026, 4, 1))),
        ("thursday", here(datetime(2026, 3, 26))),
        ("2 hours ago", NOW - timedelta(hours=2)),
        ("an hour ago", NOW - timedelta(hours=1)),
        ("a day ago", NOW - timedelta(days=1)),
        ("3d ago", NOW - timedelta(days=3)),
        ("90 min ago", NOW - timedelta(minutes=90)),
        ("2 weeks ago", NOW.astimezone(UTC) - timedelta(weeks=2)),
        ("96 hours ago", here(datetime(2026, 3, 28, 14, 30))),
        ("2026-03-01", here(datetime(2026, 3, 1))),
        ("2026-03-01 14:00", here(datetime(2026, 3, 1, 14))),
        ("2026-03-01T14:00:01.5", here(datetime(2026, 3, 1, 14, 0, 1, 500_000))),
        ("2026-03-01T14:00Z", datetime(2026, 3, 1, 14, tzinfo=UTC)),
        ("2026-03-01T14:00+02:00", datetime(2026, 3, 1, 12, tzinfo=UTC)),
        ("2026-03-01T14:00:00 02:00", datetime(2026, 3, 1, 12, tzinfo=UTC)),
    ],
)
def test_a_moment_is_understood(text: str, moment: int | datetime) -> None:
    assert when(text) == moment


@pytest.mark.parametrize(
    "text",
    [
        *("", "soon", "-5", "1.5", str(2**63), "#", "tomorrow", "25:00", "yesterday 24:10", "2026-02-30"),
        *("ago", "2 moons ago", "999999999 weeks ago", "2026-03-01T99:00", "monday noon", "12 hours", "\x00"),
    ],
)
def test_what_is_no_moment_is_answered_with_examples(text: str) -> None:
    with pytest.raises(InvalidInput, match="yesterday 14:00") as refused:
        when(text)
    assert repr(text)[1:-1].replace("\\x00", "\x00") in refused.value.detail


@given(st.text(max_size=30))
def test_no_text_does_worse_than_to_be_refused(text: str) -> None:
    try:
        moment = when(text)
    except InvalidInput:
        return
    assert isinstance(moment, int) or moment.tzinfo is not None


@given(st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1)), st.sampled_from([UTC, BERLIN]))
def test_any_time_in_iso_form_is_that_time(naive: datetime, zone: ZoneInfo) -> None:
    assert when(naive.isoformat()) == here(naive)
    aware = naive.replace(tzinfo=zone)
    assert when(aware.isoformat()) == aware


@given(st.integers(0, 10**6), st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1)))
def test_an_age_is_counted_in_real_time_across_a_change_of_clocks(minutes: int, naive: datetime) -> None:
    now = naive.replace(tzinfo=UTC)
    assert when(f"{minutes} minutes ago", now) == now - timedelta(minutes=minutes)


def test_a_time_that_names_no_zone_is_that_of_this_machine() -> None:
    moment = parse_when("2026-03-01 14:00", NOW)
    assert moment == datetime(2026, 3, 1, 14).astimezone()


times = st.lists(st.datetimes(datetime(2026, 1, 1), datetime(2026, 1, 2)), max_size=30).map(sorted)


@given(times, st.datetimes(datetime(2026, 1, 1), datetime(2026, 1, 2)))
def test_a_time_stands_for_the_last_event_recorded_by_then(
    recorded: list[datetime], moment: datetime
) -> None:
    found = position_of(moment, len(recorded), lambda position: recorded[position - 1])
    assert found == sum(1 for at in recorded if at <= moment)


def test_a_position_stands_for_itself() -> None:
    def never(_: int) -> datetime:
        raise AssertionError("nothing has to be read for that")

    assert position_of(3, 5, never) == 3
    assert position_of(0, 5, never) == 0
    with pytest.raises(InvalidInput, match="ends at position 5"):
        position_of(6, 5, never)
