"""The log as JSON lines: what each line says, and reading them back with every hash checked."""

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Iterable, Iterator

import msgspec
from msgspec import Struct
from msgspec.structs import asdict

from janfs.errors import LogCorrupt
from janfs.log.reader import LogReader
from janfs.log.records import GENESIS, Record, chain_hash

FORMAT = 1
_DIGEST = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")


class Header(Struct, frozen=True, tag_field="line", tag="log"):
    """The first line: which part of a log follows. The events are those after `after`, up to `until`.

    `previous` is the hash at `after` and `head` that at `until`, hexadecimal; `seam` the text of the seam
    where the log that was written out begins at one.
    """

    format: int
    after: int
    previous: str
    until: int
    head: str
    seam: str | None = None


class Stream(Struct, frozen=True, tag_field="line", tag="stream"):
    """A stream and the version it had reached at the seam."""

    stream: str
    version: int


class Document(Struct, frozen=True, tag_field="line", tag="document", omit_defaults=True):
    """A document: its text, or its bytes as Base64 where it is not UTF-8."""

    sha256: str
    text: str | None = None
    base64: str | None = None

    def content(self) -> bytes:
        """Its bytes. Raises `LogCorrupt` when they do not match the SHA-256."""
        try:
            raw = (self.text or "").encode() if self.base64 is None else base64.b64decode(self.base64)
        except (UnicodeEncodeError, binascii.Error) as error:
            raise LogCorrupt(f"The document {self.sha256} cannot be read: {error}.") from error
        if hashlib.sha256(raw).hexdigest() != self.sha256:
            raise LogCorrupt(f"The document {self.sha256} does not match its SHA-256.")
        return raw


class Event(Struct, frozen=True, tag_field="line", tag="event"):
    """An event with its hash, hexadecimal. `data` is its text, so that not a byte of it changes."""

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
    hash: str

    def record(self) -> Record:
        """The event as the log has it."""
        fields = asdict(self)
        del fields["hash"]
        return Record(**fields)


Line = Header | Stream | Document | Event
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Line).decode


def write(
    log: LogReader, until: int | None = None, chosen: Callable[[str], bool] | None = None
) -> Iterator[bytes]:
    """The log as lines, each with its line feed, in bounded memory: header, documents, then events.

    `until` leaves out what comes later: that is a part, which says nothing of what was before it. `chosen`
    says which documents go along, by their SHA-256. Raises `LogCorrupt` at what is not as it was written.
    """
    start = log.start
    end = log.last() if until is None else log.head_at(until)
    seam = log.seam.text if log.seam is not None and until is None else None
    yield _line(Header(FORMAT, start.position, start.hash.hex(), end.position, end.hash.hex(), seam))
    for stream, version in log.archived_streams() if seam is not None else ():
        yield _line(Stream(stream, version))
    for digest, content in log.document_digests():
        if chosen is None or chosen(digest):
            yield _line(_document(digest, content))
    chain = Chain(start.position, start.hash)
    for record, own in log.read_hashed(start.position):
        if record.position > end.position:
            break
        chain.follow(record, own)
        yield _line(Event(**asdict(record), hash=own.hex()))


class Chain:
    """Where a chain of events has come to, and whether the next one follows."""

    def __init__(self, position: int = 0, head: bytes = GENESIS) -> None:
        self.position = position
        self.head = head

    def follow(self, record: Record, own: bytes) -> None:
        """Go on by one event. Raises `LogCorrupt`, naming its position, when it does not follow."""
        if record.position != self.position + 1:
            raise LogCorrupt(f"After position {self.position} comes {record.position}: something is missing.")
        if chain_hash(self.head, record) != own:
            raise LogCorrupt(
                f"The event at position {record.position} is not what was written: its hash does not match "
                "its content and what came before."
            )
        self.position, self.head = record.position, own


def read(lines: Iterable[bytes], name: str) -> Iterator[Line]:
    """What lines say, the header first; documents and the chain are checked on the way, and the end too.

    Raises `LogCorrupt`, naming the file and the line, for what was not written so.
    """
    number = 0
    try:
        header: Header | None = None
        chain = Chain()
        for number, text in enumerate(lines, 1):  # noqa: B007 - an error says where
            line = _decode(text)
            if header is None:
                header, chain = _first(line)
            elif isinstance(line, Header):
                raise LogCorrupt("A second log begins here.")
            elif isinstance(line, Document):
                line.content()
            elif isinstance(line, Event):
                chain.follow(line.record(), bytes.fromhex(line.hash))
            yield line
        number += 1
        if header is None or (chain.position, chain.head.hex()) != (header.until, header.head):
            end = f"at position {chain.position}" if header is not None else "before it begins"
            wanted = f", not at {header.until}" if header is not None else ""
            raise LogCorrupt(f"It ends {end}{wanted}: something is missing.")
    except (LogCorrupt, msgspec.MsgspecError, ValueError, RecursionError) as error:
        reason = error.detail if isinstance(error, LogCorrupt) else f"it makes no sense: {error}"
        raise LogCorrupt(f"{name}, line {number}: {reason}") from error


def _first(line: Line) -> tuple[Header, Chain]:
    if not isinstance(line, Header):
        raise LogCorrupt("This is no log of janfs: it does not begin with its header.")
    if line.format != FORMAT:
        raise LogCorrupt(f"It has format {line.format}, and this janfs knows {FORMAT}. Use a newer janfs.")
    return line, Chain(line.after, bytes.fromhex(line.previous))


def digests_in(text: str) -> list[str]:
    """Whatever in an event's data could be the SHA-256 of a document."""
    return _DIGEST.findall(text)


def _document(digest: str, content: bytes) -> Document:
    if hashlib.sha256(content).hexdigest() != digest:
        raise LogCorrupt(f"The document {digest} does not match its SHA-256.")
    try:
        return Document(digest, text=content.decode())
    except UnicodeDecodeError:
        return Document(digest, base64=base64.b64encode(content).decode())


def _line(line: Line) -> bytes:
    return _encode(line) + b"\n"
