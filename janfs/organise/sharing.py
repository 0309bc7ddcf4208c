"""Making two files with the same content share it: the copy becomes a second name of the original."""

from janfs.catalogue.entries import Plan
from janfs.errors import FolderError, Unseen
from janfs.folder import paths
from janfs.folder.filesystem import FileSystem, Stamp, Stat
from janfs.organise.disk import clean_up, explain, forget, need, temporary_of


def share(fs: FileSystem, plan: Plan, expected: Stamp | None, failed: FolderError | None = None) -> Stamp:
    """Carry out a planned `dedupe`; `expected` is the copy as it was when its content was compared.

    The original gets a second name beside the copy, the two names change places at once, and only what then
    proves to be the very file that was compared is removed. Can be run again after a crash at any point.
    Gives the stamp of both. Raises `FolderError` when it is given up; both files are then as they were.
    Raises `Unseen` where it cannot be seen or flushed whether it is done.
    """
    source = need(plan.source)
    temporary = temporary_of(plan)
    try:
        original, is_shared = _look(fs, source, temporary, plan, expected)
        if is_shared:
            _finish(fs, temporary, plan, original, expected)
            return original
    except OSError as error:
        raise Unseen(explain(error, source, plan.target)) from error
    if failed is not None:
        raise failed
    try:
        forget(fs, temporary)
        fs.link_file(source, temporary)
        fs.exchange(temporary, plan.target)
        _finish(fs, temporary, plan, original, expected)
    except OSError as error:
        _take_back(fs, source, temporary)
        raise FolderError(explain(error, source, plan.target)) from error
    return original


def _look(
    fs: FileSystem, source: str, temporary: str, plan: Plan, expected: Stamp | None
) -> tuple[Stamp, bool]:
    """The original's stamp, and whether both names are of it already."""
    original, copy = fs.stat(source), fs.stat(plan.target)
    if (
        original is None
        or original.stamp is None
        or original.stamp != plan.stamp
        or original.link is not None
    ):
        _take_back(fs, source, temporary)
        raise FolderError(f"{source} changed after it was compared, or is gone.")
    is_shared = _is_same_file(original, copy)
    is_copy = copy is not None and copy.link is None and copy.stamp is not None and copy.stamp == expected
    if not (is_shared or is_copy):
        _take_back(fs, source, temporary)
        raise FolderError(f"{plan.target} changed after it was compared, or is gone.")
    return original.stamp, is_shared


def _finish(fs: FileSystem, temporary: str, plan: Plan, original: Stamp, expected: Stamp | None) -> None:
    """See that what came out is the copy that was compared, and drop it."""
    came_out = fs.stat(temporary)
    if came_out is not None and came_out.stamp not in (expected, original):
        fs.exchange(temporary, plan.target)
        fs.unlink(temporary)
        raise FolderError(f"{plan.target} changed at the last moment.")
    forget(fs, temporary)
    fs.sync_folder(paths.parent(plan.target))


def _is_same_file(original: Stat, copy: Stat | None) -> bool:
    return copy is not None and copy.link is None and copy.stamp == original.stamp and original.nlink > 1


def _take_back(fs: FileSystem, source: str, temporary: str) -> None:
    """Remove the second name of the original, if one was made; anything else under that name stays."""

    def remove(path: str) -> None:
        original, left = fs.stat(source), fs.stat(path)
        if original is not None and left is not None and left.stamp == original.stamp:
            fs.unlink(path)

    clean_up(remove, temporary)
