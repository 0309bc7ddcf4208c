"""Where a compacted log begins: what was before is in an archive, and the chain goes on from its end."""

import hashlib
from collections.abc import Iterable

import msgspec
from msgspec import Struct
from sqlalchemy import Connection

STREAM = "log"  # what happens to the log itself
EVENT = "log-compacted"  # the type of the event whose data the seam repeats


class Seam(Struct, frozen=True):
    """The last position that was archived, with its hash (hexadecimal), and where it went.

    `archive` is the file's name and `sha256` that of its content; `events` how many it holds; `recorded_at`
    when the last of them was recorded. `state` is the
    document that says what they had come to; `streams` the SHA-256 of their streams and versions.
    """

    position: int
    hash: str
    archive: str
    sha256: str
    events: int
    recorded_at: str
    state: str
    streams: str

    @property
    def text(self) -> str:
        """The seam as the log keeps it: canonical JSON, as the data of an event is."""
        return msgspec.json.encode(self, order="sorted").decode()


def parse_seam(text: str | bytes) -> Seam:
    """The seam that a text tells of. Raises `ValueError` for one that makes no sense."""
    try:
        seam = msgspec.json.decode(text, type=Seam)  # what is not UTF-8 is a `UnicodeDecodeError`
    except msgspec.MsgspecError as error:
        raise ValueError(str(error)) from error
    bytes.fromhex(seam.hash)
    return seam


def has_seam(connection: Connection) -> bool:
    """Whether the tables are those of a janfs that knows of seams."""
    tables = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'seam'"
    return connection.exec_driver_sql(tables).first() is not None


def read_seam(connection: Connection) -> tuple[Seam, str] | None:
    """The seam of a log and its text; None where the log is whole. Raises `ValueError`."""
    if not has_seam(connection):
        return None
    row = connection.exec_driver_sql("SELECT CAST(data AS BLOB) FROM seam").first()
    if row is None:
        return None
    return parse_seam(row[0]), bytes(row[0]).decode(errors="replace")


def streams_digest(streams: Iterable[tuple[str, int]]) -> str:
    """The SHA-256 over streams and the versions they had reached, a line each, in order."""
    digest = hashlib.sha256()
    for stream, version in streams:
        digest.update(f"{version} {stream}\n".encode())
    return digest.hexdigest()
