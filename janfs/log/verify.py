"""Whether the log is what was written: its chain of hashes, its numbering, its documents."""

import hashlib

from msgspec import Struct
from sqlalchemy import func, select

from janfs.log.reader import LogReader
from janfs.log.records import GENESIS, chain_hash
from janfs.log.schema import projections


class Verdict(Struct, frozen=True):
    """What `verify` found. `bad_position` is the first position that does not stand, if any."""

    events: int
    documents: int
    head: str
    bad_position: int | None = None
    reason: str | None = None

    @property
    def ok(self) -> bool:
        """Whether everything stands."""
        return self.reason is None


def verify(log: LogReader) -> Verdict:
    """Walk the whole log and name the first position that is not as it was written.

    The chain cannot tell where it should end; that it was cut short shows where a projection has seen more.
    """
    with log.query() as connection:  # before the walk: the log may grow meanwhile
        seen = connection.scalar(select(func.max(projections.c.position))) or 0
    previous, position, documents = GENESIS, 0, 0
    versions: dict[str, int] = {}
    for record, stored in log.read_hashed():
        position += 1
        reason = None
        if record.position != position:
            reason = f"position {position} is missing; position {record.position} follows"
        elif record.version != versions.get(record.stream, 0) + 1:
            reason = f"stream {record.stream} has version {record.version} here, out of order"
        elif chain_hash(previous, record) != stored:
            reason = "its hash does not match its content and what came before"
        if reason is not None:
            return Verdict(position - 1, 0, previous.hex(), bad_position=position, reason=reason)
        versions[record.stream] = record.version
        previous = stored
    if seen > position:
        reason = f"the log ends at position {position}, and position {seen} has been seen before"
        return Verdict(position, 0, previous.hex(), bad_position=position + 1, reason=reason)
    for digest, content in log.document_digests():
        documents += 1
        if hashlib.sha256(content).hexdigest() != digest:
            reason = f"document {digest} does not match its SHA-256"
            return Verdict(position, documents, previous.hex(), reason=reason)
    return Verdict(position, documents, previous.hex())
