"""What janfs may do to the files of a root, told by two photos of it and what the log says meanwhile."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from janfs.catalogue.catalogue import file_at
from janfs.catalogue.fold import Recorded
from janfs.events import types as e
from janfs.folder import paths
from janfs.folder.spelling import as_spelled
from janfs.manifest.jsonc import parse, tokenize
from janfs.manifest.leaves import REMOVED, find, leaves
from janfs.manifest.secrets import as_recorded
from janfs.pipeline.recorder import rebuild, replay
from janfs.pipeline.root import MARKER
from tests.fakes.filesystem import FakeFileSystem
from tests.pipeline.world import World

INTENTS = e.MovePlanned | e.WritePlanned | e.CopyPlanned
FAILURES = e.MoveFailed | e.WriteFailed | e.CopyFailed
OUTCOMES = e.MoveCompleted | e.JsonWritten | e.JsonReverted | e.CopyCompleted | FAILURES
Photo = Mapping[str, tuple[int, bytes]]
"""Every file with its inode and content."""


def photo(fs: FakeFileSystem) -> Photo:
    """Everything below the root as it is now; what is set aside is where it will be put back."""
    taken = {}
    for path, content in fs.files().items():
        stat = fs.stat(path)
        assert stat is not None
        assert stat.stamp is not None
        taken[path] = (stat.stamp.inode, content)
    for path in list(taken):
        home = paths.home_of(path)
        if home is not None and home not in taken:
            taken[home] = taken.pop(path)
    return taken


def check_only_janfs_moved(world: World, since: int, before: Photo, after: Photo, *, deleting: bool) -> None:
    """Between two photos, the first of them taken at the log's position `since`, janfs alone was at work. It
    does what it planned in the log and nothing else: it may bring files into folders of models under their
    own names, copy and link them there, let copies share their content, write what is in the log as written,
    bring a model.json of its own up to date without losing a word of the person's, and, if asked to delete,
    move to the trash and back. Nothing else moves, changes or goes."""
    planned = list(_at_hand(world, since))
    before = {**before, **_rewritten(world, planned, before, after)}
    copies = [item.event for item in planned if isinstance(item.event, e.CopyPlanned)]
    writes = [item.event for item in planned if isinstance(item.event, e.WritePlanned)]
    shared = {copy.target for copy in copies if copy.reason == "dedupe"}
    original: dict[str, set[bytes]] = defaultdict(set)
    for path, (_, content) in before.items():
        original[paths.name(path)].add(content)
    arrived = {path: content for path, (_, content) in after.items() if after[path] != before.get(path)}
    for path, file in before.items():
        if after.get(path) == file or is_temporary(path) or path == MARKER:
            continue
        places = _places(world.fs, planned, path)
        target = next((place for place in places if after.get(place) == file), None)
        if target is None and path in shared:  # it became a second name of another file with its content
            target = next((place for place in places if place in after and after[place][1] == file[1]), None)
        assert target is not None, f"{path!r} {'was overwritten' if path in after else 'is lost'}"
        arrived.pop(target, None)
        if target != path:
            _check_place(world, path, target, deleting=deleting)
    for path, content in arrived.items():
        expected = path == MARKER or is_temporary(path)
        expected = expected or any(
            path in _places(world.fs, planned, copy.target) and content in original[paths.name(path)]
            for copy in copies
        )
        expected = expected or any(
            path in _places(world.fs, planned, write.path) and digest_of(path, content) == write.sha256
            for write in writes
        )
        assert expected, f"{path!r} came from nowhere"


def _at_hand(world: World, since: int) -> Iterator[Recorded]:
    """What was planned after a position, or had no outcome by then, and did not fail."""
    recorded = list(replay(world.log))
    past = {item.event.op for item in recorded if isinstance(item.event, OUTCOMES) and item.position <= since}
    failed = {item.event.op for item in recorded if isinstance(item.event, FAILURES)}
    for item in recorded:
        if isinstance(item.event, INTENTS) and item.event.op not in past | failed:
            yield item


def _places(fs: FakeFileSystem, planned: Iterable[Recorded], path: str) -> list[str]:
    """Where a file of before may lie by now: where it lay, and wherever it was to be moved."""
    places = [_as_found(fs, path)]
    for item in planned:
        if isinstance(item.event, e.MovePlanned):
            places += [there for place in places for there in _moved(fs, item.event, place)]
    return places


def _moved(fs: FakeFileSystem, move: e.MovePlanned, path: str) -> list[str]:
    """Where a move takes what lies at a path: nowhere, or, if it is deleted, to one of several trashes."""
    source, names = move.source.split("/"), path.split("/")
    if len(names) < len(source) or not all(map(fs.same_name, names, source)):
        return []
    targets = [move.target]
    if move.reason == "delete":
        below = move.target.removeprefix(paths.TRASH)
        targets = [trash + below for trash in paths.trashes(move.source)]
    return [_as_found(fs, "/".join((target, *names[len(source) :]))) for target in targets]


def _as_found(fs: FakeFileSystem, path: str) -> str:
    """A path as the disk spells its folder, which someone may have made before us in other letters."""
    folder = as_spelled(fs, paths.parent(path)) if fs.folds else paths.parent(path)
    assert folder is not None, "a disk without weather shows all"
    return paths.join(folder, paths.name(path))


def _check_place(world: World, path: str, target: str, *, deleting: bool) -> None:
    """Whether that is a place that janfs may move a file to."""
    same_name = paths.name(path) == paths.name(target)
    home = paths.parent(target)  # of a part, it may be the folder of whoever names it
    organised = same_name and paths.is_inside(path, paths.MODELS)
    organised = organised and (paths.parent(home) == paths.MODELS or home in world.catalogue.folders)
    deleted, restored = deleting and is_in_trash(target), deleting and is_in_trash(path)
    assert organised or deleted or restored, f"{path!r} was moved to {target!r}"


def is_in_trash(path: str) -> bool:
    """Whether a path lies in a trash, that of the root or one of another disk."""
    return paths.is_inside(path, paths.TRASH) or paths.name(paths.NEAR_TRASH) in path.split("/")


def _rewritten(world: World, planned: Iterable[Recorded], before: Photo, after: Photo) -> Photo:
    """Each model.json that janfs brought up to date, as it is now; checks that the person's word stands."""
    found: dict[str, tuple[int, bytes]] = {}
    for path, (_, text) in before.items():
        edited = paths.is_manifest(path) or paths.is_engine_file(path)
        if not edited or after.get(path) == before[path]:
            continue
        places, chain, written = [path], [], [digest_of(path, text)]  # it may have come no further yet
        for item in planned:
            match item.event:
                case e.MovePlanned() as move:
                    places += [there for place in places for there in _moved(world.fs, move, place)]
                case e.WritePlanned() as write if write.path in places and write.replaces == written[-1]:
                    chain.append(item)
                    written.append(write.sha256)
        new = (place for place in places if place in after and after[place] != before.get(place))
        there = next((place for place in new if digest_of(place, after[place][1]) in written[1:]), None)
        if not chain or there is None:
            continue
        for item in chain:
            check_words(world, item)
        found[path] = after[there]
    return found


def digest_of(path: str, text: bytes) -> str:
    """By what a text is known: that of what may be recorded of it."""
    edited = paths.is_manifest(path) or paths.is_engine_file(path)
    return hashlib.sha256(as_recorded(path, text) if edited else text).hexdigest()


def check_words(world: World, item: Recorded) -> None:
    """A planned rewriting leaves every leaf that is not as it was generated, and every comment."""
    planned = item.event
    assert isinstance(planned, e.WritePlanned)
    if planned.to is not None:
        return  # someone wanted other words
    known = file_at(rebuild(world.log, until=item.position - 1), planned.path)
    assert known is not None, f"{planned.path!r} was not known when it was rewritten"
    if planned.made_from == known.made_from:
        return  # someone asked for it, field by field
    texts = [world.log.document(digest or "") for digest in (planned.replaces, planned.sha256, known.base)]
    old, new, base = (parse(text or b"{}") for text in texts)
    for leaf, value in leaves(old).items():
        if find(base, leaf) != value:
            assert find(new, leaf) == value, f"{leaf} of {planned.path!r} was {value!r}: {find(new, leaf)!r}"
    for leaf, value in leaves(base).items():
        if find(old, leaf) is REMOVED:
            assert find(new, leaf) is REMOVED, f"{leaf} of {planned.path!r} is {value!r} again"
    before, now = ((text or b"").decode() for text in texts[:2])
    comments = [before[t.start : t.end] for t in tokenize(before) if t.kind == "comment"]
    assert all(comment in now for comment in comments), f"a comment of {planned.path!r} is lost"


def is_temporary(path: str) -> bool:
    """Whether a path is a file that janfs is about to rename."""
    return paths.name(path).startswith(paths.TEMP_PREFIX) and path != MARKER
