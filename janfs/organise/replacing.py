"""Putting another content in the place of a file that someone may be editing, without losing a word.

The new content is written beside the file, the two change places, and only what then proves to be the text
that was to be replaced is removed. Can be run again after a crash at any point.
"""

from contextlib import suppress

from janfs.catalogue.entries import Plan
from janfs.errors import FolderError, ManifestError, Unseen
from janfs.folder import paths
from janfs.folder.filesystem import FileSystem, Stamp, Stat
from janfs.manifest.jsonc import MAX_SIZE
from janfs.manifest.secrets import as_recorded, changed_alike, filled, says_the_same
from janfs.organise.disk import as_put, explain_write, forget, no_file, stamp_of, stay_inside, temporary_of
from janfs.organise.swapping import changed, recover, swap


def replace(
    fs: FileSystem, plan: Plan, content: bytes, was: bytes, failed: FolderError | None = None
) -> Stamp:
    """Carry out a planned write over a file that holds `was`. Gives the new file's stamp.

    Raises `FolderError` when it is given up: when the file holds something else, is being written, is
    read-only or has another name too. It is then as it was. Raises `Unseen` where it cannot be seen or
    flushed whether it is done.
    """
    try:
        stay_inside(fs, plan.target)
        recover(fs, plan)
        stamp = _replaced(fs, plan, content, was)
    except OSError as error:
        raise Unseen(explain_write(error, plan.target)) from error
    if stamp is not None:
        return stamp
    if failed is not None:
        raise failed
    try:
        return _replace(fs, plan, content, was)
    except (OSError, FolderError) as error:
        with suppress(OSError):  # the first error is the one to tell
            recover(fs, plan)
            _forget(fs, temporary_of(plan), content, was)
        if isinstance(error, FolderError):
            raise
        raise FolderError(explain_write(error, plan.target)) from error


def texts_on_disk(fs: FileSystem, plan: Plan, content: bytes, was: bytes) -> tuple[bytes, bytes]:
    """The text to write and the one to be replaced as they are on disk, out of those that are recorded.

    They differ where the file holds secrets. Raises `FolderError` where one would have to be known that is
    there no longer, `Unseen` where they cannot be read.
    """
    path = plan.target
    try:
        stay_inside(fs, path)
        recover(fs, plan)
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
        raise Unseen(explain_write(error, path)) from error
    return content, was  # which is refused


def _read(fs: FileSystem, path: str) -> bytes | None:
    stat = fs.stat(path)
    if stat is None or stat.stamp is None or stat.stamp.size > MAX_SIZE:
        return None
    with fs.open(path) as file:
        return file.read_at(0, stat.stamp.size)


def _replaced(fs: FileSystem, plan: Plan, content: bytes, was: bytes) -> Stamp | None:
    """The stamp of what took the place of the other; None where nothing did."""
    there = fs.stat(plan.target)
    if there is None or there.stamp is None or not holds(fs, plan.target, there, content):
        return None
    _finish(fs, plan, content, was)
    return there.stamp


def _replace(fs: FileSystem, plan: Plan, content: bytes, was: bytes) -> Stamp:
    temporary, target = temporary_of(plan), plan.target
    _check(fs, target, fs.stat(target), was)
    forget(fs, temporary)
    fs.create(temporary, content, target)
    made = stamp_of(fs, temporary)
    _check(fs, target, fs.stat(target), was)  # again: making it may have taken a while
    swap(fs, plan, lambda path: _is_free(fs, path, was))
    stamp = as_put(made, fs.stat(target))
    _finish(fs, plan, content, was)
    return stamp


def _finish(fs: FileSystem, plan: Plan, content: bytes, was: bytes) -> None:
    """See that nobody's words came out, nor a file that somebody is about to write them into, and drop it."""
    temporary = temporary_of(plan)
    if fs.stat(temporary) is not None:
        if not _is_free(fs, temporary, was, content):
            swap(fs, plan, lambda path: _is_free(fs, path, content))
            _forget(fs, temporary, content)
            raise changed(plan.target)
        fs.unlink(temporary)
    fs.sync_folder(paths.parent(plan.target))


def is_shared(there: Stat | None) -> bool:
    """Whether a name is a link, or one of several of a file: such a file is not ours alone to replace."""
    return there is not None and (there.link is not None or there.nlink > 1)


def _check(fs: FileSystem, target: str, there: Stat | None, was: bytes) -> None:
    """Raises `FolderError` if the file is not to be replaced."""
    if there is None:
        raise FolderError(f"{target} is gone.")
    if there.stamp is None:
        raise no_file(target, there)
    if is_shared(there):
        raise FolderError(f"{target} is a link, or has another name too, and is left as it is.")
    if not there.writable:
        raise FolderError(f"{target} is read-only, and is left as it is.")
    if there.stamp.size > max(MAX_SIZE, len(was)):  # it was never read, and is not in the log
        raise FolderError(
            f"{target} has {there.stamp.size:,} bytes; {MAX_SIZE:,} are allowed. Move it away first; it is "
            "left as it is until then."
        )
    if fs.being_written(target) or not holds(fs, target, there, was):
        raise FolderError(f"{target} is being changed by someone else; what they write stays.")


def holds(fs: FileSystem, path: str, stat: Stat, content: bytes) -> bool:
    """Whether that is what is in a file."""
    if stat.stamp is None or stat.stamp.size != len(content):
        return False
    with fs.open(path) as file:
        return file.read_at(0, len(content) + 1) == content


def _says(fs: FileSystem, path: str, *texts: bytes) -> bool:
    """Whether a file is there and holds one of these texts."""
    found = fs.stat(path)
    return found is not None and any(holds(fs, path, found, text) for text in texts)


def _is_free(fs: FileSystem, path: str, *texts: bytes) -> bool:
    """Whether a file is there that holds one of these texts, and nobody has it open for writing.

    Where the writers cannot be known, the text is all there is to go by.
    """
    if not _says(fs, path, *texts) or fs.being_written(path):
        return False
    return _says(fs, path, *texts)  # who closed it in between may have written


def _forget(fs: FileSystem, temporary: str, *known: bytes) -> None:
    """Remove what we put there, which is in the log; whatever else came to lie there stays."""
    if _is_free(fs, temporary, *known):
        fs.unlink(temporary)
