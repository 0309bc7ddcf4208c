"""A moment as people write it: a position of the log, a time, or words for one. Pure."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta

from janfs.errors import InvalidInput

EXAMPLES = "1234 (a position of the log), 2026-03-01, 2026-03-01T14:00, yesterday 14:00, monday, 2 hours ago"

_POSITION = re.compile(r"#?(\d{1,19})")
_AGO = re.compile(r"(\d{1,9}|an?)\s*([a-z]+)\s+ago")
_DAY = re.compile(r"(?:last\s+)?([a-z]+)(?:\s+(?:at\s+)?(\d{1,2}:\d{2}(?::\d{2})?))?")
_CLOCK = re.compile(r"\d{1,2}:\d{2}(:\d{2})?")
# A plus sign in a query string is a blank by the time it arrives.
_LOST_PLUS = re.compile(r"(T\d\d:\d\d(?::\d\d(?:\.\d+)?)?) (\d\d:?\d\d)$")
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_UNITS = {
    "seconds": ("s", "sec", "secs", "second", "seconds"),
    "minutes": ("m", "min", "mins", "minute", "minutes"),
    "hours": ("h", "hr", "hrs", "hour", "hours"),
    "days": ("d", "day", "days"),
    "weeks": ("w", "week", "weeks"),
}
_UNIT_OF = {spelling: unit for unit, spellings in _UNITS.items() for spelling in spellings}
_LAST = 2**63 - 1  # the largest position that the log can hold


def parse_when(
    text: str, now: datetime, local: Callable[[datetime], datetime] = datetime.astimezone
) -> int | datetime:
    """A position, or a moment with its time zone.

    `now` has a time zone. `local` gives a time of day that names none the zone it has here; a day alone is
    its beginning, a weekday the last one, today included. Raises `InvalidInput` with examples.
    """
    said = " ".join(text.split())
    position = _POSITION.fullmatch(said)
    if position is not None and int(position[1]) <= _LAST:
        return int(position[1])
    try:
        moment = _in_words(said.lower(), now, local)
        if moment is None:
            iso = datetime.fromisoformat(_LOST_PLUS.sub(r"\1+\2", said))
            moment = iso if iso.tzinfo is not None else local(iso)
    except (ValueError, OverflowError) as error:
        raise InvalidInput(f"'{text}' is no moment. These are: {EXAMPLES}.") from error
    return moment


def position_of(moment: int | datetime, head: int, recorded: Callable[[int], datetime]) -> int:
    """The position of the last event that was recorded at or before a moment; 0 before the first.

    `head` is the last position there is, `recorded` when the event at one was recorded. Where the clock was
    set back, it is one of the positions that the moment lies behind. Raises `InvalidInput` for a position
    that is yet to come.
    """
    if isinstance(moment, int):
        if moment > head:
            raise InvalidInput(f"The log ends at position {head}; {moment} is yet to come.")
        return moment
    low, high = 0, head
    while low < high:
        middle = (low + high + 1) // 2
        if recorded(middle) <= moment:
            low = middle
        else:
            high = middle - 1
    return low


def _in_words(said: str, now: datetime, local: Callable[[datetime], datetime]) -> datetime | None:
    """What words mean; None when they are none of ours. Raises `ValueError` for a time that there is not."""
    if said == "now":
        return now
    ago = _AGO.fullmatch(said)
    if ago is not None and ago[2] in _UNIT_OF:
        count = 1 if ago[1].startswith("a") else int(ago[1])
        return now.astimezone(UTC) - timedelta(**{_UNIT_OF[ago[2]]: count})
    if _CLOCK.fullmatch(said):
        return local(datetime.combine(now.date(), _clock(said)))
    day = _DAY.fullmatch(said)
    if day is None:
        return None
    if day[1] in ("today", "yesterday"):
        back = int(day[1] == "yesterday")
    elif day[1] in _WEEKDAYS:
        back = (now.weekday() - _WEEKDAYS.index(day[1])) % 7
    else:
        return None
    return local(datetime.combine(now.date() - timedelta(days=back), _clock(day[2])))


def _clock(text: str | None) -> time:
    return time() if text is None else time.fromisoformat(text.zfill(8 if text.count(":") == 2 else 5))
