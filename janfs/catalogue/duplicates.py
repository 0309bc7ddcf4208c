"""Files with the same content: which is the original, and which take space for nothing. Pure."""

from janfs.catalogue.catalogue import Tables, files_of
from janfs.catalogue.entries import File, Model
from janfs.folder import paths


def original_of(tables: Tables, file: File) -> File | None:
    """The file of which `file` is a second copy: that of the model that came first, then by path.

    None for the original itself, for a second name of it (a hard link takes no space), for a link, and for a
    file whose content is not known or not sound.
    """
    same = _same(tables, file)
    if not same:
        return None
    first = min(same, key=lambda each: (_age(tables, each), each.path))
    return None if first.path == file.path or first.stamp.inode == file.stamp.inode else first


def duplicates_of(tables: Tables, uid: str) -> list[tuple[File, File]]:
    """The files of a model that are second copies, each with its original."""
    pairs = [(file, original_of(tables, file)) for file in files_of(tables, uid)]
    return [(file, original) for file, original in pairs if original is not None]


def unnamed(tables: Tables, file: File) -> list[tuple[File, File]]:
    """Every copy of `file`'s content that the log does not call one yet, each with its original."""
    pairs = [(each, original_of(tables, each)) for each in _same(tables, file)]
    return [(each, of) for each, of in pairs if of is not None and each.duplicate_of != of.path]


def _same(tables: Tables, file: File) -> list[File]:
    """The files with the content of `file`, itself among them; none if it has no part in this."""
    if file.sha256 is None or not _counts(tables, file):
        return []
    alike = (tables.files[path] for path in sorted(tables.hashes.get(file.sha256) or ()))
    return [each for each in alike if _counts(tables, each)]


def _counts(tables: Tables, file: File) -> bool:
    sound = paths.is_binary(file.path) and file.link is None and file.refused is None
    return sound and _owner(tables, file) is not None


def _owner(tables: Tables, file: File) -> Model | None:
    model = tables.models.get(file.uid)
    return None if model is None or model.removed is not None else model


def _age(tables: Tables, file: File) -> str:
    model = _owner(tables, file)
    return "" if model is None else model.registered_at
