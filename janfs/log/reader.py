"""Reading the log: short read transactions, a page at a time."""

import hashlib
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from sqlalchemy import Connection, Engine, select
from sqlalchemy.exc import DatabaseError

from janfs.errors import LogCorrupt, LogError
from janfs.log.records import GENESIS, Head, Record, whole
from janfs.log.schema import documents
from janfs.log.seam import Seam, read_seam

# Rows a read transaction. Short ones let the WAL be checkpointed, and stay in the processor's cache: pages of
# 5,000 rows are read at two thirds of the speed.
PAGE = 1_000
DOCUMENTS = 64  # of them a read transaction

_BEFORE_DATA = "position, stream, version, type, schema, recorded_at, actor, cause, correlation"
# Texts as bytes, for whoever looks for damage: the driver refuses a text that is not UTF-8.
_RAW = (
    "position, CAST(stream AS BLOB), version, CAST(type AS BLOB), schema, CAST(recorded_at AS BLOB), "
    "CAST(actor AS BLOB), cause, correlation, CAST(data AS BLOB), hash"
)


_LAST = 2**63 - 1  # SQLite's largest integer


class LogReader:
    """The log of one root, for reading, from any thread. Every method raises `LogError` when it cannot.

    Those that give records whole raise `EventDamaged` at one whose data is damaged.
    """

    def __init__(self, readers: Engine) -> None:
        self._readers = readers

    @cached_property
    def seam(self) -> Seam | None:
        """Where the log begins, if it was compacted; no open log ever is."""
        try:
            with self._reading() as connection:
                found = read_seam(connection)
        except ValueError as error:
            raise LogCorrupt(
                f"The seam of the event log makes no sense: {error}. `janfs restore` a backup."
            ) from error
        return None if found is None else found[0]

    def last(self) -> Head:
        """The end of the log as it is now."""
        rows = self._fetch("SELECT position, hash FROM events ORDER BY position DESC LIMIT 1", ())
        return Head(*rows[0]) if rows else self.start

    @property
    def start(self) -> Head:
        """What the first event follows: nothing, or the last one that was archived."""
        seam = self.seam
        return Head(0, GENESIS) if seam is None else Head(seam.position, bytes.fromhex(seam.hash))

    def head_at(self, position: int) -> Head:
        """A position with its hash. Raises `LogError` for one that is not here."""
        if position == self.start.position:
            return self.start
        rows = self._fetch("SELECT position, hash FROM events WHERE position = ?", (position,))
        if not rows:
            raise LogError(f"The log has no position {position}; it begins at {self.start.position + 1}.")
        return Head(*rows[0])

    def read(
        self, after: int = 0, *, stream: str | None = None, until: int | None = None, limit: int | None = None
    ) -> Iterator[Record]:
        """Records with `after < position <= until` in order; of one stream, if named; at most `limit`."""
        left = limit
        while left is None or left > 0:
            count = PAGE if left is None else min(PAGE, left)
            page = self._page(after, stream, until, count)
            yield from map(whole, page)
            if len(page) < count:
                return
            after = page[-1].position
            left = None if left is None else left - len(page)

    def backwards(
        self, before: int = _LAST, *, stream: str | None = None, saying: Sequence[str] = ()
    ) -> Iterator[Record]:
        """Records with a position less than `before`, the last one first.

        Of one stream, if named; with `saying` only those whose data holds one of these texts, as they stand
        there. Such a one is looked for when it is asked for, through the whole log if need be.
        """
        where, fixed = "position < ?", [*saying]
        if saying:
            where += f" AND {_any_of(len(saying))}"
        if stream is not None:
            where, fixed = f"{where} AND stream = ?", [*fixed, stream]
        order = "position" if stream is None else "version"
        which, count = f"{where} ORDER BY {order} DESC LIMIT ?", 1 if saying else 100
        while rows := self._readable(_BEFORE_DATA, which, (before, *fixed, count)):
            yield from (whole(Record(*row)) for row in rows)
            before = rows[-1][0]

    def pages(
        self, after: int = 0, until: int | None = None, kind: str | None = None
    ) -> Iterator[list[tuple[int, str, str, int, str, str]]]:
        """What a fold needs of each record, or of those of one type, a page at a time.

        That is position, stream, type, schema, recorded_at and data, which is empty where it is damaged.
        """
        columns = "position, stream, type, schema, recorded_at"
        which = "position > ? AND position <= ? AND (? IS NULL OR type = ?) ORDER BY position LIMIT ?"
        last = _LAST if until is None else until
        while page := self._readable(columns, which, (after, last, kind, kind, PAGE)):
            yield page
            after = page[-1][0]

    def told(self, stream: str) -> Iterator[Record]:
        """The records of one stream in order; the data is empty where it is damaged."""
        after = 0
        which = "stream = ? AND version > ? ORDER BY version LIMIT ?"
        while page := self._readable(_BEFORE_DATA, which, (stream, after, PAGE)):
            yield from (Record(*row) for row in page)
            after = page[-1][2]

    def read_hashed(self, after: int = 0, page: int = PAGE) -> Iterator[tuple[Record, bytes]]:
        """Like `read`, with the hash that is stored beside each record; damaged text has U+FFFD in it."""
        query = f"SELECT {_RAW} FROM events WHERE position > ? ORDER BY position LIMIT ?"  # noqa: S608 - all of it is ours
        while True:
            rows = self._fetch(query, (after, page))
            for row in rows:
                yield Record(*map(_text, row[:-1])), row[-1]
            if len(rows) < page:
                return
            after = rows[-1][0]

    def hashed_of(self, stream: str) -> Iterator[tuple[Record, bytes, bytes]]:
        """The records of one stream, each with the hash before it in the log and its own."""
        after = 0
        while True:
            records = list(self.read(after, stream=stream, limit=PAGE))
            for record in records:
                rows = self._fetch(
                    "SELECT hash FROM events WHERE position BETWEEN ? AND ? ORDER BY position",
                    (record.position - 1, record.position),
                )
                yield record, rows[0][0] if len(rows) > 1 else self.start.hash, rows[-1][0]
            if len(records) < PAGE:
                return
            after = records[-1].position

    def document(self, digest: str) -> bytes | None:
        """The content stored under a SHA-256; None where there is none, or what is there is damaged."""
        with self._reading() as connection:
            content = connection.scalar(select(documents.c.content).where(documents.c.sha256 == digest))
        is_whole = content is not None and hashlib.sha256(content).hexdigest() == digest
        return content if is_whole else None

    def document_digests(self) -> Iterator[tuple[str, bytes]]:
        """Every stored document with the SHA-256 it is stored under, in their order."""
        after = ""
        query = "SELECT CAST(sha256 AS BLOB), content FROM documents WHERE sha256 > ? ORDER BY sha256 LIMIT ?"
        while rows := self._fetch(query, (after, DOCUMENTS)):
            for digest, content in rows:
                yield _text(digest), content
            after = _text(rows[-1][0])

    def archived_streams(self) -> Iterator[tuple[str, int]]:
        """The streams of a compacted log before its seam, with the versions they had reached, in order."""
        if self.seam is not None:
            query = "SELECT CAST(stream AS BLOB), version FROM archived_streams ORDER BY stream"
            yield from ((_text(stream), version) for stream, version in self._fetch(query, ()))

    def query(self) -> Connection:
        """A connection that only reads, for projections; the caller closes it."""
        return self._readers.connect()

    def close(self) -> None:
        """Let go of every connection."""
        self._readers.dispose()

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        try:
            with self._readers.connect() as connection:
                yield connection
        except DatabaseError as error:
            raise LogError(
                f"The event log could not be read: {error.orig}. `janfs verify` tells where it is damaged."
            ) from error

    def _page(self, after: int, stream: str | None, until: int | None, count: int) -> list[Record]:
        where, values = "position > ?", [after]
        parameters: list[Any] = values
        if stream is not None:
            where, parameters = f"{where} AND stream = ?", [*parameters, stream]
        if until is not None:
            where, parameters = f"{where} AND position <= ?", [*parameters, until]
        # Of a stream, versions come in the order of positions, and an index has them in order.
        order = "position" if stream is None else "version"
        which = f"{where} ORDER BY {order} LIMIT ?"
        return [Record(*row) for row in self._readable(_BEFORE_DATA, which, (*parameters, count))]

    def _readable(self, columns: str, which: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Rows of these columns and the data, which is empty where it is no UTF-8. Bytes take longer."""
        try:
            return self._fetch(f"SELECT {columns}, data FROM events WHERE {which}", parameters)  # noqa: S608 - all of it is ours
        except LogError:
            rows = self._fetch(f"SELECT {columns}, CAST(data AS BLOB) FROM events WHERE {which}", parameters)  # noqa: S608 - all of it is ours
            return [(*row[:-1], _sound(row[-1])) for row in rows]

    def _fetch(self, query: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Rows as the driver's plain tuples; SQLAlchemy's own rows would double the cost of a replay."""
        with self._reading() as connection:
            cursor = connection.connection.cursor()
            try:
                cursor.execute(query, parameters)
                rows: list[tuple[Any, ...]] = cursor.fetchall()  # type: ignore[assignment]  # plain tuples
                return rows
            except sqlite3.DatabaseError as error:
                raise DatabaseError(query, parameters, error) from error
            finally:
                cursor.close()


def _text(value: Any) -> Any:
    return value.decode(errors="replace") if type(value) is bytes else value


def _sound(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return ""


def _any_of(count: int) -> str:
    """That one of so many texts is in the data. SQLite takes no expression that is 1000 levels deep."""
    if count == 1:
        return "instr(data, ?) > 0"
    return f"({_any_of(count // 2)} OR {_any_of(count - count // 2)})"
