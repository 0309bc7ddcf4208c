"""The loop: commands and hints in, snapshots out, whatever goes wrong."""

import threading
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

import pytest
from structlog.testing import capture_logs

from janfs.catalogue.catalogue import present_models
from janfs.errors import LogError, ManifestError, PipelineFailed
from janfs.events import types as e
from janfs.log.records import NewRecord, Record
from janfs.pipeline import commands
from janfs.pipeline.commands import Look, Submitted
from janfs.pipeline.loop import FULL_LOOK_EVERY, LAST_WORK, Pipeline
from janfs.pipeline.organiser import BATCH
from janfs.pipeline.recorder import Draft
from janfs.pipeline.snapshot import Snapshot
from janfs.pipeline.thread import start_thread
from tests.pipeline.world import World, gguf
from tests.support.patience import PATIENCE

PRODUCERS = 64


def stopped(number: int) -> commands.Record:
    return commands.Record((Draft(f"model-{number}", e.ModelStopped("print", "asked"), f"api:{number}"),))


def test_producers_at_once_share_few_transactions_and_each_knows_its_position(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    commits: list[int] = []
    append = world.log.append

    def counted(new: Sequence[NewRecord], *rest: Any) -> list[Record]:
        commits.append(len(new))
        return append(new, *rest)

    monkeypatch.setattr(world.log, "append", counted)
    before = world.log.head.position
    futures: list[Future[int]] = [world.pipeline.submit(stopped(number)) for number in range(PRODUCERS)]
    thread = start_thread(world.pipeline)
    results = [future.result(PATIENCE) for future in futures]
    world.pipeline.stop()
    thread.join(PATIENCE)
    assert [record.position for record in world.records(before)] == list(
        range(before + 1, before + PRODUCERS + 1)
    )
    for number, position in enumerate(results):
        own = next(record for record in world.records(before) if record.stream == f"model-{number}")
        assert own.position <= position, "a future is done only when its event is in the log"
    assert sum(commits) == PRODUCERS
    assert len(commits) <= 4, f"one commit a handful, not {commits}"


def test_producers_in_threads_of_their_own_are_all_recorded_once(world: World) -> None:
    thread = start_thread(world.pipeline)
    futures: dict[int, Future[int]] = {}

    def produce(number: int) -> None:
        futures[number] = world.pipeline.submit(stopped(number))

    producers = [threading.Thread(target=produce, args=(number,)) for number in range(PRODUCERS)]
    for producer in producers:
        producer.start()
    for producer in producers:
        producer.join(PATIENCE)
    for future in futures.values():
        future.result(PATIENCE)
    world.pipeline.stop()
    thread.join(PATIENCE)
    recorded = [record.stream for record in world.records() if record.type == "model-stopped"]
    assert sorted(recorded) == sorted(f"model-{number}" for number in range(PRODUCERS))


def test_stopping_does_first_what_was_asked_before(world: World) -> None:
    world.fs.put("models/a.gguf", gguf("one"))
    done = world.pipeline.submit(Look())
    world.pipeline.stop()
    world.pipeline.run()
    assert done.result(0) == world.log.head.position
    assert world.model("a").status == "ready"


def test_stopping_cuts_a_long_organising_short_and_the_next_start_goes_on(world: World) -> None:
    for number in range(3 * BATCH):
        world.fs.put(f"models/m{number}.gguf", gguf(str(number)))

    def stop_in_time(snapshot: Snapshot) -> None:
        if any(model.status == "ready" for model in present_models(snapshot.catalogue)):
            world.pipeline.stop()
            world.clock.advance(LAST_WORK + 0.1)

    world.pipeline.on_publish(stop_in_time)
    world.pipeline.hint("")
    world.pipeline.run()
    described = [path for path in world.catalogue.files if path.endswith("model.json")]
    assert len(described) < 3 * BATCH, "it was not cut short"
    world.restart()
    world.tick()
    assert sum(model.status == "ready" for model in present_models(world.catalogue)) == 3 * BATCH


def test_a_look_finds_what_no_hint_told(world: World) -> None:
    world.fs.put("models/a.gguf", gguf("one"))
    submitted = Submitted(Look())
    world.pipeline.tick([], [submitted])
    assert submitted.done.result(0) == world.log.head.position
    assert world.model("a").status == "ready"


def test_everyone_sees_the_catalogue_after_each_tick(world: World) -> None:
    seen: list[Snapshot] = []
    world.pipeline.on_publish(seen.append)
    world.fs.put("models/a.gguf", gguf("one"))
    world.tick()
    assert seen[-1] is world.pipeline.snapshot
    assert seen[-1].catalogue is world.catalogue
    assert [snapshot.catalogue.position for snapshot in seen] == sorted(s.catalogue.position for s in seen)


def test_it_is_caught_up_after_the_first_look_at_everything(world: World) -> None:
    world.fs.put("models/a.gguf", gguf("one"))
    world.stop()
    world.start()
    assert [world.pipeline.snapshot.caught_up] == [False]
    world.pipeline.tick()
    assert [world.pipeline.snapshot.caught_up] == [True]
    assert world.model("a").status == "ready"


@pytest.mark.parametrize("error", [LogError("The disk is full."), ValueError("a defect")])
def test_a_log_that_cannot_be_written_loses_nothing(world: World, error: Exception) -> None:
    append, failed = world.log.append, 0
    for allowed in range(7):
        left = allowed

        def append_some(*args: Any) -> list[Record]:
            nonlocal left, failed
            left -= 1
            if left < 0:
                failed += 1
                raise error
            return append(*args)

        world.clock.advance(1)
        world.fs.put(f"models/model{allowed}.gguf", gguf(str(allowed)))
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(world.log, "append", append_some)
            world.tick()
            assert (world.pipeline.snapshot.failing is not None) == (left < 0)
        world.wait(6)
        assert world.pipeline.snapshot.failing is None
        model = world.model(f"model{allowed}")
        assert (model.status, model.reason) == ("ready", None), f"after a failure at append {allowed}"
    assert failed >= 5, "a drop takes at least five commits"


def test_what_is_asked_while_something_else_has_a_defect_is_told_so_and_not_what_it_was(world: World) -> None:
    def failing(*_: Any) -> None:
        raise ManifestError("a defect of one model")

    submitted = Submitted(Look())
    world.fs.put("models/a.gguf", gguf("one"))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(world.log, "append", failing)
        world.pipeline.tick([], [submitted])
    with pytest.raises(PipelineFailed, match="its log says what") as caught:
        submitted.done.result(0)
    assert caught.value.retry_after == world.pipeline._patience()


def waits_while(world: World, seconds: float) -> list[float]:
    """How long the pipeline waits each time, for so many seconds without a hint."""
    waits: list[float] = []
    until = world.clock.monotonic() + seconds
    while world.clock.monotonic() < until:
        waits.append(world.pipeline._patience())
        assert len(waits) < seconds, f"it spins: {waits[-5:]}"
        world.clock.advance(waits[-1])
        world.pipeline.tick()
    return waits


@pytest.mark.parametrize("error", [LogError("The disk is full."), ValueError("a defect")])
@pytest.mark.parametrize("stuck", [False, True])
def test_what_fails_for_good_is_tried_ever_more_rarely_and_logged_once(
    world: World, error: Exception, stuck: bool
) -> None:
    world.fs.read_only = stuck
    world.fs.put("models/a.gguf", gguf("one"))
    world.tick()
    world.fs.read_only = False

    def failing(*_: Any) -> None:
        raise error

    world.fs.put("models/b.gguf", gguf("two"))
    with pytest.MonkeyPatch.context() as patched, capture_logs() as lines:
        patched.setattr(world.log, "append", failing)
        world.tick()
        waits = waits_while(world, 600)
        assert world.pipeline.snapshot.failing is not None
    assert waits[:7] == pytest.approx([1, 2, 4, 8, 16, 32, 60])
    assert set(waits[7:]) == {FULL_LOOK_EVERY}
    told = [] if isinstance(error, LogError) else ["pipeline-failed"]
    assert [line["event"] for line in lines] == told, "it fills the log"
    world.wait(FULL_LOOK_EVERY)
    assert world.pipeline.snapshot.failing is None
    assert (world.model("a").status, world.model("b").status) == ("ready", "ready")


def test_a_failing_log_is_tried_at_once_where_something_changes(world: World) -> None:
    def failing(*_: Any) -> None:
        raise LogError("The disk is full.")

    world.fs.put("models/a.gguf", gguf("one"))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(world.log, "append", failing)
        world.tick()
        waits_while(world, 100)
    world.tick("models/a.gguf")
    assert world.model("a").status == "ready"
    assert world.pipeline.snapshot.failing is None


def test_a_command_that_could_not_be_recorded_says_so(world: World) -> None:
    def failing(*args: Any) -> None:
        raise LogError("The disk is full.")

    submitted = Submitted(stopped(1))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(world.log, "append", failing)
        world.pipeline.tick([], [submitted])
    with pytest.raises(LogError, match="full"):
        submitted.done.result(0)
    world.wait(2)
    assert world.pipeline.snapshot.failing is None


def test_who_is_gone_when_a_command_is_refused_harms_nobody_else(world: World) -> None:
    refused, other = Submitted(commands.Delete("nobody", "api:test")), Submitted(stopped(1))
    assert refused.done.cancel()
    world.pipeline.tick([], [refused, other])
    assert other.done.result(0) == world.log.head.position
    assert world.pipeline.snapshot.failing is None


def test_a_thread_of_its_own_does_not_spin(world: World) -> None:
    """With nothing due it waits; with something stuck it waits for its time, not at full speed."""
    world.fs.read_only = True
    world.fs.put("models/a.gguf", gguf("one"))
    world.tick()
    world.clock.advance(61)
    ticks = 0

    def count(_: Snapshot) -> None:
        nonlocal ticks
        ticks += 1

    world.pipeline.on_publish(count)
    thread = start_thread(world.pipeline)
    thread.join(0.2)
    world.pipeline.stop()
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert ticks <= 5, f"{ticks} ticks in a fifth of a second with the clock standing still"


def test_a_new_pipeline_on_the_same_log_knows_everything(world: World) -> None:
    world.fs.put("models/a.gguf", gguf("one"))
    world.tick()
    assert Pipeline(world.fs, world.log, world.clock, lambda: "x").catalogue == world.catalogue
