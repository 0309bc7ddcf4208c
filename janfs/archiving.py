"""Taking models in that come as archives: dropped into `models/`, or given by name."""

import json
import re
import shutil
import threading
import time
from contextlib import closing, suppress
from pathlib import Path

from msgspec import Struct

from janfs.archive.contents import Contents
from janfs.archive.export import named_files, sha256_of
from janfs.archive.unpack import Unpacked, peek, unpack
from janfs.catalogue.catalogue import Catalogue, present_models
from janfs.catalogue.entries import File, Model
from janfs.errors import ArchiveError, Busy, FolderError, LogError, PipelineFailed
from janfs.events import types as e
from janfs.folder import paths, staging
from janfs.folder.real import RealFileSystem
from janfs.folder.settle import EDITING, PATIENCE
from janfs.folder.staging import Staging
from janfs.organise.disk import vacant_folder
from janfs.pipeline.backoff import Backoff
from janfs.pipeline.commands import Look, Record
from janfs.pipeline.loop import Pipeline
from janfs.pipeline.recorder import Draft
from janfs.root import read_log

RESERVE = 256 * 1024 * 1024  # bytes of the disk that are left free


class Imported(Struct, frozen=True):
    """The model that came out of an archive; `new` is False if it was here already."""

    id: str
    new: bool


class Archives:
    """Takes archives in: those that lie in `models/`, one after another, and those that are given by name."""

    def __init__(self, root: Path, pipeline: Pipeline) -> None:
        self._root = root
        self._fs = RealFileSystem(root)
        self._pipeline = pipeline
        self._stopping = threading.Event()
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name="archives", daemon=True)
        self._looked_at = -1
        self._backoff = Backoff()
        self._tried: set[str] = set()  # archives that could not be taken in by this process

    def start(self) -> None:
        """Begin to look for archives, in a thread of its own; what an earlier process left half made goes."""
        staging.sweep(self._root)
        self._pipeline.on_publish(lambda _: self._wake.set())
        self._thread.start()

    def close(self) -> None:
        """Stop, once the archive that is being taken in is done."""
        self._stopping.set()
        self._wake.set()
        self._thread.join()

    def take_all(self) -> None:
        """Take in every archive that lies in `models/` and has not been.

        One that is no good is refused for good; for want of space or permission it is tried again.
        """
        due = self._backoff.take_due(time.monotonic())
        for file in waiting(self._pipeline.snapshot.catalogue):
            if self._stopping.is_set():
                return
            if file.refused is not None and file.path in self._tried - due:
                continue
            try:
                self.take(
                    self._root / Path(paths.decode_path(file.path).decode(errors="surrogateescape")), file
                )
            except ArchiveError as error:
                self._refuse(file, ArchiveError.code, error.detail)
            except FolderError as error:
                self._put_off(file, error.detail)
            except OSError as error:
                self._put_off(file, f"It cannot be unpacked: {error.strerror or error}.")
            else:
                self._backoff.note(file.path, failed=False, now=time.monotonic())

    def take(self, archive: Path, dropped: File | None = None, actor: str = "janfs") -> Imported:
        """Take in an archive; a model that is here with the same content is left as it is.

        Raises `ArchiveError`, `FolderError`, and `OSError` where it cannot be read or unpacked.
        """
        contents = peek(archive)
        here = self._same(contents)
        with Staging(self._root) as place:
            _check_room(contents, place.path)
            unpacked = unpack(archive, place.path)
            folder = here.folder if here is not None else self._publish(place, contents.id)
        self._look_until_seen(folder)
        uid = self._uid_in(folder, contents)
        name = archive.name if dropped is None else dropped.path
        if (dropped is not None and dropped.taken is None) or not self._is_told(uid, unpacked.sha256):
            self._tell(uid, name, folder, unpacked, actor)
        return Imported(self._pipeline.snapshot.catalogue.models[uid].id, here is None)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            position, due = self._pipeline.snapshot.catalogue.position, self._backoff.next_due()
            late = due is not None and due <= time.monotonic()
            if (late or position != self._looked_at) and self._pipeline.snapshot.catalogue.root.available:
                with suppress(Busy, LogError, PipelineFailed):  # tried again at the next change
                    self.take_all()
                self._looked_at = position
                due = self._backoff.next_due()
            self._wake.wait(None if due is None else max(0.0, due - time.monotonic()))

    def _refuse(self, file: File, code: str, reason: str) -> None:
        if file.refused is None or (file.refused.code, file.refused.reason) != (code, reason):
            self._record([Draft(file.uid, e.FileRefused(file.path, file.stamp, code, reason, file.link))])

    def _put_off(self, file: File, reason: str) -> None:
        self._tried.add(file.path)
        self._backoff.note(file.path, failed=True, now=time.monotonic())
        self._refuse(file, FolderError.code, reason)

    def _same(self, contents: Contents) -> Model | None:
        """The model that is what the archive holds, byte for byte, as far as weights go.

        It has the archive's id, or the one that it gets where that is taken.
        """
        catalogue = self._pipeline.snapshot.catalogue
        own = re.compile(re.escape(contents.id) + r"(-\d+)?")
        alike = (model for model in present_models(catalogue) if own.fullmatch(model.id))
        return next((model for model in alike if self._has_all(catalogue, model, contents)), None)

    def _has_all(self, catalogue: Catalogue, model: Model, contents: Contents) -> bool:
        known = named_files(catalogue, model)
        for file in contents.files:
            if not paths.is_binary(file.name):
                continue
            mine = known.get(file.name)
            if mine is None or mine.stamp.size != file.size or sha256_of(self._fs, mine) != file.sha256:
                return False
        return True

    def _is_told(self, uid: str, sha256: str) -> bool:
        """Whether the history that came with an archive is known; a crash may have come before."""
        with closing(read_log(self._root)) as log:
            told = (each.data for each in log.read(stream=uid) if each.type == "model-imported")
            return any(json.loads(data)["sha256"] == sha256 for data in told)

    def _publish(self, place: Staging, wanted: str) -> str:
        while True:
            catalogue = self._pipeline.snapshot.catalogue
            name = paths.name(vacant_folder(self._fs, catalogue, wanted, returns=True))
            with suppress(FileExistsError):  # someone was quicker; the next name then
                return place.publish(name)

    def _look_until_seen(self, folder: str) -> None:
        """Look at a folder until all in it is known; what cannot be read may be half written, for a time."""
        until = time.monotonic() + 2 * PATIENCE
        self._pipeline.submit(Look()).result()
        while time.monotonic() < until and any(
            paths.is_inside(path, folder) for path in self._pipeline.snapshot.arrivals
        ):
            time.sleep(EDITING)
            self._pipeline.submit(Look()).result()

    def _uid_in(self, folder: str, contents: Contents) -> str:
        catalogue = self._pipeline.snapshot.catalogue
        uid = catalogue.folders.get(folder)
        if uid is None:
            lying = (catalogue.files.get(paths.join(folder, file.name)) for file in contents.files)
            uid = next(
                (file.uid for file in lying if file is not None and file.uid in catalogue.models), None
            )
        if uid is None:
            raise ArchiveError(f"What was unpacked to {folder} is no model.")
        return uid

    def _tell(self, uid: str, name: str, folder: str, unpacked: Unpacked, actor: str) -> None:
        contents, catalogue = unpacked.contents, self._pipeline.snapshot.catalogue
        imported = e.ModelImported(
            name, unpacked.sha256, contents.uid, contents.id, contents.history, contents.events
        )
        drafts = [Draft(uid, imported, actor)]
        for file in contents.files:
            known = catalogue.files.get(paths.join(folder, file.name))
            if known is not None and paths.is_binary(known.path) and known.sha256 is None:
                drafts.append(
                    Draft(uid, e.FileHashed(known.path, known.stamp, file.sha256, "archive"), actor)
                )
        self._record(drafts, unpacked.documents | {contents.history: unpacked.history})

    def _record(self, drafts: list[Draft], documents: dict[str, bytes] | None = None) -> None:
        self._pipeline.submit(Record(tuple(drafts), documents or {})).result()


def waiting(catalogue: Catalogue) -> list[File]:
    """The archives in `models/` that were neither taken in nor refused for good, by path."""
    found = [file for path, file in catalogue.files.items() if paths.is_archive(path) and not file.taken]
    open_still = [file for file in found if file.refused is None or file.refused.code == FolderError.code]
    return sorted(open_still, key=lambda file: file.path)


def _check_room(contents: Contents, folder: Path) -> None:
    needed, free = sum(file.size for file in contents.files), shutil.disk_usage(folder).free
    if needed + RESERVE > free:
        raise FolderError(
            f"'{contents.id}' needs {needed:,} bytes, and the disk has {free:,} free, of which {RESERVE:,} "
            "are kept. Make room."
        )
