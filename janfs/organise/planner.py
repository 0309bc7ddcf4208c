"""What should be done next about one place in the folder. Pure: the catalogue in, decisions out.

A place is a folder that may hold models, or a file lying loose in `models/`. Each call returns the next
step, or None when the place is as it should be; doing the steps one after another ends.
"""

from janfs.catalogue import duplicates, groups
from janfs.catalogue.catalogue import Catalogue, GivenIds, files_in, files_of, is_leaving
from janfs.catalogue.entries import File, Model
from janfs.catalogue.groups import Group
from janfs.catalogue.status import manifest_of
from janfs.events.types import DuplicateFound, ModelRemoved, PartPaired
from janfs.folder import paths
from janfs.manifest.generate import digest
from janfs.manifest.json_schema import MODEL, reference
from janfs.organise import links, pairing, splitting
from janfs.organise.homes import arrival, claimed_folder, home_of, is_held_up, move_on, share_no_folder
from janfs.organise.naming import free_id, id_from_folder
from janfs.organise.steps import Copy, Decide, Generate, Move, Policy, Step

DEFAULT = Policy()


def next_step(
    catalogue: Catalogue, place: str, policy: Policy = DEFAULT, *, retry: bool = False
) -> Step | None:
    """The next thing to do about a place; with `retry`, what failed before is tried again.

    A place of which not every event could be applied is left alone: what is known of it is not all.
    """
    if catalogue.parked and _is_parked(catalogue, place):
        return None
    if place in catalogue.files:
        return _organise_loose(catalogue, catalogue.files[place], policy, retry)
    claimant = claimed_folder(catalogue, place)
    if claimant is not None:
        return move_on(catalogue, claimant, policy)
    files = files_in(catalogue, place)
    model = catalogue.models.get(catalogue.folders.get(place) or "")
    if model is None:
        return _organise_folder(catalogue, place, files, policy, retry)
    if not any(_makes_a_model(path) for path in catalogue.owned.get(model.uid) or ()):
        return Decide(((model.uid, ModelRemoved("Nothing is left in its folder.")),), model.position)
    return _tend(catalogue, model, files, policy, retry) or _name_duplicates(catalogue, files)


def _is_parked(catalogue: Catalogue, place: str) -> bool:
    here = [catalogue.files[place]] if place in catalogue.files else files_in(catalogue, place)
    uids = {catalogue.folders.get(place), *(file.uid for file in here)}
    return any(uid in catalogue.parked for uid in uids if uid is not None)


def _makes_a_model(path: str) -> bool:
    """Whether a file says that there is a model; what else lies in a folder may stay behind by itself."""
    return paths.is_manifest(path) or paths.is_binary(path)


def _name_duplicates(catalogue: Catalogue, files: list[File]) -> Step | None:
    """Say which files have the same content as one of these; nothing is done about them."""
    found = [pair for file in files for pair in duplicates.unnamed(catalogue, file)]
    if not found:
        return None
    events = tuple((copy.uid, DuplicateFound(copy.path, of.path, of.sha256 or "")) for copy, of in found)
    return Decide(tuple(dict.fromkeys(events)), max(copy.position for copy, _ in found))


def _organise_loose(catalogue: Catalogue, file: File, policy: Policy, retry: bool) -> Step | None:
    if file.refused is not None or file.facts is None:
        return None
    model = catalogue.models.get(file.uid)
    if model is None or model.removed is not None:
        if links.leads_here(catalogue, file):
            return None  # a link makes it a model elsewhere, and would break if it moved
        found = groups.group(_loose_siblings(catalogue, file))
        mine = next((each for each in found if file in each.files), None)
        if mine is None or mine.kind == "other":
            return None
        if mine.kind != "model":
            return _pair(catalogue, mine)
        folder = home_of(catalogue, paths.name(file.path), policy, returns=model is not None)
        event = arrival(catalogue, file.uid, paths.name(folder), folder, mine)
        return Decide(((file.uid, event),), file.position)
    return _bring_home(catalogue, model, file, policy, retry)


def _bring_home(catalogue: Catalogue, model: Model, file: File, policy: Policy, retry: bool) -> Step | None:
    """Move a stray file into its model's folder. One that is served from where it lies can rest there."""
    elsewhere = move_on(catalogue, model, policy)
    if elsewhere is not None:
        return elsewhere
    if not policy.organise:
        return None
    siblings = _loose_siblings(catalogue, file)
    apart = splitting.apart(catalogue, paths.MODELS, siblings, policy, retry=retry)
    if apart is not None:
        return apart
    target = paths.join(model.folder, paths.name(file.path))
    if links.is_bound(catalogue, file) or is_held_up(catalogue, file, target, retry=retry):
        return None
    if file.path in policy.resting and model.status == "ready":
        return None
    return Move(model.uid, file.path, target, file.stamp, max(file.position, model.position))


def _organise_folder(
    catalogue: Catalogue, place: str, files: list[File], policy: Policy, retry: bool
) -> Step | None:
    """A folder that is no model: it becomes one, or what it holds gets folders of its own."""
    leaving = splitting.next_step(catalogue, place, files, policy, retry=retry)
    if leaving is not None or place in policy.held:
        return leaving
    free = [file for file in files if not is_leaving(catalogue, file)]
    found = groups.group(free)
    models = groups.of_kind(found, "model")
    if not any(paths.is_manifest(file.path) for file in free):
        if len(models) > 1 or (models and policy.organise and splitting.is_nested(place)):
            return splitting.register(catalogue, place, models, policy, retry=retry)
        for part in _lone_parts(place, free, found, policy):
            paired = _pair(catalogue, part)
            if paired is not None:
                return paired
    makers = [file for file in free if _makes_a_model(file.path)]
    # In a tree a link that cannot be read says nothing yet; its model gets a folder elsewhere once it can.
    waits = all(file.link is not None and file.refused is not None for file in makers)
    if not makers or (waits and policy.organise and splitting.is_nested(place)):
        return None
    first = makers[0]
    id_ = free_id(id_from_folder(paths.name(place)), GivenIds(catalogue))
    event = arrival(catalogue, first.uid, id_, place, None)
    return Decide(((first.uid, event),), first.position)


def _tend(catalogue: Catalogue, model: Model, files: list[File], policy: Policy, retry: bool) -> Step | None:
    """What a model's folder still lacks, and what does not belong into it."""
    leaving: Step | None = share_no_folder(catalogue, model.folder, files, policy)
    leaving = leaving or splitting.next_step(catalogue, model.folder, files, policy, retry=retry)
    if leaving is not None or model.loose is not None:
        return leaving  # with files of its own still outside it is too early to judge
    manifest = manifest_of(files)
    own = [file for file in files if file.uid == model.uid]
    found = groups.group(own)
    models = groups.of_kind(found, "model")
    stays = groups.chosen(models, manifest)
    if stays is None and models and not any(paths.is_manifest(file.path) for file in files):
        stays = min(models, key=lambda each: _first_to_stay(catalogue, each))
    if stays is not None and len(models) > 1:
        others = [each for each in models if each != stays and not splitting.is_named(each, manifest)]
        apart = splitting.register(catalogue, model.folder, others, policy, retry=retry)
        if apart is not None:
            return apart
    wanted = links.wanted(catalogue, model, manifest, retry=retry)
    wanted = wanted or _named_projector(catalogue, model, policy, retry)
    if wanted is not None:
        return wanted
    parts = _lone_parts(model.folder, own, found, policy)
    if parts and manifest is None:
        return _pair(catalogue, parts[0])
    return _generate(catalogue, model, found, policy, retry)


def _first_to_stay(catalogue: Catalogue, each: Group) -> tuple[bool, int, str]:
    """What must not move goes before what was here first."""
    return not links.leads_here(catalogue, each.head), each.head.position, each.head.path


def _lone_parts(place: str, files: list[File], found: list[Group], policy: Policy) -> list[Group]:
    """Projectors and adapters that have no model beside them, not even a broken one or one on its way."""
    if place in policy.arriving or any(paths.is_binary(f.path) and not groups.is_part(f) for f in files):
        return []
    return [each for each in found if each.is_part]


def _pair(catalogue: Catalogue, part: Group) -> Step | None:
    """Give a projector or adapter to the one model that it fits."""
    if pairing.lacking(catalogue, paths.shown_name(part.head.path)):
        return None  # a person's word goes first
    fitting = [model for model in pairing.claimants(catalogue, part) if model.uid != part.head.uid]
    if len(fitting) != 1:
        return None
    events = tuple((fitting[0].uid, PartPaired(file.path, "metadata")) for file in part.files)
    return Decide(events, max(part.head.position, fitting[0].position))


def _named_projector(catalogue: Catalogue, model: Model, policy: Policy, retry: bool) -> Step | None:
    """Bring in the projector that a model.json names: that is a person's word, whatever the headers say."""
    for file in pairing.named_elsewhere(catalogue, model):
        owner = catalogue.models.get(file.uid)
        cause = max(file.position, model.position)
        here = paths.parent(file.path) == model.folder
        if here or owner is None or owner.removed is not None or _is_by_itself(catalogue, owner, file):
            return Decide(((model.uid, PartPaired(file.path, "model.json")),), cause)
        target = paths.join(model.folder, paths.name(file.path))
        if policy.organise and (file.stuck is None or retry) and target not in catalogue.files:
            return Copy(model.uid, file.path, target, "hard-link", file.stamp, cause)
    return None


def _is_by_itself(catalogue: Catalogue, owner: Model, projector: File) -> bool:
    """Whether a projector waits for its model in a folder whose model.json does not ask for it, too."""
    manifest = manifest_of(files_in(catalogue, owner.folder))
    return owner.status == "part" and groups.named(manifest, "mmproj") != paths.shown_name(projector.path)


def _generate(
    catalogue: Catalogue, model: Model, found: list[Group], policy: Policy, retry: bool
) -> Step | None:
    """The model.json for the binary, once all its shards are there: if there is none, or if the one that was
    generated would be another now.
    """
    path = paths.join(model.folder, paths.MANIFEST)
    written = catalogue.files.get(path)
    files = files_in(catalogue, model.folder) + files_of(catalogue, model.uid)
    if written is None and any(paths.is_manifest(file.path) for file in files):
        return None  # one is yet to move in
    if path in policy.unfinished:
        return None  # somebody writes one
    stuck = model.stuck if written is None else written.stuck
    if (stuck is not None and not retry) or model.binary is None:
        return None
    if written is not None and (written.base is None or written.refused is not None):
        return None  # it is the person's own, or cannot be read
    mine = next((each for each in found if each.head.path == model.binary), None)
    if mine is None or mine.head.facts is None or mine.missing:
        return None
    projectors = groups.of_kind(found, "projector")
    names = tuple(paths.shown_name(file.path) for file in mine.files)
    size = sum(file.stamp.size for file in mine.files)
    mmproj = paths.shown_name(projectors[0].head.path) if len(projectors) == 1 else None
    made_from = digest(model.id, names, size, mine.head.facts, mmproj, schema=reference(path, MODEL))
    if written is not None and written.made_from == made_from and written.stuck is None:
        return None  # what it was stuck at may be past, which is found when it is tried again
    return Generate(
        model.uid,
        path,
        names,
        size,
        mine.head.stamp,
        mine.head.facts,
        max(mine.head.position, model.position),
        mmproj,
        made_from,
        written is not None,
    )


def _loose_siblings(catalogue: Catalogue, file: File) -> list[File]:
    """A loose file and the other shards of its set that lie loose too."""
    if paths.shard(file.path) is None:
        return [file]
    return [each for each in files_of(catalogue, file.uid) if paths.parent(each.path) == paths.MODELS]
