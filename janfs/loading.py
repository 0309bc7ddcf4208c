"""The pool of engines over the catalogue and the log, and what is loaded at the start."""

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path

from msgspec.structs import replace

from janfs.catalogue.catalogue import Catalogue, files_of, present_models
from janfs.engine_events import event_of
from janfs.engines.free_memory import free_memory
from janfs.engines.llama_cpp.devices import free_on_gpus
from janfs.engines.places import PoolLimits
from janfs.engines.pool import EnginePool
from janfs.engines.protocol import EngineFact, EngineFactory, RunSpec
from janfs.errors import JanfsError
from janfs.folder import paths
from janfs.following import is_named
from janfs.manifest.spellings import DEFAULT_ENGINE
from janfs.pipeline.commands import Record
from janfs.pipeline.loop import Pipeline
from janfs.pipeline.recorder import Draft
from janfs.pipeline.snapshot import Snapshot
from janfs.serving import resolve
from janfs.settings import Settings


def create_pool(settings: Settings, pipeline: Pipeline, llama_cpp: EngineFactory) -> EnginePool:
    """A pool that runs the catalogue's models as their settings say, and tells the log of it."""

    def spec_of(name: str) -> RunSpec:
        catalogue = pipeline.snapshot.catalogue
        spec = resolve(pipeline.snapshot, settings.root, name).spec
        pinned = spec.pinned or is_named(catalogue, settings.preload, spec.uid)
        return replace(spec, pinned=pinned, grammar_stamp=_grammar_stamp(spec))

    async def record(fact: EngineFact) -> None:
        await asyncio.wrap_future(pipeline.submit(Record((Draft(fact.uid, event_of(fact)),))))

    limits = PoolLimits(
        max_loaded=settings.max_loaded,
        max_queue=settings.max_queue,
        memory=settings.memory or None,
        keep_alive=settings.keep_alive,
    )
    if settings.memory == 0:  # whatever there is: the person knows better
        return EnginePool(spec_of, record, {DEFAULT_ENGINE: llama_cpp}, limits)
    return EnginePool(
        spec_of, record, {DEFAULT_ENGINE: llama_cpp}, limits, free=free_memory, free_on_gpus=free_on_gpus
    )


async def preload(
    pipeline: Pipeline, pool: EnginePool, names: Iterable[str], say: Callable[[str], None]
) -> None:
    """Load these models, and those that their model.json pins, once everything has been looked at."""
    loop, caught_up = asyncio.get_running_loop(), asyncio.Event()

    def look(snapshot: Snapshot) -> None:
        if snapshot.caught_up:
            loop.call_soon_threadsafe(caught_up.set)

    pipeline.on_publish(look)
    await caught_up.wait()
    for name in dict.fromkeys([*names, *_pinned(pipeline.snapshot.catalogue)]):
        try:
            await pool.start(name)
        except JanfsError as error:
            say(f"'{name}' could not be loaded at the start: {error.detail}")


def _grammar_stamp(spec: RunSpec) -> tuple[int, int, int] | None:
    """What tells a model's grammar_file from another version; None where it has none. Looks on the disk.

    It is no model's file, so that the catalogue knows nothing of it.
    """
    if spec.settings.grammar_file is None:
        return None
    try:
        seen = (Path(spec.path).parent / spec.settings.grammar_file).lstat()
    except OSError:  # whoever loads the model says what is wrong with it
        return None
    return seen.st_mtime_ns, seen.st_size, seen.st_ino


def _pinned(catalogue: Catalogue) -> list[str]:
    """The ids of models whose own model.json pins them."""
    return [
        model.id
        for model in present_models(catalogue)
        for file in files_of(catalogue, model.uid)
        if paths.is_manifest(file.path)
        and file.manifest is not None
        and file.manifest.engine_parameters.get("pinned") is True
    ]
