"""Folders that hold more than one model, or one deep down in a tree: each gets a folder of its own. Pure.

The models are registered first, with their files where they lie; so they are listed, and run, at once. Then
what they share (licence, README, projector) is copied to all but the last, which gets it moved; a model's own
files go last, since their lying here is what says that there is still something to do.
"""

import hashlib
from collections.abc import Sequence

from janfs.catalogue.catalogue import Catalogue, files_in, files_of, is_leaving
from janfs.catalogue.entries import File, Model
from janfs.catalogue.groups import Group, group, is_part, of_kind
from janfs.catalogue.status import manifest_of
from janfs.events.types import CopyHow, Event
from janfs.folder import paths
from janfs.manifest.schema import Manifest
from janfs.organise import links, pairing
from janfs.organise.homes import arrival, free_folder, is_held_up, move_on
from janfs.organise.naming import id_from_file_name
from janfs.organise.steps import Copy, Decide, Move, Policy, Step


def is_nested(place: str) -> bool:
    """Whether a folder lies deeper than directly below `models/`."""
    return paths.parent(place) != paths.MODELS


def uid_for(uid: str, head: str) -> str:
    """The stream of a model that leaves the folder of stream `uid`; the same each time it is worked out,
    also when more shards of a set have come.
    """
    shard = paths.shard(head)
    name = paths.name(head) if shard is None else f"{shard.stem}-of-{shard.count}"
    return hashlib.sha256(f"{uid}/{name}".encode()).hexdigest()[:32]


def _free_uid(catalogue: Catalogue, each: Group) -> str:
    """The stream for a model that leaves a folder; one that has a model's files already goes on living."""
    uid = uid_for(each.head.uid, each.head.path)
    while _has_binary(catalogue, uid):
        uid = uid_for(uid, each.head.path)
    return uid


def _has_binary(catalogue: Catalogue, uid: str) -> bool:
    """Whether a present model has a file to be served from, wherever that lies."""
    model = catalogue.models.get(uid)
    files = files_of(catalogue, uid) if model is not None and model.removed is None else []
    return any(paths.is_binary(file.path) and not is_part(file) for file in files)


def is_named(each: Group, manifest: Manifest | None) -> bool:
    """Whether a model.json needs a file beside its own model, such as a draft model."""
    values = manifest.engine_parameters.values() if manifest is not None else ()
    names = {value.rpartition("/")[2] for value in values if isinstance(value, str)}
    return any(paths.shown_name(file.path) in names for file in each.files)


def register(
    catalogue: Catalogue, place: str, models: Sequence[Group], policy: Policy, *, retry: bool
) -> Step | None:
    """Make models of what lies in a folder together; links stay, and get links of their own, unless they are
    a model's already and were to move.

    What a link leads to stays too: it is a model where the link is, and a move would break that. A set of
    which links lead to some shards only is a model nevertheless, and stays where it is.
    """
    events: list[tuple[str, Event]] = []
    given: set[str] = set()
    for each in (_with_broken(catalogue, each) for each in models):
        if each.head.link is not None and policy.organise and not is_leaving(catalogue, each.head):
            uid = uid_for(each.head.uid, each.head.path)
            adopted = links.adopt(catalogue, each, uid, policy, retry=retry)
            if adopted is not None:
                return adopted
            continue
        if all(links.leads_here(catalogue, file) for file in each.files):
            continue
        uid = _free_uid(catalogue, each)
        missed = catalogue.models.get(uid)
        if missed is not None and missed.removed is None:
            events.append((uid, arrival(catalogue, uid, missed.id, missed.folder, each)))
            continue
        around = paths.name(place) if place != paths.MODELS else None
        wanted = id_from_file_name(paths.name(each.head.path), around)
        folder = free_folder(catalogue, wanted, policy, given, returns=missed is not None)
        given.add(paths.name(folder))
        events.append((uid, arrival(catalogue, uid, paths.name(folder), folder, each)))
    if not events:
        return None
    return Decide(tuple(events), max(each.head.position for each in models))


def _with_broken(catalogue: Catalogue, each: Group) -> Group:
    """A set of shards with those beside it that cannot be used yet: once they can, they are of it."""
    known, head = {file.path for file in each.files}, each.head
    beside = [
        file
        for file in files_of(catalogue, head.uid)
        if paths.parent(file.path) == paths.parent(head.path) and paths.is_same_set(file.path, head.path)
    ]
    broken = (file for file in beside if file.refused is not None and file.path not in known)
    return Group(each.kind, (*each.files, *broken))


def apart(
    catalogue: Catalogue, place: str, files: Sequence[File], policy: Policy, *, retry: bool
) -> Step | None:
    """Make models of the files here that theirs can never take in, for it has another one of that name."""
    leaving = _leaving(catalogue, place, files)
    kept_out = [each for model, strays in leaving for each in _kept_out(catalogue, model, strays)]
    return register(catalogue, place, kept_out, policy, retry=retry)


def _kept_out(catalogue: Catalogue, model: Model, strays: Sequence[File]) -> list[Group]:
    """The models among a model's files elsewhere with a name that another file has at home, if only for
    disks that fold names; and what lies loose, or waits for shards, while another was put into its place.
    Shards that lie together stay so.
    """
    at_home = [file for file in files_in(catalogue, model.folder) if file.uid == model.uid]
    heads = [each.head for each in of_kind(group(at_home), "model")]
    manifest = manifest_of(at_home)
    home = {paths.folded(paths.name(file.path)): file for file in files_in(catalogue, model.folder)}
    sets = of_kind(group(files_of(catalogue, model.uid)), "model")

    def has_another(file: File) -> bool:
        there = home.get(paths.folded(paths.name(file.path)))
        return there is not None and there.uid == file.uid and there.stamp != file.stamp

    def is_replaced(each: Group) -> bool:
        head = each.head
        others = [it for it in heads if it.stamp != head.stamp and not paths.is_same_set(it.path, head.path)]
        stays_out = any(paths.parent(file.path) == paths.MODELS for file in each.files) or each.missing
        return bool(stays_out and others) and not is_named(each, manifest)

    found = of_kind(group(strays), "model")
    named = [each for each in found if any(map(has_another, each.files))]
    rest = {file.path for each in found if each not in named for file in each.files}
    whole = [each for each in sets if any(file.path in rest for file in each.files)]
    return [*named, *(each for each in whole if is_replaced(each))]


def next_step(
    catalogue: Catalogue, place: str, files: Sequence[File], policy: Policy, *, retry: bool
) -> Step | None:
    """The next thing to do for the models that are yet to leave a folder.

    A set of shards leaves once it is whole: what is missing comes to where the others lie.
    """
    if not policy.organise:
        return None
    registered = apart(catalogue, place, files, policy, retry=retry)
    if registered is not None:
        return registered
    staying = catalogue.folders.get(place) is not None
    leaving = _leaving(catalogue, place, files)
    whole = [(model, strays) for model, strays in leaving if not _waits(catalogue, model, strays)]
    done = [file for file in files if file.path not in policy.unfinished]
    for model, strays in whole:
        moved_on = move_on(catalogue, model, policy)
        if moved_on is not None:
            return moved_on
        is_last = model is leaving[-1][0] and len(whole) == len(leaving) and not staying
        for file in _shares(catalogue, model, strays, done):
            if file.stuck is not None and not retry:
                return None  # first all that belongs together, then the models themselves
            return _share(model, file, moves=is_last and not links.leads_here(catalogue, file))
    for model, strays in whole:
        for file in strays:
            target = paths.join(model.folder, paths.name(file.path))
            if is_held_up(catalogue, file, target, retry=retry) or links.is_bound(catalogue, file):
                continue
            if file.link is not None and not file.stamp.inode:
                continue  # it leads to nothing, and would be found changed
            if is_part(file) and model.loose is not None and paths.name(model.loose) == paths.name(file.path):
                continue  # the model itself is to go there
            return Move(model.uid, file.path, target, file.stamp, max(file.position, model.position))
    return None


def _leaving(catalogue: Catalogue, place: str, files: Sequence[File]) -> list[tuple[Model, list[File]]]:
    """Models with files here that live elsewhere, in the order of their streams."""
    found: dict[str, list[File]] = {}
    for file in files:
        model = catalogue.models.get(file.uid)
        if model is not None and model.removed is None and model.folder != place:
            found.setdefault(file.uid, []).append(file)
    return [(catalogue.models[uid], strays) for uid, strays in sorted(found.items())]


def _waits(catalogue: Catalogue, model: Model, strays: Sequence[File]) -> bool:
    """Whether these are shards of a model, or lie beside them, and more of them are to come.

    A projector or a LoRA is no shard, whatever it is called.
    """
    if all(paths.shard(file.path) is None or is_part(file) for file in strays):
        return False
    found = group(files_of(catalogue, model.uid))
    return any(each.missing for each in of_kind(found, "model"))


def _share(model: Model, file: File, *, moves: bool) -> Step:
    target = paths.join(model.folder, paths.name(file.path))
    cause = max(file.position, model.position)
    if moves:
        return Move(model.uid, file.path, target, file.stamp, cause)
    how: CopyHow = "hard-link" if paths.is_binary(file.path) else "copy"
    return Copy(model.uid, file.path, target, how, file.stamp, cause)


def _shares(catalogue: Catalogue, model: Model, strays: Sequence[File], files: Sequence[File]) -> list[File]:
    """What a model is still to take along of the things that lie beside it."""
    if not any(paths.is_binary(file.path) and not is_part(file) for file in strays):
        return []
    has = {paths.name(file.path) for file in files_of(catalogue, model.uid)}
    wanted = [file for file in _shareable(catalogue, model, files) if paths.name(file.path) not in has]
    return [f for f in wanted if paths.join(model.folder, paths.name(f.path)) not in catalogue.files]


def _shareable(catalogue: Catalogue, model: Model, files: Sequence[File]) -> list[File]:
    """Files that belong to no model alone: papers, and projectors and adapters that fit this one."""
    free = [file for file in files if not paths.is_manifest(file.path) and file.link is None]
    free = [file for file in free if not is_leaving(catalogue, file)]
    head = pairing.head_of(catalogue, model)
    parts = [each for each in group(free) if each.is_part]
    fitting = {
        file.path
        for each in parts
        if head is not None and pairing.fits(each, head, model.binary or "")
        for file in each.files
    }
    return [file for file in free if not paths.is_binary(file.path) or file.path in fitting]
