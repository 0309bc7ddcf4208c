"""Reading the log back: typed replay, rebuild of a million events, verification of the chain."""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.report import Row, median
from janfs.catalogue.catalogue import Catalogue
from janfs.clock import SystemClock
from janfs.engines.protocol import EngineState
from janfs.events import types as e
from janfs.folder.filesystem import Stamp
from janfs.folder.gguf import GgufFacts
from janfs.listing import ModelList
from janfs.log.verify import verify
from janfs.manifest.schema import Manifest, SourceRef
from janfs.past.moments import AsOf
from janfs.past.texts import versions_of
from janfs.pipeline.recorder import Draft, Recorder, new_record, rebuild, replay
from janfs.pipeline.snapshot import Snapshot
from janfs.root import OpenRoot

MODELS = 10_000
BATCH = 2_000


def run(events: int = 1_000_000, where: Path | None = None) -> list[Row]:
    """Write a log of a mixed life of 10,000 models, and read it in every way there is."""
    with tempfile.TemporaryDirectory(dir=where) as folder, OpenRoot(Path(folder), SystemClock()) as root:
        started = time.perf_counter()
        fill(root, events)
        writing = time.perf_counter() - started
        started = time.perf_counter()
        count = sum(1 for _ in replay(root.log))
        replaying = time.perf_counter() - started
        started = time.perf_counter()
        catalogue = rebuild(root.log)
        rebuilding = time.perf_counter() - started
        started = time.perf_counter()
        verdict = verify(root.log)
        verifying = time.perf_counter() - started
        Recorder(root.log)
        started = time.perf_counter()
        Recorder(root.log)
        loading = time.perf_counter() - started
        listing = _list_again(catalogue)
        middle, again = _as_of(root, events // 2)
        page, versions = _one_model(root, events)
        size = (Path(folder) / ".janfs" / "log.db").stat().st_size
    if not verdict.ok or len(catalogue.models) != MODELS or count != events:
        raise AssertionError(f"the log does not stand: {verdict}, {count} events")
    return [
        Row("append, 2,000 a commit", events / writing, "events/s"),
        Row("size", size / 1e6, "MB", note=f"{events:,} events"),
        Row("typed replay", events / replaying, "events/s", 200_000, higher=True),
        Row(f"rebuild of {events:,} events", rebuilding, "s", 10 * events / 1_000_000),
        Row("verify", events / verifying, "events/s"),
        Row("load the projected catalogue", loading, "s", note=f"{MODELS:,} models"),
        Row(f"the list of {MODELS:,} models, nothing changed", listing * 1000, "ms", 150),
        Row("as of the middle, first time", middle, "s"),
        Row("as of a moment near there, from what was kept", again, "s"),
        Row("a page of one model's history, the slowest of 100", page * 1000, "ms", 20),
        Row("versions of one model's model.json, median of 100", versions * 1000, "ms"),
    ]


def _as_of(root: OpenRoot, position: int) -> tuple[float, float]:
    """Seconds for a catalogue of the past: with nothing kept, and by another process after that."""
    started = time.perf_counter()
    AsOf(root.log, root.paths.past).at(position)
    first = time.perf_counter() - started
    started = time.perf_counter()
    AsOf(root.log, root.paths.past).at(position + position // 10)
    return first, time.perf_counter() - started


def _one_model(root: OpenRoot, events: int) -> tuple[float, float]:
    """Seconds for a page of history from anywhere in the log, and for all versions of a model.json."""
    pages, versions = [], []
    for turn in range(100):
        uid = f"uid-{turn * 97 % MODELS}"
        started = time.perf_counter()
        list(root.log.read(turn * events // 100, stream=uid, limit=101))
        pages.append(time.perf_counter() - started)
        started = time.perf_counter()
        versions_of(root.log, uid)
        versions.append(time.perf_counter() - started)
    return max(pages), median(versions)


def _list_again(catalogue: Catalogue) -> float:
    """Seconds for the list of all models when nothing has changed since it was last asked for."""
    models, stopped = ModelList(), EngineState(state="stopped")
    models.encode(Snapshot(catalogue), lambda _: stopped)
    times = []
    for _ in range(20):
        started = time.perf_counter()
        models.encode(Snapshot(catalogue), lambda _: stopped)
        times.append(time.perf_counter() - started)
    return median(times)


def fill(root: OpenRoot, events: int, models: int = MODELS) -> None:
    """Append the mixed life of so many models to a log; the catalogue is not made of it."""
    batch: list[Draft] = []
    for draft in _life(events, models):
        batch.append(draft)
        if len(batch) == BATCH:
            root.log.append([new_record(item) for item in batch])
            batch.clear()
    root.log.append([new_record(item) for item in batch])


def _life(events: int, models: int) -> Iterator[Draft]:
    """Models are dropped, organised and given a model.json; then edited, started and stopped for ever."""
    given = 0
    for number in range(models):
        for event in _birth(number):
            yield Draft(f"uid-{number}", event)
            given += 1
    turn = 0
    while given < events:
        number = turn * 7919 % models
        kind = turn % 4
        event: e.Event
        if kind == 0:
            event = e.ModelStarted("llama-cpp", "0123456789abcdef", 0.5, 4242)
        elif kind == 1:
            event = e.ModelStopped("0123456789abcdef", "idle")
        elif kind == 2:
            path, stamp = f"models/m{number}/model.json", Stamp(900, turn, number)
            event = e.JsonEdited(path, stamp, f"{turn:064x}", _manifest(number))
        else:
            path = f"models/m{number}/m{number}.gguf"
            event = e.FileChanged(path, Stamp(10**9, turn, number), None, _facts(number))
        yield Draft(f"uid-{number}", event)
        given += 1
        turn += 1


def _birth(number: int) -> list[e.Event]:
    loose, home = f"models/m{number}.gguf", f"models/m{number}"
    stamp = Stamp(10**9, number, number)
    op = f"{number:032x}"
    return [
        e.FileDropped(loose, stamp, None, _facts(number)),
        e.ModelRegistered(f"m{number}", home, loose),
        e.MovePlanned(op, loose, f"{home}/m{number}.gguf", "organise", stamp),
        e.MoveCompleted(op, loose, f"{home}/m{number}.gguf", "organise", stamp),
        e.WritePlanned(f"{op}w", f"{home}/model.json", f"{number:064x}"),
        e.JsonWritten(f"{op}w", f"{home}/model.json", stamp, f"{number:064x}", _manifest(number)),
    ]


def _facts(number: int) -> GgufFacts:
    return GgufFacts(
        header_sha256=f"{number:064x}",
        data_end=10**9,
        architecture="llama",
        name=f"Model {number}",
        quantization="Q4_K_M",
        parameter_count=7 * 10**9,
        context_length=8192,
        eos_token="<|im_end|>",
    )


def _manifest(number: int) -> Manifest:
    return Manifest(
        id=f"m{number}",
        object="model",
        name=f"Model {number}",
        format="gguf",
        engine="llama-cpp",
        sources=(SourceRef(f"m{number}.gguf", f"m{number}.gguf"),),
        engine_parameters={"ctx_len": 8192},
        model_parameters={"temperature": 0.7, "top_p": 0.95, "stop": ["<|im_end|>"]},
        metadata={"size": 10**9, "tags": []},
    )
