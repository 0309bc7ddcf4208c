"""Appending to the log."""

import hashlib
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine, func, select
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import DatabaseError

from janfs.clock import Clock, timestamp
from janfs.errors import LogCorrupt, LogError, WrongExpectedVersion
from janfs.log.connection import checkpoint
from janfs.log.guards import wrong_guards
from janfs.log.place import Place
from janfs.log.reader import LogReader
from janfs.log.records import Head, NewRecord, Record, chain_hash
from janfs.log.schema import archived_streams, documents, events

_INSERT_EVENT = str(events.insert().compile(dialect=sqlite.dialect()))
_INSERT_DOCUMENT = str(documents.insert().compile(dialect=sqlite.dialect()))
_CACHED = 100_000  # streams and positions remembered

Within = Callable[[Connection, Sequence[Record]], None]


class EventLog(LogReader):
    """The log of one root, open for appending. `append` belongs to one thread; reading is open to all."""

    def __init__(self, writer: Engine, readers: Engine, clock: Clock, *, checkpoints: bool = True) -> None:
        """With `checkpoints` off they are left to another program.

        Raises `LogCorrupt` when a guard is not as it should be, `LogError` when it cannot be read.
        """
        super().__init__(readers)
        self._engine = writer
        self._checkpoints = checkpoints
        self._clock = clock
        self._versions: dict[str, int] = {}
        self._correlations: dict[int, int] = {}
        try:
            self._writer = writer.connect()
            self._check_guards()
            self.head = self.last()
            self._place = Place(Path(writer.url.database or ""), clock)
        except DatabaseError as error:
            raise LogError(f"The event log could not be opened: {error.orig}.") from error
        except OSError as error:
            raise LogError(f"The event log could not be opened: {error}.") from error

    def append(
        self,
        new: Sequence[NewRecord],
        documents: Mapping[str, bytes] | None = None,
        within: Within | None = None,
    ) -> list[Record]:
        """Append all or nothing, durably; `within` runs in the same transaction.

        `documents` maps SHA-256 (hexadecimal) to content; those already stored are left as they are.
        Raises `WrongExpectedVersion`, or `LogError` when the database cannot take it (disk full, locked), or
        is not where it was.
        """
        self.check_place()
        recorded_at = timestamp(self._clock.now())
        try:
            with self._writer.begin():
                records, rows, head = self._chain(new, recorded_at)
                for digest, content in (documents or {}).items():
                    self._store_document(digest, content)
                if rows:
                    self._writer.exec_driver_sql(_INSERT_EVENT, rows)
                if within is not None:
                    within(self._writer, records)
        except DatabaseError as error:
            raise LogError(f"The event log could not be written: {error.orig}") from error
        self._remember(records)
        self.head = head
        return records

    def check_place(self) -> None:
        """Raises `LogError` where someone moved or removed the log while it was open."""
        complaint = self._place.complaint(self._writer)
        if complaint is not None:
            raise LogError(complaint)

    def checkpoint(self) -> bool:
        """Move the write-ahead log into the database, for quiet moments; False to be tried again later.

        There each byte is under a hash. In the write-ahead log, SQLite takes the last commit for one that a
        power cut tore if it is damaged. Raises `LogError` when the disk does not take it, or the log is not
        where it was: what lies there now may have a write-ahead log of its own.
        """
        self.check_place()
        try:
            return not self._checkpoints or checkpoint(self._writer)
        except sqlite3.Error as error:
            raise LogError(f"The write-ahead log could not be moved into the database: {error}") from error

    def close(self) -> None:
        """Let go of every connection; where nobody else reads, all of the log is in one file then."""
        super().close()
        if not self._writer.closed:
            with suppress(LogError):  # the next start reads it from where it is
                self.checkpoint()
        self._writer.close()
        self._engine.dispose()

    def _check_guards(self) -> None:
        with self._writer.begin():
            wrong = wrong_guards(self._writer)
        if wrong:
            raise LogCorrupt(
                f"The guards that keep the log append-only are not as they should be: {', '.join(wrong)}. "
                "Someone changed the database by hand. `janfs verify` tells whether its content still "
                "stands, `janfs log guard` puts the guards back if it does."
            )

    def _chain(
        self, new: Sequence[NewRecord], recorded_at: str
    ) -> tuple[list[Record], list[tuple[Any, ...]], Head]:
        position, previous = self.head.position, self.head.hash
        records: list[Record] = []
        rows: list[tuple[Any, ...]] = []
        versions: dict[str, int] = {}
        for item in new:
            if "\n" in item.stream or "\n" in item.actor:
                raise LogError("A stream or an actor with a line feed in its name cannot be recorded.")
            position += 1
            version = versions.get(item.stream)
            if version is None:
                version = self._version(item.stream)
            if item.expected_version is not None and item.expected_version != version:
                raise WrongExpectedVersion(item.stream, item.expected_version, version)
            versions[item.stream] = version = version + 1
            record = Record(
                position,
                item.stream,
                version,
                item.type,
                item.schema,
                recorded_at,
                item.actor,
                item.cause,
                position if item.cause is None else self._correlation(item.cause, records),
                item.data,
            )
            previous = chain_hash(previous, record)
            records.append(record)
            rows.append((*msgspec.structs.astuple(record), previous))
        return records, rows, Head(position, previous)

    def _version(self, stream: str) -> int:
        known = self._versions.get(stream)
        if known is not None:
            return known
        known = self._writer.scalar(select(func.max(events.c.version)).where(events.c.stream == stream))
        if known is None and self.seam is not None:
            archived = select(archived_streams.c.version).where(archived_streams.c.stream == stream)
            known = self._writer.scalar(archived)
        return int(known or 0)

    def _correlation(self, cause: int, batch: Sequence[Record]) -> int:
        first = self.head.position + 1
        if cause >= first:
            if cause - first >= len(batch):
                raise LogError(f"An event cannot be caused by position {cause}, which comes after it.")
            return batch[cause - first].correlation
        if self.seam is not None and 0 < cause <= self.seam.position:
            return cause  # where its chain began is in the archive
        known = self._correlations.get(cause)
        if known is None:
            known = self._writer.scalar(select(events.c.correlation).where(events.c.position == cause))
        if known is None:
            raise LogError(f"An event cannot be caused by position {cause}: the log has none.")
        return known

    def _store_document(self, digest: str, content: bytes) -> None:
        if hashlib.sha256(content).hexdigest() != digest:
            raise LogError(f"A document does not match the SHA-256 it was to be stored under ({digest}).")
        known = select(func.count()).where(documents.c.sha256 == digest)
        if not self._writer.scalar(known):
            self._writer.exec_driver_sql(_INSERT_DOCUMENT, (digest, content))

    def _remember(self, records: Sequence[Record]) -> None:
        for cache in (self._versions, self._correlations):
            if len(cache) > _CACHED:
                cache.clear()
        for record in records:
            self._versions[record.stream] = record.version
            self._correlations[record.position] = record.correlation
