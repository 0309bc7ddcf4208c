"""Archived parts of a log: each a file of lines whose chain leads to the next, and the last to the seam."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from msgspec import Struct

from janfs.errors import InvalidInput, LogCorrupt
from janfs.log import lines
from janfs.log.reader import LogReader
from janfs.log.records import Head
from janfs.log.verify import Noted


class Archive(Struct, frozen=True):
    """A file that was read and found whole: where it begins and ends, and the SHA-256 of its content.

    `noted` is whether the head that was looked for is in it.
    """

    name: str
    after: int
    previous: str
    until: int
    head: str
    sha256: str
    noted: bool = False


def read_archive(path: Path, noted: Noted | None = None) -> Archive:
    """Read an archive from end to end. Raises `LogCorrupt` for a damaged one, `InvalidInput` for none."""
    digest = hashlib.sha256()
    found = False
    header: lines.Header | None = None
    try:
        with path.open("rb") as file:
            for line in lines.read(_hashed(file, digest.update), path.name):
                if isinstance(line, lines.Header):
                    header = line
                elif isinstance(line, lines.Event) and noted is not None:
                    found = found or (line.hash == noted.hash and noted.position in (None, line.position))
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}.", param="archive") from error
    assert header is not None  # or it would have raised
    return Archive(
        path.name, header.after, header.previous, header.until, header.head, digest.hexdigest(), found
    )


def check_archives(log: LogReader, paths: Sequence[Path], noted: Noted | None = None) -> list[Archive]:
    """Verify archives, and that one leads to the next and the last to the log's seam; oldest first.

    Raises `LogCorrupt` where one does not.
    """
    archives = sorted((read_archive(path, noted) for path in paths), key=lambda archive: archive.after)
    seam = log.seam
    if seam is None:
        raise InvalidInput("This log was never compacted; no archive belongs to it.", param="archive")
    for one, other in pairwise(archives):
        if (one.until, one.head) != (other.after, other.previous):
            raise LogCorrupt(f"{other.name} does not go on where {one.name} ends.")
    last = archives[-1]
    if Head(last.until, bytes.fromhex(last.head)) != log.start:
        raise LogCorrupt(
            f"{last.name} does not lead to this log, which begins after position {seam.position}."
        )
    if last.sha256 != seam.sha256:
        raise LogCorrupt(f"{last.name} is not the file that was written: its SHA-256 is another.")
    return archives


def _hashed(source: Iterable[bytes], update: Callable[[bytes], object]) -> Iterator[bytes]:
    for line in source:
        update(line)
        yield line
