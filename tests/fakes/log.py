"""A log in memory that keeps the promises of `EventLog`, written as plainly as they can be said."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence

from janfs.clock import Clock, timestamp
from janfs.errors import LogError, WrongExpectedVersion
from janfs.log.records import GENESIS, Head, NewRecord, Record, chain_hash


class MemoryLog:
    """A list of records with their hashes, and a dictionary of documents."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._entries: list[tuple[Record, bytes]] = []
        self._documents: dict[str, bytes] = {}

    @property
    def head(self) -> Head:
        return Head(len(self._entries), self._entries[-1][1]) if self._entries else Head(0, GENESIS)

    def append(
        self,
        new: Sequence[NewRecord],
        documents: Mapping[str, bytes] | None = None,
        within: Callable[[None, Sequence[Record]], None] | None = None,
    ) -> list[Record]:
        entries = list(self._entries)
        now = timestamp(self._clock.now())
        for item in new:
            if "\n" in item.stream or "\n" in item.actor:
                raise LogError("line feed")
            version = sum(record.stream == item.stream for record, _ in entries)
            if item.expected_version not in (None, version):
                raise WrongExpectedVersion(item.stream, item.expected_version or 0, version)
            position = len(entries) + 1
            if item.cause is not None and not 1 <= item.cause < position:
                raise LogError("no such cause")
            record = Record(
                position,
                item.stream,
                version + 1,
                item.type,
                item.schema,
                now,
                item.actor,
                item.cause,
                position if item.cause is None else entries[item.cause - 1][0].correlation,
                item.data,
            )
            entries.append((record, chain_hash(entries[-1][1] if entries else GENESIS, record)))
        for digest, content in (documents or {}).items():
            if hashlib.sha256(content).hexdigest() != digest:
                raise LogError("document")
        records = [record for record, _ in entries[len(self._entries) :]]
        if within is not None:
            within(None, records)
        self._entries = entries
        self._documents |= documents or {}
        return records

    def read(
        self, after: int = 0, *, stream: str | None = None, until: int | None = None, limit: int | None = None
    ) -> Iterator[Record]:
        found = [
            record
            for record, _ in self._entries
            if record.position > after
            and (until is None or record.position <= until)
            and stream in (None, record.stream)
        ]
        return iter(found[:limit])

    def read_hashed(self, after: int = 0) -> Iterator[tuple[Record, bytes]]:
        return iter(self._entries[after:])

    def document(self, digest: str) -> bytes | None:
        return self._documents.get(digest)

    def document_digests(self) -> Iterator[tuple[str, bytes]]:
        return iter(sorted(self._documents.items()))

    def last(self) -> Head:
        return self.head

    def close(self) -> None:
        """Nothing is open."""
