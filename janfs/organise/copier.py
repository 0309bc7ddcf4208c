"""Giving a file a second place: a copy, a second name, or a link; again, if a crash came between."""

import errno

from msgspec import Struct

from janfs.catalogue.entries import Plan
from janfs.errors import FolderError, Unseen
from janfs.folder import paths
from janfs.folder.filesystem import FileSystem, Stamp, Stat
from janfs.folder.settle import NO_STAMP
from janfs.organise.disk import (
    as_put,
    clean_up,
    explain,
    forget,
    make_parents,
    need,
    stay_inside,
    temporary_of,
)

_NO_LINKS = (errno.EPERM, errno.EMLINK, errno.EXDEV, errno.EOPNOTSUPP, errno.ENOTSUP)


class Copied(Struct, frozen=True):
    """A file has a second place; `stamp` is what is there now, `link` where that points."""

    stamp: Stamp
    link: str | None = None


def copy(fs: FileSystem, plan: Plan, failed: FolderError | None = None, *, is_first: bool = False) -> Copied:
    """Carry out a planned copy or link; nothing is overwritten. What `is_first` in a folder makes a model of
    that, which it does not of one that somebody put files into since.

    Raises `FolderError` when it is given up, `Unseen` where it cannot be seen or flushed whether it is done.
    """
    source = need(plan.source)
    link = _link_text(source, plan.target) if plan.how == "symbolic-link" else None
    try:
        stay_inside(fs, plan.target)
        there = fs.stat(plan.target)
        if there is not None and not _is_copy(there, link, plan):
            raise FolderError(f"{plan.target} exists already.")
        if there is not None:
            return _flushed(fs, there, plan)
        if plan.stamp is not None and _stamp_at(fs, source) != plan.stamp:
            raise FolderError(f"{source} changed after its copy was planned, or is gone.")
        if is_first and _holds_files(fs, paths.parent(plan.target)):
            raise FolderError(f"Something else was put into {paths.parent(plan.target)} meanwhile.")
    except OSError as error:
        raise Unseen(explain(error, source, plan.target)) from error
    if failed is not None:
        raise failed
    temporary = temporary_of(plan)
    try:
        return _copy(fs, source, link, temporary, plan)
    except OSError as error:
        clean_up(fs.unlink, temporary)
        raise FolderError(explain(error, source, plan.target)) from error


def _copy(fs: FileSystem, source: str, link: str | None, temporary: str, plan: Plan) -> Copied:
    made: list[str] = []
    try:
        make_parents(fs, plan.target, made)
        _put(fs, source, link, temporary, plan)
    except OSError:
        clean_up(fs.unlink, temporary)
        clean_up(fs.remove_folder, *reversed(made))
        raise
    for folder in made:
        fs.sync_folder(paths.parent(folder))
    there = fs.stat(plan.target)
    if there is None:
        raise FolderError(f"{plan.target} vanished right after it was made.")
    return _flushed(fs, there, plan)


def _flushed(fs: FileSystem, there: Stat, plan: Plan) -> Copied:
    fs.sync_folder(paths.parent(plan.target))
    known = plan.stamp  # a copy has the size and time of what it is one of
    return Copied(as_put(known, there) if known is not None else there.stamp or NO_STAMP, there.link)


def _put(fs: FileSystem, source: str, link: str | None, temporary: str, plan: Plan) -> None:
    if link is not None:
        fs.make_link(plan.target, link)
        return
    if plan.how == "hard-link":
        try:
            fs.link_file(source, plan.target)
            return
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
    forget(fs, temporary)
    fs.copy_file(source, temporary)
    fs.rename(temporary, plan.target)


def _is_copy(there: Stat, link: str | None, plan: Plan) -> bool:
    """Whether what is there is what an earlier try at this plan put there; a copy keeps its time."""
    if link is not None:
        return there.link == link
    wanted = plan.stamp
    if there.link is not None or there.stamp is None or wanted is None:
        return False
    return (there.stamp.size, there.stamp.mtime_ns) == (wanted.size, wanted.mtime_ns)


def _stamp_at(fs: FileSystem, path: str) -> Stamp | None:
    stat = fs.stat(path)
    return None if stat is None else stat.stamp


def _holds_files(fs: FileSystem, folder: str) -> bool:
    if fs.stat(folder) is None:
        return False
    return any(not stat.is_dir and not paths.is_ignored(name) for name, stat in fs.list(folder).items())


def _link_text(source: str, target: str) -> str:
    """What a link at `target` says; relative to lead to a `source` inside `models/`, which may be a link."""
    if source.startswith("/"):
        return source
    return "../" * (target.count("/") - 1) + source.removeprefix(f"{paths.MODELS}/")
