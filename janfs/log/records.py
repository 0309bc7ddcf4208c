"""What goes into the log and what comes out of it."""

import hashlib

from msgspec import Struct

from janfs.errors import EventDamaged

GENESIS = bytes(32)


class NewRecord(Struct, frozen=True, kw_only=True):
    """An event that is to be appended. `expected_version` is its stream's before it, if it matters."""

    stream: str
    type: str
    schema: int
    data: str
    actor: str
    cause: int | None = None
    expected_version: int | None = None


class Record(Struct, frozen=True, gc=False):
    """An event as it stands in the log.

    `position` counts the log from 1 without gaps, `version` its stream likewise. `recorded_at` is UTC,
    ISO 8601 to the microsecond. `cause` is the position that led to this event; `correlation` the first
    position of the whole chain.
    """

    position: int
    stream: str
    version: int
    type: str
    schema: int
    recorded_at: str
    actor: str
    cause: int | None
    correlation: int
    data: str


def whole(record: Record) -> Record:
    """The record, unless its data is damaged, and so was read as nothing. Raises `EventDamaged`."""
    if not record.data:
        raise EventDamaged(record.position, record.type)
    return record


class Head(Struct, frozen=True):
    """The end of the log: the last position (0 when empty) and its hash."""

    position: int
    hash: bytes


def chain_hash(previous: bytes, record: Record) -> bytes:
    """SHA-256 over the previous hash (32 bytes; zeros before position 1) and the record's own bytes.

    Those are its columns in order as decimal numbers and texts, a line each, an absent cause as an empty
    line, `data` last. Only `data` could hold a line feed, and canonical JSON does not.
    """
    cause = "" if record.cause is None else record.cause
    text = (
        f"{record.position}\n{record.stream}\n{record.version}\n{record.type}\n{record.schema}\n"
        f"{record.recorded_at}\n{record.actor}\n{cause}\n{record.correlation}\n{record.data}"
    )
    return hashlib.sha256(previous + text.encode()).digest()
