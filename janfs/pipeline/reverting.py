"""Bringing a model.json back to what it was, and a deleted model out of the trash: what to do for it."""

import hashlib
import json

from janfs.catalogue.catalogue import Catalogue, GivenIds
from janfs.catalogue.entries import File, Model
from janfs.catalogue.fold import Recorded, fold
from janfs.clock import Ids
from janfs.errors import CannotRevert, FolderError
from janfs.events import types as e
from janfs.folder import paths
from janfs.folder.filesystem import FileSystem
from janfs.log.reader import LogReader
from janfs.manifest import jsonc
from janfs.manifest.leaves import from_text, to_text
from janfs.manifest.merge import claimed
from janfs.manifest.secrets import as_recorded
from janfs.organise.disk import vacant_folder
from janfs.past.moments import happenings
from janfs.past.reverts import Target, model_of, target_of
from janfs.pipeline.commands import Revert
from janfs.pipeline.recorder import Draft
from janfs.pipeline.trash import folder_of_files

_OF_JSON = (e.JsonEdited, e.JsonWritten, e.JsonReverted, e.JsonKept)


def plan(
    fs: FileSystem, log: LogReader, ids: Ids, catalogue: Catalogue, command: Revert
) -> tuple[list[Draft], dict[str, bytes]]:
    """The intents, and the texts that they point at; none when it is as it was.

    Raises `ModelNotFound`, `EventsArchived`, or `CannotRevert` with what is possible instead.
    """
    model = model_of(catalogue, command.model_id)
    target = target_of(log, catalogue, model.uid, command.to)
    try:
        if model.removed is not None:
            events, documents = _restored(fs, log, ids, catalogue, model=model, target=target)
        else:
            events, documents = _completed(fs, log, ids, catalogue, model=model, target=target)
    except OSError as error:
        raise FolderError(f"The files of '{model.id}' cannot be looked at: {error.strerror}.") from error
    cause = model.position if target is None else target.version.position
    return [Draft(model.uid, event, command.actor, cause) for event in events], documents


def _restored(
    fs: FileSystem, log: LogReader, ids: Ids, catalogue: Catalogue, *, model: Model, target: Target | None
) -> tuple[list[e.Event], dict[str, bytes]]:
    """The moves that a delete made, back: of the folder, and of each file that did not go with it."""
    trash = model.trash or ""
    moves: list[e.Event] = []
    whole = not any(paths.is_inside(there, trash) for there, _ in model.apart)
    if whole:
        if fs.stat(trash) is None:
            raise _emptied(model, trash, target)
        folder = _home(fs, catalogue, model)
        moves.append(e.MovePlanned(ids(), trash, folder, "restore"))
    else:
        folder = folder_of_files(fs, catalogue, model)
    for there, origin in model.apart:
        stat = fs.stat(there)
        if stat is None or stat.stamp is None:
            raise _emptied(model, there, target)
        if fs.stat(origin) is not None or (paths.parent(origin) == model.folder != folder):
            raise CannotRevert(
                f"{origin} of '{model.id}' cannot be put back: something else is there now. Move that away, "
                "and revert it then.",
                param="to",
            )
        moves.append(e.MovePlanned(ids(), there, origin, "restore", stat.stamp))
    path = paths.join(folder, paths.MANIFEST)
    if target is None or not (whole or fs.stat(folder) is not None):
        return moves, {}
    lying = paths.join(trash, paths.MANIFEST) if whole else _lying(model, path)
    there_now = None if lying is None else _read(fs, lying)
    documents = {} if there_now is None else _document(as_recorded(paths.MANIFEST, there_now))
    before = _as_recorded(log, model, target.last.path)
    write = _write(log, ids(), path, before, target, there=next(iter(documents), None))
    return [*moves, write], documents | _document(target.text)


def _completed(
    fs: FileSystem, log: LogReader, ids: Ids, catalogue: Catalogue, *, model: Model, target: Target | None
) -> tuple[list[e.Event], dict[str, bytes]]:
    """The moves back of what a delete took that was not finished, and the write of the text of then."""
    moves: list[e.Event] = []
    for there, origin in model.apart:
        stat = fs.stat(there)
        if stat is not None and stat.stamp is not None and fs.stat(origin) is None:
            moves.append(e.MovePlanned(ids(), there, origin, "restore", stat.stamp))
    path = paths.join(model.folder, paths.MANIFEST)
    file = catalogue.files.get(path)
    if target is None or (
        file is not None and file.refused is None and file.document == target.version.sha256
    ):
        return moves, {}
    lying = _lying(model, path) if file is None else None
    there_now = None if lying is None else _read(fs, lying)
    documents = {} if there_now is None else _document(as_recorded(paths.MANIFEST, there_now))
    known = next(iter(documents), None) if file is None else target.last.sha256
    before = _as_recorded(log, model, target.last.path) if documents else file
    write = _write(log, ids(), path, before, target, there=known)
    return [*moves, write], documents | _document(target.text)


def _document(text: bytes) -> dict[str, bytes]:
    return {hashlib.sha256(text).hexdigest(): text}


def _emptied(model: Model, missing: str, target: Target | None) -> CannotRevert:
    kept = ""
    if target is not None:
        kept = f" The text of its model.json is kept: `janfs show {model.id} --at {target.version.position}`."
    return CannotRevert(
        f"The folder of '{model.id}' is no longer in the trash ({missing}), and janfs keeps no copy of "
        f"model files. Put its .gguf back into {model.folder}, and it is there again as itself.{kept}",
        param="to",
    )


def _lying(model: Model, origin: str) -> str | None:
    """Where a file of a deleted model that lay at `origin` lies now."""
    return next((there for there, was in model.apart if was == origin), None)


def _home(fs: FileSystem, catalogue: Catalogue, model: Model) -> str:
    """The folder that it had, if that and its id are free; else one of its own."""
    taken = model.folder in catalogue.folders or model.id in GivenIds(catalogue, besides=model.uid)
    if not taken and fs.stat(model.folder) is None:
        return model.folder
    return vacant_folder(fs, catalogue, model.id)


def _read(fs: FileSystem, path: str) -> bytes | None:
    stat = fs.stat(path)
    if stat is None or stat.stamp is None:
        return None
    with fs.open(path) as file:
        return file.read_at(0, stat.stamp.size)


def _as_recorded(log: LogReader, model: Model, path: str) -> File | None:
    """What was known of a model.json that is no longer in the catalogue."""
    catalogue, _ = fold(
        Catalogue(),
        (
            Recorded(each.position, each.stream, each.recorded_at, each.event)
            for each in happenings(log.read(stream=model.uid))
            if isinstance(each.event, _OF_JSON)
        ),
    )
    return catalogue.files.get(path)


def _write(
    log: LogReader, op: str, path: str, file: File | None, target: Target, *, there: str | None
) -> e.WritePlanned:
    """The intent to write the text of then, which is the person's word from now on."""
    base = None if file is None or file.base is None else log.document(file.base)
    owned: set[str] = set() if file is None else set(file.owned)
    if base is not None:
        found = claimed(json.loads(base), jsonc.parse(target.text), map(from_text, owned))
        owned = {to_text(pointer) for pointer in found}
    return e.WritePlanned(
        op,
        path,
        next(iter(_document(target.text))),
        replaces=there,
        base="" if file is None or base is None else file.base,
        made_from="" if file is None else file.made_from,
        owned=tuple(sorted(owned)),
        to=target.to,
    )
