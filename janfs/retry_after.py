"""How long a server wants to be left alone, by its Retry-After (RFC 9110, section 10.2.3). Pure."""

from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime


def seconds_of(headers: Mapping[str, str], now: float) -> float | None:
    """How long a Retry-After wants us to wait: so many seconds, or until a date by the server's own clock.

    `now`, in Unix seconds, counts where the server does not say what time it has.
    """
    said = headers.get("retry-after", "").strip()
    if said.isascii() and said.isdigit():
        return float(said) if len(said) < 8 else None
    until = _moment(said)
    if until is None:
        return None
    theirs = _moment(headers.get("date", ""))
    return max(0.0, until - (now if theirs is None else theirs))


def _moment(text: str) -> float | None:
    """A date of HTTP's in Unix seconds (RFC 9110, section 5.6.7); None for what is none."""
    try:
        found = parsedate_to_datetime(text)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
