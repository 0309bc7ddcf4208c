"""Why a file or a model is as it is, out of the log."""

from collections.abc import Callable, Iterator
from typing import Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from janfs.catalogue.catalogue import Catalogue
from janfs.errors import ModelNotFound, NotFound
from janfs.events import types as e
from janfs.events.types import Event
from janfs.folder import paths
from janfs.history.happening import Happening
from janfs.history.why import Reason, chain, explains_model, explains_path
from janfs.log import seam as seams
from janfs.log.reader import LogReader
from janfs.log.records import Record
from janfs.log.seam import Seam
from janfs.past.moments import archive_hint, happenings
from janfs.pipeline.snapshot import Snapshot, Unsettled
from janfs.views import stream_of


class Why(Struct, frozen=True):
    """The chain of causes, the last event first; `subject` is a path, or a model's id.

    `unsettled` says what is not in the log: that the disk does not show what came of something.
    """

    subject: str
    reasons: list[Reason]
    unsettled: str | None = None
    object: Literal["why"] = "why"


def why(log: LogReader, snapshot: Snapshot, subject: str) -> Why:
    """Why a path, or a model by id, alias or uid, is as it is. Raises `NotFound`."""
    catalogue = snapshot.catalogue
    unsettled = _unsettled(snapshot, subject)
    try:
        found = _recorded(log, catalogue, subject)
    except NotFound:
        if unsettled is None:
            raise
        found = Why(subject, [])
    return found if unsettled is None else replace(found, unsettled=unsettled.reason)


def _unsettled(snapshot: Snapshot, subject: str) -> Unsettled | None:
    """What is unsettled about a path or a model."""
    path = _path(snapshot.catalogue, subject) or subject
    for uid, each in snapshot.unsettled.items():
        model = snapshot.catalogue.models.get(uid)
        names = () if model is None else (model.id, model.folder, *model.aliases)
        if subject in (uid, *names) or any(paths.is_inside(path, end) for end in each.plan.ends):
            return each
    return None


def _recorded(log: LogReader, catalogue: Catalogue, subject: str) -> Why:
    path = _path(catalogue, subject)
    if path is not None:
        last = last_about(log, path, catalogue.position + 1, catalogue.files[path].uid)
        return _told(log, path, last)
    try:
        uid = catalogue.folders.get(subject) or stream_of(catalogue, subject)
    except ModelNotFound as error:
        for path in _spellings(subject):
            last = last_about(log, path, catalogue.position + 1)
            if last is not None:
                return _told(log, path, last)
        raise NotFound(
            f"The log knows nothing of '{subject}'. Give a model's id, or a path below the root such as "
            f"models/x/x.gguf.{archive_hint(log)}",
            param="subject",
        ) from error
    last = _last(log.backwards(stream=uid), explains_model)
    model = catalogue.models.get(uid)
    return _told(log, uid if model is None else model.id, last)


def last_about(log: LogReader, path: str, before: int, stream: str | None = None) -> Happening | None:
    """The last event before a position that explains a path; of one stream, where it is known to be in it.

    Without a stream the whole log may have to be read, which takes a second for a million events.
    """

    def explains(event: Event) -> bool:
        return explains_path(event, path)

    if stream is not None:
        found = _last(log.backwards(before, stream=stream), explains)
        if found is not None:
            return found
    folders = [path]
    while paths.parent(folders[-1]):
        folders.append(paths.parent(folders[-1]))
    saying = [msgspec.json.encode(each).decode() for each in folders if each != paths.MODELS]
    return _last(log.backwards(before, saying=saying), explains)


def _last(records: Iterator[Record], explains: Callable[[Event], bool]) -> Happening | None:
    return next((each for each in happenings(records) if explains(each.event)), None)


def _path(catalogue: Catalogue, subject: str) -> str | None:
    """The known file that is meant; a name alone is that of a file directly in `models/`."""
    said = [*_spellings(subject), *_spellings(f"{paths.MODELS}/{subject}")]
    return next((path for path in said if path in catalogue.files), None)


def _spellings(subject: str) -> tuple[str, ...]:
    """A path as the log has it, or else as a person writes it."""
    return tuple(dict.fromkeys((subject, paths.encode_path(subject))))


def _brought_back(log: LogReader, seen: Happening) -> Happening | None:
    """The move out of the trash that brought a file, which was then seen as one that had not been there."""
    file, move = seen.event, None
    if not isinstance(file, e.FileDropped):
        return None
    for each in happenings(log.backwards(seen.position, stream=seen.stream)):
        if move is not None:
            if getattr(each.event, "stamp", None) == file.stamp:
                return move
        elif isinstance(each.event, e.MoveCompleted) and each.event.reason == "restore":
            move = each if paths.is_inside(file.path, each.event.target) else None
        elif explains_path(each.event, file.path):
            return None
    return None


def _told(log: LogReader, subject: str, last: Happening | None) -> Why:
    ends = last is None  # before the log begins, where it was compacted

    def at(position: int) -> Happening | None:
        nonlocal ends
        ends = position <= log.start.position
        return next(happenings(log.read(position - 1, until=position, limit=1)), None)

    def earlier(path: str, before: int) -> Happening | None:
        nonlocal ends
        found = last_about(log, path, before, None if last is None else last.stream)
        ends = found is None
        return found

    reasons = [] if last is None else chain(_brought_back(log, last) or last, at, earlier)
    if ends and log.seam is not None:
        reasons.append(_archived(log.seam, "before" if reasons else "first"))
    return Why(subject, reasons)


def _archived(seam: Seam, link: Literal["first", "before"]) -> Reason:
    words = f"what came before is archived in {seam.archive}"
    return Reason(seam.position, seam.recorded_at, seams.STREAM, seams.EVENT, "janfs", words, link)
