"""What has come of a file so far: the bytes, and beside them which they are, so that a new start goes on."""

import contextlib
import hashlib
import os
import shutil
import threading
from pathlib import Path

import msgspec
from msgspec import Struct

from janfs.downloads.answers import Remote
from janfs.errors import DownloadError
from janfs.folder.whole import replace_content, unfinished

PIECE = 64 * 1024 * 1024  # bytes that one request asks for
PREFIX = ".janfs-download-"
RESERVE = 256 * 1024 * 1024  # bytes of the disk that are left free


class State(Struct, frozen=True):
    """Which file it is, and how many bytes of each piece have come; of a file of unknown size one piece."""

    url: str
    file_name: str
    size: int | None
    validator: str | None
    pieces: list[int]


class Part:
    """A file that is coming: `data`, and the `note` beside it; nobody takes their names for models."""

    def __init__(self, folder: Path, url: str, file_name: str) -> None:
        stem = PREFIX + hashlib.sha256(file_name.encode()).hexdigest()[:16]
        self.folder = folder
        self.data = folder / f"{stem}.part"
        self.note = folder / f"{stem}.json"
        self.url = url
        self.file_name = file_name
        self.size: int | None = None
        self.validator: str | None = None
        self.pieces: list[int] = [0]
        self._descriptor = -1
        self._saving = threading.RLock()  # a cancelled download may leave a thread behind that saves

    @property
    def done(self) -> int:
        """The bytes that are here."""
        return sum(self.pieces)

    def open(self, remote: Remote) -> None:
        """Go on with what is here of this very file, or begin. Raises `DownloadError` if there is no room."""
        known = self._known()
        self.size, self.validator = remote.size, remote.validator
        count = 1 if remote.size is None or not remote.ranges else -(-remote.size // PIECE) or 1
        fits = known is not None and known.validator is not None and count == len(known.pieces)
        fits = fits and remote.ranges and self.data.exists()
        same = known is not None and (known.url, known.size, known.validator) == (
            self.url,
            remote.size,
            remote.validator,
        )
        self.pieces = list(known.pieces) if known is not None and fits and same else [0]
        if self.done == 0:
            self.data.unlink(missing_ok=True)
        self._check_room()  # before anything here is as large as a server says that its file is
        if self.done == 0:
            self.pieces = [0] * count
        self.announce()
        self._descriptor = os.open(self.data, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)

    def announce(self) -> None:
        """Note that this file is wanted, before anything of it has come."""
        self._note(self.pieces)

    def _note(self, pieces: list[int]) -> None:
        state = State(self.url, self.file_name, self.size, self.validator, pieces)
        replace_content(self.note, msgspec.json.encode(state))

    def bounds(self, number: int) -> tuple[int, int]:
        """Where a piece begins and ends, in bytes, the end left out."""
        size = self.size or 0
        return (0, size) if len(self.pieces) == 1 else (number * PIECE, min(size, (number + 1) * PIECE))

    def write(self, number: int, data: bytes) -> None:
        """Add to a piece what follows."""
        start = number * PIECE if len(self.pieces) > 1 else 0
        view = memoryview(data)
        while view:
            written = os.pwrite(self._descriptor, view, start + self.pieces[number])
            self.pieces[number] += written
            view = view[written:]

    def restart(self, number: int = 0) -> None:
        """Have a piece come anew."""
        self.pieces[number] = 0

    def save(self) -> None:
        """Make what is here survive a power cut, then note it; may be asked of several threads at once."""
        with self._saving:
            if self._descriptor >= 0:
                pieces = list(self.pieces)
                os.fdatasync(self._descriptor)
                self._note(pieces)

    def close(self) -> None:
        """Close the file; what is here stays."""
        with self._saving:
            if self._descriptor >= 0:
                os.close(self._descriptor)
                self._descriptor = -1

    def remove(self) -> None:
        """Forget all of it."""
        with self._saving:
            self.close()
            for path in (self.note, self.data, unfinished(self.note)):
                path.unlink(missing_ok=True)

    def forget_wish(self) -> None:
        """Keep no note of a file of which nothing has come."""
        if not self.data.exists():
            self.remove()

    def _known(self) -> State | None:
        try:
            return msgspec.json.decode(self.note.read_bytes(), type=State)
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            return None

    def _check_room(self) -> None:
        if self.size is None:
            return
        needed = self.size - self.done
        free = shutil.disk_usage(self.folder).free
        if needed + RESERVE > free:
            raise DownloadError(
                f"{self.file_name} needs {needed:,} bytes more, and the disk has {free:,} free, of which "
                f"{RESERVE:,} are kept. Make room."
            )


def sweep(folder: Path) -> None:
    """Remove what a process left that died in its last moment.

    That is the note of a file that has got its name, a note that was not finished, and bytes without a note.
    """
    for state in parts_in(folder):
        part = Part(folder, state.url, state.file_name)
        if (folder / state.file_name).exists() and not part.data.exists():
            part.remove()
    for path in folder.glob(f"{PREFIX}*"):
        if path.suffix == ".new" or (path.suffix == ".part" and not path.with_suffix(".json").exists()):
            path.unlink(missing_ok=True)


def parts_in(folder: Path) -> list[State]:
    """The files of which something has come, or which were wanted, and which are not whole."""
    found = []
    for path in sorted(folder.glob(f"{PREFIX}*.json")):
        with contextlib.suppress(OSError, msgspec.MsgspecError, UnicodeDecodeError):
            found.append(msgspec.json.decode(path.read_bytes(), type=State))
    return found
