"""Events into the log and the catalogue, in one transaction; and the catalogue out of the log again."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import msgspec
import structlog
from msgspec import Struct, structs
from sqlalchemy import Connection, func, select
from sqlalchemy.exc import DatabaseError

from janfs.catalogue import rows
from janfs.catalogue.catalogue import Catalogue, Key
from janfs.catalogue.entries import Parked
from janfs.catalogue.fold import VERSION, Recorded, Unreadable, fold
from janfs.catalogue.parking import fold_what_applies
from janfs.errors import EventsArchived, LogCorrupt
from janfs.events import codec
from janfs.events.types import Event, JsonRejected
from janfs.log import projections
from janfs.log.projections import Checkpoint
from janfs.log.reader import LogReader
from janfs.log.records import NewRecord, Record
from janfs.log.schema import events as events_table
from janfs.log.store import EventLog

PROJECTION = "catalogue"

_log = structlog.get_logger()


class Draft(Struct, frozen=True):
    """An event that is to be recorded. `actor` says who; `cause` is the position that led to it."""

    stream: str
    event: Event
    actor: str = "janfs"
    cause: int | None = None


class Recorder:
    """Keeps the log, the catalogue and its projection in step."""

    def __init__(self, log: EventLog) -> None:
        """Load the catalogue; make it anew when the fold has changed or the projection is behind."""
        self.log = log
        self.catalogue = self._load()
        self._listeners: list[Callable[[frozenset[Key]], None]] = []

    def on_touched(self, listener: Callable[[frozenset[Key]], None]) -> None:
        """Call `listener` with the keys of the entries that were touched, after each commit."""
        self._listeners.append(listener)

    def is_parked(self, draft: Draft) -> bool:
        """Whether an event is of what is not known whole; that is looked at again once it is."""
        parked = self.catalogue.parked
        path = getattr(draft.event, "path", None)
        return draft.stream in parked or any(path in each.paths for each in parked.values())

    def record(self, drafts: Sequence[Draft], documents: Mapping[str, bytes] | None = None) -> list[Record]:
        """Append, fold and project, all or nothing; what cannot be applied is parked.

        Raises `LogError` when the log cannot take them; the catalogue is then as it was.
        """
        if not drafts:
            return []
        outcome: tuple[Catalogue, frozenset[Key]] = (self.catalogue, frozenset())

        def project(connection: Connection, records: Sequence[Record]) -> None:
            nonlocal outcome
            events = [
                Recorded(record.position, record.stream, record.recorded_at, draft.event)
                for record, draft in zip(records, drafts, strict=True)
            ]
            outcome = fold_what_applies(self.catalogue, events)
            _save(connection, *outcome)

        records = self.log.append([new_record(draft) for draft in drafts], documents, project)
        known, (self.catalogue, touched) = self.catalogue.parked, outcome
        _tell_parked(each for uid, each in self.catalogue.parked.items() if uid not in known)
        for record, draft in zip(records, drafts, strict=True):
            model = self.catalogue.models.get(record.stream)
            name = model.id if model is not None else record.stream
            _log.info(record.type, position=record.position, model=name, actor=record.actor)
            if isinstance(draft.event, JsonRejected):
                said = draft.event
                place = {"line": said.line, "column": said.column} if said.line else {}
                _log.warning("file-not-understood", path=said.path, **place, reason=said.reason)
        for listener in self._listeners:
            listener(touched)
        return records

    def _load(self) -> Catalogue:
        base = _projected(self.log)
        if base is None or base.parked:  # today's code may be able to apply what was parked
            return restore(self.log)
        if base.position == self.log.head.position:
            return base
        catalogue, touched = fold_what_applies(base, replay(self.log, base.position))
        self.log.append([], None, lambda connection, _: _save(connection, catalogue, touched))
        _tell_parked(catalogue.parked.values())
        return catalogue


def _projected(log: LogReader) -> Catalogue | None:
    """The stored catalogue; None where it has to be made anew."""
    try:
        with log.query() as connection:
            at = projections.checkpoint(connection, PROJECTION)
            if at is None or at.version != VERSION or at.position > log.last().position:
                return None
            return rows.from_rows(projections.rows(connection, PROJECTION), at.position)
    except (DatabaseError, msgspec.MsgspecError) as error:
        _log.warning("catalogue-unreadable", reason=str(error), next="it is made anew from the log")
        return None


def replay(
    log: LogReader, after: int = 0, until: int | None = None, only: str | None = None
) -> Iterator[Recorded]:
    """The log's events after a position, or those of one type among them, in today's types.

    Raises `LogTooNew` at one of a newer janfs; one whose data does not fit its type is `Unreadable`.
    """
    decode = codec.decode
    event: Event | Unreadable
    for page in log.pages(after, until, only):
        for position, stream, kind, schema, recorded_at, data in page:
            try:
                event = decode(kind, schema, data)
            except LogCorrupt as error:
                event = Unreadable(kind, error.detail)
            yield Recorded(position, stream, recorded_at, event)


def beginning(log: LogReader, until: int | None = None) -> Catalogue:
    """The catalogue before the first event of a log: empty, or what archived events had come to.

    Raises `EventsArchived` where `until`, the position that is to be reached from there, lies before it.
    """
    if log.seam is None:
        return Catalogue()
    if until is not None and until < log.seam.position:
        raise EventsArchived(log.seam.position, log.seam.archive)
    text = log.document(log.seam.state)
    if text is None:
        raise LogCorrupt(f"The log has no document {log.seam.state}, which its seam begins with.")
    return rows.from_rows(msgspec.json.decode(text, type=list[tuple[str, str, str]]), log.seam.position)


def rebuild(log: LogReader, until: int | None = None) -> Catalogue:
    """The catalogue made anew from the first event on; up to a position, if one is given.

    Raises `EventsArchived` for a position before the seam.
    """
    base = beginning(log, until)
    try:  # in one piece, for models are looked at once in each, and most logs have nothing to be parked
        return fold(base, replay(log, base.position, until))[0]
    except Exception:  # noqa: BLE001 - what it was is found below, and kept with the event
        return fold_what_applies(base, replay(log, base.position, until))[0]


def restore(log: EventLog) -> Catalogue:
    """Make the catalogue anew beside the projected one, and put it in its place in one transaction.

    Nothing but the log's own database is touched, and a crash leaves the one or the other.
    """
    catalogue = rebuild(log)
    log.append([], None, lambda connection, _: _replace(connection, catalogue))
    _tell_parked(catalogue.parked.values())
    return catalogue


def _tell_parked(found: Iterable[Parked]) -> None:
    for parked in found:
        _log.warning("events-parked", **structs.asdict(parked))


class Comparison(Struct, frozen=True):
    """The projected catalogue against one made anew: how many rows, and the first that differs.

    `parked` are the events that could not be applied, in both of them if there is no difference.
    """

    rows: int
    position: int
    difference: str | None = None
    parked: tuple[Parked, ...] = ()


def compare(log: LogReader) -> Comparison:
    """Rebuild the catalogue beside the projected one and compare them byte for byte."""
    try:
        with log.query() as connection:  # one look at all of it: a service may be writing
            at = projections.checkpoint(connection, PROJECTION)
            last = connection.scalar(select(func.max(events_table.c.position))) or log.last().position
            live = {(kind, key): value for kind, key, value in projections.rows(connection, PROJECTION)}
    except DatabaseError as error:
        return Comparison(0, 0, f"it cannot be read: {error.orig}")
    if at is None:
        return Comparison(0, 0, None if not (live or last) else "it was never made, or its name is gone")
    if at.version != VERSION:
        reason = (
            f"it is of version {at.version}, this janfs makes version {VERSION}; the next start makes it anew"
        )
        return Comparison(0, at.position, reason)
    if at.position != last:
        return Comparison(0, at.position, f"it is at position {at.position}, the log at {last}")
    rebuilt = rebuild(log, until=at.position)
    anew = dict(rows.to_rows(rebuilt))
    parked = tuple(sorted(rebuilt.parked.values(), key=lambda each: each.position))
    return Comparison(len(anew), at.position, _first_difference(live, anew), parked)


def _first_difference(live: Mapping[Key, str], anew: Mapping[Key, str]) -> str | None:
    for key in sorted(live.keys() | anew.keys(), key=repr):
        if live.get(key) != anew.get(key):
            return (
                f"{key[0]} {key[1]}: projected {live.get(key, 'nothing')}, rebuilt {anew.get(key, 'nothing')}"
            )
    return None


def new_record(draft: Draft) -> NewRecord:
    """A draft as the log takes it."""
    encoded = codec.encode(draft.event)
    return NewRecord(
        stream=draft.stream,
        type=encoded.type,
        schema=encoded.schema,
        data=encoded.data,
        actor=draft.actor,
        cause=draft.cause,
    )


def _save(connection: Connection, catalogue: Catalogue, touched: Iterable[Key]) -> None:
    at = Checkpoint(VERSION, catalogue.position)
    projections.save(connection, PROJECTION, at, rows.changed_rows(catalogue, touched))


def _replace(connection: Connection, catalogue: Catalogue) -> None:
    at = Checkpoint(VERSION, catalogue.position)
    projections.replace(connection, PROJECTION, at, dict(rows.to_rows(catalogue)))
