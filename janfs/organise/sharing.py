"""Making two files with the same content share it: the copy becomes a second name of the original."""

import errno
from contextlib import suppress

from janfs.catalogue.entries import Plan
from janfs.errors import FolderError, Unseen
from janfs.folder import paths
from janfs.folder.filesystem import FileSystem, Stamp, Stat
from janfs.organise.disk import explain, forget, need, stay_inside, temporary_of
from janfs.organise.swapping import changed, recover, swap

_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS)  # link(2), and what FUSE says of it


def share(fs: FileSystem, plan: Plan, expected: Stamp | None, failed: FolderError | None = None) -> Stamp:
    """Carry out a planned `dedupe`; `expected` is the copy as it was when its content was compared.

    The original gets a second name beside the copy, the two names change places, and only what then proves to
    be the very file that was compared is removed. Can be run again after a crash at any point.
    Gives the stamp of both. Raises `FolderError` when it is given up; both files are then as they were.
    Raises `Unseen` where it cannot be seen or flushed whether it is done.
    """
    source = need(plan.source)
    try:
        stay_inside(fs, source, plan.target)
        recover(fs, plan)
        original, is_shared = _look(fs, source, plan, expected)
        if is_shared:
            _finish(fs, plan, original, expected)
            return original
    except OSError as error:
        raise Unseen(explain(error, source, plan.target)) from error
    if failed is not None:
        raise failed
    try:
        _leave_to_writers(fs, source, plan.target)
        forget(fs, temporary_of(plan))
        _link(fs, source, plan, original)
        swap(fs, plan, lambda path: _stamp_at(fs, path) == expected)
        _finish(fs, plan, original, expected)
    except (OSError, FolderError) as error:
        with suppress(OSError):  # the first error is the one to tell
            recover(fs, plan)
            _clear(fs, plan, original, expected)
        if isinstance(error, FolderError):
            raise
        raise FolderError(explain(error, source, plan.target)) from error
    return original


def _look(fs: FileSystem, source: str, plan: Plan, expected: Stamp | None) -> tuple[Stamp, bool]:
    """The original's stamp, and whether both names are of it already."""
    original, copy = fs.stat(source), fs.stat(plan.target)
    is_original = original is not None and original.link is None and original.stamp == plan.stamp
    if original is None or original.stamp is None or not is_original:
        raise FolderError(f"{source} changed after it was compared, or is gone.")
    is_shared = _is_same_file(original, copy)
    is_copy = copy is not None and copy.link is None and copy.stamp is not None and copy.stamp == expected
    if not (is_shared or is_copy):
        _clear(fs, plan, original.stamp, expected)
        raise FolderError(f"{plan.target} changed after it was compared, or is gone.")
    return original.stamp, is_shared


def _leave_to_writers(fs: FileSystem, *files: str) -> None:
    """Raises `FolderError` while someone has one of the files open for writing, as far as can be known."""
    for path in files:
        if fs.being_written(path):
            raise FolderError(f"{path} is open for writing, and is left as it is.")


def _link(fs: FileSystem, source: str, plan: Plan, original: Stamp) -> None:
    """Give the original a second name that nobody knows yet."""
    temporary = temporary_of(plan)
    try:
        fs.link_file(source, temporary)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        raise FolderError(f"{plan.target} stays a copy: its disk gives no file a second name.") from error
    made = fs.stat(temporary)
    is_second_name = made is not None and made.stamp == original and made.nlink > 1
    if not is_second_name:
        forget(fs, temporary)
        raise FolderError(
            f"{plan.target} stays a copy: {source} changed, or its disk hides its second names."
        )


def _finish(fs: FileSystem, plan: Plan, original: Stamp, expected: Stamp | None) -> None:
    """See that what came out is the copy that was compared, which nobody writes into, and drop it."""
    temporary = temporary_of(plan)
    came_out = fs.stat(temporary)
    if came_out is not None and came_out.stamp != original and not _is_done_with(fs, temporary, expected):
        swap(fs, plan, lambda path: _stamp_at(fs, path) == original)
        _clear(fs, plan, original, expected)
        raise changed(plan.target)
    forget(fs, temporary)
    fs.sync_folder(paths.parent(plan.target))


def _is_done_with(fs: FileSystem, path: str, expected: Stamp | None) -> bool:
    """Whether a file is as expected and nobody has it open for writing; who just closed it may have."""
    return not fs.being_written(path) and _stamp_at(fs, path) == expected


def _is_same_file(original: Stat, copy: Stat | None) -> bool:
    return copy is not None and copy.link is None and copy.stamp == original.stamp and original.nlink > 1


def _stamp_at(fs: FileSystem, path: str) -> Stamp | None:
    found = fs.stat(path)
    return None if found is None else found.stamp


def _clear(fs: FileSystem, plan: Plan, original: Stamp, expected: Stamp | None) -> None:
    """Remove a second name that was made, or the copy that came out; anything else under that name stays."""
    temporary = temporary_of(plan)
    if _stamp_at(fs, temporary) in (original, expected):
        fs.unlink(temporary)
