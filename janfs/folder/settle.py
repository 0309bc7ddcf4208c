"""Whether a file is whole yet. Names are no proof and neither are events: the file itself is asked.

A file is settled when nobody has it open for writing and it has no holes, or, where that cannot be told,
when it has not changed for `SETTLE` seconds; and, for a GGUF, when it reaches to where its header says that
the last tensor ends, and no program that fetches it in pieces has left word beside it that some are missing.
So a half copy is known as one however it is made: growing, preallocated or resumed.
"""

import hashlib

from msgspec import Struct

from janfs.errors import GgufError, GgufTruncated, ManifestError
from janfs.folder import paths
from janfs.folder.filesystem import FileSystem, Stamp, Stat
from janfs.folder.gguf import GgufFacts, facts, read_header
from janfs.manifest import jsonc
from janfs.manifest.engine_file import read_file
from janfs.manifest.schema import Manifest
from janfs.manifest.secrets import of_unreadable

SETTLE = 1.5  # seconds unchanged, where the system cannot tell whether a writer is there
PATIENCE = 5.0  # seconds unchanged, before a file that ends inside its header counts as broken
EDITING = 0.3  # seconds unchanged, before a model.json that cannot be read counts as wrong
AGAIN = 0.2  # seconds until the next look at a file that is still being written
BEING_COPIED = 1.0  # the same, when its header is there and some of the rest is not
MAX_JSON = jsonc.MAX_SIZE
BEING_WRITTEN = "Being written."
ARIA2 = ".aria2"  # NAME.aria2 is there until NAME, which has its full size from the start, is whole
NO_STAMP = Stamp(0, 0, 0)  # of what is no file


class Waiting(Struct, frozen=True):
    """Not whole yet; look again in `again` seconds. `percentage` is of the bytes the header announces."""

    reason: str
    again: float
    percentage: float | None = None


class Settled(Struct, frozen=True):
    """A whole file; `facts` when it is a GGUF."""

    stamp: Stamp
    facts: GgufFacts | None = None


class Refused(Struct, frozen=True):
    """A file that is not what its name says."""

    stamp: Stamp
    code: str
    reason: str


class JsonRead(Struct, frozen=True):
    """A model.json or an engine's file as it was read; `text` is without its secrets."""

    stamp: Stamp
    sha256: str
    text: bytes
    manifest: Manifest
    notes: tuple[str, ...] = ()


class JsonWrong(Struct, frozen=True):
    """A model.json or an engine's file that cannot be read, and where; `text` is what may be kept of it."""

    stamp: Stamp
    sha256: str
    text: bytes
    reason: str
    line: int = 0
    column: int = 0


Verdict = Waiting | Settled | Refused | JsonRead | JsonWrong


def examine(fs: FileSystem, path: str, stat: Stat, unchanged_for: float) -> Verdict:
    """Look into a file that was seen as `stat` and has been so for `unchanged_for` seconds.

    Raises `OSError` when it cannot be looked into.
    """
    if stat.stamp is None:
        target = (
            f"the link leads to {stat.link}, and nothing is there" if stat.link else "it is no regular file"
        )
        return Refused(NO_STAMP, "not_a_file", f"{target[0].upper()}{target[1:]}.")
    writing = fs.being_written(path)
    if writing:
        return _being_written(fs, path, stat.stamp)
    if paths.is_manifest(path) or paths.is_engine_file(path):
        return _examine_json(fs, path, stat.stamp, unchanged_for)
    if paths.is_binary(path):
        return _examine_binary(fs, path, stat.stamp, unchanged_for, writing)
    return _unless_unsure(fs, path, Settled(stat.stamp), unchanged_for, writing)


def _being_written(fs: FileSystem, path: str, stamp: Stamp) -> Waiting:
    share = _percentage(fs, path, stamp) if paths.is_binary(path) else None
    # The header of a large vocabulary takes a tenth of a second to read: a long copy is looked at less often.
    # Where all bytes are here, the hint of its closing came before the kernel let go of the writer.
    return Waiting(BEING_WRITTEN, BEING_COPIED if share is not None and share < 100 else AGAIN, share)


def _percentage(fs: FileSystem, path: str, stamp: Stamp) -> float | None:
    try:
        with fs.open(path) as file:
            return _share(stamp.size, facts(read_header(file.read_at, stamp.size)).data_end)
    except (GgufError, OSError):
        return None


def _share(size: int, whole: int) -> float:
    return round(min(100.0, 100.0 * size / max(1, whole)), 1)


def _unless_unsure(
    fs: FileSystem, path: str, verdict: Verdict, unchanged_for: float, writing: bool | None
) -> Verdict:
    """The verdict, if it is certain that nobody is still writing; else only after `SETTLE`."""
    if unchanged_for >= SETTLE:
        return verdict
    if writing is None or fs.has_holes(path):
        return Waiting("Waiting until it stops changing.", min(AGAIN, SETTLE - unchanged_for) + 0.01)
    return verdict


def _examine_binary(
    fs: FileSystem, path: str, stamp: Stamp, unchanged_for: float, writing: bool | None
) -> Verdict:
    if fs.stat(path + ARIA2) is not None:
        return Waiting(f"aria2 is not done: {paths.name(path)}{ARIA2} is there.", BEING_COPIED)
    with fs.open(path) as file:
        try:
            found = facts(read_header(file.read_at, stamp.size))
        except GgufTruncated as error:
            if unchanged_for < PATIENCE:
                return Waiting("Its header is not here yet.", min(AGAIN, PATIENCE - unchanged_for) + 0.01)
            return Refused(stamp, error.code, error.detail if stamp.size else "The file is empty.")
        except GgufError as error:
            refused = Refused(stamp, error.code, error.detail)
            return _unless_unsure(fs, path, refused, unchanged_for, writing)
        if file.stamp() != stamp:
            return Waiting("It changed while it was read.", AGAIN)
    if found.data_end > stamp.size:
        return Waiting(
            f"{stamp.size:,} of {found.data_end:,} bytes are here.",
            min(10.0, max(AGAIN, unchanged_for / 4)),
            _share(stamp.size, found.data_end),
        )
    return _unless_unsure(fs, path, Settled(stamp, found), unchanged_for, writing)


def _examine_json(fs: FileSystem, path: str, stamp: Stamp, unchanged_for: float) -> Verdict:
    if stamp.size > MAX_JSON:
        reason = f"It has {stamp.size:,} bytes; {MAX_JSON:,} are allowed."
        return JsonWrong(stamp, _digest(b""), b"", reason)
    with fs.open(path) as file:
        text = file.read_at(0, MAX_JSON)
        if file.stamp() != stamp or len(text) != stamp.size:
            return Waiting("It changed while it was read.", 0.05)
    try:
        manifest, notes, text = read_file(path, text)
    except ManifestError as error:
        if unchanged_for < EDITING:
            return Waiting("It cannot be read yet.", EDITING - unchanged_for + 0.01)
        kept = of_unreadable(path, text)
        return JsonWrong(stamp, _digest(kept), kept, error.detail, error.line, error.column)
    return JsonRead(stamp, _digest(text), text, manifest, notes)


def _digest(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()
