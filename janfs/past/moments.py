"""Moments of the log: from words to a position, and from a position to the catalogue as it was then."""

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from janfs.catalogue.catalogue import Catalogue
from janfs.catalogue.parking import fold_what_applies
from janfs.errors import EventsArchived, InvalidInput, LogCorrupt, NotFound
from janfs.events import codec
from janfs.history.happening import Happening
from janfs.history.when import parse_when, position_of
from janfs.log.reader import LogReader
from janfs.log.records import Record
from janfs.past.checkpoints import Checkpoints
from janfs.pipeline.recorder import beginning, replay

_LONG_AGO = datetime.min.replace(tzinfo=UTC)
_LEAST = timedelta(microseconds=1)  # that two moments of the log are apart
_OTHER_CLOCKS = timedelta(minutes=5)  # that a caller's clock may be ahead
_KEPT = 2  # catalogues of the past that are held in memory


def position_at(log: LogReader, head: int, when: str, now: datetime) -> int:
    """The position that a moment in words stands for, `head` being the last one. Raises `InvalidInput`.

    Times without a zone, and words, are of this machine's zone. What is yet to come is no moment of the log.
    """
    return position_of(_moment(log, head, when, now), head, lambda position: _recorded(log, position))


def position_before(log: LogReader, when: str, now: datetime) -> int:
    """The last position before a moment: of a position the one before it, else what was recorded earlier.

    Raises `InvalidInput`.
    """
    last = log.last().position
    moment = _moment(log, last, when, now)
    if isinstance(moment, int):
        return position_of(moment, last + 1, lambda position: _recorded(log, position)) - 1
    return position_of(moment, last, lambda position: _recorded(log, position) + _LEAST)


def _moment(log: LogReader, head: int, when: str, now: datetime) -> int | datetime:
    """A moment that there was. Where the clock was set back, the log's own times are past too."""
    moment = parse_when(when, now.astimezone())
    if (
        isinstance(moment, datetime)
        and moment > now + _OTHER_CLOCKS
        and (head == 0 or moment > _recorded(log, head))
    ):
        raise InvalidInput(f"'{when}' is yet to come: it is {now.astimezone():%Y-%m-%d %H:%M %Z} here.")
    return moment


def _recorded(log: LogReader, position: int) -> datetime:
    """When the event at a position was recorded; of archived ones only the last one's time is known."""
    seam = log.seam
    if seam is not None and position < seam.position:
        return _LONG_AGO
    at_seam = seam if seam is not None and position == seam.position else None
    try:
        return datetime.fromisoformat((at_seam or record_at(log, position)).recorded_at)
    except ValueError as error:
        raise LogCorrupt(
            f"When position {position} was recorded cannot be read: {error}. `janfs verify` tells more."
        ) from error


def check_told(log: LogReader, position: int, hint: str = "") -> None:
    """Raises `EventsArchived`, with a hint, for a position that lies before the seam of a compacted log."""
    if log.seam is not None and position < log.seam.position:
        raise EventsArchived(log.seam.position, log.seam.archive, hint)


def archive_hint(log: LogReader) -> str:
    """Where what the log does not know may be told, as a further sentence; nothing for a whole log."""
    seam = log.seam
    return f" Events up to position {seam.position} are archived in {seam.archive}." if seam else ""


def record_at(log: LogReader, position: int) -> Record:
    """The record at a position, of which the data may be damaged. Raises `NotFound`."""
    found, _ = next(log.read_hashed(position - 1, page=1), (None, b""))
    if found is None or found.position != position:
        raise NotFound(f"The log has nothing at position {position}.")
    return found


def happening(record: Record) -> Happening:
    """A record with its event in today's shape."""
    event = codec.decode(record.type, record.schema, record.data)
    return Happening(record.position, record.stream, record.recorded_at, record.actor, record.cause, event)


def happenings(records: Iterable[Record]) -> Iterator[Happening]:
    """Records with their events; one that cannot be read is left out, as the catalogue leaves it out."""
    for record in records:
        with contextlib.suppress(LogCorrupt):
            yield happening(record)


class AsOf:
    """Catalogues of the past. The last few are kept in memory, and some on the way to them in a folder."""

    def __init__(
        self, log: LogReader, folder: Path | None = None, now: Callable[[], Catalogue] | None = None
    ) -> None:
        """Without a folder everything is folded from the beginning, or from what is in memory.

        `now` gives the catalogue of the present, which is that of its position and is never folded.
        """
        self._log = log
        self._now = now
        self._checkpoints = None if folder is None else Checkpoints(folder, self._hash_at)
        self._kept: dict[int, Catalogue] = {}
        self._lock = threading.Lock()  # one fold at a time: they are all processor

    def at(self, position: int) -> Catalogue:
        """The catalogue after the event at a position. May take seconds for a long log.

        Raises `EventsArchived` for a position before the seam.
        """
        present = None if self._now is None else self._now()
        if present is not None and present.position == position:
            return present
        with self._lock:
            found = self._kept.pop(position, None)
            if found is None:
                found = self._folded(position)
            self._kept[position] = found
            if len(self._kept) > _KEPT:
                del self._kept[next(iter(self._kept))]
            return found

    def _folded(self, position: int) -> Catalogue:
        start = max((known for known in self._kept if known < position), default=None)
        found = beginning(self._log, position) if start is None else self._kept[start]
        if self._checkpoints is None:
            return self._onward(found, position)
        stored = self._checkpoints.nearest(position)
        found = max(found, stored, key=lambda each: each.position)
        for stop in self._checkpoints.due(found.position, position):
            found = self._onward(found, stop)
            self._checkpoints.keep(found)
        return self._onward(found, position)

    def _onward(self, base: Catalogue, until: int) -> Catalogue:
        return fold_what_applies(base, replay(self._log, base.position, until))[0]

    def _hash_at(self, position: int) -> str | None:
        found = next(self._log.read_hashed(position - 1), None)
        return None if found is None or found[0].position != position else found[1].hex()
