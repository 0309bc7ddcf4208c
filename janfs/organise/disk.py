"""What every deed on disk needs: folders to put things into, clearing up, and words for what went wrong."""

import errno
from collections.abc import Callable
from contextlib import suppress

from janfs.catalogue.catalogue import Catalogue
from janfs.catalogue.entries import Plan
from janfs.errors import FolderError
from janfs.folder import paths
from janfs.folder.filesystem import FileSystem, Stamp, Stat
from janfs.folder.spelling import taken
from janfs.organise.homes import free_folder
from janfs.organise.steps import Policy

OTHER_DISK = "That is on another disk, so it stays where it is, and is served from there."
_HINTS = {
    errno.EACCES: "Permission denied: let the user that runs janfs write there.",
    errno.EPERM: "Operation not permitted: let the user that runs janfs write there.",
    errno.EOPNOTSUPP: "The disk can neither rename without overwriting nor give a file a second name.",
    errno.EROFS: "The file system is read-only.",
    errno.ENOSPC: "The disk is full: make room.",
    errno.EXDEV: OTHER_DISK,
    errno.EEXIST: "Something of that name exists already.",
}


def vacant_folder(fs: FileSystem, tables: Catalogue, wanted: str, *, returns: bool = False) -> str:
    """The folder of that name, or of the next one at which nothing lies in any spelling: for a model that
    comes with its folder. For one that `returns` see `free_folder`. Raises `OSError`.
    """
    there = fs.list(paths.MODELS)
    return free_folder(tables, wanted, Policy(taken=taken(there)), there, returns=returns)


def temporary_of(plan: Plan) -> str:
    """Where the new file of a plan is made before it gets its name."""
    return paths.temporary(plan.target, plan.op)


def aside_of(plan: Plan) -> str:
    """Where what a plan replaces is set aside meanwhile."""
    return paths.aside(plan.target, plan.op)


def stay_inside(fs: FileSystem, *changed: str) -> None:
    """See that nothing is changed but what lies in the root: no folder on the way below `models/` is a link.

    Raises `FolderError` where one is.
    """
    for path in changed:
        folder = paths.parent(path)
        while paths.is_inside(folder, paths.MODELS) and folder != paths.MODELS:
            there = fs.stat(folder)
            if there is not None and there.link is not None:
                raise FolderError(f"{folder} is a link now, and what it leads to is left as it is.")
            folder = paths.parent(folder)


def make_parents(fs: FileSystem, path: str, made: list[str]) -> None:
    """Make the folders above `path` that are not there, and note in `made` each that was, outermost first."""
    wanted: list[str] = []
    folder = paths.parent(path)
    while folder and fs.stat(folder) is None:
        wanted.append(folder)
        folder = paths.parent(folder)
    for folder in reversed(wanted):
        fs.make_folder(folder)
        made.append(folder)


def forget(fs: FileSystem, temporary: str) -> None:
    """Remove what an earlier try left."""
    if fs.stat(temporary) is not None:
        fs.unlink(temporary)


def clean_up(remove: Callable[[str], None], *left: str) -> None:
    """Remove what a failed attempt left, as far as that goes: its own error is the one to tell."""
    for path in left:
        with suppress(OSError):
            remove(path)


def stamp_of(fs: FileSystem, temporary: str) -> Stamp:
    """The stamp of what was just made. Raises `FolderError` where that is gone again."""
    made = fs.stat(temporary)
    if made is None or made.stamp is None:
        raise FolderError(f"{temporary} vanished right after it was made.")
    return made.stamp


def as_put(put: Stamp, now: Stat | None) -> Stamp:
    """The stamp of a file that was given a name: what it was before, as `put`, where that still holds.

    What someone wrote there since must not be taken for ours; the next look tells it from this stamp. Only
    the inode may be another, for some disks change it with the name.
    """
    there = now.stamp if now is not None else None
    same = there is not None and (there.size, there.mtime_ns) == (put.size, put.mtime_ns)
    return there if there is not None and same else put


def need(source: str | None) -> str:
    """The source that a plan must have. Raises `FolderError`."""
    if source is None:
        raise FolderError("A move without a source was planned.")
    return source


def no_file(path: str, there: Stat) -> FolderError:
    """Why nothing takes the place of what is no file."""
    what = "a folder" if there.is_dir else "no regular file"
    return FolderError(f"{path} is {what if there.link is None else 'a link'}, and is left as it is.")


def explain(error: OSError, source: str, target: str) -> str:
    """What went wrong, and what to do about it, in words."""
    return f"{source} could not become {target}: {_reason(error)}"


def explain_write(error: OSError, target: str) -> str:
    """The same of a new file."""
    return f"{target} could not be written: {_reason(error)}"


def _reason(error: OSError) -> str:
    return _HINTS.get(error.errno or 0, error.strerror or str(error))
