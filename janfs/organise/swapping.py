"""Letting a new file and the one in its place change names, on any disk; and going on after an interruption.

Where the disk cannot do that at once it is done in steps. Each leaves names that tell how far it came.
"""

import errno
from collections.abc import Callable

from janfs.catalogue.entries import Plan
from janfs.errors import FolderError
from janfs.folder.filesystem import FileSystem
from janfs.organise.disk import aside_of, forget, temporary_of

_NO_EXCHANGE = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)  # of the disk, or of the kernel


def swap(fs: FileSystem, plan: Plan, is_known: Callable[[str], bool]) -> None:
    """Let the temporary file and the target of a plan change names.

    Where the disk cannot do that at once, nothing has the target's name for a moment. What somebody saves
    there then stays, and so does a file that is not the one that `is_known`: either is an error, and nothing
    is changed. Raises `OSError`, `FolderError`.
    """
    temporary, aside, target = temporary_of(plan), aside_of(plan), plan.target
    try:
        fs.exchange(temporary, target)
    except OSError as error:
        if error.errno not in _NO_EXCHANGE:
            raise
    else:
        return
    fs.rename(temporary, aside)  # where this fails, the file could not be put back
    fs.rename(aside, temporary)
    fs.set_aside(target, aside)
    try:
        if not is_known(aside):
            raise changed(target)
        fs.rename(temporary, target)
    except (OSError, FolderError):
        put_back(fs, aside, target)
        raise
    fs.rename(aside, temporary)


def recover(fs: FileSystem, plan: Plan) -> None:
    """Go on from wherever an earlier try to change two names was interrupted. Raises `OSError`."""
    temporary, aside, target = temporary_of(plan), aside_of(plan), plan.target
    left = fs.stat(aside)
    if left is None:
        return
    made, there = fs.stat(temporary), fs.stat(target)
    # A file that was being moved by link and unlink may have two names.
    if there is not None and left.stamp != there.stamp and (made is None or made.stamp == there.stamp):
        forget(fs, temporary)
        fs.rename(aside, temporary)
    else:
        put_back(fs, aside, target)


def put_back(fs: FileSystem, aside: str, home: str) -> None:
    """Give a file that was set aside its name again; what was saved there since has taken its place.

    Raises `OSError`.
    """
    try:
        fs.rename(aside, home)
    except FileExistsError:
        fs.unlink(aside)


def changed(target: str) -> FolderError:
    """Why a file is left as it is when another one than was expected came out."""
    return FolderError(f"{target} was changed at the last moment; that stays.")
