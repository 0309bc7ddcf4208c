"""A new database out of lines that a log was written out as."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec
from sqlalchemy import Connection
from sqlalchemy.exc import DatabaseError

from janfs.errors import LogError
from janfs.log import lines
from janfs.log.connection import writer_engine
from janfs.log.lines import Document, Event, Header, Line, Stream
from janfs.log.migrate import migrate
from janfs.log.seam import parse_seam

BATCH = 2_000  # events an INSERT
_EVENT = "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


def load(database: Path, sources: Iterable[Path]) -> None:
    """Make a database of what files hold: a whole log, or parts of one, each going on where the last ends.

    Raises `LogCorrupt` for what is not as it was written out, `LogError` for parts that do not fit together
    or a file that cannot be read. Documents that are in several are stored once.
    """
    writer = writer_engine(database)
    try:
        migrate(writer, database)
        with writer.begin() as connection:
            _Loading(connection).all(sources)
    except DatabaseError as error:
        raise LogError(f"The log could not be made: {error.orig}.") from error
    finally:
        writer.dispose()


class _Loading:
    """How far the new log has come."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._end: tuple[int, str] | None = None  # position and hash
        self._batch: list[tuple[object, ...]] = []

    def all(self, sources: Iterable[Path]) -> None:
        for source in sources:
            try:
                with source.open("rb") as file:
                    self._part(lines.read(file, source.name), source.name)
            except OSError as error:
                raise LogError(f"{source} cannot be read: {error.strerror}.") from error

    def _part(self, read: Iterator[Line], name: str) -> None:
        header = next(read)
        assert isinstance(header, Header)
        first = self._end is None
        if first:
            self._begin(header, name)
        elif self._end != (header.after, header.previous):
            position = self._end[0] if self._end is not None else 0
            raise LogError(
                f"{name} goes on after position {header.after}, and what was read so far ends at {position}, "
                "or is of another log. Name the parts in their order."
            )
        for line in read:
            self._take(line, with_streams=first)
        self._flush()
        self._end = (header.until, header.head)

    def _begin(self, header: Header, name: str) -> None:
        if header.seam is None and header.after:
            raise LogError(
                f"{name} begins after position {header.after}. Name the archive with what comes before first."
            )
        if header.seam is not None:
            try:
                seam = parse_seam(header.seam)
                row = (seam.position, bytes.fromhex(seam.hash), header.seam)
            except ValueError as error:
                raise LogError(f"{name}: its seam makes no sense: {error}.") from error
            self._connection.exec_driver_sql("INSERT INTO seam VALUES (?, ?, ?)", row)

    def _take(self, line: Line, *, with_streams: bool) -> None:
        if isinstance(line, Event):
            self._batch.append((*msgspec.structs.astuple(line)[:-1], bytes.fromhex(line.hash)))
            if len(self._batch) == BATCH:
                self._flush()
        elif isinstance(line, Document):
            known = "SELECT 1 FROM documents WHERE sha256 = ?"
            if self._connection.exec_driver_sql(known, (line.sha256,)).first() is None:
                document = (line.sha256, line.content())
                self._connection.exec_driver_sql("INSERT INTO documents VALUES (?, ?)", document)
        elif isinstance(line, Stream) and with_streams:
            row = (line.stream, line.version)
            self._connection.exec_driver_sql("INSERT INTO archived_streams VALUES (?, ?)", row)

    def _flush(self) -> None:
        if self._batch:
            self._connection.exec_driver_sql(_EVENT, self._batch)
            self._batch.clear()
