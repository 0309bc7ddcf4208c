"""A model's history in an archive: its events as its log has them, one JSON object a line. Pure."""

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Struct

from janfs.errors import ArchiveError
from janfs.log.records import Record, chain_hash

_DIGESTS = ("base", "replaces", "sha256", "document", "history")


class Line(Struct, frozen=True):
    """A record with its hash and the one before it in its log, both in hexadecimal digits."""

    record: Record
    previous: str
    hash: str


def encode(hashed: Iterable[tuple[Record, bytes, bytes]]) -> bytes:
    """Records with the hash before each and its own, as text.

    Raises `ArchiveError` for one that is damaged, as `decode` would.
    """
    lines = []
    for record, before, own in hashed:
        if chain_hash(before, record) != own:
            raise ArchiveError(
                f"The event at position {record.position} is not what was recorded, so that nobody would "
                "take it in. `janfs verify` tells more."
            )
        lines.append(msgspec.json.encode(Line(record, before.hex(), own.hex())))
    return b"".join(line + b"\n" for line in lines)


def decode(raw: bytes) -> list[Record]:
    """The records of a history. Each is checked against its own hash, and neighbours against each other.

    Events of other models lie between these and are not here; that none of this model's is missing can be
    seen from `version`, which counts them. Raises `ArchiveError`.
    """
    records: list[Record] = []
    before: Line | None = None
    for number, text in enumerate(raw.splitlines(), 1):
        try:
            line = msgspec.json.decode(text, type=Line)
            own = chain_hash(bytes.fromhex(line.previous), line.record).hex()
            msgspec.json.decode(line.record.data, type=dict[str, Any])
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise ArchiveError(f"Line {number} of its history makes no sense: {error}.") from error
        if own != line.hash:
            raise ArchiveError(f"Line {number} of its history is not what was recorded.")
        if before is not None:
            next_to = line.record.position == before.record.position + 1
            follows = line.record.version == before.record.version + 1
            if not follows or (next_to and line.previous != before.hash):
                raise ArchiveError(f"Before line {number} of its history something is missing.")
        before = line
        records.append(line.record)
    if len({record.stream for record in records}) > 1:
        raise ArchiveError("Its history is that of several models.")
    return records


def documents_of(records: Iterable[Record], known: set[str]) -> list[str]:
    """The documents that events refer to, of those that are known."""
    found: dict[str, None] = {}
    for record in records:
        data = msgspec.json.decode(record.data)
        for key in _DIGESTS:
            if isinstance(data.get(key), str) and data[key] in known:
                found[data[key]] = None
    return sorted(found)
