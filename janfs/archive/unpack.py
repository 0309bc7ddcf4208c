"""Reading an archive that nobody vouches for: everything is checked before anything can be seen."""

import hashlib
import os
import tarfile
from pathlib import Path
from typing import IO, Self

from msgspec import Struct

from janfs.archive import contents as form
from janfs.archive import history as past
from janfs.archive.contents import Contents
from janfs.errors import ArchiveError

_STEP = 1024 * 1024
_MOST_EXTENDED = 64 * 1024  # bytes of an extended header: names and sizes


class _Member(tarfile.TarInfo):
    """A header that cannot make us read gigabytes as if they were a name."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """See `TarInfo.frombuf`; raises `tarfile.ReadError` for what `pack` never writes."""
        found = super().frombuf(buf, encoding, errors)
        extended = found.type == tarfile.XHDTYPE and found.size <= _MOST_EXTENDED
        if not extended and found.type not in tarfile.REGULAR_TYPES:
            raise tarfile.ReadError(f"an entry of type {found.type!r} does not belong there")
        return found


class Unpacked(Struct, frozen=True):
    """What came out of an archive; its files lie in the folder that was given."""

    contents: Contents
    sha256: str
    size: int
    history: bytes
    documents: dict[str, bytes]


def peek(archive: Path) -> Contents:
    """What an archive says of itself. Raises `ArchiveError`, `OSError`."""
    try:
        with tarfile.open(archive, "r:", tarinfo=_Member) as tar:
            return form.decode(_read(tar, _next(tar, form.CONTENTS), form.MOST_CONTENTS))
    except (tarfile.TarError, EOFError, UnicodeError, ValueError) as error:
        raise ArchiveError(f"It is no archive, or ends in the middle: {error}.") from error


def unpack(archive: Path, folder: Path) -> Unpacked:
    """Put an archive's files into an empty folder and flush them.

    Names, sizes and digests are those that the first member gave, or it is refused; so is anything besides,
    such as a link or a device. Raises `ArchiveError`, and `OSError` where writing fails.
    """
    size = archive.stat().st_size
    try:
        with tarfile.open(archive, "r:", tarinfo=_Member) as tar:
            found = _unpack(tar, folder, size)
    except (tarfile.TarError, EOFError, UnicodeError, ValueError) as error:
        raise ArchiveError(f"It is no archive, or ends in the middle: {error}.") from error
    return Unpacked(found.contents, _digest_of(archive), size, found.history, found.documents)


def _unpack(tar: tarfile.TarFile, folder: Path, size: int) -> Unpacked:
    contents = form.decode(_read(tar, _next(tar, form.CONTENTS), form.MOST_CONTENTS))
    files = sum(file.size for file in contents.files)
    announced = files + contents.history_size + sum(contents.documents.values())
    if announced > size:
        raise ArchiveError(f"It announces {announced:,} bytes and has {size:,}.")
    history = _checked(tar, form.HISTORY, contents.history_size, contents.history)
    if len(past.decode(history)) != contents.events:
        raise ArchiveError("Its history is shorter or longer than announced.")
    documents = {
        digest: _checked(tar, form.DOCUMENTS + digest, length, digest)
        for digest, length in sorted(contents.documents.items())
    }
    for file in contents.files:
        member = _next(tar, form.FILES + file.name, file.size)
        target = folder.joinpath(*file.name.split("/"))
        target.parent.mkdir(parents=True, exist_ok=True)
        source = tar.extractfile(member)
        if source is None or _write(source, target) != file.sha256:
            raise ArchiveError(f"{file.name} is not what was packed.")
        os.utime(target, ns=(file.mtime_ns, file.mtime_ns))
    if tar.next() is not None:
        raise ArchiveError("It holds more than it says.")
    return Unpacked(contents, "", size, history, documents)


def _next(tar: tarfile.TarFile, name: str, size: int | None = None) -> tarfile.TarInfo:
    member = tar.next()
    if member is None:
        raise ArchiveError(f"It ends before {name}.")
    if member.name != name or not member.isreg() or member.issparse():
        raise ArchiveError(f"It holds {member.name!r} where {name!r} should be.")
    if size is not None and member.size != size:
        raise ArchiveError(f"{name} has {member.size:,} bytes, and {size:,} were announced.")
    return member


def _read(tar: tarfile.TarFile, member: tarfile.TarInfo, most: int) -> bytes:
    if member.size > most:
        raise ArchiveError(f"{member.name} has {member.size:,} bytes, more than {most:,}.")
    source = tar.extractfile(member)
    return b"" if source is None else source.read()


def _checked(tar: tarfile.TarFile, name: str, size: int, digest: str) -> bytes:
    data = _read(tar, _next(tar, name, size), size)
    if hashlib.sha256(data).hexdigest() != digest:
        raise ArchiveError(f"{name} is not what was packed.")
    return data


def _write(source: IO[bytes], target: Path) -> str:
    digest = hashlib.sha256()
    with target.open("xb") as file:
        while data := source.read(_STEP):
            digest.update(data)
            file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest()


def _digest_of(archive: Path) -> str:
    with archive.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
