"""Files that someone else gave another name: the same inode, size and time, gone from the old place.

A folder that was renamed as a whole takes its model with it, and so does a loose file that someone moved into
a folder before we did: the uid stays, the id changes. So it is with folders that changed names with each
other, two or more in a ring, and with one that left its folder to the next, where every file proves it.
"""

from collections.abc import Mapping
from itertools import pairwise

from janfs.catalogue.catalogue import Catalogue, GivenIds, files_in
from janfs.catalogue.entries import File, Model
from janfs.events import types as e
from janfs.folder import paths
from janfs.folder.filesystem import Stat
from janfs.organise.naming import free_id, id_from_folder
from janfs.pipeline.recorder import Draft
from janfs.pipeline.streams import Streams

_ACTOR = "folder"


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
        source = _origin(catalogue, path, stat, memory)
        if source is not None and source not in seen:
            places.append(paths.place(source))
    return places


def swapped(catalogue: Catalogue, seen: Mapping[str, Stat], memory: Memory) -> list[Draft]:
    """The models whose folders changed names with each other, as events of both.

    Of a ring of folders, whichever model is at the first of them changes with that of the next one in turn.
    """
    drafts = []
    for ring in _rings(_gone_elsewhere(catalogue, seen, memory, known=True)):
        models = [catalogue.models[catalogue.folders[folder]] for folder in ring]
        first = models[0]
        for model, other in pairwise(models):
            there = e.ModelSwapped(other.id, other.folder, first.id, first.folder)
            here = e.ModelSwapped(first.id, first.folder, other.id, other.folder)
            drafts += [Draft(model.uid, there, _ACTOR), Draft(other.uid, here, _ACTOR)]
    return drafts


def vacated(catalogue: Catalogue, seen: Mapping[str, Stat], memory: Memory) -> list[Draft]:
    """The models whose folders got new names before others got theirs, as events."""
    drafts = []
    given: set[str] = set()
    for origin, place in _gone_elsewhere(catalogue, seen, memory, known=False).items():
        files = files_in(catalogue, origin)
        model = _model_at(catalogue, origin)
        if model is None or all(file.path not in seen for file in files):
            continue
        for file in files:
            target = paths.join(place, paths.name(file.path))
            drafts.append(
                Draft(file.uid, e.FileMoved(file.path, target, seen[target].stamp or file.stamp), _ACTOR)
            )
        event = _renamed(catalogue, model, place, given)
        given.add(event.id)
        drafts.append(Draft(model.uid, event, _ACTOR))
    return drafts


def _gone_elsewhere(
    catalogue: Catalogue, seen: Mapping[str, Stat], memory: Memory, *, known: bool
) -> dict[str, str]:
    """The folders of models, each with that to which every file of it went: where one was `known`, or not."""
    pairs = set()
    for path, stat in seen.items():
        source = _origin(catalogue, path, stat, memory)
        origin, place = paths.parent(source or ""), paths.parent(path)
        is_known = place in catalogue.folders if known else place in catalogue.children
        if origin in catalogue.folders and place != paths.MODELS and is_known == known:
            pairs.add((origin, place))
    return {origin: place for origin, place in sorted(pairs) if _went(catalogue, seen, memory, origin, place)}


def _rings(went: Mapping[str, str]) -> list[list[str]]:
    """Folders of which each went where the next one was, and the last to the first."""
    rings: list[list[str]] = []
    seen: set[str] = set()
    for start in went:
        way: list[str] = []
        folder: str | None = start
        while folder is not None and folder not in seen:
            seen.add(folder)
            way.append(folder)
            folder = went.get(folder)
        if folder in way:
            rings.append(way[way.index(folder) :])
    return rings


def _went(catalogue: Catalogue, seen: Mapping[str, Stat], memory: Memory, origin: str, place: str) -> bool:
    """Whether every file that is known of a folder went to another, as it was."""
    for file in files_in(catalogue, origin):
        stat, left = seen.get(paths.join(place, paths.name(file.path))), seen.get(file.path)
        if stat is None or stat.link != file.link or not _is_same(file, stat, memory):
            return False
        if left is not None and _is_same(file, left, memory):
            return False
    return True


def _is_same(file: File, stat: Stat, memory: Memory) -> bool:
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
            drafts.append(Draft(uid, e.FileMoved(source, target, stamp), _ACTOR))
    given: set[str] = set()
    for origin, place in sorted(renamed):
        model = _model_at(catalogue, origin)
        if model is not None and streams.known(place) == model.uid:
            event = _renamed(catalogue, model, place, given)
            given.add(event.id)
            drafts.append(Draft(model.uid, event, _ACTOR))
    return drafts, {*pairs, *pairs.values()}


def _source(catalogue: Catalogue, path: str, stat: Stat, memory: Memory) -> str | None:
    """The known file that a new one was, if its old name is free now."""
    return None if path in catalogue.files else _origin(catalogue, path, stat, memory)


def _origin(catalogue: Catalogue, path: str, stat: Stat, memory: Memory) -> str | None:
    """Where the file that is at a path now was seen before, if that was elsewhere."""
    known = catalogue.files.get(path)
    if stat.stamp is None or stat.link is not None or (known is not None and _is_same(known, stat, memory)):
        return None
    source = memory.by_inode.get(stat.stamp.inode)
    file = catalogue.files.get(source) if source is not None and source != path else None
    if file is None or _kind(file.path) != _kind(path) or not _is_same(file, stat, memory):
        return None
    return source


def _kind(path: str) -> tuple[bool, bool, bool]:
    """What a name makes of a file; under a name of another kind it is looked at as a new one."""
    return paths.is_manifest(path), paths.is_binary(path), paths.is_engine_file(path)


def _stream(
    catalogue: Catalogue, source: str, target: str, renamed: set[tuple[str, str]], streams: Streams
) -> str:
    """A file goes to whoever owns its new place; a place that is new goes with what moved there whole.

    In a folder that was renamed, what was on its way to a model's folder elsewhere is so still.
    """
    origin, place = paths.place(source), paths.place(target)
    uid = catalogue.files[source].uid
    if (origin, place) in renamed and _is_leaving(catalogue, uid, origin):
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


def _model_at(catalogue: Catalogue, place: str) -> Model | None:
    """The present model whose folder, or whose loose file, is at a place."""
    file = catalogue.files.get(place)
    model = catalogue.models.get(file.uid if file is not None else catalogue.folders.get(place, ""))
    return model if model is not None and model.removed is None else None


def _renamed(catalogue: Catalogue, model: Model, folder: str, given: set[str]) -> e.ModelRenamed:
    taken = GivenIds(catalogue, besides=model.uid, also=given)
    return e.ModelRenamed(free_id(id_from_folder(paths.name(folder)), taken), folder, model.id)
