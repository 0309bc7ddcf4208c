"""Whether what comes to a deleted model's place is that model again, by what lies in the trash."""

from msgspec import Struct

from janfs.catalogue.entries import Model
from janfs.errors import GgufError
from janfs.folder import paths
from janfs.folder.filesystem import FileSystem, Stamp
from janfs.folder.gguf import facts, read_header

_SAMPLES, _SAMPLE = 16, 1 << 16  # pieces of a file that are compared, and the bytes of each


class _Lying(Struct, frozen=True):
    """A file as it lies there."""

    path: str
    stamp: Stamp


def is_another(fs: FileSystem, model: Model, place: str) -> bool:
    """Whether a removed model's weights are in the trash, and not what is new at its place.

    Else they would be out of reach once the model is there again with others. Weights that are still being
    written say nothing yet; until they do, a model.json that is in the trash as it is tells a copy of it.
    Where the trash cannot be looked into, it is another model: that takes nothing from anyone.
    """
    if model.trash is None:
        return False
    try:
        deleted = _files(fs, model.trash, *(there for there, _ in model.apart))
        if not any(paths.is_binary(file.path) for file in deleted):
            return False  # emptied, or put back by hand, or there never were any
        new = [file for file in _files(fs, place) if not fs.being_written(file.path)]
        told = [file for file in new if paths.is_binary(file.path)] or new
        return not told or any(not _is_among(fs, file, deleted) for file in told)
    except OSError:
        return True


def _files(fs: FileSystem, *places: str) -> list[_Lying]:
    """The GGUF files and the model.json at some places: of a folder those in it, of a file that one."""
    found = []
    for place in places:
        stat = fs.stat(place)
        inside = {place: stat}
        if stat is not None and stat.is_dir:
            inside = {paths.join(place, name): each for name, each in fs.list(place).items()}
        found += [
            _Lying(path, each.stamp)
            for path, each in inside.items()
            if each is not None and each.stamp is not None and _tells(paths.name(path))
        ]
    return found


def _tells(name: str) -> bool:
    """Whether a file of that name tells one model from another."""
    return not paths.is_ignored(name) and (paths.is_binary(name) or name == paths.MANIFEST)


def _is_among(fs: FileSystem, file: _Lying, deleted: list[_Lying]) -> bool:
    return any(_is_same(fs, file, each) for each in deleted)


def _is_same(fs: FileSystem, one: _Lying, other: _Lying) -> bool:
    """Whether two files have the same content, by their sizes, headers and samples of the rest."""
    if one.stamp.size != other.stamp.size:
        return False
    return _samples(fs, one) == _samples(fs, other) and _header(fs, one) == _header(fs, other)


def _samples(fs: FileSystem, file: _Lying) -> list[bytes]:
    size = file.stamp.size
    with fs.open(file.path) as opened:
        return [opened.read_at(size * number // _SAMPLES, _SAMPLE) for number in range(_SAMPLES)]


def _header(fs: FileSystem, file: _Lying) -> str | None:
    try:
        with fs.open(file.path) as opened:
            return facts(read_header(opened.read_at, file.stamp.size)).header_sha256
    except GgufError:
        return None
