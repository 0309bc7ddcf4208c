"""Engines elsewhere as a service has them: with their keys, which are on disk alone, and with the log."""

import asyncio
import os
from pathlib import Path

from msgspec import Struct

from janfs.engine_events import answered
from janfs.engines.remote.engines import RemoteEngines
from janfs.engines.remote.model import Key, RemoteModel, key_of
from janfs.errors import EngineError, InvalidInput, ManifestError, ModelNotRunnable
from janfs.folder import paths
from janfs.manifest import jsonc
from janfs.manifest.engine_file import read_engine_file
from janfs.manifest.remote import Address, RemoteEngine, remote_engine
from janfs.pipeline.commands import Record
from janfs.pipeline.loop import Pipeline
from janfs.pipeline.recorder import Draft

_MOST_KEPT = 100  # engines whose key is remembered


class _Read(Struct, frozen=True):
    """A file as it was read: what tells it from another version, where its engine is, and its key."""

    stamp: tuple[int, int, int]
    addresses: tuple[Address, ...]
    key: Key | None


class EngineKeys:
    """Reads the engines' files below a root for what the log must not know."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._read: dict[str, _Read] = {}

    def of(self, engine: RemoteEngine, file: str) -> Key | None:
        """The key in the file at a path below the root, if there is one.

        A file that cannot be read any more keeps the last one in force, as it does its settings. Raises
        `ModelNotRunnable` for a key that cannot be used. Where the file has other addresses by now than
        `engine`, its key is for those: the one before is given, or `EngineError` raised if there was none.
        """
        place = self._root / os.fsdecode(paths.decode_path(file))
        known = self._read.get(file)
        try:
            seen = place.stat()
            stamp = (seen.st_mtime_ns, seen.st_size, seen.st_ino)
            if known is None or known.stamp != stamp:
                now = _read(engine.id, file, place.read_bytes(), stamp)
                if known is None or known.addresses != engine.addresses or now.addresses == engine.addresses:
                    known = now
                    self._keep(file, now)
        except (OSError, ManifestError, InvalidInput) as error:
            if known is None:
                reason = error.strerror if isinstance(error, OSError) else error
                raise ModelNotRunnable(
                    f"{file} cannot be read for its key: {reason}", param="model"
                ) from error
        if known.addresses != engine.addresses:
            raise EngineError(f"{file} has just been changed. Try again in a moment.")
        return known.key

    def _keep(self, file: str, read: _Read) -> None:
        if len(self._read) >= _MOST_KEPT:
            self._read.clear()
        self._read[file] = read


def _read(engine: str, file: str, text: bytes, stamp: tuple[int, int, int]) -> _Read:
    said = read_engine_file(file, text)
    addresses = remote_engine(engine, said.manifest.engine_parameters).addresses
    raw = jsonc.parse(text)
    return _Read(stamp, addresses, key_of(raw.get("api_key"), file))


def remote_engines(root: Path, pipeline: Pipeline) -> RemoteEngines:
    """The engines elsewhere of a root. Once one has answered, what its fingerprint stands for is recorded."""

    async def record(model: RemoteModel) -> None:
        await asyncio.wrap_future(pipeline.submit(Record((Draft(model.uid, answered(model)),))))

    return RemoteEngines(EngineKeys(root).of, record)
