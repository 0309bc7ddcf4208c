"""A catalogue in the making, with everything that is derived from its entries kept up to date."""

from collections.abc import Callable, Sequence

from immutables import Map, MapMutation

from janfs.catalogue.catalogue import Catalogue, Key, Names
from janfs.catalogue.entries import File, Model, Parked, Plan, Root
from janfs.folder import paths

_NONE: Names = Map()


class Draft:
    """A catalogue in the making: the same maps, open for change until `finish`."""

    def __init__(self, base: Catalogue) -> None:
        self.position = base.position
        self.files = base.files.mutate()
        self.models = base.models.mutate()
        self.plans = base.plans.mutate()
        self.engine_files = base.engine_files.mutate()
        self.parked = base.parked.mutate()
        self.root = base.root
        self.ids = base.ids.mutate()
        self.folders = base.folders.mutate()
        self.graves = base.graves.mutate()
        self.children = base.children.mutate()
        self.owned = base.owned.mutate()
        self.links = base.links.mutate()
        self.hashes = base.hashes.mutate()
        self.spellings = base.spellings.mutate()
        self.rivals = base.rivals.mutate()
        self._leads = {"id": self.ids, "folder": self.folders, "grave": self.graves}
        self._by_file = ((self.owned, _owner), (self.links, _linked), (self.hashes, _content))
        self.touched: set[Key] = set()
        self.stale: dict[
            str, int
        ] = {}  # models to be looked at again, by uid, with the position that says so

    def put_file(self, file: File) -> None:
        """Add or replace a file."""
        if paths.is_engine_file(file.path):
            self.engine_files[file.path] = file
            self.touched.add(("engine", file.path))
            return
        before = self.files.get(file.path)
        if before is None:
            folder = _folder(file)
            if folder not in self.children or folder == paths.MODELS:
                self._spell(_add, paths.place(file.path))
            _add(self.children, folder, file.path)
        self._index(before, file)
        self.files[file.path] = file
        self.touched.add(("file", file.path))

    def put_stored(self, files: Sequence[File]) -> None:
        """Add all files of `models/` to a catalogue without any; quicker than one after another."""
        self.files.update({file.path: file for file in files})
        for index, name_of in ((self.children, _folder), *self._by_file):
            groups: dict[str, dict[str, None]] = {}
            for file in files:
                name = name_of(file)
                if name is not None:
                    groups.setdefault(name, {})[file.path] = None
            index.update({name: Map(group) for name, group in groups.items()})
        for place in {paths.place(file.path) for file in files}:
            self._spell(_add, place)

    def drop_file(self, path: str) -> None:
        """Forget a file, if it is known."""
        if self.engine_files.pop(path, None) is not None:
            self.touched.add(("engine", path))
            return
        file = self.files.pop(path, None)
        if file is None:
            return
        folder = paths.parent(path)
        _remove(self.children, folder, path)
        if folder not in self.children or folder == paths.MODELS:
            self._spell(_remove, paths.place(path))
        self._index(file, None)
        self.touched.add(("file", path))

    def _index(self, before: File | None, after: File | None) -> None:
        """Keep what is derived from files up to date."""
        for index, name_of in self._by_file:
            old = None if before is None else name_of(before)
            new = None if after is None else name_of(after)
            if before is not None and old is not None and old != new:
                _remove(index, old, before.path)
            if after is not None and new is not None and old != new:
                _add(index, new, after.path)

    def _spell(self, change: Callable[[MapMutation[str, Names], str, str], None], path: str) -> None:
        """Note or forget how something directly in `models/` is spelled."""
        if paths.parent(path) == paths.MODELS:
            change(self.spellings, paths.folded(paths.name(path)), path)

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

    def put_parked(self, parked: Parked) -> None:
        """Say what could not be applied of a stream."""
        self.parked[parked.uid] = parked
        self.touched.add(("parked", parked.uid))

    def put_root(self, root: Root) -> None:
        """Say whether the models folder can be seen."""
        self.root = root
        self.touched.add(("root", ""))

    def _claim(self, claim: Key, uid: str) -> None:
        table, name = self._leads[claim[0]], claim[1]
        holder = table.get(name)
        if holder is None:
            table[name] = uid
            if claim[0] == "id":
                _add(self.spellings, paths.folded(name), name)
            return
        self.rivals[claim] = rivals = (self.rivals.get(claim) or Map({holder: None})).set(uid, None)
        table[name] = self._first(claim, rivals)

    def _give_up(self, claim: Key, uid: str) -> None:
        table, name = self._leads[claim[0]], claim[1]
        if claim not in self.rivals:
            del table[name]
            if claim[0] == "id":
                _remove(self.spellings, paths.folded(name), name)
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
            engine_files=self.engine_files.finish(),
            parked=self.parked.finish(),
            root=self.root,
            ids=self.ids.finish(),
            folders=self.folders.finish(),
            graves=self.graves.finish(),
            children=self.children.finish(),
            owned=self.owned.finish(),
            links=self.links.finish(),
            hashes=self.hashes.finish(),
            spellings=self.spellings.finish(),
            rivals=self.rivals.finish(),
        )


def _add(index: MapMutation[str, Names], key: str, path: str) -> None:
    index[key] = (index.get(key) or _NONE).set(path, None)


def _remove(index: MapMutation[str, Names], key: str, path: str) -> None:
    left = index[key].delete(path)
    if left:
        index[key] = left
    else:
        del index[key]


def _folder(file: File) -> str:
    return paths.parent(file.path)


def _owner(file: File) -> str:
    return file.uid


def _linked(file: File) -> str | None:
    """Where a link leads: to an inode, or, if nothing is there, to a folder."""
    if file.link is None:
        return None
    if file.stamp.inode:
        return str(file.stamp.inode)
    return paths.folded(paths.parent(paths.behind(file.path, file.link)))


def _content(file: File) -> str | None:
    return file.sha256 if file.refused is None else None


def _names(model: Model) -> tuple[object, ...]:
    return model.id, model.folder, model.aliases, model.registered_at, model.removed


def _claims(model: Model) -> tuple[Key, ...]:
    """The names that should lead to a model: what kind of name, and the name."""
    if model.removed is not None:
        return (("grave", model.folder),)
    return (("folder", model.folder), *(("id", name) for name in dict.fromkeys((model.id, *model.aliases))))
