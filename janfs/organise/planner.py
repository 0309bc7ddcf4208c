"""What should be done next about one place in the folder. Pure: the catalogue in, decisions out.

A place is a folder that may hold a model, or a file lying loose in `models/`. Each call returns the next
step, or None when the place is as it should be; doing the steps one after another ends.
"""

from collections.abc import Container

from msgspec import Struct

from janfs.catalogue.catalogue import Tables, files_in, uid_at
from janfs.catalogue.entries import File, Model
from janfs.events.types import Event, ModelRegistered, ModelRemoved, ModelRenamed, ModelRestored
from janfs.folder import paths
from janfs.folder.filesystem import Stamp
from janfs.folder.gguf import GgufFacts
from janfs.organise.naming import free_id, id_from_file_name, id_from_folder


class Decide(Struct, frozen=True):
    """Put decisions into the log; nothing happens on disk. `cause` is the position that led to them."""

    uid: str
    events: tuple[Event, ...]
    cause: int


class Move(Struct, frozen=True):
    """Move a loose file into its model's folder."""

    uid: str
    source: str
    target: str
    stamp: Stamp
    cause: int


class Generate(Struct, frozen=True):
    """Write the model.json that a model lacks; `stamp` is its (first) binary's, `size` that of all."""

    uid: str
    path: str
    file_names: tuple[str, ...]
    size: int
    stamp: Stamp
    facts: GgufFacts
    cause: int


Step = Decide | Move | Generate


def next_step(
    tables: Tables, place: str, *, retry: bool = False, arriving: Container[str] = ()
) -> Step | None:
    """The next thing to do about a place; with `retry`, what failed before is tried again.

    `arriving` are folders that hold files which are not whole yet, so that the tables do not have them.
    """
    if place in tables.files:
        return _organise_loose(tables, tables.files[place], retry, arriving)
    claimant = tables.models.get(tables.folders.get(place) or "")
    if claimant is not None and claimant.loose is not None:
        return _move_on(tables, claimant, arriving)
    uid = uid_at(tables, place)
    model = tables.models.get(uid) if uid is not None else None
    files = files_in(tables, place)
    if model is None or model.folder != place or model.removed is not None:
        return _register_folder(tables, place, files)
    if not files:
        return _remove(model)
    return _complete(model, files, retry)


def home_of(tables: Tables, file_name: str, arriving: Container[str] = ()) -> str:
    """The folder that a loose file of this name would get."""
    taken = _Taken(tables, arriving)
    return paths.join(paths.MODELS, free_id(id_from_file_name(file_name), taken))


class _Taken:
    """Ids that a new model cannot have: other models', and names of files and of folders in use."""

    def __init__(self, tables: Tables, arriving: Container[str]) -> None:
        self._tables = tables
        self._arriving = arriving

    def __contains__(self, name: object) -> bool:
        return name in self._tables.ids or _in_use(self._tables, f"{paths.MODELS}/{name}", self._arriving)


def _in_use(tables: Tables, folder: str, arriving: Container[str]) -> bool:
    return folder in tables.children or folder in tables.files or folder in arriving


def _organise_loose(tables: Tables, file: File, retry: bool, arriving: Container[str]) -> Step | None:
    if file.refused is not None or file.facts is None:
        return None
    model = tables.models.get(file.uid)
    if model is None or model.removed is not None:
        folder = home_of(tables, paths.name(file.path), arriving)
        event = _arrival(tables, file.uid, paths.name(folder), folder, file.path)
        return Decide(file.uid, (event,), file.position)
    elsewhere = _move_on(tables, model, arriving)
    if elsewhere is not None:
        return elsewhere
    if file.stuck is not None and not retry:
        return None
    target = paths.join(model.folder, paths.name(file.path))
    return Move(file.uid, file.path, target, file.stamp, max(file.position, model.position))


def _move_on(tables: Tables, model: Model, arriving: Container[str]) -> Step | None:
    """Another folder for a model whose file is yet to move, when someone put other things into its folder."""
    if model.loose is None or not _in_use(tables, model.folder, arriving):
        return None
    folder = home_of(tables, paths.name(model.loose), arriving)
    return Decide(model.uid, (ModelRenamed(paths.name(folder), folder, model.id),), model.position)


def _register_folder(tables: Tables, place: str, files: list[File]) -> Step | None:
    first = next((f for f in files if paths.is_manifest(f.path) or paths.is_binary(f.path)), None)
    if first is None:
        return None
    id_ = free_id(id_from_folder(paths.name(place)), tables.ids)
    return Decide(first.uid, (_arrival(tables, first.uid, id_, place, None),), first.position)


def _arrival(tables: Tables, uid: str, id_: str, folder: str, loose: str | None) -> Event:
    """A model that was here before comes back as itself."""
    kind = ModelRestored if uid in tables.models else ModelRegistered
    return kind(id_, folder, loose)


def _remove(model: Model) -> Step:
    return Decide(model.uid, (ModelRemoved("Nothing is left in its folder."),), model.position)


def _complete(model: Model, files: list[File], retry: bool) -> Step | None:
    """The model.json that is not there, for the binary that is."""
    if model.stuck is not None and not retry:
        return None
    if any(paths.is_manifest(file.path) for file in files) or model.binary is None:
        return None
    binary = next((file for file in files if file.path == model.binary), None)
    if binary is None or binary.facts is None:
        return None
    parts = [binary, *(file for file in files if _is_shard_beside(file, binary))]
    return Generate(
        model.uid,
        paths.join(model.folder, paths.MANIFEST),
        tuple(paths.shown_name(part.path) for part in parts),
        sum(part.stamp.size for part in parts),
        binary.stamp,
        binary.facts,
        max(binary.position, model.position),
    )


def _is_shard_beside(file: File, first: File) -> bool:
    if file.path == first.path or file.facts is None or first.facts is None:
        return False
    return bool(first.facts.split_count) and file.facts.split_count == first.facts.split_count
