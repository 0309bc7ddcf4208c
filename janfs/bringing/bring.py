"""Taking what was found: put together under a hidden name, then there all at once; nothing is overwritten."""

import contextlib
import errno
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from msgspec import Struct

from janfs.bringing.find import Find, Piece
from janfs.errors import FolderError
from janfs.folder import paths, spelling
from janfs.folder.copying import copy_content, share_content
from janfs.folder.real import RealFileSystem
from janfs.folder.staging import Staging
from janfs.organise.naming import id_from_file_name, id_from_folder

Mode = Literal["copy", "move", "link"]
How = Literal["shared", "hard-linked", "copied", "moved", "linked"]
RESERVE = 256 * 1024 * 1024  # bytes of the disk that are left free
_NO_LINK = (errno.EPERM, errno.EMLINK, errno.EXDEV, errno.EOPNOTSUPP, errno.EACCES)


class Brought(Struct, frozen=True):
    """A file that is here now: where it lies below the root, where it came from, and how it was taken."""

    path: str
    source: Path
    how: How
    size: int


def bring(root: Path, found: Find, mode: Mode, progress: Callable[[int], None]) -> list[Brought]:
    """Take a file or a folder; `progress` hears of bytes as they are done.

    `copy` shares blocks where the disk can, makes a second name (of weights only) where it cannot, and else
    copies. `move` leaves what was found behind a link where it is, and copies it; folders that it empties go
    too, but for the one that was named. `link` leaves all weights where they are. Raises `FolderError`; what
    was begun is then undone.
    """
    taken: list[tuple[Piece, How]] = []
    moved: list[tuple[Path, os.stat_result]] = []
    try:
        with Staging(root) as place:
            _check_room(found, mode, place.path)
            for piece in found.pieces:
                target = place.path / piece.name
                taken.append((piece, _take(piece, target, mode)))
                if taken[-1][1] == "moved":
                    moved.append((piece.source, target.stat()))
                progress(piece.size)
            _note_digests(found, mode, place.path)
            folder = _publish(place, found, root)
    except OSError as error:
        raise FolderError(f"{found.name} cannot be taken: {error.strerror or error}.") from error
    for source, copy in moved:
        with contextlib.suppress(OSError):  # it is here; that it is there as well does no harm
            if _is_that(source.stat(), copy):
                source.unlink()
                _clear_away(source.parent, found.top)
    return [
        Brought(paths.join(folder, piece.name) if not found.alone else folder, piece.source, how, piece.size)
        for piece, how in taken
    ]


def _take(piece: Piece, target: Path, mode: Mode) -> How:
    if mode == "link" and piece.is_binary:
        target.symlink_to(piece.source)
        return "linked"
    if mode == "move" and not piece.linked:
        with contextlib.suppress(OSError):  # another disk, or one without second names
            os.link(piece.source, target)
            return "moved"
        _copy(piece.source, target)
        return "moved"
    if piece.is_binary:
        if _share(piece.source, target):
            return "shared"
        try:
            os.link(piece.source, target)
        except OSError as error:
            if error.errno not in _NO_LINK:
                raise
        else:
            return "hard-linked"
    _copy(piece.source, target)
    return "copied"


def _is_that(original: os.stat_result, copy: os.stat_result) -> bool:
    """Whether a file is still what was taken of it: the same one, or one that nobody wrote since."""
    if os.path.samestat(original, copy):
        return True
    return (original.st_size, original.st_mtime_ns) == (copy.st_size, copy.st_mtime_ns)


def _clear_away(folder: Path, top: Path | None) -> None:
    """Remove a folder below `top` that has nothing left in it, and those around it."""
    while top is not None and top in folder.parents:
        try:
            folder.rmdir()
        except OSError:  # something is left in it, or may not be removed
            return
        folder = folder.parent


def _share(source: Path, target: Path) -> bool:
    """Make a file of the same blocks, where the disk can."""
    with source.open("rb") as here, target.open("xb") as there:
        if share_content(here.fileno(), there.fileno()):
            times = os.fstat(here.fileno())
            os.utime(there.fileno(), ns=(times.st_atime_ns, times.st_mtime_ns))
            os.fsync(there.fileno())
            return True
    target.unlink()
    return False


def _copy(source: Path, target: Path) -> None:
    with source.open("rb") as here, target.open("xb") as there:
        copy_content(here.fileno(), there.fileno())


def _publish(place: Staging, found: Find, root: Path) -> str:
    """Give what was put together its name in `models/`, the next free one if need be."""
    if found.alone:
        given = Path(found.pieces[0].name)
        stem, suffix = given.stem, given.suffix
        for number in range(1, 10_000):
            name = f"{stem}-{number}{suffix}" if number > 1 else f"{stem}{suffix}"
            with contextlib.suppress(FileExistsError):
                return place.publish_file(found.pieces[0].name, name)
    wanted, lying = _folder_name(found), spelling.taken(RealFileSystem(root).list(paths.MODELS))
    for number in range(1, 10_000):
        name = f"{wanted}-{number}" if number > 1 else wanted
        if name in lying:
            continue
        with contextlib.suppress(FileExistsError):
            return place.publish(name)
    raise FolderError(f"Too many things are called {wanted} in {root / paths.MODELS}.")


def _folder_name(found: Find) -> str:
    """After its only model, as if the file were dropped: a repository's name does not say the quantisation.

    After the folder, where there are more, or where its model.json makes it a model already.
    """
    names = [piece.name for piece in found.pieces if piece.is_binary]
    shards = [paths.shard(name) for name in names]
    models = {
        shard.stem if shard is not None else name
        for name, shard in zip(names, shards, strict=True)
        if not name.lower().startswith("mmproj")
    }
    if len(models) != 1 or any(piece.name == paths.MANIFEST for piece in found.pieces):
        return id_from_folder(found.name)
    return id_from_file_name(models.pop(), found.name)


def _note_digests(found: Find, mode: Mode, folder: Path) -> None:
    """Leave what a hub said of the files beside them, as its own tool would."""
    known = [piece for piece in found.pieces if piece.digest is not None and mode != "link"]
    if not known or found.alone:
        return
    notes = folder / ".cache" / "huggingface" / "download"
    notes.mkdir(parents=True)
    for piece in known:
        text = f"{'0' * 40}\n{piece.digest}\n{time.time()}\n"
        (notes / f"{piece.name}.metadata").write_text(text)


def _check_room(found: Find, mode: Mode, folder: Path) -> None:
    """Whether there is room for what really has to be copied."""
    here = folder.stat().st_dev
    needed = sum(
        piece.size
        for piece in found.pieces
        if piece.source.stat().st_dev != here and not (mode == "link" and piece.is_binary)
    )
    free = shutil.disk_usage(folder).free
    if needed and needed + RESERVE > free:
        raise FolderError(
            f"{found.name} needs {needed:,} bytes, and the disk has {free:,} free, of which {RESERVE:,} are "
            "kept. Make room, or leave it where it is with --link."
        )
