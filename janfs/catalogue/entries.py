"""The entries of the catalogue. Frozen and JSON-able; `position` is the last event that changed one."""

from typing import Literal

from msgspec import Struct

from janfs.folder.filesystem import Stamp
from janfs.folder.gguf import GgufFacts
from janfs.manifest.schema import Manifest

Status = Literal["arriving", "ready", "incomplete", "missing", "invalid", "to-download"]


class Problem(Struct, frozen=True, gc=False):
    """Why something cannot be used, for machines (`code`) and people. Lines and columns count from 1."""

    code: str
    reason: str
    line: int = 0
    column: int = 0


class File(Struct, frozen=True, gc=False):
    """One file below `models/`.

    `uid` is the stream of the model it belongs to. `refused` says why it cannot be what its name says;
    `stuck` why we could not move or write it. Of a model.json, `manifest` is the last good content,
    `document` the SHA-256 of its text, `written` that of the text that we wrote last.
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
    written: str | None = None
    notes: tuple[str, ...] = ()


class Model(Struct, frozen=True, gc=False):
    """One model: a folder below `models/`. A removed one is kept, so that it can come back as itself.

    `loose` is a file that belongs to it and lies outside its folder; `stuck` why we could not write its
    model.json; `removed` when nothing was left of it, `trash` where a deleted one lies.
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
    stuck: str | None = None


class Plan(Struct, frozen=True, gc=False):
    """Something on disk that was planned and has no outcome yet."""

    op: str
    uid: str
    position: int
    target: str
    source: str | None = None
    stamp: Stamp | None = None
    reason: Literal["organise", "delete", "write"] = "organise"
    document: str | None = None


class Root(Struct, frozen=True, gc=False):
    """Whether the models folder can be seen; `reason` says why not."""

    available: bool = True
    reason: str | None = None
    position: int = 0


Entry = File | Model | Plan | Root
