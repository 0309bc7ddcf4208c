"""What becomes of loaded models when the catalogue changes."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from janfs import following
from janfs.catalogue.catalogue import Catalogue, files_of
from janfs.engines.pool import EnginePool
from janfs.engines.protocol import GenerateRequest, SamplingParams, TextPrompt
from janfs.errors import DoesNotFit, EngineError, LoadFailed
from janfs.events import types as e
from janfs.folder.filesystem import Stamp
from janfs.following import Following, follow_engines_elsewhere
from janfs.loading import create_pool
from janfs.manifest.remote import RemoteEngine
from janfs.manifest.schema import Manifest
from janfs.pipeline.snapshot import Snapshot
from janfs.settings import Settings
from tests.engines.fake_engine import FakeFactory
from tests.engines.pool_bench import until
from tests.fakes.snapshots import catalogue_of, model_events
from tests.test_loading import Quiet
from tests.test_remotes import FILE, URL, engine_file

ENDLESS = GenerateRequest(
    request_id="r", prompt=TextPrompt("hello"), sampling=SamplingParams(max_tokens=10**6)
)


class Publishing(Quiet):
    """Stands for the pipeline, which publishes in a thread of its own."""

    def __init__(self, catalogue: Catalogue) -> None:
        super().__init__(Snapshot(catalogue))
        self._listeners: list[Callable[[Snapshot], None]] = []

    def on_publish(self, listener: Callable[[Snapshot], None]) -> None:
        self._listeners.append(listener)

    async def see(self, *happened: tuple[str, e.Event]) -> None:
        """Record something, publish it, and let the loop hear of it."""
        self.snapshot = Snapshot(catalogue_of(*happened, base=self.snapshot.catalogue))
        await asyncio.to_thread(self._publish)
        await asyncio.sleep(0)

    def _publish(self) -> None:
        for listener in self._listeners:
            listener(self.snapshot)


def follow(
    test: Callable[[Publishing, EnginePool, FakeFactory], Awaitable[None]],
    preload: tuple[str, ...] = (),
    **settings: Any,
) -> None:
    """Run a test with the models `a` and `b` and their pool, which follows what is published."""

    async def scenario() -> None:
        pipeline, factory = Publishing(catalogue_of(*model_events("a"), *model_events("b"))), FakeFactory()
        chosen = Settings(root=Path("/root"), memory=0, preload=preload, **settings)
        pool = create_pool(chosen, pipeline, factory)  # type: ignore[arg-type]
        Following(pipeline, pool, preload).start()  # type: ignore[arg-type]
        try:
            await test(pipeline, pool, factory)
        finally:
            await pool.close(0)

    asyncio.run(scenario())


def says(**parameters: object) -> tuple[str, e.Event]:
    """The model.json of `a` is edited."""
    manifest = Manifest(engine_parameters=parameters)
    return "uid-a", e.JsonEdited("models/a/model.json", Stamp(10, 1, 8), "00" * 32, manifest)


GONE = [
    ("uid-a", e.FileRemoved("models/a/a.gguf")),
    ("uid-a", e.ModelRemoved("Nothing is left of it.")),
]


def test_a_model_that_is_gone_is_unloaded_though_it_is_pinned_and_answers() -> None:
    async def scenario(pipeline: Publishing, pool: EnginePool, factory: FakeFactory) -> None:
        await pipeline.see(says(pinned=True))
        await pool.start("b")
        async with aclosing(pool.generate("a", ENDLESS)) as replies:
            await anext(replies)
            await pipeline.see(*GONE)
            assert pool.state("uid-a").state == "stopping"
            assert await anext(replies), "what it answers was cut off at once"
        await until(lambda: pool.state("uid-a").state == "stopped", "a is unloaded")
        assert pool.state("uid-a").reason == "the model is gone"
        assert pool.state("uid-b").state == "running"

    follow(scenario)


def test_a_model_that_goes_while_it_loads_is_not_loaded_to_its_end() -> None:
    async def scenario(pipeline: Publishing, pool: EnginePool, factory: FakeFactory) -> None:
        factory.hold()
        waiting = asyncio.create_task(pool.start("a"))
        await until(lambda: factory.loads == 1, "a loads")
        await pipeline.see(*GONE)
        with pytest.raises(EngineError, match="the model is gone"):
            await waiting

    follow(scenario)


def test_what_loads_while_its_model_is_deleted_does_not_outlive_it() -> None:
    async def scenario(pipeline: Publishing, pool: EnginePool, factory: FakeFactory) -> None:
        async with aclosing(pool.generate("a", ENDLESS)) as replies:
            await anext(replies)
            deleting = asyncio.create_task(pool.stop("uid-a", reason="it is being deleted"))
            await until(lambda: pool.state("uid-a").state == "stopping", "the first engine ends")
            await pool.start("a")
        await deleting
        [late] = factory.alive
        trash = ".janfs/trash/a"
        await pipeline.see(
            ("uid-a", e.MovePlanned("op", "models/a", trash, "delete")),
            ("uid-a", e.MoveCompleted("op", "models/a", trash, "delete")),
            ("uid-a", e.ModelDeleted("a", trash)),
        )
        await until(lambda: late.ended, "the late one is unloaded")

    follow(scenario)


def test_a_model_that_is_served_elsewhere_from_now_on_is_unloaded_here() -> None:
    async def scenario(pipeline: Publishing, pool: EnginePool, factory: FakeFactory) -> None:
        await pool.start("a")
        manifest = Manifest(format="api", engine="there")
        edited = e.JsonEdited("models/a/model.json", Stamp(10, 1, 8), "00" * 32, manifest)
        await pipeline.see(("uid-a", edited))
        await until(lambda: not factory.alive, "a is unloaded")
        assert pool.state("uid-a").reason == "the model is served by there now"

    follow(scenario)


def test_a_model_that_is_renamed_or_out_of_sight_stays_loaded() -> None:
    async def scenario(pipeline: Publishing, pool: EnginePool, factory: FakeFactory) -> None:
        await pool.start("a")
        await pipeline.see(
            ("uid-a", e.MovePlanned("op", "models/a", "models/c", "organise")),
            ("uid-a", e.MoveCompleted("op", "models/a", "models/c", "organise")),
            ("uid-a", e.ModelRenamed("c", "models/c", "a")),
        )
        await pipeline.see(("root", e.RootUnavailable("The disk is gone.")))
        assert pool.state("uid-a").state == "running"
        await pipeline.see(("root", e.RootReturned()))
        await pool.start("c")
        assert factory.loads == 1

    follow(scenario)


def test_a_model_that_is_renamed_while_it_waits_for_a_place_is_loaded_from_its_new_one() -> None:
    async def scenario(pipeline: Publishing, pool: EnginePool, factory: FakeFactory) -> None:
        stamp = files_of(pipeline.snapshot.catalogue, "uid-a")[0].stamp
        async with pool.engine("b"):
            pool.begin("a")
            await until(lambda: pool.state("uid-a").waiting == 1, "a waits for a place")
            await pipeline.see(
                ("uid-a", e.FileMoved("models/a/a.gguf", "models/c/a.gguf", stamp)),
                ("uid-a", e.ModelRenamed("c", "models/c", "a")),
            )
        await until(lambda: pool.state("uid-a").state == "running", "a is loaded")
        [engine] = factory.alive
        assert (engine.spec.model_id, Path(engine.spec.path).parent.name) == ("c", "c")

    follow(scenario, max_loaded=1)


def test_a_model_that_is_unpinned_makes_room_for_another_at_once() -> None:
    async def scenario(pipeline: Publishing, pool: EnginePool, factory: FakeFactory) -> None:
        await pipeline.see(says(pinned=True))
        await pool.start("a")
        with pytest.raises(DoesNotFit, match="a stay, being pinned"):
            await pool.start("b")
        await pipeline.see(says(pinned=False))
        await pool.start("b")
        assert [engine.spec.model_id for engine in factory.alive] == ["b"]

    follow(scenario, max_loaded=1)


def test_another_keep_alive_holds_at_once() -> None:
    async def scenario(pipeline: Publishing, pool: EnginePool, factory: FakeFactory) -> None:
        await pool.start("a")
        default = pool.state("uid-a").unloads_at
        await pipeline.see(says(keep_alive=100_000))
        now = pool.state("uid-a").unloads_at
        assert default is not None
        assert now is not None
        assert now - default > 90_000
        await pipeline.see(says(pinned=True, keep_alive=0))
        assert pool.state("uid-a").unloads_at is None
        await pipeline.see(says(keep_alive=0))
        await until(lambda: pool.state("uid-a").state == "stopped", "a is unloaded")
        assert pool.state("uid-a").reason == "nobody used it for 0 seconds"

    follow(scenario)


def test_a_preloaded_model_stays_pinned_whatever_its_model_json_says() -> None:
    async def scenario(pipeline: Publishing, pool: EnginePool, factory: FakeFactory) -> None:
        await pool.start("a")
        await pipeline.see(says(pinned=False, keep_alive=0))
        assert pool.state("uid-a").pinned
        assert pool.state("uid-a").state == "running"

    follow(scenario, preload=("a",))


def test_settings_that_cannot_be_used_change_nothing_of_what_is_loaded() -> None:
    async def scenario(pipeline: Publishing, pool: EnginePool, factory: FakeFactory) -> None:
        await pipeline.see(says(pinned=True))
        await pool.start("a")
        await pipeline.see(says(pinned=False, adapters=["nobody.gguf"]))
        assert (pool.state("uid-a").state, pool.state("uid-a").pinned) == ("running", True)

    follow(scenario)


def test_a_failure_is_shown_until_something_else_would_be_loaded() -> None:
    async def scenario(pipeline: Publishing, pool: EnginePool, factory: FakeFactory) -> None:
        factory.failing = "no such tensor"
        for name in ("a", "b"):
            with pytest.raises(LoadFailed):
                await pool.start(name)
        await pipeline.see(says(keep_alive=7))
        assert (pool.state("uid-a").state, pool.state("uid-a").reason) == ("failed", "no such tensor")
        await pipeline.see(says(keep_alive=7, ctx_len=512))
        assert (pool.state("uid-a").state, pool.state("uid-a").reason) == ("stopped", None)
        assert pool.state("uid-b").state == "failed"
        await pipeline.see(("uid-b", e.FileRemoved("models/b/b.gguf")))
        assert pool.state("uid-b").state == "stopped"

    follow(scenario)


def test_what_was_edited_while_it_loaded_has_not_failed() -> None:
    async def scenario(pipeline: Publishing, pool: EnginePool, factory: FakeFactory) -> None:
        factory.failing = "no such tensor"
        factory.hold()
        pool.begin("a")
        await until(lambda: factory.loads == 1, "a loads")
        await pipeline.see(says(ctx_len=512))
        factory.release()
        await until(lambda: pool.state("uid-a").state == "failed", "a has failed")
        await pipeline.see()  # that it failed was recorded
        assert pool.state("uid-a").state == "stopped"

    follow(scenario)


def test_an_engine_that_dies_of_settings_from_before_an_edit_has_not_failed() -> None:
    async def scenario(pipeline: Publishing, pool: EnginePool, factory: FakeFactory) -> None:
        await pool.start("a")
        await pipeline.see(says(ctx_len=512))
        factory.engines[0].crash()
        await until(lambda: pool.state("uid-a").state == "failed", "a has failed")
        await pipeline.see()
        assert pool.state("uid-a").state == "stopped"

    follow(scenario)


def test_engines_elsewhere_that_are_in_use_are_told_what_their_files_say() -> None:
    told: list[dict[str, RemoteEngine]] = []

    class Remotes:
        in_use = False

        def keep_to(self, engines: dict[str, RemoteEngine]) -> None:
            told.append(engines)

    async def scenario() -> None:
        pipeline, remotes = Publishing(catalogue_of()), Remotes()
        follow_engines_elsewhere(pipeline, remotes)  # type: ignore[arg-type]
        await pipeline.see(engine_file(full_url=URL))
        assert not told
        remotes.in_use = True
        await pipeline.see(engine_file(full_url="https://localhost:7/v1"))
        await pipeline.see(("engine-openai", e.JsonRemoved(FILE)))

    asyncio.run(scenario())
    edited, removed = told
    assert [each.base for each in edited["openai"].addresses] == ["https://localhost:7/v1"]
    assert removed == {}


def test_what_happens_to_others_costs_no_look(monkeypatch: pytest.MonkeyPatch) -> None:
    looked = []
    configure = following.configure
    monkeypatch.setattr(
        following, "configure", lambda *asked: (looked.append(asked[1].id), configure(*asked))[1]
    )

    async def scenario(pipeline: Publishing, pool: EnginePool, factory: FakeFactory) -> None:
        await pool.start("a")
        for number in range(5):
            await pipeline.see(*model_events(f"another-{number}"))
        assert looked == ["a"]
        await pipeline.see(says(keep_alive=7))
        assert looked == ["a", "a"]

    follow(scenario)
