"""Reading a model's files again: do they still hold what they held?"""

from collections.abc import Callable
from typing import Literal

from msgspec import Struct

from janfs.catalogue.catalogue import Catalogue, files_of
from janfs.catalogue.duplicates import duplicates_of
from janfs.catalogue.entries import File
from janfs.errors import FolderError
from janfs.events import types as e
from janfs.folder import paths
from janfs.folder.filesystem import FileSystem
from janfs.folder.hashing import Progress, hash_file
from janfs.pipeline.commands import Compared
from janfs.pipeline.hasher import found, possible_duplicates
from janfs.pipeline.recorder import Draft

Pause = Callable[[Progress], None]


def _no_pause(_: Progress) -> None:
    """As fast as the disk gives it."""


class Checked(Struct, frozen=True):
    """What reading one file showed; `new` is one whose content was not known before."""

    path: str
    size: int
    result: Literal["ok", "new", "corrupted", "unreadable"]
    sha256: str | None = None
    reason: str | None = None


def verify(
    fs: FileSystem, catalogue: Catalogue, uid: str, pause: Pause = _no_pause
) -> tuple[list[Checked], list[Draft]]:
    """Read all GGUF files of a model, and say what each turned out to be and what is to be recorded of it."""
    binaries = [file for file in files_of(catalogue, uid) if paths.is_binary(file.path)]
    results = [_check(fs, file, pause) for file in binaries]
    return [checked for checked, _ in results], [draft for _, draft in results if draft is not None]


def hash_alike(fs: FileSystem, catalogue: Catalogue, pause: Pause = _no_pause) -> list[Draft]:
    """Hash the files that may be duplicates of others, as far as they can be read; what is to be recorded."""
    results = [_check(fs, file, pause) for file in possible_duplicates(catalogue)]
    return [draft for _, draft in results if draft is not None]


def compare(
    fs: FileSystem, catalogue: Catalogue, uid: str, pause: Pause = _no_pause
) -> tuple[list[Compared], list[Draft]]:
    """Read the copies among a model's files and their originals: which are the same, and what to record."""
    same: list[Compared] = []
    drafts: list[Draft] = []
    for copy, original in duplicates_of(catalogue, uid):
        checks = [_check(fs, file, pause) for file in (copy, original)]
        drafts += [draft for _, draft in checks if draft is not None]
        if all(checked.result == "ok" for checked, _ in checks):
            same.append(Compared(copy.path, copy.stamp, original.path, original.stamp))
    return same, drafts


def _check(fs: FileSystem, file: File, pause: Pause) -> tuple[Checked, Draft | None]:
    size = file.stamp.size
    try:
        digest = hash_file(fs, file.path, file.stamp, pause)
    except (FolderError, OSError) as error:
        reason = error.detail if isinstance(error, FolderError) else (error.strerror or str(error))
        return Checked(file.path, size, "unreadable", reason=reason), None
    event = found(file, digest)
    draft = Draft(file.uid, event)
    if isinstance(event, e.FileCorrupted):
        reason = "It is not what it was, though nobody wrote it: the disk may be failing."
        return Checked(file.path, size, "corrupted", digest, reason), draft
    if file.sha256 is None:
        return Checked(file.path, size, "new", digest), draft
    known = file.hashed_by == "computed" and file.refused is None
    return Checked(file.path, size, "ok", digest), None if known else draft
