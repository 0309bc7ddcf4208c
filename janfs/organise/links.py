"""Links: what lies behind one is somebody else's and stays where it is. Pure.

The trees of a hub's cache hold links to blobs. Such a tree is left as it is; each model in it gets a folder
of its own with a link in it. A model.json that names a file elsewhere on this machine, as Jan wrote for
imports that keep the original, gets such a link too.
"""

from janfs.catalogue.catalogue import Catalogue, files_in, files_of
from janfs.catalogue.entries import File, Model
from janfs.catalogue.groups import Group, group, of_kind
from janfs.folder import paths
from janfs.manifest.schema import Manifest
from janfs.organise.homes import home_of
from janfs.organise.steps import Copy, Policy, Step


def leads_here(catalogue: Catalogue, file: File) -> bool:
    """Whether a link somewhere in the folder leads to this file."""
    return file.link is None and bool(others(catalogue, file))


def is_bound(catalogue: Catalogue, file: File) -> bool:
    """Whether a file cannot move because a link leads to it, or to another shard of its set that is not in
    the model's folder yet; or because it is a link itself, and another one leads through it.
    """
    if file.link is not None:
        links = [catalogue.files[path] for path in others(catalogue, file)]
        return any(paths.behind(each.path, each.link or "") == file.path for each in links)
    shard = paths.shard(file.path)
    if shard is None:
        return leads_here(catalogue, file)
    model = catalogue.models.get(file.uid)
    home = None if model is None else model.folder
    return any(
        leads_here(catalogue, each) and paths.parent(each.path) != home
        for each in files_of(catalogue, file.uid)
        if (of := paths.shard(each.path)) is not None and (of.stem, of.count) == (shard.stem, shard.count)
    )


def others(catalogue: Catalogue, file: File) -> list[str]:
    """The links somewhere in the folder, besides the file itself, that lead to the same content."""
    same = catalogue.links.get(str(file.stamp.inode)) or ()
    return [path for path in same if path != file.path and catalogue.files[path].stamp == file.stamp]


def adopt(catalogue: Catalogue, linked: Group, uid: str, policy: Policy, *, retry: bool) -> Step | None:
    """The next link to make, for a model that consists of links in somebody else's tree.

    One whose links were removed again is not wanted, and stays removed.
    """
    mine = files_of(catalogue, uid)
    here = {paths.name(file.path) for file in mine}
    known = catalogue.models.get(uid)
    gone = known is not None and not any(paths.name(file.path) in here for file in linked.files)
    if not policy.organise or gone or (known is not None and known.removed is not None):
        return None
    if _is_left_to_another(catalogue, linked.head, uid):
        return None
    folder = paths.parent(mine[0].path) if mine else None
    for file in linked.files:
        if _adopter(catalogue, file):
            continue
        if folder is None:
            outer = paths.name(paths.parent(file.path))
            folder = home_of(catalogue, paths.name(file.path), policy, outer)
        target = paths.join(folder, paths.name(file.path))
        if (file.stuck is None or retry) and target not in catalogue.files:
            return Copy(uid, file.path, target, "symbolic-link", file.stamp, file.position)
    return None


def wanted(catalogue: Catalogue, model: Model, manifest: Manifest | None, *, retry: bool) -> Step | None:
    """A link for a file elsewhere on this machine that a model.json names, and that is not in its folder."""
    if manifest is None or model.binary is not None or (model.stuck is not None and not retry):
        return None
    for source in manifest.sources:
        place = source.url.removeprefix("file://") if source.url else ""
        if not place.startswith("/") or not paths.is_binary(place) or "\0" in place:
            continue
        target = paths.join(model.folder, paths.encode_name(place.rpartition("/")[2].encode()))
        if target not in catalogue.files:
            return Copy(model.uid, place, target, "symbolic-link", None, model.position)
    return None


def _is_left_to_another(catalogue: Catalogue, file: File, uid: str) -> bool:
    """Whether another link to the same content goes first, so that it does not matter which is looked at."""
    rivals = [catalogue.files[path] for path in others(catalogue, file)]
    rivals = [each for each in rivals if each.uid != uid and each.facts is not None and not each.refused]
    rivals = [each for each in rivals if not _is_held_back(catalogue, each)]
    return any(_rank(each) < _rank(file) for each in rivals)


def _is_held_back(catalogue: Catalogue, file: File) -> bool:
    """Whether a file lies in a model's folder whose model.json leaves open which file is served, or cannot
    be read.
    """
    model = catalogue.models.get(catalogue.folders.get(paths.parent(file.path)) or "")
    return model is not None and model.binary is None


def _rank(file: File) -> tuple[bool, str]:
    return paths.parent(file.path) != paths.MODELS, file.path


def _adopter(catalogue: Catalogue, file: File) -> bool:
    """Whether a model's folder directly below `models/` has a link to the same file, which may be served."""
    links = [catalogue.files[path] for path in others(catalogue, file)]
    homes = [paths.parent(link.path) for link in links if not _is_held_back(catalogue, link)]
    homes = [home for home in homes if home != paths.parent(file.path) and paths.parent(home) == paths.MODELS]
    return any(home in catalogue.folders or _holds_one(catalogue, home) for home in homes)


def _holds_one(catalogue: Catalogue, place: str) -> bool:
    """Whether a folder will be a model itself, whatever parts lie beside it."""
    return len(of_kind(group(files_in(catalogue, place)), "model")) == 1
