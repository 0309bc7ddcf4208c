"""Walking the folders of a root: every file that counts, with one look at each."""

from collections.abc import Iterable
from contextlib import suppress

import msgspec
from msgspec import Struct

from janfs.folder import paths
from janfs.folder.filesystem import FileSystem, Stat

MAX_DEPTH = 24  # folders below the first; deeper trees are nobody's models


class Scan(Struct, frozen=True):
    """What a walk found. Nothing may be concluded about what lies below a folder in `unreadable`.

    `temporaries` are what our own writes left behind when they could not be finished. A file that was set
    aside is there all the same, and cannot be seen. `top` is all that lies directly where the walk began,
    `trashes` are where what was deleted there lies, `closed` the folders that could not be listed, and why.
    """

    files: dict[str, Stat]
    unreadable: dict[str, str]
    temporaries: list[str] = msgspec.field(default_factory=list)
    top: dict[str, Stat] = msgspec.field(default_factory=dict)
    trashes: list[str] = msgspec.field(default_factory=list)
    closed: dict[str, str] = msgspec.field(default_factory=dict)

    def covers(self, path: str) -> bool:
        """Whether a file that is missing from `files` is really not there."""
        return not any(paths.is_inside(path, folder) for folder in self.unreadable)


def scan(fs: FileSystem, top: str, *, recursive: bool = True) -> Scan:
    """Walk `top` and what is below it. Folders behind links are not entered: what is there is not ours."""
    found = Scan({}, {}, trashes=[paths.TRASH] if top == paths.MODELS else [])
    folders = [(top, 0)]
    while folders:
        folder, depth = folders.pop()
        try:
            entries = fs.list(folder)
        except OSError as error:
            if not (isinstance(error, FileNotFoundError) and _is_nothing(fs, folder)):
                found.closed[folder] = found.unreadable[folder] = error.strerror or str(error)
            continue
        if folder == top:
            found.top.update(entries)
        for name, stat in entries.items():
            path = paths.join(folder, name)
            if paths.is_temporary(name):
                found.temporaries.append(path)
                home = paths.home_of(path)
                if home is not None and paths.name(home) not in entries:
                    found.unreadable[home] = "It is set aside."
            if name == paths.name(paths.NEAR_TRASH):
                found.trashes.append(path)
            if paths.is_ignored(name):
                continue
            if not stat.is_dir:
                found.files[path] = stat
            elif recursive and stat.link is None and depth < MAX_DEPTH:
                folders.append((path, depth + 1))
    return found


def _is_nothing(fs: FileSystem, folder: str) -> bool:
    """Whether nothing is there, as a list of it says, which alone is not believed."""
    try:
        return fs.stat(folder) is None
    except OSError:
        return False


class Leftovers:
    """What our own writes left in folders that were deleted before it could be cleared up."""

    def __init__(self, fs: FileSystem) -> None:
        self._fs = fs
        self._clear: set[str] = set()  # deleted folders without any; we put nothing into them later on

    def within(self, trashes: Iterable[str]) -> list[str]:
        """The temporaries that lie there now, as far as that can be seen."""
        left: list[str] = []
        for trash in trashes:
            with suppress(OSError):  # the next look sees it
                for name, stat in self._fs.list(trash).items():
                    folder = paths.join(trash, name)
                    if folder in self._clear or not stat.is_dir or stat.link is not None:
                        continue
                    found = scan(self._fs, folder)
                    left += found.temporaries
                    if not (found.temporaries or found.unreadable):
                        self._clear.add(folder)
        return left


def is_behind_link(fs: FileSystem, path: str) -> bool:
    """Whether a folder above a path, below `models/`, is a link. Raises `OSError`."""
    folder = paths.parent(path)
    while folder != paths.MODELS and paths.is_inside(folder, paths.MODELS):
        above = fs.stat(folder)
        if above is not None and above.link is not None:
            return True
        folder = paths.parent(folder)
    return False


def is_gone(fs: FileSystem, path: str) -> bool:
    """Whether no file is at a path any more; if that cannot be seen it may well be."""
    try:
        there = None if is_behind_link(fs, path) else fs.stat(path)
    except OSError:
        return False
    return there is None or there.is_dir


def scan_engine_files(fs: FileSystem) -> Scan:
    """The engines' files in `engines/`; whatever else lies there is the user's."""
    found = scan(fs, paths.ENGINES, recursive=False)
    kept = {path: stat for path, stat in found.files.items() if paths.is_engine_file(path)}
    return Scan(kept, found.unreadable, found.temporaries)


def places_of(hint: str) -> list[str]:
    """Where a hint says to look; the few files of `engines/` are always looked at together."""
    if hint == "":
        return [paths.MODELS, paths.ENGINES]
    if paths.is_inside(hint, paths.ENGINES):
        return [paths.ENGINES]
    return [hint] if paths.is_inside(hint, paths.MODELS) else []
