"""The catalogue: persistent maps, so that every version of it is a snapshot and costs nothing to keep."""

from collections.abc import Iterator
from typing import Protocol, TypeVar

from immutables import Map
from msgspec import Struct

from janfs.catalogue.entries import Entry, File, Model, Plan, Root
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
    def root(self) -> Root: ...
    @property
    def ids(self) -> Lookup[str]: ...
    @property
    def folders(self) -> Lookup[str]: ...
    @property
    def graves(self) -> Lookup[str]: ...
    @property
    def children(self) -> Lookup[Names]: ...


class Catalogue(Struct, frozen=True):
    """Everything known at one position of the log.

    `files` by path, `models` by uid (removed ones too), `plans` by op. Derived: `ids` and aliases to uids,
    `folders` of present models and `graves` of removed ones to uids, `children` of each folder. `rivals` are
    the models of a name that several could have: an id goes before an alias, then the model that came first;
    a grave is of the model that was removed last.
    """

    position: int = 0
    files: Map[str, File] = Map()
    models: Map[str, Model] = Map()
    plans: Map[str, Plan] = Map()
    root: Root = Root()
    ids: Map[str, str] = Map()
    folders: Map[str, str] = Map()
    graves: Map[str, str] = Map()
    children: Map[str, Names] = Map()
    rivals: Map[Key, Names] = Map()


class Draft:
    """A catalogue in the making: the same maps, open for change until `finish`."""

    def __init__(self, base: Catalogue) -> None:
        self.position = base.position
        self.files = base.files.mutate()
        self.models = base.models.mutate()
        self.plans = base.plans.mutate()
        self.root = base.root
        self.ids = base.ids.mutate()
        self.folders = base.folders.mutate()
        self.graves = base.graves.mutate()
        self.children = base.children.mutate()
        self.rivals = base.rivals.mutate()
        self._leads = {"id": self.ids, "folder": self.folders, "grave": self.graves}
        self.touched: set[Key] = set()
        self.stale: dict[
            str, int
        ] = {}  # models to be looked at again, by uid, with the position that says so

    def put_file(self, file: File) -> None:
        """Add or replace a file."""
        if file.path not in self.files:
            folder = paths.parent(file.path)
            self.children[folder] = (self.children.get(folder) or Map()).set(file.path, None)
        self.files[file.path] = file
        self.touched.add(("file", file.path))

    def drop_file(self, path: str) -> None:
        """Forget a file, if it is known."""
        if self.files.pop(path, None) is None:
            return
        folder = paths.parent(path)
        left = self.children[folder].delete(path)
        if left:
            self.children[folder] = left
        else:
            del self.children[folder]
        self.touched.add(("file", path))

    def put_model(self, model: Model) -> None:
        """Add or replace a model, and every name that leads to it."""
        before = self.models.get(model.uid)
        self.models[model.uid] = model
        self.touched.add(("model", model.uid))
        if before is not None and _names(before) == _names(model):
            return
        for claim in _claims(before) if before is not None else ():
            self._give_up(claim, model.uid)
        for claim in _claims(model):
            self._claim(claim, model.uid)

    def put_plan(self, plan: Plan) -> None:
        """Add a plan."""
        self.plans[plan.op] = plan
        self.touched.add(("plan", plan.op))

    def drop_plan(self, op: str) -> Plan | None:
        """Take a plan out, now that it has an outcome."""
        plan = self.plans.pop(op, None)
        if plan is not None:
            self.touched.add(("plan", op))
        return plan

    def put_root(self, root: Root) -> None:
        """Say whether the models folder can be seen."""
        self.root = root
        self.touched.add(("root", ""))

    def _claim(self, claim: Key, uid: str) -> None:
        table, name = self._leads[claim[0]], claim[1]
        holder = table.get(name)
        if holder is None:
            table[name] = uid
            return
        self.rivals[claim] = rivals = (self.rivals.get(claim) or Map({holder: None})).set(uid, None)
        table[name] = self._first(claim, rivals)

    def _give_up(self, claim: Key, uid: str) -> None:
        table, name = self._leads[claim[0]], claim[1]
        if claim not in self.rivals:
            del table[name]
            return
        rivals = self.rivals.pop(claim).delete(uid)
        if len(rivals) > 1:
            self.rivals[claim] = rivals
        table[name] = self._first(claim, rivals)

    def _first(self, claim: Key, rivals: Names) -> str:
        """Who gets a name; it depends on what the models say alone, not on who was put in first."""
        kind, name = claim
        models = [self.models[uid] for uid in rivals]
        if kind == "grave":
            return max(models, key=lambda model: (model.removed or "", model.uid)).uid
        return min(models, key=lambda model: (model.id != name, model.registered_at, model.uid)).uid

    def finish(self) -> Catalogue:
        """The catalogue; the draft is spent."""
        return Catalogue(
            position=self.position,
            files=self.files.finish(),
            models=self.models.finish(),
            plans=self.plans.finish(),
            root=self.root,
            ids=self.ids.finish(),
            folders=self.folders.finish(),
            graves=self.graves.finish(),
            children=self.children.finish(),
            rivals=self.rivals.finish(),
        )


def _names(model: Model) -> tuple[object, ...]:
    return model.id, model.folder, model.aliases, model.registered_at, model.removed


def _claims(model: Model) -> tuple[Key, ...]:
    """The names that should lead to a model: what kind of name, and the name."""
    if model.removed is not None:
        return (("grave", model.folder),)
    return (("folder", model.folder), *(("id", name) for name in dict.fromkeys((model.id, *model.aliases))))


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


def uid_at(tables: Tables, place: str) -> str | None:
    """The stream that a place belongs to already: of what is there, or of the model that was there."""
    return owner_of(tables, place) or tables.graves.get(place)


def owner_of(tables: Tables, place: str) -> str | None:
    """The stream of what is at a place; a model whose file is yet to move there does not own it."""
    if place in tables.files:
        return tables.files[place].uid
    known = files_in(tables, place)
    if known:
        return known[0].uid
    uid = tables.folders.get(place)
    return uid if uid is not None and tables.models[uid].loose is None else None


def entry(tables: Tables, key: Key) -> Entry | None:
    """The entry that the projection stores under a key."""
    kind, name = key
    if kind == "file":
        return tables.files.get(name)
    if kind == "model":
        return tables.models.get(name)
    return tables.plans.get(name) if kind == "plan" else tables.root
