"""Where a model should live: a folder of its own directly below `models/` that nobody else uses. Pure."""

from collections.abc import Container, Sequence

from janfs.catalogue.catalogue import Catalogue, Tables, files_in
from janfs.catalogue.entries import File, Model
from janfs.catalogue.groups import Group
from janfs.events.types import Event, ModelRegistered, ModelRenamed, ModelRestored
from janfs.folder import paths
from janfs.organise.naming import free_id, id_from_file_name
from janfs.organise.steps import Decide, Policy

_OPEN = Policy()


def home_of(
    tables: Catalogue,
    file_name: str,
    policy: Policy = _OPEN,
    folder_name: str | None = None,
    *,
    returns: bool = False,
) -> str:
    """The folder that a binary of this name would get; `folder_name` helps where its own says nothing."""
    return free_folder(tables, id_from_file_name(file_name, folder_name), policy, returns=returns)


def free_folder(
    tables: Catalogue,
    wanted: str,
    policy: Policy = _OPEN,
    given: Container[str] = (),
    *,
    returns: bool = False,
) -> str:
    """The folder of that name, or the next one that is free; those `given` in the same decision are not.

    A model that `returns` may come to where the links lead that it left behind.
    """
    taken = _Taken(tables, policy, given, awaited=not returns)
    return paths.join(paths.MODELS, free_id(wanted, taken))


class _Taken:
    """Ids that a new model cannot have: other models', and names of files and of folders in use, or about to
    be: where something is to be put, or put back, it may have come by now.

    Where a link leads that leads to nothing another model is `awaited`: with this one it would come to
    stand for what it was not made for.
    """

    def __init__(self, tables: Catalogue, policy: Policy, given: Container[str], *, awaited: bool) -> None:
        self._tables = tables
        self._policy = policy
        self._given = given
        self._awaited = awaited
        planned = (plan for plan in tables.plans.values() if plan.reason in ("organise", "restore"))
        self._planned = {paths.folded(paths.place(plan.target)) for plan in planned}

    def __contains__(self, name: object) -> bool:
        if name in self._given or name in self._policy.taken:
            return True
        folder = f"{paths.MODELS}/{name}"
        if name in self._tables.ids or in_use(self._tables, folder, self._policy.arriving):
            return True
        alike = paths.folded(folder)
        if alike in self._planned or (self._awaited and alike in self._tables.links):
            return True
        return bool(_alike(self._tables, str(name)))


def _alike(tables: Tables, name: str) -> list[str]:
    """Ids, and what lies in `models/`, whose names differ from this one in case or Unicode form only."""
    return [each for each in tables.spellings.get(paths.folded(name)) or () if paths.name(each) != name]


def in_use(tables: Tables, folder: str, arriving: Container[str]) -> bool:
    """Whether something lies or arrives at a folder."""
    return folder in tables.files or bool(files_in(tables, folder)) or folder in arriving


def claimed_folder(tables: Tables, folder: str) -> Model | None:
    """The model that is yet to move into a folder, as long as none of its files is there."""
    model = tables.models.get(tables.folders.get(folder) or "")
    if model is None or model.loose is None:
        return None
    return None if any(file.uid == model.uid for file in files_in(tables, folder)) else model


def move_on(tables: Catalogue, model: Model, policy: Policy) -> Decide | None:
    """Another folder for a model with files yet to move, when someone put other things into its folder, or
    into one whose name some disks take for the same, or put something else there. Where some of its files
    are there already it stays: what came after is its own, and the disk tells that name from the other one.
    """
    if model.loose is None:
        return None
    name, there = paths.name(model.folder), files_in(tables, model.folder)
    if any(file.uid == model.uid for file in there):
        return None
    alike = [place for place in _alike(tables, name) if place in tables.children]
    is_taken = name in policy.taken and not there
    if not (alike or is_taken) and not in_use(tables, model.folder, policy.arriving):
        return None
    return _elsewhere(tables, model, model.loose, policy)


def share_no_folder(tables: Catalogue, place: str, files: Sequence[File], policy: Policy) -> Decide | None:
    """Another folder for one of two models that came to live in the same one: the one without a model.json.

    While ours was on its way there, and the disk did not show whether it had come, a person moved one in.
    """
    here = [tables.models[uid] for uid in dict.fromkeys(file.uid for file in files) if uid in tables.models]
    living = [model for model in here if model.removed is None and model.folder == place]
    if len(living) < 2:
        return None
    written = {file.uid for file in files if paths.is_manifest(file.path)}
    first = tables.folders.get(place)
    goes = min(living, key=lambda model: (model.uid in written, model.uid == first, model.uid))
    head = goes.binary or min(file.path for file in files if file.uid == goes.uid)
    return _elsewhere(tables, goes, head, policy)


def _elsewhere(tables: Catalogue, model: Model, head: str, policy: Policy) -> Decide:
    """A model gets another folder, called after its file `head`."""
    folder = home_of(tables, paths.name(head), policy)
    return Decide(((model.uid, ModelRenamed(paths.name(folder), folder, model.id)),), model.position)


def is_held_up(tables: Tables, file: File, target: str, *, retry: bool) -> bool:
    """Whether a move that failed before is not to be tried now, or has another file in its way still."""
    if file.stuck is None:
        return False
    there = tables.files.get(target)
    return not retry or (there is not None and there.stamp != file.stamp)


def in_the_way(tables: Tables, file: File) -> list[str]:
    """What may keep a file whose move failed out of its model's folder: what is called the same there, or
    the same for a disk that folds names.
    """
    model = tables.models.get(file.uid)
    if file.stuck is None or model is None or model.folder == paths.parent(file.path):
        return []
    name = paths.folded(paths.name(file.path))
    there = files_in(tables, model.folder)
    return [each.path for each in there if paths.folded(paths.name(each.path)) == name]


def arrival(tables: Tables, uid: str, id_: str, folder: str, strays: Group | None) -> Event:
    """A model is here, with `strays` that lie elsewhere; one that was here before comes back as itself."""
    kind = ModelRestored if uid in tables.models else ModelRegistered
    files = () if strays is None else tuple(file.path for file in strays.files)
    taken = files if strays is not None and any(file.uid != uid for file in strays.files) else ()
    return kind(id_, folder, files[0] if files else None, taken)
