"""What a Retry-After means."""

import time
from collections.abc import Iterator

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from janfs.retry_after import seconds_of

DATE = "Sun, 06 Nov 1994 08:49:37 GMT"
THEN = 784111777.0  # the same in Unix seconds


@pytest.mark.parametrize(
    ("said", "their_date", "seconds"),
    [
        ("40", None, 40.0),
        (" 0 ", None, 0.0),
        (DATE, None, 17.0),
        ("Sunday, 06-Nov-94 08:49:37 GMT", None, 17.0),
        ("Sun Nov  6 08:49:37 1994", None, 17.0),
        (DATE, "Sun, 06 Nov 1994 08:49:07 GMT", 30.0),
        (DATE, "yesterday", 17.0),
        ("Sun, 06 Nov 1994 08:00:00 GMT", None, 0.0),
        ("99999999", None, None),
        ("soon", None, None),
        ("", None, None),
        ("Sun, 99 Nov 1994 08:49:37 GMT", None, None),
        ("-5", None, None),
    ],
)
def test_how_long_a_server_wants_to_be_left_alone(
    said: str, their_date: str | None, seconds: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    headers = httpx.Headers({"Retry-After": said} | ({} if their_date is None else {"Date": their_date}))
    assert seconds_of(headers, THEN - 17) == seconds


@pytest.fixture(autouse=True)
def own_zone() -> Iterator[None]:
    """The zone of the machine that runs the tests, again."""
    yield
    time.tzset()


def test_who_says_nothing_may_be_asked_at_once() -> None:
    assert seconds_of(httpx.Headers(), THEN) is None


@given(st.text(st.characters(codec="ascii")), st.text(st.characters(codec="ascii")))
def test_no_header_is_too_odd_to_be_read(said: str, date: str) -> None:
    found = seconds_of({"retry-after": said, "date": date}, THEN)
    assert found is None or found >= 0
