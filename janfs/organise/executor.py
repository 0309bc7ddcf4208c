"""Doing what was planned, whatever has become of it since.

Each function looks first and acts then, so that it can be run again after a crash at any point: what is done
is recognised as done, what is half done is finished, and what can no longer be done is said to be so. Where
that look fails, or what it finds done cannot be flushed, the error is `Unseen`: an earlier try may be done.
When a try `failed`, the same function only looks whether it is done all the same, or raises that error.
"""

import errno
from contextlib import suppress

from msgspec import Struct

from janfs.catalogue.entries import Plan
from janfs.errors import FolderError, OtherDisk, Unseen
from janfs.folder import paths
from janfs.folder.filesystem import FileSystem, Stamp, Stat
from janfs.organise.disk import (
    as_put,
    clean_up,
    explain,
    explain_write,
    forget,
    make_parents,
    need,
    no_file,
    stamp_of,
    stay_inside,
    temporary_of,
)
from janfs.organise.replacing import holds


class Moved(Struct, frozen=True):
    """A move is done; the file as it is at its new place, None for a folder."""

    stamp: Stamp | None
    link: str | None = None


class _Left(Struct, frozen=True):
    """What is left of a move: the file as it is at its old place, which may have its new name too."""

    here: Stat
    twin: Stat | None = None


def move(fs: FileSystem, plan: Plan, failed: FolderError | None = None) -> Moved:
    """Carry out a planned move; nothing is ever overwritten.

    Raises `FolderError` when it is given up, `OtherDisk` where it would have to be a copy, `Unseen` where it
    cannot be seen or flushed whether it is done.
    """
    source = need(plan.source)
    try:
        found = _moved(fs, source, plan)
    except OSError as error:
        raise Unseen(explain(error, source, plan.target)) from error
    if isinstance(found, Moved):
        return found
    if failed is not None:
        raise failed
    try:
        return _move(fs, source, found, plan)
    except OSError as error:
        kind = OtherDisk if error.errno == errno.EXDEV else FolderError
        raise kind(explain(error, source, plan.target)) from error


def write(fs: FileSystem, plan: Plan, content: bytes, failed: FolderError | None = None) -> Stamp:
    """Carry out a planned write of a new file, all at once.

    Raises `FolderError` when it is given up, `Unseen` where it cannot be seen or flushed whether it is done.
    """
    temporary = temporary_of(plan)
    try:
        stamp = _written(fs, plan.target, content)
    except OSError as error:
        raise Unseen(explain_write(error, plan.target)) from error
    if stamp is not None:
        return stamp
    if failed is not None:
        raise failed
    try:
        return _write(fs, temporary, plan.target, content)
    except OSError as error:
        clean_up(fs.unlink, temporary)
        raise FolderError(explain_write(error, plan.target)) from error


def _moved(fs: FileSystem, source: str, plan: Plan) -> Moved | _Left:
    """The move, where it is done; else what is left of it. Raises `FolderError` where it cannot be done."""
    stay_inside(fs, source, plan.target)
    here, there = fs.stat(source), fs.stat(plan.target)
    if there is not None and _is_done(here, there, source, plan):
        if here is not None:  # linked to its new place, and not yet unlinked from the old
            return _Left(here, there)
        _sync(fs, source, plan.target)
        return Moved(there.stamp if plan.stamp is not None else None, there.link)
    if there is not None:
        raise FolderError(f"{plan.target} exists already.")
    if here is None:
        raise FolderError(f"{source} is gone.")
    if plan.stamp is not None and here.stamp != plan.stamp:
        raise FolderError(f"{source} changed after its move was planned.")
    return _Left(here)


def _move(fs: FileSystem, source: str, left: _Left, plan: Plan) -> Moved:
    if left.twin is not None:
        fs.unlink(source)
        _sync(fs, source, plan.target)
        return Moved(left.twin.stamp, left.twin.link)
    made: list[str] = []
    try:
        make_parents(fs, plan.target, made)
        _rename(fs, source, left.here.link, plan.target)
    except OSError:
        clean_up(fs.remove_folder, *reversed(made))
        raise
    for folder in made:
        fs.sync_folder(paths.parent(folder))
    _sync(fs, source, plan.target)
    moved = fs.stat(plan.target)
    if moved is None:
        raise FolderError(f"{plan.target} vanished right after it was moved there.")
    return Moved(as_put(plan.stamp, moved) if plan.stamp is not None else None, moved.link)


def _is_done(here: Stat | None, there: Stat, source: str, plan: Plan) -> bool:
    """Whether the target is what was moved, with or without its old name; that one is then safe to remove."""
    if plan.stamp is None:
        return here is None and there.is_dir
    if there.stamp != plan.stamp or here is None:
        return there.stamp == plan.stamp
    if here.link is not None:
        return there.link == _moved_link(here.link, source, plan.target)
    # A link to the file has the file's stamp; only a second name of the file is as good as the first.
    return here.stamp == plan.stamp and there.link is None and here.nlink > 1


def _rename(fs: FileSystem, source: str, link: str | None, target: str) -> None:
    if link is None or link.startswith("/"):
        fs.rename(source, target)
        return
    fs.make_link(target, _moved_link(link, source, target))
    try:
        fs.unlink(source)
    except OSError:
        with suppress(OSError):  # the first error is the one to tell
            if fs.stat(source) is not None:
                fs.unlink(target)
        raise


def _written(fs: FileSystem, target: str, content: bytes) -> Stamp | None:
    """The stamp of what is written; None where nothing is. Raises `FolderError` where something else is."""
    stay_inside(fs, target)
    there = fs.stat(target)
    if there is None:
        return None
    if there.stamp is None:
        raise no_file(target, there)
    if not holds(fs, target, there, content):
        raise FolderError(f"{target} was written by someone else meanwhile; theirs stays.")
    fs.sync_folder(paths.parent(target))
    return there.stamp


def _write(fs: FileSystem, temporary: str, target: str, content: bytes) -> Stamp:
    forget(fs, temporary)
    fs.create(temporary, content)
    made = stamp_of(fs, temporary)
    fs.rename(temporary, target)
    stamp = as_put(made, fs.stat(target))
    fs.sync_folder(paths.parent(target))
    return stamp


def _moved_link(link: str, source: str, target: str) -> str:
    """What a link says at its new place.

    A relative one goes up to `models/`, which may itself be a link, and down again; the way does not lead
    through the old folder, which may be empty and removed next.
    """
    if link.startswith("/"):
        return link
    folders = paths.parent(source).split("/")[1:]
    while folders and link.startswith("../"):
        folders.pop()
        link = link[3:]
    return "../" * (target.count("/") - 1) + "/".join((*folders, link))


def _sync(fs: FileSystem, source: str, target: str) -> None:
    for folder in {paths.parent(target), paths.parent(source)}:
        with suppress(FileNotFoundError, NotADirectoryError):  # somebody removed what was left empty
            fs.sync_folder(folder)
