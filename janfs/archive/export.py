"""A model of the catalogue as an archive, and the histories that came with archives."""

import hashlib
from collections.abc import Iterable, Iterator

import msgspec

from janfs.archive import contents as form
from janfs.archive import history as past
from janfs.archive.contents import ArchivedFile, Contents
from janfs.archive.pack import Source, pack
from janfs.catalogue.catalogue import Catalogue, files_of
from janfs.catalogue.entries import File, Model
from janfs.errors import ArchiveError, FolderError
from janfs.events import types as e
from janfs.folder import paths
from janfs.folder.filesystem import FileSystem, Stamp
from janfs.folder.hashing import hash_file
from janfs.log.reader import LogReader
from janfs.log.records import Record
from janfs.manifest.secrets import as_recorded

_SURE = ("computed", "download", "archive")
_DEEPEST = 20  # archives of archives of archives


class Packed:
    """An archive as it is written: iterate over its bytes, then ask for the event that tells of it."""

    def __init__(self, fs: FileSystem, log: LogReader, catalogue: Catalogue, model: Model) -> None:
        """Hashes the files whose content is not known yet.

        Raises `ArchiveError` where one cannot be read, or the history is damaged. Damaged texts are left out.
        """
        self.name = f"{model.id}{paths.ARCHIVE_SUFFIX}"
        self._digest = hashlib.sha256()
        self._size = 0
        named = named_files(catalogue, model)
        records = list(log.hashed_of(model.uid))
        history = past.encode(records)
        found = past.documents_of(
            (record for record, _, _ in records), {d for d, _ in log.document_digests()}
        )
        texts = {digest: log.document(digest) for digest in found}
        documents = {digest: text for digest, text in texts.items() if text is not None}
        try:
            sources = {name: _source(fs, file) for name, file in named.items()}
            files = [_archived(fs, name, file, sources[name]) for name, file in sorted(named.items())]
        except (FolderError, OSError) as error:
            raise ArchiveError(f"'{model.id}' cannot be packed now: {error}") from error
        archived = dict(log.archived_streams()).get(model.uid, 0)
        contents = Contents(
            format=form.FORMAT,
            id=model.id,
            uid=model.uid,
            files=tuple(files),
            events=len(records),
            history=hashlib.sha256(history).hexdigest(),
            history_size=len(history),
            documents={digest: len(text) for digest, text in sorted(documents.items())},
            archived=archived,
            archived_in=log.seam.archive if archived and log.seam is not None else None,
        )
        self._pieces = pack(fs, contents, sources, history, documents)

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            self._digest.update(piece)
            self._size += len(piece)
            yield piece

    def event(self) -> e.ModelExported:
        """What is to be recorded once everything was written."""
        return e.ModelExported(self.name, self._digest.hexdigest(), self._size)


def earlier_histories(log: LogReader, records: Iterable[Record]) -> list[tuple[str, Record]]:
    """What happened to a model before it came: each event with the archive it came in, oldest first.

    What came twice is told once, and what is in its own history here, of which `records` are, not at all.
    Raises `ArchiveError` for a history that is not what was packed.
    """
    told = set(own := list(records))
    found = []
    for archive, record in _came_with(log, own, set()):
        if record not in told:
            told.add(record)
            found.append((archive, record))
    return found


def _came_with(
    log: LogReader, records: Iterable[Record], read: set[str], deep: int = 0
) -> Iterator[tuple[str, Record]]:
    for record in records:
        event = _imported(record) if deep < _DEEPEST else None
        text = log.document(event.history) if event is not None and event.history not in read else None
        if event is not None and text is not None:
            read.add(event.history)  # each once: they may be made to name each other many times over
            before = past.decode(text)
            yield from _came_with(log, before, read, deep + 1)
            yield from ((event.archive, each) for each in before)


def _imported(record: Record) -> e.ModelImported | None:
    if record.type != "model-imported":
        return None
    try:
        return msgspec.json.decode(record.data, type=e.ModelImported)
    except msgspec.MsgspecError:  # of an archive, whose word it is alone
        return None


def named_files(catalogue: Catalogue, model: Model) -> dict[str, File]:
    """A model's files and what else lies in its folder, by the names that they get in an archive."""
    found: dict[str, File] = {}
    for path, file in catalogue.files.items():
        owner = catalogue.models.get(file.uid)
        foreign = owner is not None and owner.removed is None and owner.uid != model.uid
        if paths.is_inside(path, model.folder) and not foreign and file.stamp != Stamp(0, 0, 0):
            found[_shown(path.removeprefix(model.folder + "/"))] = file
    for file in files_of(catalogue, model.uid):
        if not paths.is_inside(file.path, model.folder):
            found.setdefault(paths.shown_name(file.path), file)
    return found


def _shown(path: str) -> str:
    return paths.decode_path(path).decode(errors="replace")


def _source(fs: FileSystem, file: File) -> Source:
    """Where a file's content is; a model.json goes without its secrets, which are not for another machine."""
    if not paths.is_manifest(file.path):
        return file.path, file.stamp
    with fs.open(file.path) as opened:
        text = opened.read_at(0, file.stamp.size)
        if opened.stamp() != file.stamp:
            raise ArchiveError(f"{file.path} changed while it was being packed.")
    return as_recorded(file.path, text)


def _archived(fs: FileSystem, name: str, file: File, source: Source) -> ArchivedFile:
    form.check_name(name)
    if isinstance(source, bytes):
        return ArchivedFile(name, len(source), hashlib.sha256(source).hexdigest(), file.stamp.mtime_ns)
    return ArchivedFile(name, file.stamp.size, sha256_of(fs, file), file.stamp.mtime_ns)


def sha256_of(fs: FileSystem, file: File) -> str:
    """A file's SHA-256: known for sure, or made now. Raises `FolderError`, `OSError`."""
    known = file.sha256 if file.hashed_by in _SURE and file.refused is None else None
    return known or hash_file(fs, file.path, file.stamp)
