"""Doing what was planned, whatever has become of it since.

Each function looks first and acts then, so that it can be run again after a crash at any point: what is done
is recognised as done, what is half done is finished, and what can no longer be done is said to be so.
"""

import errno

from msgspec import Struct

from janfs.catalogue.entries import Plan
from janfs.errors import FolderError
from janfs.folder import paths
from janfs.folder.filesystem import FileSystem, Stamp, Stat


class Moved(Struct, frozen=True):
    """A move is done; the file as it is at its new place, None for a folder."""

    stamp: Stamp | None
    link: str | None = None


def move(fs: FileSystem, plan: Plan) -> Moved:
    """Carry out a planned move; nothing is ever overwritten. Raises `FolderError` when it is given up."""
    source = _need(plan.source)
    try:
        return _move(fs, source, plan)
    except OSError as error:
        raise FolderError(_explain(error, source, plan.target)) from error


def write(fs: FileSystem, plan: Plan, content: bytes) -> Stamp:
    """Carry out a planned write of a new file, all at once. Raises `FolderError` when it is given up."""
    temporary = paths.join(paths.parent(plan.target), f"{paths.TEMP_PREFIX}{plan.op}.tmp")
    try:
        return _write(fs, temporary, plan.target, content)
    except OSError as error:
        _forget(fs, temporary)
        raise FolderError(_explain(error, temporary, plan.target)) from error


def _move(fs: FileSystem, source: str, plan: Plan) -> Moved:
    here, there = fs.stat(source), fs.stat(plan.target)
    if there is not None and _is_done(here, there, plan):
        if here is not None:  # linked to its new place, and not yet unlinked from the old
            fs.unlink(source)
        _sync(fs, source, plan.target)
        return Moved(there.stamp if plan.stamp is not None else None, there.link)
    if there is not None:
        raise FolderError(f"{plan.target} exists already.")
    if here is None:
        raise FolderError(f"{source} is gone.")
    if plan.stamp is not None and here.stamp != plan.stamp:
        raise FolderError(f"{source} changed after its move was planned.")
    made = _make_parents(fs, plan.target)
    try:
        if here.link is not None and not here.link.startswith("/"):
            fs.make_link(plan.target, _relink(here.link, source, plan.target))
            fs.unlink(source)
        else:
            fs.rename(source, plan.target)
    except OSError:
        for folder in reversed(made):
            fs.remove_folder(folder)
        raise
    for folder in made:
        fs.sync_folder(paths.parent(folder))
    _sync(fs, source, plan.target)
    moved = fs.stat(plan.target)
    if moved is None:
        raise FolderError(f"{plan.target} vanished right after it was moved there.")
    return Moved(moved.stamp if plan.stamp is not None else None, moved.link)


def _is_done(here: Stat | None, there: Stat, plan: Plan) -> bool:
    if plan.stamp is None:
        return here is None and there.is_dir
    return there.stamp == plan.stamp and (here is None or here.stamp == plan.stamp)


def _write(fs: FileSystem, temporary: str, target: str, content: bytes) -> Stamp:
    there = fs.stat(target)
    if there is None:
        _forget(fs, temporary)
        fs.create(temporary, content)
        fs.rename(temporary, target)
        fs.sync_folder(paths.parent(target))
        there = fs.stat(target)
    elif not _has_content(fs, target, there, content):
        _forget(fs, temporary)
        raise FolderError(f"{target} was written by someone else meanwhile; theirs stays.")
    if there is None or there.stamp is None:
        raise FolderError(f"{target} vanished right after it was written.")
    return there.stamp


def _has_content(fs: FileSystem, path: str, stat: Stat, content: bytes) -> bool:
    if stat.stamp is None or stat.stamp.size != len(content):
        return False
    with fs.open(path) as file:
        return file.read_at(0, len(content) + 1) == content


def _make_parents(fs: FileSystem, path: str) -> list[str]:
    """Make the folders above `path` that are not there; the ones made, outermost first."""
    wanted: list[str] = []
    folder = paths.parent(path)
    while folder and fs.stat(folder) is None:
        wanted.append(folder)
        folder = paths.parent(folder)
    for folder in reversed(wanted):
        fs.make_folder(folder)
    return list(reversed(wanted))


def _relink(link: str, source: str, target: str) -> str:
    """A relative link's target as seen from its new place: up to the root, and down the old way."""
    return "../" * target.count("/") + paths.join(paths.parent(source), link)


def _forget(fs: FileSystem, temporary: str) -> None:
    if fs.stat(temporary) is not None:
        fs.unlink(temporary)


def _sync(fs: FileSystem, source: str, target: str) -> None:
    for folder in {paths.parent(target), paths.parent(source)}:
        fs.sync_folder(folder)


def _need(source: str | None) -> str:
    if source is None:
        raise FolderError("A move without a source was planned.")
    return source


_HINTS = {
    errno.EACCES: "Permission denied: let the user that runs janfs write there.",
    errno.EPERM: "Operation not permitted: let the user that runs janfs write there.",
    errno.EROFS: "The file system is read-only.",
    errno.ENOSPC: "The disk is full: make room.",
    errno.EXDEV: "It lies on another disk.",
    errno.EEXIST: "Something of that name exists already.",
}


def _explain(error: OSError, source: str, target: str) -> str:
    reason = _HINTS.get(error.errno or 0, error.strerror or str(error))
    return f"{source} could not become {target}: {reason}"
