"""What `janfs export` and the thread that takes archives in do, step by step, for a fake disk.

Packing reads through the disk's port. Unpacking is the product's too, into a real folder; what comes out of
it appears on the fake disk at once, as a folder that was made under a hidden name and published.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

from janfs.archive.export import Packed
from janfs.archive.unpack import Unpacked, unpack
from janfs.archiving import waiting
from janfs.catalogue.entries import File, Model
from janfs.errors import ArchiveError
from janfs.events import types as e
from janfs.folder import paths
from janfs.pipeline.commands import Record, Submitted
from janfs.pipeline.recorder import Draft
from tests.pipeline.world import World


class Archives:
    """Packs models of one root, and takes in the archives that lie in it."""

    def __init__(self, world: World, scratch: Path, janfs: Callable[[Callable[[], object]], None]) -> None:
        """`scratch` is a real folder, for the archives that are being unpacked; `janfs` lets janfs act."""
        self._world = world
        self._scratch = scratch
        self._janfs = janfs

    def export(self, model: Model) -> bytes | None:
        """The archive of a model; None where one of its files cannot be read."""
        world = self._world
        try:
            packed = Packed(world.fs, world.log, world.catalogue, model)
            content = b"".join(packed)
        except (ArchiveError, OSError):
            return None
        self._record([Draft(model.uid, packed.event(), "cli")])
        return content

    def take_all(self, dies: Callable[[], bool]) -> None:
        """Take in what waits; where the process `dies` before it has told, it is not told."""
        for archive in waiting(self._world.catalogue):
            try:
                unpacked = self._unpack(archive)
            except FileNotFoundError:
                continue  # it was taken away, and nobody has looked since
            except ArchiveError as error:
                refused = e.FileRefused(archive.path, archive.stamp, ArchiveError.code, error.detail)
                self._record([Draft(archive.uid, refused)])
                continue
            folder = self._publish(unpacked)
            self._janfs(lambda: self._world.pipeline.tick([""]))
            if not dies():
                self._tell(archive, folder, unpacked)

    @property
    def _unpacked(self) -> Path:
        return self._scratch / "unpacked"

    def _unpack(self, archive: File) -> Unpacked:
        shutil.rmtree(self._unpacked, ignore_errors=True)
        self._unpacked.mkdir()
        packed = self._scratch / "packed.janfs.tar"
        packed.write_bytes(self._world.fs.read(archive.path))
        return unpack(packed, self._unpacked)

    def _publish(self, unpacked: Unpacked) -> str:
        """Put what came out where nothing is."""
        fs, wanted = self._world.fs, paths.encode_name(unpacked.contents.id.encode())
        names = (f"{wanted}-{number}" if number > 1 else wanted for number in range(1, 1000))
        name = next(name for name in names if fs.stat(paths.join(paths.MODELS, name)) is None)
        hidden, folder = paths.join(paths.MODELS, ".taken-in"), paths.join(paths.MODELS, name)
        fs.mkdir(hidden)
        for file in unpacked.contents.files:
            inside = "/".join(paths.encode_name(part.encode()) for part in file.name.split("/"))
            fs.put(paths.join(hidden, inside), (self._unpacked / file.name).read_bytes())
        fs.rename_over(hidden, folder)
        return folder

    def _tell(self, archive: File, folder: str, unpacked: Unpacked) -> None:
        contents, catalogue = unpacked.contents, self._world.catalogue
        uid = catalogue.folders.get(folder)
        if uid is None:
            return  # it was organised away, or died before it was seen
        imported = e.ModelImported(
            archive.path, unpacked.sha256, contents.uid, contents.id, contents.history, contents.events
        )
        documents = unpacked.documents | {contents.history: unpacked.history}
        self._record([Draft(uid, imported)], documents)

    def _record(self, drafts: list[Draft], documents: dict[str, bytes] | None = None) -> None:
        asked = [Submitted(Record(tuple(drafts), documents or {}))]
        self._janfs(lambda: self._world.pipeline.tick([], asked))
