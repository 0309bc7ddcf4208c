"""Looking at the disk: the differences between what is there and what the catalogue knows, as events."""

from collections.abc import Iterable, Mapping
from contextlib import suppress

import msgspec
from msgspec import Struct

from janfs.catalogue.catalogue import Catalogue, Key, file_at, is_open
from janfs.catalogue.entries import File
from janfs.clock import Clock, Ids
from janfs.events import types as e
from janfs.folder import claims, paths, settle, spelling
from janfs.folder.closed import Closed
from janfs.folder.filesystem import FileSystem, Stat
from janfs.folder.scan import Leftovers, Scan, is_behind_link, is_gone, places_of, scan, scan_engine_files
from janfs.folder.spelling import Taken
from janfs.pipeline import moves
from janfs.pipeline.exchanges import exchanged
from janfs.pipeline.recorder import Draft
from janfs.pipeline.snapshot import Arrival
from janfs.pipeline.streams import Streams
from janfs.pipeline.verdicts import Watched, event_of

FOLDER = "folder"  # the actor of whatever people and programs do to the files
UNREADABLE = "unreadable"  # the code of a file that we may not read
UNREADABLE_AGAIN, UNREADABLE_LATEST = 5.0, 60.0  # seconds until another try at a file that could not be read


class Observation(Struct):
    """Events of one look, and their texts. With `look_again` the rest is seen once they are recorded."""

    drafts: list[Draft]
    documents: dict[str, bytes]
    temporaries: list[str] = msgspec.field(default_factory=list)
    look_again: bool = False


class Observer:
    """Looks at the folder. What it remembers between looks only saves work and shows progress."""

    def __init__(self, fs: FileSystem, clock: Clock, ids: Ids, catalogue: Catalogue) -> None:
        """`catalogue` is what is known at first."""
        self._fs = fs
        self._clock = clock
        self._ids = ids
        self._waiting: dict[str, Watched] = {}
        self._memory = moves.Memory()
        known = catalogue.files.items()
        self._memory.by_inode = {file.stamp.inode: path for path, file in known if file.link is None}
        self._leftovers = Leftovers(fs)
        self._closed = Closed()
        self._folds = False
        self._taken = Taken()
        self._passed_over: dict[str, tuple[str, ...]] = {}  # by plan: where nothing was looked at for it
        self._again: set[str] = set()

    @property
    def arrivals(self) -> Mapping[str, Arrival]:
        """The files that are not whole yet, by path."""
        return {path: watched.arrival for path, watched in self._waiting.items()}

    @property
    def closed(self) -> Mapping[str, str]:
        """The folders that could not be looked into last, and why."""
        return self._closed.reasons

    @property
    def taken(self) -> Taken:
        """The names in `models/` that no new folder can have, by what was seen there last."""
        return self._taken

    @property
    def next_due(self) -> float | None:
        """When the next path should be looked at again, in the clock's monotonic seconds."""
        due = [watched.due for watched in self._waiting.values()]
        return self._clock.monotonic() if self._again else min(due, default=None)

    def due(self) -> list[str]:
        """The paths that should be looked at again now."""
        now = self._clock.monotonic()
        return [*self._again, *(path for path, watched in self._waiting.items() if watched.due <= now)]

    def forget(self) -> None:
        """Look at everything anew: what was seen last did not get into the log."""
        self._memory.looked.clear()
        self._waiting.clear()

    def index(self, catalogue: Catalogue, touched: Iterable[Key]) -> None:
        """Keep up with what became of files in the catalogue."""
        for kind, path in touched:
            if kind == "plan" and path not in catalogue.plans:
                self._again.update(self._passed_over.pop(path, ()))
            if kind not in ("file", "engine"):
                continue
            file = file_at(catalogue, path)
            if file is None:
                self._memory.looked.pop(path, None)
            elif file.link is None and kind == "file":
                self._memory.by_inode[file.stamp.inode] = path

    def look(self, catalogue: Catalogue, hints: Iterable[str]) -> Observation:
        """What is different below these paths, but for where a plan has no outcome: who did what is there?"""
        seen: dict[str, Stat] = {}
        known: set[str] = set()
        temporaries: list[str] = []
        hints = dict.fromkeys(hints)
        self._again.difference_update(list(self._again) if "" in hints else hints)
        self._passed_over |= {op: plan.changes for op, plan in catalogue.plans.items()}
        for hint in hints:
            if hint in self._waiting:  # it was closed, perhaps, which its times do not show
                self._waiting[hint].due = self._clock.monotonic()
        places = [place for hint in ([""] if "" in hints else hints) for place in places_of(hint)]
        done: set[str] = set()
        while places:
            place = places.pop()
            if place in done:
                continue
            done.add(place)
            spelled = spelling.as_spelled(self._fs, place) if self._folds else place
            if spelled is None:
                continue  # it would be recorded, and moved, by the hint's own name
            if spelled != place:
                places.append(spelled)
            self._note_name(place, spelled)
            found, expected = self._see(catalogue, place, spelled == place)
            self._closed.seen(place, found)
            files = {path: stat for path, stat in found.files.items() if not is_open(catalogue, path)}
            known.update(path for path in expected if found.covers(path) and not is_open(catalogue, path))
            seen.update(files)
            temporaries += [*found.temporaries, *self._leftovers.within(found.trashes)]
            places += moves.other_ends(catalogue, files, seen, self._memory)
        missing = {path for path in known if path not in seen}
        observation = self._differences(catalogue, seen, missing)
        observation.temporaries = temporaries
        return observation

    def _see(self, catalogue: Catalogue, place: str, is_spelled: bool) -> tuple[Scan, list[str]]:
        """What is at a place, and which files the catalogue knows there; nothing is at another's spelling."""
        if place == paths.ENGINES:
            return scan_engine_files(self._fs), list(catalogue.engine_files)
        if place == paths.MODELS:
            found = scan(self._fs, place)
            if place not in found.unreadable:
                self._folds = spelling.folds_names(self._fs, place, found.top)
                self._taken = spelling.taken(found.top)
            return found, list(catalogue.files)
        if not is_spelled:
            gone = [path for path in catalogue.files if paths.is_inside(path, place)]
            return Scan({}, {}), gone
        below = [folder for folder in catalogue.children if paths.is_inside(folder, place)]
        expected = [path for folder in below for path in catalogue.children[folder]]
        try:
            is_linked = is_behind_link(self._fs, place)
            stat = None if is_linked else self._fs.stat(place)
        except OSError as error:
            return Scan({}, {place: error.strerror or str(error)}), expected
        if stat is not None and stat.is_dir:
            if stat.link is not None or any(paths.is_ignored(part) for part in place.split("/")[1:]):
                return Scan({}, {}), expected
            return scan(self._fs, place), expected
        if place in catalogue.files:
            expected.append(place)
        if stat is None and not is_linked and paths.is_swapped(place):  # it may be set aside
            beside = scan(self._fs, paths.parent(place), recursive=False)
            return Scan({}, beside.unreadable, beside.temporaries), expected
        if stat is None or stat.is_dir or any(paths.is_ignored(part) for part in place.split("/")[1:]):
            return Scan({}, {}), expected
        return Scan({place: stat}, {}), expected

    def _note_name(self, place: str, spelled: str) -> None:
        """Keep up with the names in `models/` when there is a look at one of them, or below it."""
        if place in (paths.MODELS, paths.ENGINES):
            return
        top, name = place.split("/")[:2]
        is_there = name == spelled.split("/")[1]
        with suppress(OSError):  # what cannot be seen is as it was
            stat = self._fs.stat(paths.join(top, name)) if is_there else None
            self._taken = self._taken.seen(name, stat)

    def _differences(self, catalogue: Catalogue, seen: Mapping[str, Stat], missing: set[str]) -> Observation:
        found = exchanged(catalogue, seen, missing, self._memory)
        if found:
            return Observation(found, {}, look_again=True)
        streams = Streams(self._fs, catalogue, self._ids)
        drafts, moved = moves.detect(catalogue, seen, missing, self._memory, streams)
        observation = Observation(drafts, {})
        for path in sorted(seen):  # in whatever order the disk gave them
            stat, file = seen[path], file_at(catalogue, path)
            if path in moved:
                continue
            if self._is_new(path, stat, file):
                self._examine(observation, streams, path, stat, file)
            else:
                self._waiting.pop(path, None)  # what came to its place went, and it is there again
        for path in sorted(missing - moved):
            file = file_at(catalogue, path)
            is_json = paths.is_manifest(path) or paths.is_engine_file(path)
            if file is not None:
                drafts.append(Draft(file.uid, (e.JsonRemoved if is_json else e.FileRemoved)(path), FOLDER))
        for path in [
            path for path in self._waiting if path in moved or (path not in seen and is_gone(self._fs, path))
        ]:
            del self._waiting[path]
        return observation

    def _is_new(self, path: str, stat: Stat, file: File | None) -> bool:
        if file is not None and file.refused is not None and file.refused.code == UNREADABLE:
            return True  # who may read it can change without a trace at the file itself
        looked = self._memory.looked.get(path)
        if looked is None and file is not None and file.stamp == stat.stamp:
            self._memory.keep(path, stat)  # known from before the start
            return False
        return looked != stat

    def _examine(
        self, observation: Observation, streams: Streams, path: str, stat: Stat, file: File | None
    ) -> None:
        now = self._clock.monotonic()
        watched = self._waiting.get(path)
        since = watched.since if watched is not None and watched.stat == stat else now
        if watched is not None and watched.stat == stat and watched.due > now + 0.001:
            return
        try:
            verdict = settle.examine(self._fs, path, stat, now - since)
        except FileNotFoundError:
            return
        except PermissionError as error:
            verdict = settle.Refused(stat.stamp or settle.NO_STAMP, UNREADABLE, f"{error.strerror}.")
        except OSError as error:
            again = max(UNREADABLE_AGAIN, min(now - since, UNREADABLE_LATEST))
            verdict = settle.Waiting(f"It cannot be read: {error.strerror}.", again)
        if isinstance(verdict, settle.Waiting):
            size = stat.stamp.size if stat.stamp is not None else 0
            arrival = Arrival(path, verdict.reason, verdict.percentage, size, since)
            self._waiting[path] = Watched(stat, since, now + verdict.again, arrival)
            return
        self._waiting.pop(path, None)
        self._memory.keep(path, stat)
        event = event_of(path, stat, file, verdict)
        if event is not None:
            observation.drafts.append(Draft(streams.of(path), event, FOLDER))
        if isinstance(event, e.FileDropped | e.FileChanged) and paths.is_binary(path):
            digest = claims.claimed(self._fs, path, stat)
            if digest is not None:
                hashed = e.FileHashed(path, event.stamp, digest, "hub")
                observation.drafts.append(Draft(streams.of(path), hashed, FOLDER))
        if isinstance(verdict, settle.JsonRead | settle.JsonWrong) and event is not None:
            observation.documents[verdict.sha256] = verdict.text
