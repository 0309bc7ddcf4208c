"""The fold: what each event makes of the catalogue. Pure; the same events give the same catalogue."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from janfs.catalogue.catalogue import Catalogue, Draft, Key, files_in
from janfs.catalogue.entries import File, Model, Plan, Problem, Root
from janfs.catalogue.status import assess
from janfs.events import types as e
from janfs.folder import paths
from janfs.folder.filesystem import Stamp

# Raised whenever the same events would give another catalogue than before: the projection is then made anew.
VERSION = 1


class Recorded(Struct, frozen=True, gc=False):
    """An event with the parts of its record that the fold needs."""

    position: int
    stream: str
    recorded_at: str
    event: e.Event


def fold(base: Catalogue, recorded: Iterable[Recorded]) -> tuple[Catalogue, frozenset[Key]]:
    """The catalogue after these events, and the keys of the entries that they touched."""
    draft = Draft(base)
    for item in recorded:
        kind = type(item.event)
        if draft.stale and kind not in _PATIENT:
            _refresh_stale(draft)
        _HANDLERS[kind](draft, item, item.event)
        draft.position = item.position
    _refresh_stale(draft)
    return draft.finish(), frozenset(draft.touched)


def _refresh_later(draft: Draft, item: Recorded) -> None:
    """Have a model looked at again before anything looks at it.

    Events that only add or replace a file leave that for the next one that does more: their order makes no
    difference to what `assess` finds in the end, and most of a long log is made of them.
    """
    draft.stale[item.stream] = item.position


def _refresh_stale(draft: Draft) -> None:
    for uid, position in draft.stale.items():
        _refresh(draft, uid, position)
    draft.stale.clear()


def _refresh(draft: Draft, uid: str, position: int) -> None:
    """Look at a model again after one of its files changed."""
    model = draft.models.get(uid)
    if model is None or model.removed is not None:
        return
    loose = draft.files.get(model.loose) if model.loose is not None else None
    # What lies in the folder that a loose file is yet to move to is not this model's.
    files = files_in(draft, model.folder) if loose is None else [loose]
    found = assess(files)
    stuck = model.stuck
    if stuck is not None and any(paths.is_manifest(file.path) for file in files):
        stuck = None
    failed = stuck if loose is None else loose.stuck
    draft.put_model(
        replace(
            model,
            status=found.status,
            reason=found.reason or failed,
            binary=found.binary,
            loose=None if loose is None else model.loose,
            stuck=stuck,
            position=position,
        )
    )


def _now(before: File | None, item: Recorded, path: str, stamp: Stamp) -> File:
    """A file as it is now, with what was known of it before."""
    if before is None:
        return File(path, item.stream, stamp, item.position)
    return replace(before, uid=item.stream, stamp=stamp, position=item.position)


def _file_dropped(draft: Draft, item: Recorded, event: e.FileDropped | e.FileChanged) -> None:
    file = File(event.path, item.stream, event.stamp, item.position, event.link, event.facts)
    draft.put_file(file)
    _refresh_later(draft, item)


def _file_moved(draft: Draft, item: Recorded, event: e.FileMoved) -> None:
    before = draft.files.get(event.source)
    _carry(draft, item, event.source, event.target, stamp=event.stamp)
    model = draft.models.get(item.stream)
    if model is not None and model.loose == event.source and paths.place(event.target) == event.target:
        draft.put_model(replace(model, loose=event.target))
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
    _refresh(draft, item.stream, item.position)


def _file_refused(draft: Draft, item: Recorded, event: e.FileRefused) -> None:
    before = draft.files.get(event.path)
    # Of a model.json the last good content stays in force.
    base = before if before is not None and paths.is_manifest(event.path) else None
    file = _now(base, item, event.path, event.stamp)
    draft.put_file(replace(file, link=event.link, refused=Problem(event.code, event.reason)))
    _refresh_later(draft, item)


def _json_edited(draft: Draft, item: Recorded, event: e.JsonEdited) -> None:
    before = draft.files.get(event.path)
    file = File(
        event.path,
        item.stream,
        event.stamp,
        item.position,
        manifest=event.manifest,
        document=event.sha256,
        written=before.written if before is not None else None,
        notes=event.notes,
    )
    draft.put_file(file)
    _refresh_later(draft, item)


def _json_rejected(draft: Draft, item: Recorded, event: e.JsonRejected) -> None:
    before = draft.files.get(event.path)
    where = f"model.json, line {event.line}, column {event.column}: " if event.line else "model.json: "
    problem = Problem("json_invalid", where + event.reason, event.line, event.column)
    draft.put_file(replace(_now(before, item, event.path, event.stamp), refused=problem))
    _refresh_later(draft, item)


def _json_written(draft: Draft, item: Recorded, event: e.JsonWritten) -> None:
    draft.drop_plan(event.op)
    file = File(
        event.path,
        item.stream,
        event.stamp,
        item.position,
        manifest=event.manifest,
        document=event.sha256,
        written=event.sha256,
    )
    draft.put_file(file)
    _unstick(draft, item)
    _refresh(draft, item.stream, item.position)


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
            loose=event.loose,
        )
    )
    _refresh(draft, item.stream, item.position)


def _model_renamed(draft: Draft, item: Recorded, event: e.ModelRenamed) -> None:
    model = draft.models.get(item.stream)
    if model is None:
        return
    aliases = tuple(name for name in dict.fromkeys((*model.aliases, event.was)) if name != event.id)
    draft.put_model(replace(model, id=event.id, folder=event.folder, aliases=aliases, position=item.position))
    loose = draft.files.get(model.loose) if model.loose is not None else None
    if loose is not None and loose.stuck is not None:  # what kept it out of the old folder is past
        draft.put_file(replace(loose, stuck=None, position=item.position))
    _refresh(draft, item.stream, item.position)


def _model_removed(draft: Draft, item: Recorded, _: e.ModelRemoved) -> None:
    model = draft.models.get(item.stream)
    if model is not None:
        draft.put_model(replace(model, removed=item.recorded_at, position=item.position))


def _model_restored(draft: Draft, item: Recorded, event: e.ModelRestored) -> None:
    model = draft.models.get(item.stream)
    if model is not None:
        back = replace(model, id=event.id, folder=event.folder, loose=event.loose, removed=None, trash=None)
        draft.put_model(back)
        _refresh(draft, item.stream, item.position)


def _model_deleted(draft: Draft, item: Recorded, event: e.ModelDeleted) -> None:
    model = draft.models.get(item.stream)
    if model is not None:
        draft.put_model(
            replace(model, removed=item.recorded_at, trash=event.trash, position=item.position, stuck=None)
        )


def _plan(item: Recorded, op: str, target: str, **parts: Any) -> Plan:
    return Plan(op=op, uid=item.stream, position=item.position, target=target, **parts)


def _move_planned(draft: Draft, item: Recorded, event: e.MovePlanned) -> None:
    parts = {"source": event.source, "stamp": event.stamp, "reason": event.reason}
    draft.put_plan(_plan(item, event.op, event.target, **parts))


def _move_completed(draft: Draft, item: Recorded, event: e.MoveCompleted) -> None:
    draft.drop_plan(event.op)
    if event.reason == "delete":
        for path in list(draft.children.get(event.source) or ()):
            draft.drop_file(path)
    elif event.stamp is not None:
        _carry(draft, item, event.source, event.target, stamp=event.stamp, link=event.link)
    _refresh(draft, item.stream, item.position)


def _move_failed(draft: Draft, item: Recorded, event: e.MoveFailed) -> None:
    draft.drop_plan(event.op)
    file = draft.files.get(event.source)
    if file is not None:
        draft.put_file(replace(file, stuck=event.error, position=item.position))
    _refresh(draft, item.stream, item.position)


def _write_planned(draft: Draft, item: Recorded, event: e.WritePlanned) -> None:
    draft.put_plan(_plan(item, event.op, event.path, reason="write", document=event.sha256))


def _write_failed(draft: Draft, item: Recorded, event: e.WriteFailed) -> None:
    draft.drop_plan(event.op)
    model = draft.models.get(item.stream)
    if model is not None:
        draft.put_model(replace(model, stuck=event.error, position=item.position))
        _refresh(draft, item.stream, item.position)


def _ran(_draft: Draft, _item: Recorded, _event: e.Event) -> None:
    """What engines did is history; the catalogue is of what is in the folder."""


_Handler = Callable[[Draft, Recorded, Any], None]
_HANDLERS: Mapping[type[e.Event], _Handler] = {
    e.FileDropped: _file_dropped,
    e.FileChanged: _file_dropped,
    e.FileMoved: _file_moved,
    e.FileRemoved: _file_removed,
    e.FileRefused: _file_refused,
    e.JsonEdited: _json_edited,
    e.JsonRejected: _json_rejected,
    e.JsonRemoved: _file_removed,
    e.RootUnavailable: _root_unavailable,
    e.RootReturned: _root_returned,
    e.ModelRegistered: _model_registered,
    e.ModelRenamed: _model_renamed,
    e.ModelRemoved: _model_removed,
    e.ModelRestored: _model_restored,
    e.ModelDeleted: _model_deleted,
    e.MovePlanned: _move_planned,
    e.MoveCompleted: _move_completed,
    e.MoveFailed: _move_failed,
    e.WritePlanned: _write_planned,
    e.JsonWritten: _json_written,
    e.WriteFailed: _write_failed,
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
        e.MovePlanned,
        e.WritePlanned,
        e.ModelStarted,
        e.ModelStopped,
        e.StartFailed,
        e.EngineCrashed,
    }
)
