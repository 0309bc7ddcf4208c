"""Every event there is, as a frozen Struct. The class name in kebab case is its name in the log.

A field may be added with a default at any time; any other change of meaning needs a new schema number
and an upcast step (`janfs.events.upcast`). Paths are spelled as in `janfs.folder.paths`.
"""

import re
from typing import Any, Literal

from msgspec import Struct

from janfs.folder.filesystem import Stamp
from janfs.folder.gguf import GgufFacts
from janfs.manifest.schema import Manifest

# --- the folder: what was seen ----------------------------------------------------------------


class FileDropped(Struct, frozen=True, gc=False):
    """A whole file is there that was not there before. `link` is where it points, if it is a link."""

    path: str
    stamp: Stamp
    link: str | None = None
    facts: GgufFacts | None = None


class FileChanged(Struct, frozen=True, gc=False):
    """A known file has another content now."""

    path: str
    stamp: Stamp
    link: str | None = None
    facts: GgufFacts | None = None


class FileMoved(Struct, frozen=True, gc=False):
    """A known file was given another name by someone else."""

    source: str
    target: str
    stamp: Stamp


class FileRemoved(Struct, frozen=True, gc=False):
    """A known file is gone."""

    path: str


class FileRefused(Struct, frozen=True, gc=False):
    """A file that cannot be used as what its name says; it is left as it is. `code` is an error's code."""

    path: str
    stamp: Stamp
    code: str
    reason: str
    link: str | None = None


class JsonEdited(Struct, frozen=True, gc=False):
    """Someone wrote a model.json. `sha256` names its text in `documents`; `manifest` is what it says.

    `owned` are the paths (RFC 6901) of what is no longer as janfs generated it, and so the person's.
    """

    path: str
    stamp: Stamp
    sha256: str
    manifest: Manifest
    notes: tuple[str, ...] = ()
    owned: tuple[str, ...] = ()


class JsonRejected(Struct, frozen=True, gc=False):
    """A model.json that cannot be read; it is left as it is and the last good one stays in force."""

    path: str
    stamp: Stamp
    sha256: str
    reason: str
    line: int = 0
    column: int = 0


class JsonRemoved(Struct, frozen=True, gc=False):
    """A model.json is gone."""

    path: str


HashOrigin = Literal["computed", "hub", "download", "archive"]


class FileHashed(Struct, frozen=True, gc=False):
    """The SHA-256 of a file's whole content is known: computed here, or said by whoever published it."""

    path: str
    stamp: Stamp
    sha256: str
    by: HashOrigin = "computed"


class FileCorrupted(Struct, frozen=True, gc=False):
    """A file's content is another than it was, and nobody wrote it: its size, time and inode are the same."""

    path: str
    stamp: Stamp
    expected: str
    found: str


class DuplicateFound(Struct, frozen=True, gc=False):
    """Two files have the same content, by their full hashes; `of` was here first. Neither is touched."""

    path: str
    of: str
    sha256: str


class LogDamaged(Struct, frozen=True, gc=False):
    """The log's own: when it was opened, its write-ahead log was damaged from byte `offset` on.

    So many `commits` from there on, each of one event or more, are not in it; `kept` names the copies of the
    database and of the write-ahead log as they were found.
    """

    offset: int
    commits: int
    kept: tuple[str, ...]


class RootUnavailable(Struct, frozen=True, gc=False):
    """The models folder cannot be seen; nothing is concluded from what is missing."""

    reason: str


class RootReturned(Struct, frozen=True, gc=False):
    """The models folder can be seen again."""


# --- models: what was decided -----------------------------------------------------------------


class ModelRegistered(Struct, frozen=True, gc=False):
    """A folder holds a model from now on. The stream is the model's uid; `loose` is a file yet to move in.

    `files` are its files, where some were in other streams until now.
    """

    id: str
    folder: str
    loose: str | None = None
    files: tuple[str, ...] = ()


class ModelRenamed(Struct, frozen=True, gc=False):
    """A model's folder has another name, and so the model another id; the old one stays an alias."""

    id: str
    folder: str
    was: str


class ModelSwapped(Struct, frozen=True, gc=False):
    """Its folder and that of another model changed names; each has the other's id now.

    The other model's stream says the same; whichever comes first makes the change.
    """

    id: str
    folder: str
    was: str
    left: str


class ModelRemoved(Struct, frozen=True, gc=False):
    """Nothing is left of a model in the folder."""

    reason: str


class ModelRestored(Struct, frozen=True, gc=False):
    """A removed model is there again; `loose` and `files` as when it is registered."""

    id: str
    folder: str
    loose: str | None = None
    files: tuple[str, ...] = ()


class ModelDeleted(Struct, frozen=True, gc=False):
    """A model was deleted through janfs; its folder lies at `trash`.

    `apart` are files that would not come back with it: where each lies now, and where it lay.
    """

    id: str
    trash: str
    apart: tuple[tuple[str, str], ...] = ()


class PartPaired(Struct, frozen=True, gc=False):
    """A projector or adapter belongs to this model from now on. `by` says who tied them together."""

    path: str
    by: Literal["metadata", "model.json", "user"]


class ModelExported(Struct, frozen=True, gc=False):
    """The model was written into an archive: its name, the SHA-256 and size of its bytes."""

    archive: str
    sha256: str
    size: int


class ModelImported(Struct, frozen=True, gc=False):
    """The model came out of an archive of another janfs, where it was `uid` and `id`.

    `history` names the text of its events there in `documents`, one JSON object a line; `events` counts them.
    """

    archive: str
    sha256: str
    uid: str
    id: str
    history: str
    events: int


class LogCompacted(Struct, frozen=True, gc=False):
    """The log's own: its events up to `position`, with `hash`, went into an archive, `events` of them.

    `archive` is the file's name and `sha256` that of its content; `recorded_at` when the last of them was
    recorded. `state` names the text of what they had come to in `documents`, `streams` is the SHA-256 over
    the versions that streams had reached.
    """

    position: int
    hash: str
    archive: str
    sha256: str
    events: int
    recorded_at: str
    state: str
    streams: str


# --- actions: intent before, outcome after ----------------------------------------------------

MoveReason = Literal["organise", "delete", "restore"]


class MovePlanned(Struct, frozen=True, gc=False):
    """A file or folder is about to be moved; `stamp` is what it must be when we act (None for a folder)."""

    op: str
    source: str
    target: str
    reason: MoveReason
    stamp: Stamp | None = None


class MoveCompleted(Struct, frozen=True, gc=False):
    """A planned move is done; `stamp` is the file at its new place, `link` where it points now."""

    op: str
    source: str
    target: str
    reason: MoveReason
    stamp: Stamp | None = None
    link: str | None = None


class MoveFailed(Struct, frozen=True, gc=False):
    """A planned move was given up. The file is where it was, unless `error` says otherwise."""

    op: str
    source: str
    target: str
    reason: MoveReason
    error: str


class FieldConflicted(Struct, frozen=True, gc=False):
    """What would be generated for a field is another value now, and the person's stays.

    `field` is its path (RFC 6901); the values are JSON, None where there is none.
    """

    path: str
    field: str
    theirs: str | None = None
    ours: str | None = None


class WritePlanned(Struct, frozen=True, gc=False):
    """A model.json is about to be written; `sha256` names its text in `documents`.

    `replaces` names the text that must be there until then; None: there must be none. The rest is for the
    outcome: `base`, `made_from` and `owned` as in `json-written`, `conflicts` to be said with it. With `to`
    it is the text of that position that is brought back.
    """

    op: str
    path: str
    sha256: str
    replaces: str | None = None
    base: str | None = None
    made_from: str = ""
    owned: tuple[str, ...] = ()
    conflicts: tuple[FieldConflicted, ...] = ()
    to: int | None = None


class JsonWritten(Struct, frozen=True, gc=False):
    """We wrote a model.json.

    `base` names the text that was generated, before what is the person's (`owned`, paths by RFC 6901) went
    before it; None: it is the text itself; "": the file is the person's own. `made_from` is a digest of all
    that went into the generated text.
    """

    op: str
    path: str
    stamp: Stamp
    sha256: str
    manifest: Manifest
    base: str | None = None
    made_from: str = ""
    owned: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class JsonReverted(Struct, frozen=True, gc=False):
    """Someone had a model.json brought back to what it was at the position `to`; the rest as in json-written.

    It is the person's word, as if they had written it themselves.
    """

    op: str
    path: str
    stamp: Stamp
    sha256: str
    manifest: Manifest
    to: int
    base: str = ""
    made_from: str = ""
    owned: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class JsonKept(Struct, frozen=True, gc=False):
    """A model.json stays as it is, to the byte, though something else would be generated now, or though
    fields were set: they have these values already; or it is what it was before it went away. `base`,
    `made_from` and `owned` as in `json-written`; `reason` says why, where it is not what the person wrote.
    """

    path: str
    base: str
    made_from: str
    owned: tuple[str, ...] = ()
    reason: str | None = None


class WriteFailed(Struct, frozen=True, gc=False):
    """A planned write was given up."""

    op: str
    path: str
    error: str


CopyHow = Literal["copy", "hard-link", "symbolic-link"]
CopyReason = Literal["organise", "dedupe"]


class CopyPlanned(Struct, frozen=True, gc=False):
    """A file is about to get a second place. `stamp` is what it must be when we act.

    A symbolic link's `source` may lie outside the root, as an absolute path. With `dedupe`, `target` is
    there, has the same content, and is replaced.
    """

    op: str
    source: str
    target: str
    how: CopyHow
    reason: CopyReason
    stamp: Stamp | None = None


class CopyCompleted(Struct, frozen=True, gc=False):
    """A planned copy is done; `stamp` is the file at its second place, `link` where it points."""

    op: str
    source: str
    target: str
    how: CopyHow
    reason: CopyReason
    stamp: Stamp
    link: str | None = None


class CopyFailed(Struct, frozen=True, gc=False):
    """A planned copy was given up; both places are as they were."""

    op: str
    source: str
    target: str
    how: CopyHow
    reason: CopyReason
    error: str


# --- downloads --------------------------------------------------------------------------------


class DownloadStarted(Struct, frozen=True, gc=False):
    """The files that a model.json names are being fetched; `size` in bytes where the servers say it."""

    urls: tuple[str, ...]
    size: int | None = None


class FileDownloaded(Struct, frozen=True, gc=False):
    """A file came whole. `sha256` is what was computed on the way; `expected` says whom it agrees with."""

    path: str
    url: str
    size: int
    sha256: str
    expected: str | None = None


class DownloadCompleted(Struct, frozen=True, gc=False):
    """Every file of a download is there."""

    urls: tuple[str, ...]
    seconds: float


class DownloadFailed(Struct, frozen=True, gc=False):
    """A download was given up; what came so far is kept for the next try. `code` is an error's code."""

    url: str
    code: str
    reason: str

    @property
    def told(self) -> str:
        """The reason, with the address unless it names that itself."""
        return self.reason if self.url in self.reason else f"{self.url}: {self.reason}"


class DownloadCancelled(Struct, frozen=True, gc=False):
    """Someone stopped a download; what came so far is removed."""

    reason: str


# --- engines: what ran ------------------------------------------------------------------------


class StartedPart(Struct, frozen=True, gc=False):
    """A file that an engine was given, as it was then. `sha256` is that of its whole content, if known."""

    path: str
    stamp: Stamp
    header_sha256: str | None = None
    sha256: str | None = None


class ModelStarted(Struct, frozen=True, gc=False):
    """An engine has loaded the model. `fingerprint` names the `parts` (files) and `settings` it runs with.

    Both are empty in logs of versions that did not record them.
    """

    engine: str
    fingerprint: str
    load_seconds: float
    pid: int
    settings: dict[str, Any] = {}
    parts: tuple[StartedPart, ...] = ()


class ModelStopped(Struct, frozen=True, gc=False):
    """The model was unloaded on purpose."""

    fingerprint: str
    reason: str


class StartFailed(Struct, frozen=True, gc=False):
    """An engine could not load the model."""

    fingerprint: str
    reason: str


class EngineCrashed(Struct, frozen=True, gc=False):
    """The engine died while the model was loaded, and `requests` requests with it."""

    fingerprint: str
    requests: int
    code: int | None = None
    signal: str | None = None
    stderr: tuple[str, ...] = ()


Event = (
    FileDropped
    | FileChanged
    | FileMoved
    | FileRemoved
    | FileRefused
    | JsonEdited
    | JsonRejected
    | JsonRemoved
    | FileHashed
    | FileCorrupted
    | DuplicateFound
    | LogDamaged
    | RootUnavailable
    | RootReturned
    | ModelRegistered
    | ModelRenamed
    | ModelSwapped
    | ModelRemoved
    | ModelRestored
    | ModelDeleted
    | PartPaired
    | ModelExported
    | ModelImported
    | LogCompacted
    | MovePlanned
    | MoveCompleted
    | MoveFailed
    | WritePlanned
    | JsonWritten
    | JsonReverted
    | JsonKept
    | FieldConflicted
    | WriteFailed
    | CopyPlanned
    | CopyCompleted
    | CopyFailed
    | DownloadStarted
    | FileDownloaded
    | DownloadCompleted
    | DownloadFailed
    | DownloadCancelled
    | ModelStarted
    | ModelStopped
    | StartFailed
    | EngineCrashed
)

EVENT_TYPES: tuple[type[Event], ...] = Event.__args__


def type_name(event_type: type[Event]) -> str:
    """The name of an event type in the log: `FileDropped` is `file-dropped`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "-", event_type.__name__).lower()
