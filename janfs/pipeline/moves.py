"""Files that someone else gave another name: the same inode, size and time, gone from the old place.

A folder that was renamed as a whole takes its model with it, and so does a loose file that someone moved into
a folder before we did: the uid stays, the id changes. What a model is served from stays its own when someone
takes it out to lie loose, and so it comes back.
"""

from collections.abc import Iterable, Mapping

from janfs.catalogue.catalogue import Catalogue, GivenIds, files_in
from janfs.catalogue.entries import File, Model
from janfs.catalogue.groups import is_part
from janfs.events import types as e
from janfs.folder import paths
from janfs.folder.filesystem import Stat
from janfs.organise.naming import free_id, id_from_folder
from janfs.pipeline.recorder import Draft
from janfs.pipeline.streams import Streams

ACTOR = "folder"


class Memory:
    """What was seen last: each file's `Stat`, which may be newer than the log where only a time changed."""

    def __init__(self) -> None:
        self.looked: dict[str, Stat] = {}
        self.by_inode: dict[int, str] = {}

    def keep(self, path: str, stat: Stat) -> None:
        """Remember one look."""
        self.looked[path] = stat
        if stat.stamp is not None and stat.link is None:
            self.by_inode[stat.stamp.inode] = path


def other_ends(
    catalogue: Catalogue, found: Mapping[str, Stat], seen: Mapping[str, Stat], memory: Memory
) -> list[str]:
    """The places where new files may have come from, and that have not been looked at yet."""
    places = []
    for path, stat in found.items():
        source = origin_of(catalogue, path, stat, memory)
        if source is not None and source not in seen:
            places.append(paths.place(source))
    return places


def is_same(file: File, stat: Stat, memory: Memory) -> bool:
    """Whether that is the very file, and it has not changed since it was seen last."""
    looked = memory.looked.get(file.path)
    return stat.stamp == file.stamp or (looked is not None and stat.stamp == looked.stamp)


def detect(
    catalogue: Catalogue,
    seen: Mapping[str, Stat],
    missing: set[str],
    memory: Memory,
    streams: Streams,
) -> tuple[list[Draft], set[str]]:
    """The moves among new and missing files, as events; and every path that they account for."""
    pairs = {}
    for path, stat in seen.items():
        source = _source(catalogue, path, stat, memory)
        if source is not None and source in missing:
            pairs[source] = path
    renamed = _renamed_folders(catalogue, pairs, missing)
    drafts: list[Draft] = []
    for source, target in sorted(pairs.items()):
        stamp = seen[target].stamp
        if stamp is not None:
            uid = _stream(catalogue, source, target, renamed, streams)
            drafts.append(Draft(uid, e.FileMoved(source, target, stamp), ACTOR))
    given: set[str] = set()
    for origin, place in sorted(renamed):
        model = model_at(catalogue, origin)
        if model is not None and streams.known(place) == model.uid:
            event = renamed_as(catalogue, model, place, given)
            given.add(event.id)
            drafts.append(Draft(model.uid, event, ACTOR))
    return drafts, {*pairs, *pairs.values()}


def _source(catalogue: Catalogue, path: str, stat: Stat, memory: Memory) -> str | None:
    """The known file that a new one was, if its old name is free now."""
    return None if path in catalogue.files else origin_of(catalogue, path, stat, memory)


def origin_of(catalogue: Catalogue, path: str, stat: Stat, memory: Memory) -> str | None:
    """Where the file that is at a path now was seen before, if that was elsewhere."""
    known = catalogue.files.get(path)
    if stat.stamp is None or stat.link is not None or (known is not None and is_same(known, stat, memory)):
        return None
    source = memory.by_inode.get(stat.stamp.inode)
    file = catalogue.files.get(source) if source is not None and source != path else None
    if file is None or _kind(file.path) != _kind(path) or not is_same(file, stat, memory):
        return None
    return source


def _kind(path: str) -> tuple[bool, bool, bool]:
    """What a name makes of a file; under a name of another kind it is looked at as a new one."""
    return paths.is_manifest(path), paths.is_binary(path), paths.is_engine_file(path)


def _stream(
    catalogue: Catalogue, source: str, target: str, renamed: set[tuple[str, str]], streams: Streams
) -> str:
    """A file goes to whoever owns its new place; a place that is new goes with what moved there whole.

    In a folder that was renamed, what was on its way to a model's folder elsewhere is so still. A model's
    weights that lie loose now are no other model, which would leave this one without any.
    """
    origin, place = paths.place(source), paths.place(target)
    uid = catalogue.files[source].uid
    if (origin, place) in renamed and _is_leaving(catalogue, uid, origin):
        return uid
    if place == target and origin != source and _is_served_from(catalogue, uid, source):
        return uid
    if streams.known(place) is None and (origin == source or (origin, place) in renamed):
        streams.move(origin, place, uid)
    return streams.of(target)


def _is_leaving(catalogue: Catalogue, uid: str, folder: str) -> bool:
    """Whether what a model has in a folder is yet to move to the model's own."""
    model = catalogue.models.get(uid)
    return (
        folder in catalogue.children
        and model is not None
        and model.removed is None
        and model.folder != folder
    )


def _is_served_from(catalogue: Catalogue, uid: str, path: str) -> bool:
    """Whether a file is what a present model is served from, or one of its shards."""
    model = catalogue.models.get(uid)
    if model is None or model.removed is not None or model.binary is None:
        return False
    return path == model.binary or paths.is_same_set(path, model.binary)


def _renamed_folders(
    catalogue: Catalogue, pairs: Mapping[str, str], missing: set[str]
) -> set[tuple[str, str]]:
    """Places whose every remaining file went to one and the same other folder; one that was not looked at
    now may be there still.
    """
    renamed = set()
    for source, target in pairs.items():
        origin, place = paths.place(source), paths.place(target)
        if place in (target, origin):
            continue
        left = [file for file in files_in(catalogue, origin) if file.path not in missing]
        elsewhere = [
            file
            for file in files_in(catalogue, origin)
            if file.path in pairs and paths.place(pairs[file.path]) != place
        ]
        if not left and not elsewhere:
            renamed.add((origin, place))
    return renamed


def taken_out(catalogue: Catalogue, drafts: Iterable[Draft]) -> list[str]:
    """Where files lie now that someone just took out of a model's folder, and that are its, or are a part."""
    found = []
    for each in drafts:
        if isinstance(each.event, e.FileMoved):
            file = catalogue.files.get(each.event.target)
            uid = catalogue.folders.get(paths.parent(each.event.source))
            if file is not None and uid is not None and (uid == file.uid or is_part(file)):
                found.append(file.path)
    return found


def model_at(catalogue: Catalogue, place: str) -> Model | None:
    """The present model whose folder, or whose loose file, is at a place."""
    file = catalogue.files.get(place)
    model = catalogue.models.get(file.uid if file is not None else catalogue.folders.get(place, ""))
    return model if model is not None and model.removed is None else None


def renamed_as(catalogue: Catalogue, model: Model, folder: str, given: set[str]) -> e.ModelRenamed:
    """A model whose folder is another one now, as an event; ids that are `given` already are not free."""
    taken = GivenIds(catalogue, besides=model.uid, also=given)
    return e.ModelRenamed(free_id(id_from_folder(paths.name(folder)), taken), folder, model.id)
