"""SHA-256 of whole files, in steps that can be stopped and gone on with after a restart.

hashlib cannot store a digest that is half done. OpenSSL's older calls keep theirs in a plain structure
(`SHA256_CTX` of openssl/sha.h, 112 bytes without pointers), at nine tenths of the speed. Where that library
is not to be found a digest begins anew.
"""

import ctypes
import ctypes.util
import functools
import hashlib
from collections.abc import Callable

from msgspec import Struct

from janfs.errors import FolderError
from janfs.folder.filesystem import FileSystem, Stamp

STEP = 8 * 1024 * 1024  # bytes read at once
_CONTEXT = 112  # bytes of a SHA256_CTX
_DIGEST = 32


class Progress(Struct, frozen=True):
    """A file that is hashed up to `done` bytes; `state` is None where it cannot be stored."""

    path: str
    stamp: Stamp
    done: int
    state: bytes | None


class Sha256:
    """A SHA-256 in the making, `state` of an earlier one if it goes on."""

    def __init__(self, state: bytes | None = None) -> None:
        self._library = _library()
        self._plain = None if self._library is not None else hashlib.sha256()
        self._context = ctypes.create_string_buffer(state or b"", _CONTEXT)
        if self._library is not None and state is None:
            self._library.SHA256_Init(self._context)

    def update(self, data: bytes) -> None:
        """Add what follows."""
        if self._library is not None:
            self._library.SHA256_Update(self._context, data, ctypes.c_size_t(len(data)))
        elif self._plain is not None:
            self._plain.update(data)

    def state(self) -> bytes | None:
        """What another process can go on from."""
        return None if self._library is None else self._context.raw

    def hexdigest(self) -> str:
        """The digest of what was added so far, in 64 hexadecimal digits."""
        if self._plain is not None or self._library is None:
            return self._plain.hexdigest() if self._plain is not None else ""
        digest = ctypes.create_string_buffer(_DIGEST)
        context = ctypes.create_string_buffer(self._context.raw, _CONTEXT)  # finishing spoils it
        self._library.SHA256_Final(digest, context)
        return digest.raw.hex()


def hash_file(
    fs: FileSystem,
    path: str,
    stamp: Stamp,
    pause: Callable[[Progress], None] = lambda _: None,
    resume: Progress | None = None,
) -> str:
    """The SHA-256 of a file, in 64 hexadecimal digits; `pause` is called between steps and may raise.

    Raises `FolderError` when the file is not, or not any more, what `stamp` says; `OSError` as reading does.
    """
    usable = resume is not None and (resume.path, resume.stamp) == (path, stamp) and resume.state is not None
    done, state = (resume.done, resume.state) if usable and resume is not None else (0, None)
    digest = Sha256(state)
    with fs.open(path, once=True) as file:
        while True:
            if file.stamp() != stamp:
                raise FolderError(f"{path} changed before or while it was hashed.")
            data = file.read_at(done, STEP)
            if not data:
                break
            digest.update(data)
            done += len(data)
            pause(Progress(path, stamp, done, digest.state()))
    if done != stamp.size:
        raise FolderError(f"{path} ended after {done:,} of {stamp.size:,} bytes.")
    return digest.hexdigest()


@functools.cache
def _library() -> ctypes.CDLL | None:
    """OpenSSL's libcrypto, if it is there and does what it should."""
    name = ctypes.util.find_library("crypto")
    if name is None:
        return None
    try:
        library = ctypes.CDLL(name)
        context, digest = ctypes.create_string_buffer(_CONTEXT), ctypes.create_string_buffer(_DIGEST)
        library.SHA256_Init(context)
        library.SHA256_Update(context, b"abc", ctypes.c_size_t(3))
        copied = ctypes.create_string_buffer(context.raw, _CONTEXT)
        library.SHA256_Final(digest, copied)
    except (OSError, AttributeError):
        return None
    return library if digest.raw == hashlib.sha256(b"abc").digest() else None
