"""Files that someone else gave another name: the same inode, size and time, gone from the old place.

A folder that was renamed as a whole takes its model with it: the uid stays, the id changes.
"""

from collections.abc import Mapping

from janfs.catalogue.catalogue import Catalogue, files_in
from janfs.catalogue.entries import Model
from janfs.events import types as e
from janfs.folder import paths
from janfs.folder.filesystem import Stat
from janfs.organise.naming import free_id, id_from_folder
from janfs.pipeline.recorder import Draft
from janfs.pipeline.streams import Streams

_ACTOR = "folder"


def other_ends(
    catalogue: Catalogue, found: Mapping[str, Stat], seen: Mapping[str, Stat], by_inode: Mapping[int, str]
) -> list[str]:
    """The places where new files may have come from, and that have not been looked at yet."""
    places = []
    for path, stat in found.items():
        source = _source(catalogue, path, stat, by_inode)
        if source is not None and source not in seen:
            places.append(paths.place(source))
    return places


def detect(
    catalogue: Catalogue,
    seen: Mapping[str, Stat],
    missing: set[str],
    by_inode: Mapping[int, str],
    streams: Streams,
) -> tuple[list[Draft], set[str]]:
    """The moves among new and missing files, as events; and every path that they account for."""
    pairs = {}
    for path, stat in seen.items():
        source = _source(catalogue, path, stat, by_inode)
        if source is not None and source in missing:
            pairs[source] = path
    renamed = _renamed_folders(catalogue, pairs, seen)
    drafts: list[Draft] = []
    for source, target in sorted(pairs.items()):
        stamp = seen[target].stamp
        if stamp is not None:
            uid = _stream(catalogue, source, target, renamed, streams)
            drafts.append(Draft(uid, e.FileMoved(source, target, stamp), _ACTOR))
    for folder, target in sorted(renamed):
        model = catalogue.models.get(catalogue.folders.get(folder, ""))
        if model is not None and streams.known(target) == model.uid:
            drafts.append(Draft(model.uid, _renamed(catalogue, model, target), _ACTOR))
    return drafts, {*pairs, *pairs.values()}


def _source(catalogue: Catalogue, path: str, stat: Stat, by_inode: Mapping[int, str]) -> str | None:
    """The known file that a new one was, if its old name is free now."""
    if path in catalogue.files or stat.stamp is None or stat.link is not None:
        return None
    source = by_inode.get(stat.stamp.inode)
    file = catalogue.files.get(source) if source is not None else None
    if file is None or file.stamp != stat.stamp or _kind(file.path) != _kind(path):
        return None
    return source


def _kind(path: str) -> tuple[bool, bool]:
    """What a name makes of a file; under a name of another kind it is looked at as a new one."""
    return paths.is_manifest(path), paths.is_binary(path)


def _stream(
    catalogue: Catalogue, source: str, target: str, renamed: set[tuple[str, str]], streams: Streams
) -> str:
    """A file goes to whoever owns its new place; a place that is new goes with what moved there whole."""
    origin, place = paths.place(source), paths.place(target)
    if streams.known(place) is None and (origin == source or (origin, place) in renamed):
        streams.give(place, catalogue.files[source].uid)
    return streams.of(target)


def _renamed_folders(
    catalogue: Catalogue, pairs: Mapping[str, str], seen: Mapping[str, Stat]
) -> set[tuple[str, str]]:
    """Folders whose every remaining file went to one and the same other folder."""
    renamed = set()
    for source, target in pairs.items():
        origin, place = paths.place(source), paths.place(target)
        if origin == source or place == target:
            continue
        left = [file for file in files_in(catalogue, origin) if file.path in seen]
        elsewhere = [
            file
            for file in files_in(catalogue, origin)
            if file.path in pairs and paths.place(pairs[file.path]) != place
        ]
        if not left and not elsewhere:
            renamed.add((origin, place))
    return renamed


def _renamed(catalogue: Catalogue, model: Model, folder: str) -> e.ModelRenamed:
    taken = {name for name, uid in catalogue.ids.items() if uid != model.uid}
    return e.ModelRenamed(free_id(id_from_folder(paths.name(folder)), taken), folder, model.id)
