"""The fold: what each event makes of the catalogue. Pure; the same events give the same catalogue."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from janfs.catalogue.catalogue import Catalogue, Key, file_at, files_of
from janfs.catalogue.draft import Draft
from janfs.catalogue.entries import CORRUPTED, File, Model, Parked, Plan, Problem, Root
from janfs.catalogue.groups import is_part
from janfs.catalogue.status import assess
from janfs.errors import LogCorrupt
from janfs.events import types as e
from janfs.folder import paths
from janfs.folder.filesystem import Stamp

# Raised whenever the same events would give another catalogue than before: the projection is then made anew.
VERSION = 20


class Unreadable(Struct, frozen=True):
    """An event of a known type whose data does not fit it."""

    type: str
    reason: str


class Recorded(Struct, frozen=True, gc=False):
    """An event with the parts of its record that the fold needs."""

    position: int
    stream: str
    recorded_at: str
    event: e.Event | Unreadable


def fold(base: Catalogue, recorded: Iterable[Recorded]) -> tuple[Catalogue, frozenset[Key]]:
    """The catalogue after these events, and the keys of the entries that they touched.

    Whatever a handler raises leaves nothing behind: `base` is as it was.
    """
    draft = Draft(base)
    for item in recorded:
        kind = type(item.event)
        if draft.stale and kind not in _PATIENT:
            _refresh_stale(draft)
        _HANDLERS[kind](draft, item, item.event)
        draft.position = item.position
    _refresh_stale(draft)
    return draft.finish(), frozenset(draft.touched)


def park(base: Catalogue, item: Recorded, reason: str) -> tuple[Catalogue, frozenset[Key]]:
    """The catalogue with an event left out that cannot be applied; its model is marked."""
    draft = Draft(base)
    known = draft.parked.get(item.stream)
    if known is None:
        kind = item.event.type if isinstance(item.event, Unreadable) else e.type_name(type(item.event))
        known = Parked(item.stream, item.position, kind, reason, 0)
    named = {str(path) for name in ("path", "source", "target") if (path := getattr(item.event, name, None))}
    draft.put_parked(
        replace(known, count=known.count + 1, paths=tuple(sorted({*known.paths, *named}))),
    )
    draft.position = item.position
    _refresh(draft, item.stream, item.position)
    return draft.finish(), frozenset(draft.touched)


def _put_seen(draft: Draft, item: Recorded, file: File) -> None:
    """Put a file as it is now, and have its model looked at again before anything looks at it.

    Events that only add or replace a file leave that for the next one that does more: their order makes no
    difference to what `assess` finds in the end, and most of a long log is made of them. But what a model is
    stuck at may be past for a moment, and stays so. A model that the file was of until now is looked at too.
    """
    before = file_at(draft, file.path)
    draft.put_file(file)
    for uid in {item.stream, before.uid if before is not None else item.stream}:
        model = draft.models.get(uid)
        if model is not None and model.stuck is not None:
            _refresh(draft, uid, item.position)
        else:
            draft.stale[uid] = item.position


def _refresh_stale(draft: Draft) -> None:
    for uid, position in draft.stale.items():
        _refresh(draft, uid, position)
    draft.stale.clear()


def _refresh(draft: Draft, uid: str, position: int) -> None:
    """Look at a model again after one of its files changed."""
    model = draft.models.get(uid)
    if model is None or model.removed is not None:
        return
    parked = draft.parked.get(uid)
    if parked is not None:
        more = f", and {parked.count - 1:,} more" if parked.count > 1 else ""
        why = (
            f"Event {parked.position} ({parked.type}{more}) cannot be applied by this janfs: "
            f"{parked.reason}. Its files are left alone. Use a janfs that can, then `janfs rebuild`."
        )
        draft.put_model(replace(model, status="invalid", reason=why, position=position))
        return
    files = files_of(draft, uid)
    found = assess(files)
    strays = [file for file in files if is_stray(file, model.folder)]
    stray = _first_to_come(strays, begun=any(paths.parent(file.path) == model.folder for file in files))
    written = next((file for file in files if paths.is_manifest(file.path)), None)
    stuck = model.stuck
    if stuck is not None and found.binary is not None and written is not None:
        stuck = None
    failed = stuck or (written.stuck if written is not None else None)
    left = next((file.stuck for file in strays if file.stuck is not None), None)
    failed = left if stray is not None else failed or left
    reason = failed if found.status == "missing" and stuck is not None else found.reason or failed
    if found.status == "to-download" and model.download_error is not None:
        reason = f"{found.reason} The last try failed: {model.download_error}"
    draft.put_model(
        replace(
            model,
            status=found.status,
            reason=reason,
            binary=found.binary,
            remote=found.remote,
            loose=None if stray is None else stray.path,
            stuck=stuck,
            position=position,
        )
    )


def _first_to_come(strays: Sequence[File], *, begun: bool) -> File | None:
    """The first of a model's GGUF files that are yet to move into its folder. Where files have `begun` to,
    nothing waits for one that cannot be used.
    """
    usable = [file for file in strays if file.refused is None]
    return next(iter(usable if usable or begun else strays), None)


def is_stray(file: File, folder: str) -> bool:
    """Whether a model's own GGUF file, and no part of it, lies outside its folder."""
    return paths.is_binary(file.path) and not is_part(file) and paths.parent(file.path) != folder


def _now(before: File | None, item: Recorded, path: str, stamp: Stamp) -> File:
    """A file as it is now, with what was known of it before."""
    if before is None:
        return File(path, item.stream, stamp, item.position)
    return replace(before, uid=item.stream, stamp=stamp, position=item.position)


def _file_dropped(draft: Draft, item: Recorded, event: e.FileDropped | e.FileChanged) -> None:
    file = File(event.path, item.stream, event.stamp, item.position, event.link, event.facts)
    _put_seen(draft, item, file)


def _file_moved(draft: Draft, item: Recorded, event: e.FileMoved) -> None:
    before = draft.files.get(event.source)
    _carry(draft, item, event.source, event.target, stamp=event.stamp)
    _refresh(draft, item.stream, item.position)
    if before is not None and before.uid != item.stream:
        _refresh(draft, before.uid, item.position)


def _carry(draft: Draft, item: Recorded, source: str, target: str, **changes: Any) -> None:
    file = draft.files.get(source)
    if file is None:
        return
    draft.drop_file(source)
    draft.put_file(replace(file, path=target, uid=item.stream, position=item.position, stuck=None, **changes))


def _file_removed(draft: Draft, item: Recorded, event: e.FileRemoved | e.JsonRemoved) -> None:
    draft.drop_file(event.path)
    if paths.is_manifest(event.path):
        _unstick(draft, item)
    _refresh(draft, item.stream, item.position)


def _file_refused(draft: Draft, item: Recorded, event: e.FileRefused) -> None:
    # Of a model.json, and of an engine's file, the last good content stays in force.
    kept = paths.is_manifest(event.path) or paths.is_engine_file(event.path)
    base = file_at(draft, event.path) if kept else None
    reason = f"{paths.shown_name(event.path)}: {event.reason}" if kept else event.reason
    file = _now(base, item, event.path, event.stamp)
    _put_seen(draft, item, replace(file, link=event.link, refused=Problem(event.code, reason)))


def _json_edited(draft: Draft, item: Recorded, event: e.JsonEdited) -> None:
    _unstick(draft, item)
    before = file_at(draft, event.path)
    file = File(
        event.path,
        item.stream,
        event.stamp,
        item.position,
        manifest=event.manifest,
        document=event.sha256,
        base=before.base if before is not None else None,
        made_from=before.made_from if before is not None else "",
        owned=_owned(before, event.owned),
        notes=event.notes,
    )
    _put_seen(draft, item, file)


def _owned(before: File | None, claimed: tuple[str, ...]) -> tuple[str, ...]:
    """What is the person's once it is so is so for good."""
    return tuple(sorted({*claimed, *(before.owned if before is not None else ())}))


def _json_rejected(draft: Draft, item: Recorded, event: e.JsonRejected) -> None:
    before = file_at(draft, event.path)
    name = paths.shown_name(event.path)
    where = f"{name}, line {event.line}, column {event.column}: " if event.line else f"{name}: "
    problem = Problem("json_invalid", where + event.reason, event.line, event.column)
    _put_seen(draft, item, replace(_now(before, item, event.path, event.stamp), refused=problem))


def _json_written(draft: Draft, item: Recorded, event: e.JsonWritten | e.JsonReverted) -> None:
    draft.drop_plan(event.op)
    file = File(
        event.path,
        item.stream,
        event.stamp,
        item.position,
        manifest=event.manifest,
        document=event.sha256,
        base=event.sha256 if event.base is None else event.base or None,
        made_from=event.made_from,
        owned=event.owned,
        notes=event.notes,
    )
    draft.put_file(file)
    _unstick(draft, item)
    _refresh(draft, item.stream, item.position)


def _json_kept(draft: Draft, item: Recorded, event: e.JsonKept) -> None:
    file = file_at(draft, event.path)
    if file is not None:
        kept = replace(
            file,
            base=event.base or None,
            made_from=event.made_from,
            owned=event.owned,
            stuck=None,
            position=item.position,
        )
        _put_seen(draft, item, kept)


def _unstick(draft: Draft, item: Recorded) -> None:
    model = draft.models.get(item.stream)
    if model is not None and model.stuck is not None:
        draft.put_model(replace(model, stuck=None, position=item.position))


def _root_unavailable(draft: Draft, item: Recorded, event: e.RootUnavailable) -> None:
    draft.put_root(Root(available=False, reason=event.reason, position=item.position))


def _root_returned(draft: Draft, item: Recorded, _: e.RootReturned) -> None:
    draft.put_root(Root(position=item.position))


def _model_registered(draft: Draft, item: Recorded, event: e.ModelRegistered) -> None:
    draft.put_model(
        Model(
            uid=item.stream,
            id=event.id,
            folder=event.folder,
            position=item.position,
            registered_at=item.recorded_at,
            status="missing",
        )
    )
    _take_over(draft, item, event.files)
    _refresh(draft, item.stream, item.position)


def _take_over(draft: Draft, item: Recorded, taken: Iterable[str]) -> None:
    """Give files of other streams to this one; what kept them out of another's folder is past."""
    for path in taken:
        file = draft.files.get(path)
        if file is not None and file.uid != item.stream:
            draft.put_file(replace(file, uid=item.stream, stuck=None, position=item.position))
            _refresh(draft, file.uid, item.position)


def _model_renamed(draft: Draft, item: Recorded, event: e.ModelRenamed) -> None:
    model = draft.models.get(item.stream)
    if model is None:
        return
    aliases = tuple(name for name in dict.fromkeys((*model.aliases, event.was)) if name != event.id)
    renamed = replace(model, id=event.id, folder=event.folder, aliases=aliases, position=item.position)
    draft.put_model(replace(renamed, stuck=None))  # as is what could not be written there
    for file in files_of(draft, item.stream):
        if file.stuck is not None:  # what kept it out of the old folder is past
            draft.put_file(replace(file, stuck=None, position=item.position))
    _refresh(draft, item.stream, item.position)


def _model_swapped(draft: Draft, item: Recorded, event: e.ModelSwapped) -> None:
    model = draft.models.get(item.stream)
    if model is None or model.folder != event.left:
        return  # the other model's stream came first
    other = draft.models.get(draft.folders.get(event.folder) or "")
    here, there = (_inside(draft, folder) for folder in (event.left, event.folder))
    for file in (*here, *there):
        draft.drop_file(file.path)
    for files, folder in ((here, event.folder), (there, event.left)):
        for file in files:
            path = paths.join(folder, paths.name(file.path))
            draft.put_file(replace(file, path=path, position=item.position, stuck=None))
    for each, id_, folder in ((model, event.id, event.folder), (other, event.was, event.left)):
        if each is not None:
            draft.put_model(replace(each, id=id_, folder=folder, stuck=None, position=item.position))
            _refresh(draft, each.uid, item.position)


def _inside(draft: Draft, folder: str) -> list[File]:
    return [draft.files[path] for path in draft.children.get(folder) or ()]


def _model_removed(draft: Draft, item: Recorded, _: e.ModelRemoved) -> None:
    model = draft.models.get(item.stream)
    if model is not None:
        draft.put_model(replace(model, removed=item.recorded_at, position=item.position))


def _model_restored(draft: Draft, item: Recorded, event: e.ModelRestored) -> None:
    model = draft.models.get(item.stream)
    if model is not None:
        back = replace(model, id=event.id, folder=event.folder, removed=None, trash=None, stuck=None)
        draft.put_model(back)
        _take_over(draft, item, event.files)
        _refresh(draft, item.stream, item.position)


def _model_deleted(draft: Draft, item: Recorded, event: e.ModelDeleted) -> None:
    model = draft.models.get(item.stream)
    if model is not None:
        draft.put_model(
            replace(
                model,
                removed=item.recorded_at,
                trash=event.trash,
                apart=event.apart,
                position=item.position,
                stuck=None,
            )
        )


def _plan(item: Recorded, op: str, target: str, **parts: Any) -> Plan:
    return Plan(op=op, uid=item.stream, position=item.position, target=target, **parts)


def _move_planned(draft: Draft, item: Recorded, event: e.MovePlanned) -> None:
    parts = {"source": event.source, "stamp": event.stamp, "reason": event.reason}
    draft.put_plan(_plan(item, event.op, event.target, **parts))


def _move_completed(draft: Draft, item: Recorded, event: e.MoveCompleted) -> None:
    draft.drop_plan(event.op)
    if event.reason == "delete":
        for path in [event.source, *(draft.children.get(event.source) or ())]:
            draft.drop_file(path)
        if event.stamp is not None:
            _put_apart(draft, item, event.source, event.target)
    elif event.reason == "restore" and event.stamp is not None:
        # What is there is looked at next; until then it is the model's, and nothing is known of it.
        draft.put_file(File(event.target, item.stream, Stamp(0, 0, 0), item.position))
        _put_apart(draft, item, event.target, None)
    elif event.stamp is not None:
        _carry(draft, item, event.source, event.target, stamp=event.stamp, link=event.link)
    _refresh(draft, item.stream, item.position)


def _put_apart(draft: Draft, item: Recorded, origin: str, there: str | None) -> None:
    """Note where in a trash a model's file lies now that lay at `origin`, or that it is there again."""
    model = draft.models.get(item.stream)
    if model is not None:
        others = tuple(each for each in model.apart if each[1] != origin)
        apart = others if there is None else (*others, (there, origin))
        draft.put_model(replace(model, apart=apart, position=item.position))


def _move_failed(draft: Draft, item: Recorded, event: e.MoveFailed) -> None:
    draft.drop_plan(event.op)
    file = draft.files.get(event.source)
    if file is not None and event.reason == "organise":  # of all else, whoever asked for it was told
        draft.put_file(replace(file, stuck=event.error, position=item.position))
    _refresh(draft, item.stream, item.position)


def _file_hashed(draft: Draft, item: Recorded, event: e.FileHashed) -> None:
    file = draft.files.get(event.path)
    if file is None or file.stamp != event.stamp:
        return
    hashed = replace(file, sha256=event.sha256, hashed_by=event.by, position=item.position)
    if file.refused is not None and file.refused.code == CORRUPTED and file.sha256 == event.sha256:
        hashed = replace(hashed, refused=None)  # it was the reading that failed, not the disk
    _put_seen(draft, item, hashed)


def _file_corrupted(draft: Draft, item: Recorded, event: e.FileCorrupted) -> None:
    file = draft.files.get(event.path)
    if file is not None and file.stamp == event.stamp:
        reason = (
            f"Its content changed without being written: SHA-256 {event.found[:12]}… instead of "
            f"{event.expected[:12]}…. The disk may be failing; put a good copy in its place."
        )
        known = replace(file, sha256=file.sha256 or event.expected, position=item.position)
        draft.put_file(replace(known, refused=Problem(CORRUPTED, reason)))
        _refresh(draft, file.uid, item.position)


def _duplicate_found(draft: Draft, item: Recorded, event: e.DuplicateFound) -> None:
    file = draft.files.get(event.path)
    if file is not None and file.sha256 == event.sha256:
        draft.put_file(replace(file, duplicate_of=event.of, position=item.position))
        _refresh(draft, file.uid, item.position)


def _part_paired(draft: Draft, item: Recorded, event: e.PartPaired) -> None:
    _take_over(draft, item, [event.path])
    _refresh(draft, item.stream, item.position)


def _model_imported(draft: Draft, item: Recorded, event: e.ModelImported) -> None:
    archive = draft.files.get(event.archive)
    if archive is not None:
        draft.put_file(replace(archive, taken=item.stream, refused=None, position=item.position))


def _copy_planned(draft: Draft, item: Recorded, event: e.CopyPlanned) -> None:
    parts = {"source": event.source, "stamp": event.stamp, "reason": event.reason, "how": event.how}
    draft.put_plan(_plan(item, event.op, event.target, **parts))


def _copy_completed(draft: Draft, item: Recorded, event: e.CopyCompleted) -> None:
    draft.drop_plan(event.op)
    original = draft.files.get(event.source)
    if original is not None:
        if original.stuck is not None:  # what kept it from being copied is past
            draft.put_file(replace(original, stuck=None, position=item.position))
        base = replace(original, path=event.target, stuck=None, duplicate_of=None, link=None)
    else:  # of what lies outside nothing is known yet; another stamp makes the next look tell
        base = File(event.target, item.stream, Stamp(0, 0, 0), item.position)
    stamp = base.stamp if original is None else event.stamp
    draft.put_file(replace(base, uid=item.stream, stamp=stamp, link=event.link, position=item.position))
    _refresh(draft, item.stream, item.position)


def _copy_failed(draft: Draft, item: Recorded, event: e.CopyFailed) -> None:
    draft.drop_plan(event.op)
    file = draft.files.get(event.source)
    if file is not None and event.reason == "organise":
        draft.put_file(replace(file, stuck=event.error, position=item.position))
    model = draft.models.get(item.stream)
    if file is None and model is not None:
        draft.put_model(replace(model, stuck=event.error, position=item.position))
    _refresh(draft, item.stream, item.position)


def _download_ended(draft: Draft, item: Recorded, event: e.Event) -> None:
    model = draft.models.get(item.stream)
    if model is not None:
        failed = event.told if isinstance(event, e.DownloadFailed) else None
        draft.put_model(replace(model, download_error=failed, position=item.position))
        _refresh(draft, item.stream, item.position)


def _write_planned(draft: Draft, item: Recorded, event: e.WritePlanned) -> None:
    draft.put_plan(_plan(item, event.op, event.path, reason="write", write=event))


def _write_failed(draft: Draft, item: Recorded, event: e.WriteFailed) -> None:
    plan = draft.drop_plan(event.op)
    file, model = file_at(draft, event.path), draft.models.get(item.stream)
    if file is not None and plan is not None and plan.write and plan.write.made_from == file.made_from:
        return  # whoever asked for it was told
    if file is not None:  # it stays as it was
        draft.put_file(replace(file, stuck=event.error, position=item.position))
    elif model is not None:
        draft.put_model(replace(model, stuck=event.error, position=item.position))
    if model is not None:
        _refresh(draft, item.stream, item.position)


def _ran(_draft: Draft, _item: Recorded, _event: e.Event) -> None:
    """What engines did, and what left, is history; the catalogue is of what is in the folder."""


def _unreadable(_draft: Draft, _item: Recorded, event: Unreadable) -> None:
    raise LogCorrupt(event.reason)


_Handler = Callable[[Draft, Recorded, Any], None]
_HANDLERS: Mapping[type[Any], _Handler] = {
    Unreadable: _unreadable,
    e.FileDropped: _file_dropped,
    e.FileChanged: _file_dropped,
    e.FileMoved: _file_moved,
    e.FileRemoved: _file_removed,
    e.FileRefused: _file_refused,
    e.JsonEdited: _json_edited,
    e.JsonRejected: _json_rejected,
    e.JsonRemoved: _file_removed,
    e.FileHashed: _file_hashed,
    e.FileCorrupted: _file_corrupted,
    e.DuplicateFound: _duplicate_found,
    e.LogDamaged: _ran,
    e.RootUnavailable: _root_unavailable,
    e.RootReturned: _root_returned,
    e.ModelRegistered: _model_registered,
    e.ModelRenamed: _model_renamed,
    e.ModelSwapped: _model_swapped,
    e.ModelRemoved: _model_removed,
    e.ModelRestored: _model_restored,
    e.ModelDeleted: _model_deleted,
    e.PartPaired: _part_paired,
    e.ModelExported: _ran,
    e.ModelImported: _model_imported,
    e.LogCompacted: _ran,
    e.MovePlanned: _move_planned,
    e.MoveCompleted: _move_completed,
    e.MoveFailed: _move_failed,
    e.WritePlanned: _write_planned,
    e.JsonWritten: _json_written,
    e.JsonReverted: _json_written,
    e.JsonKept: _json_kept,
    e.FieldConflicted: _ran,
    e.WriteFailed: _write_failed,
    e.CopyPlanned: _copy_planned,
    e.CopyCompleted: _copy_completed,
    e.CopyFailed: _copy_failed,
    e.DownloadStarted: _download_ended,
    e.FileDownloaded: _ran,
    e.DownloadCompleted: _download_ended,
    e.DownloadFailed: _download_ended,
    e.DownloadCancelled: _download_ended,
    e.ModelStarted: _ran,
    e.ModelStopped: _ran,
    e.StartFailed: _ran,
    e.EngineCrashed: _ran,
}

# Events that take nothing away and look at no model.
_PATIENT = frozenset(
    {
        e.FileDropped,
        e.FileChanged,
        e.FileRefused,
        e.JsonEdited,
        e.JsonRejected,
        e.JsonKept,
        e.FieldConflicted,
        e.FileHashed,
        e.LogDamaged,
        e.MovePlanned,
        e.WritePlanned,
        e.CopyPlanned,
        e.ModelExported,
        e.LogCompacted,
        e.FileDownloaded,
        e.ModelStarted,
        e.ModelStopped,
        e.StartFailed,
        e.EngineCrashed,
    }
)
