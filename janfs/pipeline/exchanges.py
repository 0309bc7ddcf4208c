"""Folders of models that took each other's names, where every file proves it: each model goes with its own.

Two or more changed names in a ring, one left its folder to the next, or one took the place of a model that
was removed.
"""

from collections.abc import Mapping
from itertools import pairwise

from janfs.catalogue.catalogue import Catalogue, files_in, files_of
from janfs.events import types as e
from janfs.folder import paths
from janfs.folder.filesystem import Stat
from janfs.pipeline.moves import ACTOR, Memory, is_same, model_at, origin_of, renamed_as
from janfs.pipeline.recorder import Draft


def exchanged(
    catalogue: Catalogue, seen: Mapping[str, Stat], missing: set[str], memory: Memory
) -> list[Draft]:
    """What became of such models, as events; what else is to be seen shows once they are recorded."""
    found = _swapped(catalogue, seen, memory) or _vacated(catalogue, seen, memory)
    return found or _displaced(catalogue, seen, missing, memory)


def _swapped(catalogue: Catalogue, seen: Mapping[str, Stat], memory: Memory) -> list[Draft]:
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
            drafts += [Draft(model.uid, there, ACTOR), Draft(other.uid, here, ACTOR)]
    return drafts


def _vacated(catalogue: Catalogue, seen: Mapping[str, Stat], memory: Memory) -> list[Draft]:
    """The models whose folders got new names before others got theirs, as events."""
    drafts = []
    given: set[str] = set()
    for origin, place in _gone_elsewhere(catalogue, seen, memory, known=False).items():
        files = files_in(catalogue, origin)
        model = model_at(catalogue, origin)
        if model is None or all(file.path not in seen for file in files):
            continue
        for file in files:
            target = paths.join(place, paths.name(file.path))
            drafts.append(
                Draft(file.uid, e.FileMoved(file.path, target, seen[target].stamp or file.stamp), ACTOR)
            )
        event = renamed_as(catalogue, model, place, given)
        given.add(event.id)
        drafts.append(Draft(model.uid, event, ACTOR))
    return drafts


def _displaced(
    catalogue: Catalogue, seen: Mapping[str, Stat], missing: set[str], memory: Memory
) -> list[Draft]:
    """The models that were removed before another's folder got the name of theirs, as events.

    Of such a model nothing is left, neither there nor elsewhere.
    """
    went = _gone_elsewhere(catalogue, seen, memory, known=True)
    left = {paths.parent(origin_of(catalogue, path, stat, memory) or "") for path, stat in seen.items()}
    drafts = []
    for origin, place in went.items():
        files, model = files_in(catalogue, place), model_at(catalogue, place)
        theirs = {paths.join(place, paths.name(file.path)) for file in files_in(catalogue, origin)}
        is_gone = all(file.path in missing or file.path in theirs for file in files)
        if model is None or place in left or not is_gone or files != files_of(catalogue, model.uid):
            continue
        for file in files:
            is_json = paths.is_manifest(file.path)
            event = e.JsonRemoved(file.path) if is_json else e.FileRemoved(file.path)
            drafts.append(Draft(file.uid, event, ACTOR))
        drafts.append(Draft(model.uid, e.ModelRemoved("Another model's folder took its place."), ACTOR))
    return drafts


def _gone_elsewhere(
    catalogue: Catalogue, seen: Mapping[str, Stat], memory: Memory, *, known: bool
) -> dict[str, str]:
    """The folders of models, each with that to which every file of it went: where one was `known`, or not."""
    pairs = set()
    for path, stat in seen.items():
        source = origin_of(catalogue, path, stat, memory)
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
        if stat is None or stat.link != file.link or not is_same(file, stat, memory):
            return False
        if left is not None and is_same(file, left, memory):
            return False
    return True
