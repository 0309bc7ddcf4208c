"""The entries of the catalogue. Frozen and JSON-able; `position` is the last event that changed one."""

from typing import Literal

from msgspec import Struct

from janfs.events.types import HashOrigin, WritePlanned
from janfs.folder.filesystem import Stamp
from janfs.folder.gguf import GgufFacts
from janfs.manifest.schema import Manifest

Status = Literal["arriving", "ready", "incomplete", "missing", "invalid", "to-download", "part"]

CORRUPTED = "file_corrupted"  # the code of a file whose content is not what it was, though nobody wrote it


class Problem(Struct, frozen=True, gc=False):
    """Why something cannot be used, for machines (`code`) and people. Lines and columns count from 1."""

    code: str
    reason: str
    line: int = 0
    column: int = 0


class File(Struct, frozen=True, gc=False):
    """One file below `models/`, or an engine's in `engines/`.

    `uid` is the stream of the model it belongs to. `refused` says why it cannot be what its name says;
    `stuck` why we could not move or write it. `sha256` is that of the whole content, once it is known, and
    `hashed_by` who says so; `duplicate_of` is an older file with the same content. `taken` is the model that
    came out of it, if it is an archive. Of a model.json, `manifest` is the last good content, `document` the
    SHA-256 of its text, `base` that of the text that was generated last (None: it is the person's own),
    `made_from` a digest of what that was made from, `owned` the paths that are the person's nevertheless.
    """

    path: str
    uid: str
    stamp: Stamp
    position: int
    link: str | None = None
    facts: GgufFacts | None = None
    refused: Problem | None = None
    stuck: str | None = None
    manifest: Manifest | None = None
    document: str | None = None
    base: str | None = None
    made_from: str = ""
    owned: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    sha256: str | None = None
    hashed_by: HashOrigin | None = None
    duplicate_of: str | None = None
    taken: str | None = None


class Model(Struct, frozen=True, gc=False):
    """One model: a folder below `models/`. A removed one is kept, so that it can come back as itself.

    `loose` is the first of its GGUF files that are yet to move into its folder; `stuck` why we could not
    write its model.json, or make the link that it asks for; `removed` when nothing was left of it, `trash`
    where a deleted one lies, `apart` what of it lies elsewhere, and where that lay; `download_error` why its
    files could not be fetched when that was last tried. `remote` is the engine that serves it, where that is
    not on this machine.
    """

    uid: str
    id: str
    folder: str
    position: int
    registered_at: str
    status: Status
    reason: str | None = None
    binary: str | None = None
    aliases: tuple[str, ...] = ()
    loose: str | None = None
    removed: str | None = None
    trash: str | None = None
    apart: tuple[tuple[str, str], ...] = ()
    stuck: str | None = None
    download_error: str | None = None
    remote: str | None = None


class Plan(Struct, frozen=True, gc=False):
    """Something on disk that was planned and has no outcome yet."""

    op: str
    uid: str
    position: int
    target: str
    source: str | None = None
    stamp: Stamp | None = None
    reason: Literal["organise", "delete", "restore", "write", "dedupe"] = "organise"
    write: WritePlanned | None = None
    how: Literal["move", "copy", "hard-link", "symbolic-link"] = "move"

    @property
    def ends(self) -> tuple[str, ...]:
        """The paths that it is about: where from, if anything is there already, and where to."""
        return (self.target,) if self.source is None else (self.source, self.target)

    @property
    def changes(self) -> tuple[str, ...]:
        """The paths at which something may be another thing once it is done."""
        moved = self.source is not None and self.how == "move"
        return (self.source or "", self.target) if moved else (self.target,)


class Root(Struct, frozen=True, gc=False):
    """Whether the models folder can be seen; `reason` says why not."""

    available: bool = True
    reason: str | None = None
    position: int = 0


class Parked(Struct, frozen=True, gc=False):
    """Events of one stream that could not be applied: the `position`, `type` and reason of the first of them.

    `count` is how many there are, `paths` are the files that they are about. A catalogue made anew by a janfs
    that can apply them has none.
    """

    uid: str
    position: int
    type: str
    reason: str
    count: int = 1
    paths: tuple[str, ...] = ()


Entry = File | Model | Plan | Root | Parked
