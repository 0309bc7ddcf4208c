"""Into the trash and out of it: what is planned for a delete, where each thing goes, and what comes of it.

A model's folder goes as a whole, but for the top of a disk: of that go its model.json and GGUF files, as do
those that lie elsewhere, one by one. Each stays on its own disk. What a revert cannot bring back with the
folder is noted with the place that it lay at.
"""

from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from janfs.catalogue.catalogue import Catalogue, GivenIds, files_in, files_of, find_model
from janfs.catalogue.entries import Model, Plan
from janfs.clock import Ids
from janfs.errors import FolderError, ModelNotFound, OtherDisk, OthersInside, Unseen
from janfs.events import types as e
from janfs.folder import paths
from janfs.folder.filesystem import FileSystem
from janfs.organise import executor
from janfs.organise.disk import vacant_folder
from janfs.organise.naming import free_id, id_from_folder
from janfs.pipeline.commands import Delete
from janfs.pipeline.recorder import Draft


def plan_delete(
    fs: FileSystem, ids: Ids, catalogue: Catalogue, command: Delete, arriving: Iterable[str] = ()
) -> list[Draft]:
    """The intents to move a model to the trash, while files are `arriving`.

    Raises `ModelNotFound`, `OthersInside` or `FolderError`.
    """
    model = find_model(catalogue, command.model_id)
    if model is None:
        raise ModelNotFound(command.model_id)
    if model.uid in catalogue.parked:
        raise FolderError(f"'{model.id}' cannot be deleted now. {model.reason}")
    trash = paths.join(paths.TRASH, f"{model.id}-{ids()[:12]}")
    planned = []
    try:
        whole = model.folder in catalogue.children and not fs.is_mount_point(model.folder)
    except OSError as error:
        raise FolderError(f"{model.folder} cannot be looked into: {error.strerror}.") from error
    if whole:
        _check_alone(catalogue, model, arriving)
        planned.append(e.MovePlanned(ids(), model.folder, trash, "delete"))
    for file in files_of(catalogue, model.uid):
        here = paths.parent(file.path) == model.folder
        if not here or (not whole and (paths.is_binary(file.path) or paths.is_manifest(file.path))):
            target = paths.join(trash, paths.name(file.path))
            planned.append(e.MovePlanned(ids(), file.path, target, "delete", file.stamp))
    if not planned:
        raise ModelNotFound(command.model_id)
    return [Draft(model.uid, event, command.actor, model.position) for event in planned]


def _check_alone(catalogue: Catalogue, model: Model, arriving: Iterable[str]) -> None:
    """Whether nothing of another model goes along. Raises `OthersInside`."""
    folders = {name: uid for name, uid in catalogue.folders.items() if name.startswith(model.folder + "/")}
    inside = list(folders)
    below = [folder for folder in catalogue.children if paths.is_inside(folder, model.folder)]
    guests = {file.uid for folder in below for file in files_in(catalogue, folder)}
    guests -= {model.uid, *folders.values()}
    inside += [catalogue.models[uid].id for uid in guests if uid in catalogue.models]
    inside += [f"{path}, which is arriving" for path in arriving if _is_guest(catalogue, model, path)]
    if inside:
        raise OthersInside(f"Other models are inside {model.folder}: {', '.join(sorted(inside))}.")


def _is_guest(catalogue: Catalogue, model: Model, arriving: str) -> bool:
    """Whether what arrives is to be a model of its own: it lies below the model's folder, and is not its."""
    below = paths.parent(arriving) != model.folder and paths.is_inside(arriving, model.folder)
    known = catalogue.files.get(arriving)
    return below and paths.is_binary(arriving) and (known is None or known.uid != model.uid)


def delete(fs: FileSystem, plan: Plan, failed: FolderError | None = None) -> tuple[executor.Moved, str]:
    """Carry out a planned move to the trash; also where it went: to the first trash on the same disk.

    Raises `FolderError` when it is given up, `Unseen` where it cannot be seen or flushed whether it is done.
    """
    below = plan.target.removeprefix(paths.TRASH)
    plans = [replace(plan, target=trash + below) for trash in paths.trashes(plan.source or "")]
    done = next((each for each in plans[1:] if _is_there(fs, each.target)), None)  # a crash came after it
    if done is not None:
        return executor.move(fs, done, failed), done.target
    for each in plans[:-1]:
        try:
            return executor.move(fs, each, failed), each.target
        except OtherDisk:
            continue
    return executor.move(fs, plans[-1], failed), plans[-1].target


def _is_there(fs: FileSystem, path: str) -> bool:
    try:
        return fs.stat(path) is not None
    except OSError as error:
        raise Unseen(f"{path} cannot be looked at: {error.strerror}.") from error


def conclude(fs: FileSystem, catalogue: Catalogue, plan: Plan, outcomes: Sequence[Draft]) -> list[Draft]:
    """What a move means for its model, once it is the last that was to be made for it, and all were.

    Raises `Unseen` where it cannot be seen which folder is free, or what lies in the trash still.
    """
    if plan.reason not in ("delete", "restore"):
        return []
    known = catalogue.plans.values()
    of_model = [each for each in known if (each.uid, each.reason) == (plan.uid, plan.reason)]
    if any(each.position > plan.position for each in of_model):
        return []
    events = [draft.event for draft in outcomes if draft.stream == plan.uid]
    moves = [each for each in events if isinstance(each, e.MoveCompleted) and each.reason == plan.reason]
    if len(moves) < len(of_model):
        return []
    model = catalogue.models[plan.uid]
    if plan.reason == "restore" and model.removed is None:
        return []  # what a delete took that was not finished
    event: e.Event
    try:
        if plan.reason == "delete":
            event = _deleted(fs, model, moves)
        else:
            event = _restored(fs, catalogue, model, moves)
    except OSError as error:
        raise Unseen(f"What became of '{model.id}' cannot be looked at: {error.strerror}.") from error
    return [Draft(plan.uid, event, cause=plan.position)]


def _deleted(fs: FileSystem, model: Model, moves: Sequence[e.MoveCompleted]) -> e.ModelDeleted:
    folder = next((move.target for move in moves if move.stamp is None), None)
    trash = folder or paths.parent(moves[0].target)
    returns = folder is not None or paths.parent(trash) in (paths.TRASH, paths.NEAR_TRASH)
    # What a delete took that was not finished, and nobody took out of the trash since.
    before = {origin: there for there, origin in model.apart if fs.stat(there) is not None}
    lie = before | {move.source: move.target for move in moves if move.stamp is not None}
    apart = tuple(
        (there, origin) for origin, there in lie.items() if not (returns and paths.is_inside(there, trash))
    )
    return e.ModelDeleted(model.id, trash, apart)


def folder_of_files(fs: FileSystem, catalogue: Catalogue, model: Model) -> str:
    """The folder of a deleted model of which only files come back: its own, if no other model has that.

    Raises `OSError`.
    """
    return model.folder if model.folder not in catalogue.folders else vacant_folder(fs, catalogue, model.id)


def _restored(
    fs: FileSystem, catalogue: Catalogue, model: Model, moves: Sequence[e.MoveCompleted]
) -> e.ModelRestored:
    folder = next((move.target for move in moves if move.stamp is None), None)
    folder = folder or folder_of_files(fs, catalogue, model)
    given = GivenIds(catalogue, besides=model.uid)
    return e.ModelRestored(free_id(id_from_folder(paths.name(folder)), given), folder)
