"""What becomes of loaded models as the catalogue changes: who is gone ends, and who is to be kept is kept.

And of those that failed: what is something else now has not. And of servers elsewhere: those that no engine's
file names are left alone.
"""

import asyncio
from collections.abc import Callable, Collection

from msgspec import Struct

from janfs.catalogue.catalogue import Catalogue, files_of, find_model
from janfs.catalogue.entries import File, Model
from janfs.configuration import configure
from janfs.engines.pool import EnginePool
from janfs.engines.protocol import RunSpec
from janfs.engines.remote.engines import RemoteEngines
from janfs.errors import InvalidInput, ModelNotFound, ModelNotRunnable
from janfs.pipeline.loop import Pipeline
from janfs.pipeline.snapshot import Snapshot
from janfs.remotes import engines_elsewhere


class _Seen(Struct, frozen=True):
    """What of a catalogue a model's settings depend on, and whether it failed with them."""

    failed: bool
    model: Model | None
    files: list[File]
    engine_files: list[File]


class Following:
    """Has a pool know what its models are now that are loaded or failed. All that costs is for these alone,
    and for a change.

    What else changes of them takes effect at the next request, so that nobody waits for a load in vain; but
    one that waits for its place is loaded from where it lies by then. `preload` names models that are pinned,
    whatever their settings say.
    """

    def __init__(self, pipeline: Pipeline, pool: EnginePool, preload: Collection[str]) -> None:
        self._pipeline = pipeline
        self._pool = pool
        self._preload = preload
        self._seen: dict[str, _Seen] = {}

    def start(self) -> None:
        """Look again whenever there is a new snapshot. Call it in the pool's event loop."""
        _whenever_published(self._pipeline, self.look)

    def look(self) -> None:
        """Look at those models of which anything has changed."""
        catalogue, before, failed = self._pipeline.snapshot.catalogue, self._seen, self._pool.failed()
        self._seen = {uid: _see(catalogue, uid, failed) for uid in self._pool.loaded() | failed}
        for uid, seen in self._seen.items():
            if seen != before.get(uid):
                self._pool.review(uid, self._spec(seen.model))
                self._tell(catalogue, uid, seen.model)

    def _tell(self, catalogue: Catalogue, uid: str, model: Model | None) -> None:
        if model is None or model.removed is not None:
            self._pool.end(uid, "the model is gone")
        elif model.remote is not None:
            self._pool.end(uid, f"the model is served by {model.remote} now")
        else:
            try:
                said = configure(catalogue, model).engine_parameters
            except InvalidInput:  # told to whoever asks for the model next; till then it is kept as it was
                return
            pinned = said["pinned"].value or is_named(catalogue, self._preload, uid)
            self._pool.keep(uid, pinned=pinned, keep_alive=said["keep_alive"].value)

    def _spec(self, model: Model | None) -> RunSpec | None:
        """What would be loaded of a model now; None if nothing would."""
        try:
            return self._pool.spec_of(model.id) if model is not None and model.removed is None else None
        except (ModelNotFound, ModelNotRunnable):
            return None


def follow_engines_elsewhere(pipeline: Pipeline, remotes: RemoteEngines) -> None:
    """Have those that are in use keep to what their files say now. Call it in their event loop."""

    def look() -> None:
        if remotes.in_use:
            remotes.keep_to(engines_elsewhere(pipeline.snapshot.catalogue))

    _whenever_published(pipeline, look)


def is_named(catalogue: Catalogue, names: Collection[str], uid: str) -> bool:
    """Whether a model is meant by one of these ids and aliases."""
    found = (find_model(catalogue, name) for name in names)
    return any(model is not None and model.uid == uid for model in found)


def _whenever_published(pipeline: Pipeline, look: Callable[[], None]) -> None:
    """Call `look` in the running event loop whenever there is a new snapshot."""
    loop = asyncio.get_running_loop()

    def published(_: Snapshot) -> None:
        loop.call_soon_threadsafe(look)

    pipeline.on_publish(published)


def _see(catalogue: Catalogue, uid: str, failed: Collection[str]) -> _Seen:
    """What there is to be seen of a model."""
    files, engine_files = files_of(catalogue, uid), list(catalogue.engine_files.values())
    return _Seen(uid in failed, catalogue.models.get(uid), files, engine_files)
