"""Whether the models folder is there at all.

An unmounted disk looks like an empty folder; it must not be taken for a mass deletion.
"""

import contextlib
import errno
from collections.abc import Collection

from janfs.events import types as e
from janfs.folder import paths
from janfs.folder.filesystem import FileSystem
from janfs.organise.disk import forget
from janfs.pipeline.observer import FOLDER
from janfs.pipeline.recorder import Draft, Recorder

STREAM = "root"
MARKER = paths.join(paths.MODELS, ".janfs-root")
_MAKING = paths.join(paths.MODELS, f"{paths.TEMP_PREFIX}{'0' * 32}.tmp")  # swept away like any temporary
_TEXT = b"janfs keeps this file here to tell an unmounted disk from an empty folder. Leave it in place.\n"


def look(fs: FileSystem, recorder: Recorder) -> bool:
    """Whether the models folder is there; that it went, or why, or that it came back, is recorded."""
    known = recorder.catalogue
    reason = why_unavailable(fs, known.files)
    if STREAM not in known.parked and (known.root.available, known.root.reason) != (reason is None, reason):
        event = e.RootReturned() if reason is None else e.RootUnavailable(reason)
        recorder.record([Draft(STREAM, event, FOLDER)])
    return reason is None


def why_unavailable(fs: FileSystem, known: Collection[str]) -> str | None:
    """Why nothing can be concluded from what is missing in `models/`; None when all is well.

    `known` are the files that should be there. The marker is put back where that is certain to be right.
    """
    try:
        folder = fs.stat(paths.MODELS)
    except OSError as error:
        return f"{paths.MODELS}/ cannot be found: {error.strerror}."
    if folder is None or not folder.is_dir:
        return f"The folder {paths.MODELS}/ is not there."
    try:
        if fs.stat(MARKER) is not None:
            return None
    except OSError as error:  # nobody may look into it, or the disk fails
        return f"{paths.MODELS}/ cannot be read: {error.strerror}."
    try:
        if known and not any(fs.stat(path) is not None for path in _possible(fs, known)):
            return (
                f"Nothing of what is known is in {paths.MODELS}/ and its marker is gone, as when its disk is "
                f"not mounted. If everything was deleted on purpose, create the file {MARKER}."
            )
    except PermissionError:
        return None  # something is there, if only in a folder that we may not look into
    except OSError as error:
        return f"{paths.MODELS}/ cannot be read: {error.strerror}."
    with contextlib.suppress(OSError):  # without a marker, what is known must do: a folder may be read-only
        forget(fs, _MAKING)
        fs.create(_MAKING, _TEXT)
        try:
            fs.rename(_MAKING, MARKER)
        except OSError as error:
            fs.unlink(_MAKING)
            if error.errno == errno.EOPNOTSUPP:  # half a marker says as much as a whole one
                fs.create(MARKER, _TEXT)
        fs.sync_folder(paths.MODELS)
    return None


def _possible(fs: FileSystem, known: Collection[str]) -> list[str]:
    """The known files that may be there, by what is directly in `models/`; of an empty folder, none."""
    here = {paths.folded(name) for name in fs.list(paths.MODELS)}
    return sorted(path for path in known if paths.folded(path.split("/")[1]) in here)
