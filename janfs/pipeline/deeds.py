"""What organising a folder would do, without doing any of it; and what it did, by the log."""

from collections.abc import Container, Iterable

from msgspec import Struct

from janfs.catalogue.catalogue import Catalogue
from janfs.catalogue.duplicates import duplicates_of
from janfs.catalogue.fold import Recorded, Unreadable
from janfs.catalogue.parking import fold_what_applies
from janfs.clock import Clock, Ids, timestamp
from janfs.events import types as e
from janfs.folder import paths
from janfs.folder.filesystem import FileSystem
from janfs.log.reader import LogReader
from janfs.organise.rehearsal import Deed, rehearse
from janfs.organise.steps import Policy
from janfs.pipeline.observer import Observer
from janfs.pipeline.recorder import replay
from janfs.pipeline.snapshot import Snapshot


class Preview(Struct, frozen=True):
    """The deeds in order, and the files that are not whole yet and would wait."""

    deeds: list[Deed]
    waiting: list[str]


def of_snapshot(snapshot: Snapshot) -> Preview:
    """What organising everything would do now, by what is known already."""
    return _preview(snapshot.catalogue, snapshot.arrivals, snapshot.taken)


def of_folder(fs: FileSystem, catalogue: Catalogue, clock: Clock, ids: Ids) -> Preview:
    """What organising everything would do now, by a look at the disk; it is only read."""
    observer = Observer(fs, clock, ids, catalogue)
    drafts = observer.look(catalogue, [""]).drafts
    now = timestamp(clock.now())
    seen = [
        Recorded(catalogue.position + number, draft.stream, now, draft.event)
        for number, draft in enumerate(drafts, 1)
    ]
    return _preview(fold_what_applies(catalogue, seen)[0], observer.arrivals, observer.taken)


def done(log: LogReader, after: int, until: int) -> list[Deed]:
    """What was done on disk between two positions of the log, the first one left out."""
    found = (_deed(item.event) for item in replay(log, after, until))
    return [deed for deed in found if deed is not None]


class Freed(Struct, frozen=True):
    """A copy that shares its original's content; `size` is what that saves, in bytes."""

    path: str
    original: str
    size: int


class Kept(Struct, frozen=True):
    """A copy that stays one, and the reason why."""

    path: str
    reason: str


def would_free(catalogue: Catalogue, uid: str) -> list[Freed]:
    """The copies among a model's files, by what is known of their contents."""
    pairs = duplicates_of(catalogue, uid)
    return [Freed(copy.path, original.path, copy.stamp.size) for copy, original in pairs]


def freed(log: LogReader, after: int, until: int) -> list[Freed]:
    """The copies that came to share their originals' content between two positions of the log."""
    done = (item.event for item in replay(log, after, until))
    return [
        Freed(event.target, event.source, event.stamp.size)
        for event in done
        if isinstance(event, e.CopyCompleted) and event.reason == "dedupe"
    ]


def kept(log: LogReader, after: int, until: int) -> list[Kept]:
    """The copies that could not come to share anything between two positions of the log."""
    done = (item.event for item in replay(log, after, until))
    return [
        Kept(event.target, event.error)
        for event in done
        if isinstance(event, e.CopyFailed) and event.reason == "dedupe"
    ]


def _deed(event: e.Event | Unreadable) -> Deed | None:
    match event:
        case e.MoveCompleted(reason="organise"):
            return Deed("move", event.target, event.source)
        case e.CopyCompleted(reason="organise"):
            return Deed(event.how, event.target, event.source)
        case e.JsonWritten():
            return Deed("write", event.path)
        case _:
            return None


def _preview(catalogue: Catalogue, arriving: Iterable[str], taken: Container[str]) -> Preview:
    waiting = sorted(arriving)
    folders = {paths.parent(path) for path in waiting}
    policy = Policy(organise=True, arriving=folders, taken=taken, unfinished=waiting)
    return Preview(rehearse(catalogue, policy)[1], waiting)
