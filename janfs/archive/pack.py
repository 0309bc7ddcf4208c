"""Writing an archive: a plain tar, since weights do not compress. The same model gives the same bytes."""

import hashlib
import tarfile
from collections.abc import Iterator, Mapping

from janfs.archive import contents as form
from janfs.archive.contents import Contents
from janfs.errors import ArchiveError
from janfs.folder.filesystem import FileSystem, Stamp

Source = tuple[str, Stamp] | bytes  # a file's path, and what it was when it was hashed; or a content

_STEP = 1024 * 1024  # bytes that are read at once
_END = bytes(2 * tarfile.BLOCKSIZE)


def pack(
    fs: FileSystem,
    contents: Contents,
    sources: Mapping[str, Source],
    history: bytes,
    documents: Mapping[str, bytes],
) -> Iterator[bytes]:
    """The archive, piece by piece; `sources` says where each file's content is.

    Raises `ArchiveError` when a file changes on the way, and `OSError` as reading does.
    """
    yield from _member(form.CONTENTS, form.encode(contents))
    yield from _member(form.HISTORY, history)
    for digest in sorted(documents):
        yield from _member(form.DOCUMENTS + digest, documents[digest])
    for file in contents.files:
        source = sources[file.name]
        if isinstance(source, bytes):
            yield from _member(form.FILES + file.name, source)
            continue
        yield _header(form.FILES + file.name, file.size)
        yield from _content(fs, *source, file.sha256)
        yield _padding(file.size)
    yield _END


def _content(fs: FileSystem, path: str, stamp: Stamp, expected: str) -> Iterator[bytes]:
    digest = hashlib.sha256()
    done = 0
    with fs.open(path, once=True) as file:
        while done < stamp.size:
            data = file.read_at(done, min(_STEP, stamp.size - done))
            if not data:
                break
            digest.update(data)
            done += len(data)
            yield data
        if file.stamp() != stamp or digest.hexdigest() != expected:
            raise ArchiveError(f"{path} changed while it was being packed.")


def _member(name: str, data: bytes) -> Iterator[bytes]:
    yield _header(name, len(data))
    yield data
    yield _padding(len(data))


def _header(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = size
    info.mode = 0o644
    return info.tobuf(tarfile.PAX_FORMAT)


def _padding(size: int) -> bytes:
    return bytes(-size % tarfile.BLOCKSIZE)
