"""Putting another content in the place of a file that someone may be editing, without losing a word.

The new content is written beside the file, the two change places at once, and only what then proves to be
the text that was to be replaced is removed. Can be run again after a crash at any point.
"""

from contextlib import suppress

from janfs.catalogue.entries import Plan
from janfs.errors import FolderError, ManifestError
from janfs.folder import paths
from janfs.folder.filesystem import FileSystem, Stamp, Stat
from janfs.manifest.jsonc import MAX_SIZE
from janfs.manifest.secrets import as_recorded, changed_alike, filled, says_the_same
from janfs.organise.disk import as_put, clean_up, explain_write, forget, stamp_of, stay_inside, temporary_of


def replace(fs: FileSystem, plan: Plan, content: bytes, was: bytes) -> Stamp:
    """Carry out a planned write over a file that holds `was`. Gives the new file's stamp.

    Raises `FolderError` when it is given up: when the file holds something else, is being written, is
    read-only or has another name too. It is then as it was.
    """
    temporary = temporary_of(plan)
    try:
        return _replace(fs, temporary, plan.target, content, was)
    except OSError as error:
        clean_up(lambda path: _forget(fs, path, content, was), temporary)
        raise FolderError(explain_write(error, plan.target)) from error


def texts_on_disk(fs: FileSystem, plan: Plan, content: bytes, was: bytes) -> tuple[bytes, bytes]:
    """The text to write and the one to be replaced as they are on disk, out of those that are recorded.

    They differ where the file holds secrets. Raises `FolderError` where one would have to be known that is
    there no longer.
    """
    path = plan.target
    try:
        there = _read(fs, path)
        known = as_recorded(path, was)
        now = None if there is None else as_recorded(path, there)
        if there is None or (there, was) == (now, known):
            return content, was
        done = now == content
        if not done and (now == known or says_the_same(path, there, known)):
            if plan.write is not None and plan.write.to is not None:
                return filled(path, there, content), there
            return changed_alike(path, there, known, content), there
        if done or says_the_same(path, there, content):  # a crash came after it
            came_out = _read(fs, temporary_of(plan))
            ours = came_out is not None and says_the_same(path, came_out, known)
            return there, came_out if ours and came_out is not None else was
    except ManifestError as error:
        raise FolderError(f"{path} stays as it is. {error.detail}") from error
    except OSError as error:
        raise FolderError(explain_write(error, path)) from error
    return content, was  # which is refused


def _read(fs: FileSystem, path: str) -> bytes | None:
    stat = fs.stat(path)
    if stat is None or stat.stamp is None or stat.stamp.size > MAX_SIZE:
        return None
    with fs.open(path) as file:
        return file.read_at(0, stat.stamp.size)


def _replace(fs: FileSystem, temporary: str, target: str, content: bytes, was: bytes) -> Stamp:
    stay_inside(fs, target)
    there = fs.stat(target)
    if there is not None and there.stamp is not None and holds(fs, target, there, content):
        stamp = there.stamp
    else:
        _check(fs, target, there, was)
        forget(fs, temporary)
        fs.create(temporary, content, target)
        made = stamp_of(fs, temporary)
        fs.exchange(temporary, target)
        stamp = as_put(made, fs.stat(target))
    came_out = fs.stat(temporary)
    if came_out is not None and not any(holds(fs, temporary, came_out, text) for text in (was, content)):
        fs.exchange(temporary, target)
        _forget(fs, temporary, content)
        raise FolderError(f"{target} was changed at the last moment; that stays.")
    if came_out is not None:
        fs.unlink(temporary)
    fs.sync_folder(paths.parent(target))
    return stamp


def is_shared(there: Stat | None) -> bool:
    """Whether a name is a link, or one of several of a file: such a file is not ours alone to replace."""
    return there is not None and (there.link is not None or there.nlink > 1)


def _check(fs: FileSystem, target: str, there: Stat | None, was: bytes) -> None:
    """Raises `FolderError` if the file is not to be replaced."""
    if there is None or there.stamp is None:
        raise FolderError(f"{target} is gone.")
    if is_shared(there):
        raise FolderError(f"{target} is a link, or has another name too, and is left as it is.")
    if not there.writable:
        raise FolderError(f"{target} is read-only, and is left as it is.")
    if fs.being_written(target) or not holds(fs, target, there, was):
        raise FolderError(f"{target} is being changed by someone else; what they write stays.")


def holds(fs: FileSystem, path: str, stat: Stat, content: bytes) -> bool:
    """Whether that is what is in a file."""
    if stat.stamp is None or stat.stamp.size != len(content):
        return False
    with fs.open(path) as file:
        return file.read_at(0, len(content) + 1) == content


def stands(fs: FileSystem, path: str, content: bytes) -> Stamp | None:
    """The stamp of a file that holds a content; None if it does not, or cannot be looked into."""
    with suppress(OSError):
        there = fs.stat(path)
        if there is not None and there.link is None and holds(fs, path, there, content):
            return there.stamp
    return None


def _forget(fs: FileSystem, temporary: str, *known: bytes) -> None:
    """Remove what we put there, which is in the log; whatever else came to lie there stays."""
    left = fs.stat(temporary)
    if left is not None and any(holds(fs, temporary, left, text) for text in known):
        fs.unlink(temporary)
