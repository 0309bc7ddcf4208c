"""The catalogue: persistent maps, so that every version of it is a snapshot and costs nothing to keep."""

from collections.abc import Container, Iterator
from typing import Protocol, TypeVar

from immutables import Map
from msgspec import Struct

from janfs.catalogue.entries import Entry, File, Model, Parked, Plan, Root
from janfs.folder import paths

Names = Map[str, None]  # a persistent set
V_co = TypeVar("V_co", covariant=True)
Key = tuple[str, str]  # kind, key: what the projection stores an entry under


class Lookup(Protocol[V_co]):
    """A map, as far as finding goes."""

    def __getitem__(self, key: str, /) -> V_co: ...
    def __contains__(self, key: object, /) -> bool: ...
    def get(self, key: str, /) -> V_co | None: ...


class Tables(Protocol):
    """What can be asked of a catalogue, finished or in the making."""

    @property
    def files(self) -> Lookup[File]: ...
    @property
    def models(self) -> Lookup[Model]: ...
    @property
    def plans(self) -> Lookup[Plan]: ...
    @property
    def engine_files(self) -> Lookup[File]: ...
    @property
    def parked(self) -> Lookup[Parked]: ...
    @property
    def root(self) -> Root: ...
    @property
    def ids(self) -> Lookup[str]: ...
    @property
    def folders(self) -> Lookup[str]: ...
    @property
    def graves(self) -> Lookup[str]: ...
    @property
    def children(self) -> Lookup[Names]: ...
    @property
    def owned(self) -> Lookup[Names]: ...
    @property
    def links(self) -> Lookup[Names]: ...
    @property
    def hashes(self) -> Lookup[Names]: ...
    @property
    def spellings(self) -> Lookup[Names]: ...


class Catalogue(Struct, frozen=True):
    """Everything known at one position of the log.

    `files` below `models/` by path, `models` by uid (removed ones too), `plans` by op, `engine_files` (the
    settings in `engines/`) by path, `parked` what could not be applied, by stream. Derived: `ids` and
    aliases to uids,
    `folders` of present models and `graves` of removed ones to uids, `children` of each folder, `owned` files
    of each uid, `links` that lead to an inode, or into a folder where nothing is of that name, files of each
    of the `hashes`, the `spellings` of ids and of names in `models/` that a disk could take for one. `rivals`
    are the models of a name that several could have: an id goes before an alias, then the model that came
    first; a grave is of the model that was removed last.
    """

    position: int = 0
    files: Map[str, File] = Map()
    models: Map[str, Model] = Map()
    plans: Map[str, Plan] = Map()
    engine_files: Map[str, File] = Map()
    parked: Map[str, Parked] = Map()
    root: Root = Root()
    ids: Map[str, str] = Map()
    folders: Map[str, str] = Map()
    graves: Map[str, str] = Map()
    children: Map[str, Names] = Map()
    owned: Map[str, Names] = Map()
    links: Map[str, Names] = Map()
    hashes: Map[str, Names] = Map()
    spellings: Map[str, Names] = Map()
    rivals: Map[Key, Names] = Map()


def present_models(catalogue: Catalogue) -> Iterator[Model]:
    """Every model that has not been removed."""
    return (model for model in catalogue.models.values() if model.removed is None)


def files_in(tables: Tables, folder: str) -> list[File]:
    """The files directly in a folder, by path."""
    return [tables.files[path] for path in sorted(tables.children.get(folder) or ())]


def find_model(tables: Tables, name: str) -> Model | None:
    """The present model with this id or alias."""
    uid = tables.ids.get(name)
    return None if uid is None else tables.models[uid]


class GivenIds:
    """The ids of present models, without that of `besides`, and `also` others.

    Aliases are none: a folder that someone gave the name is what is meant by it now.
    """

    def __init__(self, tables: Tables, besides: str | None = None, also: Container[str] = ()) -> None:
        self._tables = tables
        self._besides = besides
        self._also = also

    def __contains__(self, name: object) -> bool:
        model = find_model(self._tables, str(name))
        own = model is not None and model.id == name and model.uid != self._besides
        return own or name in self._also


def uid_at(tables: Tables, place: str) -> str | None:
    """The stream that a place belongs to already: of what is there, or of the model that was there."""
    return owner_of(tables, place) or tables.graves.get(place)


def file_at(tables: Tables, path: str) -> File | None:
    """The file at a path, below `models/` or in `engines/`."""
    return tables.engine_files.get(path) if paths.is_engine_file(path) else tables.files.get(path)


def files_of(tables: Tables, uid: str) -> list[File]:
    """The files of a model, wherever they lie, by path."""
    return [tables.files[path] for path in sorted(tables.owned.get(uid) or ())]


def owner_of(tables: Tables, place: str) -> str | None:
    """The stream of what is at a place.

    A model whose files are all yet to move there does not own it, nor does one whose files are to leave it.
    """
    if place in tables.files:
        return tables.files[place].uid
    known = files_in(tables, place)
    uid = tables.folders.get(place)
    if uid is not None and (not known or any(file.uid == uid for file in known)):
        return uid if known or tables.models[uid].loose is None else None
    return next((file.uid for file in known if not is_leaving(tables, file)), None)


def is_leaving(tables: Tables, file: File) -> bool:
    """Whether a file is one of a model that lives elsewhere, which will take it along."""
    model = tables.models.get(file.uid)
    return model is not None and model.removed is None and model.folder != paths.parent(file.path)


def entry(tables: Tables, key: Key) -> Entry | None:
    """The entry that the projection stores under a key."""
    kind, name = key
    if kind == "file":
        return tables.files.get(name)
    if kind == "engine":
        return tables.engine_files.get(name)
    if kind == "model":
        return tables.models.get(name)
    if kind == "parked":
        return tables.parked.get(name)
    return tables.plans.get(name) if kind == "plan" else tables.root


def is_open(catalogue: Catalogue, path: str) -> bool:
    """Whether something is planned for a path, or a folder above it, that has no outcome yet."""
    plans = catalogue.plans.values()
    return any(paths.is_inside(path, changed) for plan in plans for changed in plan.changes)
