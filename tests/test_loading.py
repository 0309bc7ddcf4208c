import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

import pytest

from janfs.engines.protocol import EngineSettings, RunSpec
from janfs.errors import Busy, DoesNotFit
from janfs.events import types as e
from janfs.folder.filesystem import Stamp
from janfs.loading import create_pool, preload
from janfs.manifest.schema import Manifest
from janfs.pipeline.snapshot import Snapshot
from janfs.serving import resolve
from janfs.settings import Settings
from tests.engines.fake_engine import FakeEngine, FakeFactory
from tests.fakes.snapshots import catalogue_of, model_events

HUGE = Stamp(1 << 50, 1, 7)


class Quiet:
    """Stands for the pipeline: what it knows, which is published once, and what it is told."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.told: list[object] = []

    def on_publish(self, listener: Callable[[Snapshot], None]) -> None:
        listener(self.snapshot)

    def submit(self, command: object) -> "Future[None]":
        self.told.append(command)
        done: Future[None] = Future()
        done.set_result(None)
        return done


def load(memory: int | None, named: tuple[str, ...] = ()) -> tuple[RunSpec, EngineSettings]:
    """Load a model larger than any memory; the spec that the engine was given."""

    async def scenario() -> FakeEngine:
        factory = FakeFactory()
        pipeline = Quiet(Snapshot(catalogue_of(*model_events("tiny", stamp=HUGE))))
        settings = Settings(root=Path("/root"), memory=memory, preload=named)
        pool = create_pool(settings, pipeline, factory)  # type: ignore[arg-type]
        try:
            await pool.start("tiny")
        finally:
            await pool.close(0)
        return factory.engines[0]

    engine = asyncio.run(scenario())
    return engine.spec, engine.spec.settings


def test_what_is_larger_than_the_memory_is_refused_unless_nobody_is_to_look() -> None:
    with pytest.raises(DoesNotFit, match="--memory off"):
        load(None)
    with pytest.raises(DoesNotFit):
        load(1 << 40)
    assert load(0)[1].ctx_len > 0


def test_as_many_wait_for_a_model_as_the_settings_say() -> None:
    async def scenario() -> None:
        factory = FakeFactory()
        factory.hold()
        pipeline = Quiet(Snapshot(catalogue_of(*model_events("tiny"))))
        settings = Settings(root=Path("/root"), memory=0, max_queue=1)
        pool = create_pool(settings, pipeline, factory)  # type: ignore[arg-type]
        spec = resolve(pipeline.snapshot, Path("/root"), "tiny").spec
        asked = [asyncio.create_task(pool.start("tiny")) for _ in range(spec.settings.n_parallel + 1)]
        await asyncio.sleep(0)
        with pytest.raises(Busy):
            await pool.start("tiny")
        factory.release()
        await asyncio.gather(*asked)
        await pool.close(0)

    asyncio.run(scenario())


def test_a_grammar_that_is_edited_takes_effect_at_the_next_request(tmp_path: Path) -> None:
    async def scenario() -> int:
        factory = FakeFactory()
        manifest = Manifest(engine_parameters={"grammar_file": "form.gbnf"})
        pipeline = Quiet(Snapshot(catalogue_of(*model_events("tiny", manifest))))
        settings = Settings(root=tmp_path, memory=0)
        pool = create_pool(settings, pipeline, factory)  # type: ignore[arg-type]
        form = tmp_path / "models" / "tiny" / "form.gbnf"
        for text in (None, "root ::= 'yes'", "root ::= 'no'", "root ::= 'no'"):
            if text is not None and not (form.exists() and form.read_text() == text):
                form.parent.mkdir(parents=True, exist_ok=True)
                form.write_text(text)
            await pool.start("tiny")
        await pool.close(0)
        return factory.loads

    assert asyncio.run(scenario()) == 3, "none, yes, no, and no again, which is no other"


def test_a_preloaded_model_is_pinned() -> None:
    assert load(0, ("tiny",))[0].pinned
    assert not load(0)[0].pinned


def test_what_is_named_or_pinned_by_its_own_model_json_is_loaded_at_the_start() -> None:
    pins = Manifest(engine_parameters={"pinned": True})

    async def scenario() -> list[str]:
        factory, said = FakeFactory(), list[str]()
        catalogue = catalogue_of(
            ("engine-llama-cpp", e.JsonEdited("engines/llama-cpp.json", Stamp(10, 1, 9), "00" * 32, pins)),
            *model_events("named"),
            *model_events("pinned", pins),
            *model_events("pinned-by-the-engine-file"),
        )
        pipeline = Quiet(Snapshot(catalogue, caught_up=True))
        pool = create_pool(Settings(root=Path("/root"), memory=0), pipeline, factory)  # type: ignore[arg-type]
        await preload(pipeline, pool, ["named", "nobody"], said.append)  # type: ignore[arg-type]
        assert [text.split()[0] for text in said] == ["'nobody'"]
        loaded = [engine.spec.model_id for engine in factory.engines]
        assert (await pool.start("pinned-by-the-engine-file")).pid
        assert factory.engines[-1].spec.pinned
        await pool.close(0)
        return loaded

    assert asyncio.run(scenario()) == ["named", "pinned"]
