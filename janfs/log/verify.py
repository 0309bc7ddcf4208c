"""Whether the log is what was written: its chain of hashes, its numbering, its documents, its guards."""

import hashlib
from collections.abc import Iterator

from msgspec import Struct, structs
from sqlalchemy import func, select
from sqlalchemy.exc import DatabaseError

from janfs.errors import InvalidInput, LogError
from janfs.log import seam as seams
from janfs.log.guards import wrong_guards
from janfs.log.named import document_of
from janfs.log.reader import LogReader
from janfs.log.records import GENESIS, Record, chain_hash
from janfs.log.schema import projections
from janfs.log.seam import Seam

_DIGITS = 64  # of a SHA-256


class Verdict(Struct, frozen=True):
    """What `verify` found. `bad_position` is the first position that does not stand, if any.

    `after` is the last position that was archived; the events counted here come after it. With `unguarded`
    nothing but the guards is wrong.
    """

    events: int
    documents: int
    head: str
    bad_position: int | None = None
    reason: str | None = None
    after: int = 0
    unguarded: bool = False

    @property
    def ok(self) -> bool:
        """Whether everything stands."""
        return self.reason is None

    @property
    def complaint(self) -> str:
        """What is wrong, as a sentence."""
        where = "" if self.bad_position is None else f" at position {self.bad_position}"
        return f"The log is not what was written{where}: {self.reason}."


class Noted(Struct, frozen=True):
    """A head that was written down elsewhere; without a position it may be anywhere in the log."""

    hash: str
    position: int | None = None


def parse_noted(text: str) -> Noted:
    """What `janfs log head` printed: `HASH` or `HASH@POSITION`. Raises `InvalidInput`."""
    digits, _, position = text.strip().lower().partition("@")
    sound = len(digits) == _DIGITS and all(digit in "0123456789abcdef" for digit in digits)
    if not sound or ("@" in text and not position.isascii()) or (position and not position.isdecimal()):
        raise InvalidInput(
            f"'{text}' is no head: 64 hexadecimal digits, or those and @POSITION, as `janfs log head` "
            "prints it.",
            param="head",
        )
    return Noted(digits, int(position) if position else None)


class _Damage(Exception):
    """Where and why the log does not stand."""

    def __init__(self, reason: str, position: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.position = position


def verify(log: LogReader, noted: Noted | None = None, *, guarded: bool = True) -> Verdict:
    """Walk the whole log and name the first position that is not as it was written.

    The chain cannot tell where it should end. That it was cut short shows where a projection has seen more,
    and against a `noted` head; that it was written anew from some position on, against a noted head alone.
    With `guarded` off only the content counts.
    """
    walk = _Walk(log, noted)
    try:
        walk.all()
        wrong = walk.wrong_guards() if guarded else []
        if wrong:
            reason = f"the guards are not as they should be: {', '.join(wrong)}"
            return structs.replace(walk.verdict(None, reason), unguarded=True)
    except _Damage as damage:
        return walk.verdict(damage.position, damage.reason)
    except DatabaseError as error:
        return walk.verdict(None, f"the database cannot be read: {error.orig}")
    except LogError as error:
        return walk.verdict(None, f"the database cannot be read: {error.detail}")
    return walk.verdict(None, None)


class _Walk:
    """One look at everything, and how far it came."""

    def __init__(self, log: LogReader, noted: Noted | None) -> None:
        self._log = log
        self._noted = noted
        self._after = 0
        self._position = 0
        self._documents = 0
        self._previous = GENESIS
        self._named: dict[str, int] = {}  # documents, and the first position that names each
        self._seam_text = ""  # what the event of the last compaction must say

    def verdict(self, position: int | None, reason: str | None) -> Verdict:
        """What was found."""
        return Verdict(
            self._position - self._after,
            self._documents,
            self._previous.hex(),
            bad_position=position,
            reason=reason,
            after=self._after,
        )

    def all(self) -> None:
        """Look at everything. Raises `_Damage`."""
        with self._log.query() as connection:  # before the walk: the log may grow meanwhile
            seen = connection.scalar(select(func.max(projections.c.position))) or 0
        seam = self._read_seam()
        if seam is not None:
            self._position = self._after = seam.position
            self._previous = bytes.fromhex(seam.hash)
        found = self._noted is None or self._is_noted(self._position, self._previous)
        found = self._events() or found
        if seen > self._position:
            raise _Damage(
                f"the log ends at position {self._position}, and position {seen} has been seen before",
                self._position + 1,
            )
        self._check_noted(found)
        self._check_documents()
        with self._log.query() as connection:
            damage = connection.exec_driver_sql("PRAGMA integrity_check(1)").scalar()
        if damage != "ok":
            raise _Damage(f"the database file is damaged: {damage}")

    def wrong_guards(self) -> list[str]:
        """The guards that are not in place."""
        with self._log.query() as connection:
            # An older janfs had other guards; the start that changes the tables changes them, and looks.
            return wrong_guards(connection) if seams.has_seam(connection) else []

    def _read_seam(self) -> Seam | None:
        try:
            with self._log.query() as connection:
                found = seams.read_seam(connection)
        except ValueError as error:
            raise _Damage(f"its seam makes no sense: {error}") from error
        if found is None:
            return None
        seam, text = found
        with self._log.query() as connection:
            row = connection.exec_driver_sql("SELECT position, hash FROM seam").one()
        if (row[0], row[1]) != (seam.position, bytes.fromhex(seam.hash)):
            raise _Damage("its seam contradicts itself")
        if seams.streams_digest(self._log.archived_streams()) != seam.streams:
            raise _Damage("the archived streams are not those of its seam")
        self._seam_text = text
        return seam

    def _events(self) -> bool:
        """Walk the chain; whether the noted head was on the way. Raises `_Damage`."""
        versions = dict(self._log.archived_streams())
        compacted: str | None = None
        found = False
        for record, stored in self._rows():
            reason, expected = None, self._position + 1
            if record.position != expected:
                reason = f"position {expected} is missing; position {record.position} follows"
            elif record.version != versions.get(record.stream, 0) + 1:
                reason = f"stream {record.stream} has version {record.version} here, out of order"
            elif chain_hash(self._previous, record) != stored:
                reason = "its hash does not match its content and what came before"
            if reason is not None:
                raise _Damage(reason, expected)
            versions[record.stream] = record.version
            self._position, self._previous = expected, stored
            found = found or self._is_noted(expected, stored)
            if record.type == seams.EVENT:
                compacted = record.data
            if (named := document_of(record)) is not None:
                self._named.setdefault(named, expected)
        if self._after and compacted != self._seam_text:
            raise _Damage("its seam is not what the event of its compaction says")
        return found

    def _rows(self) -> Iterator[tuple[Record, bytes]]:
        """Every record; where a page cannot be read, one by one up to the one that cannot."""
        try:
            yield from self._log.read_hashed(self._position)
        except LogError:
            try:
                yield from self._log.read_hashed(self._position, page=1)
            except LogError as error:
                raise _Damage(f"it cannot be read: {error.detail}", self._position + 1) from error

    def _is_noted(self, position: int, own: bytes) -> bool:
        noted = self._noted
        return noted is not None and noted.hash == own.hex() and noted.position in (None, position)

    def _check_noted(self, found: bool) -> None:
        noted = self._noted
        if noted is None or found:
            return
        position = noted.position
        if position is None:
            raise _Damage(f"no position of it has the hash {noted.hash}, which was noted")
        if position < self._after:
            raise _Damage(f"position {position}, which was noted, is archived; give --archive to look there")
        if position > self._position:
            raise _Damage(
                f"the log ends at position {self._position}, and position {position} was noted",
                self._position + 1,
            )
        raise _Damage(f"position {position} has not the hash that was noted: it was written anew", position)

    def _check_documents(self) -> None:
        for digest, content in self._log.document_digests():
            self._documents += 1
            if hashlib.sha256(content).hexdigest() != digest:
                raise _Damage(f"document {digest} does not match its SHA-256")
            self._named.pop(digest, None)
        for digest, position in self._named.items():
            raise _Damage(f"document {digest}, which it names, is gone", position)
