"""`kill -9` of a real janfs at any moment, under a person's hands: the next start puts it right."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from janfs.cli import main
from janfs.folder import paths
from janfs.pipeline.root import MARKER
from janfs.root import RootPaths
from tests.crash.load import Load
from tests.support.service import ServiceProcess

LONGEST = 1.0  # seconds that a process lives, from its first answer
EARLY = 0.2  # share of processes that die before they answer
STARTING = 0.9  # seconds within which those die
PLANNED = ("move-planned", "write-planned", "copy-planned")
ENDED = ("move-completed", "move-failed", "json-written", "write-failed", "copy-completed", "copy-failed")


@pytest.mark.parametrize(
    "cycles",
    [
        10,
        pytest.param(200, marks=[pytest.mark.long, pytest.mark.timeout(3600)]),
    ],
)
def test_nothing_is_lost_or_left_half_done_however_often_it_is_killed(tmp_path: Path, cycles: int) -> None:
    seed = int(os.environ.get("JANFS_TEST_SEED", random.randrange(2**32)))
    print(f"JANFS_TEST_SEED={seed}")
    root, chance = tmp_path / "jan", random.Random(seed)
    load = Load(root / paths.MODELS, seed)
    load.models.mkdir(parents=True)
    load.start()
    try:
        for _ in range(cycles):
            live_and_die(root, load, chance)
            if load.failure is not None:
                break
    finally:
        load.stop()
    assert load.failure is None, repr(load.failure)
    with ServiceProcess(root) as service:
        service.wait_ready()
        wait_for_the_list(service, load)
        check_log(service, load)
        check_disk(root, load)
        service.wait(lambda: not empty_folders(root), "empty folders to go")
        for command in (["verify"], ["rebuild", "--check"]):
            result = CliRunner().invoke(main, [*command, "--root", str(root)])
            assert result.exit_code == 0, result.output
    print(f"{cycles} kills, {sum(load.done.values())} deeds: {dict(load.done)}; {len(load.alive)} models")


def live_and_die(root: Path, load: Load, chance: random.Random) -> None:
    """One janfs, from its start to its end."""
    if chance.random() < EARLY:
        command = [sys.executable, "-m", "janfs", "serve", "--root", str(root), "--port", "0"]
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        time.sleep(chance.uniform(0, STARTING))
        process.send_signal(signal.SIGKILL)
        process.wait()
        return
    service = ServiceProcess(root)
    load.url = service.url
    time.sleep(chance.uniform(0, LONGEST))
    service.kill()
    load.url = None
    service.client.close()


def wait_for_the_list(service: ServiceProcess, load: Load) -> None:
    """Every model that is hers is listed as ready, and no other but those whose deletion is not known of."""

    def ready() -> bool:
        shown = [model["status"] for model in service.models().values()]
        few, many = len(load.alive), len(load.alive) + len(load.unsure)
        return set(shown) <= {"ready"} and few <= len(shown) <= many

    service.wait(ready, f"{len(load.alive)} models to be ready")


def check_log(service: ServiceProcess, load: Load) -> None:
    """What was shown once stands, and every plan has one outcome."""
    events: list[Any] = []
    after: int | None = 0
    while after is not None:
        page = service.get(f"/v1/events?after={after}&limit=1000")
        events += page["data"]
        after = page["next"]
    assert events[: len(load.seen)] == load.seen, "the log says other things than it said"
    planned = Counter(event["data"]["op"] for event in events if event["type"] in PLANNED)
    assert planned == Counter(event["data"]["op"] for event in events if event["type"] in ENDED)


def check_disk(root: Path, load: Load) -> None:
    """Every file of hers is there once, with what she said of it, and nothing that nobody put there."""
    where = RootPaths(root)
    here = [path for path in where.models.rglob("*") if path.is_file()]
    trash = Counter(path.read_bytes() for path in where.trash.rglob("*.gguf"))
    assert trash.keys() >= set(load.deleted.values()), "what was deleted is not in the trash"
    assert set(trash.values()) <= {1}, "something is in the trash twice"
    binaries = {path.name: path for path in here if path.suffix == ".gguf"}
    assert len(binaries) == len([path for path in here if path.suffix == ".gguf"]), "something is there twice"
    assert load.alive.keys() <= binaries.keys(), f"lost: {load.alive.keys() - binaries.keys()}"
    for name, content in load.unsure.items():
        there = name in binaries and binaries[name].read_bytes() == content
        assert there != (content in trash), f"{name} is neither here nor in the trash, or both"
    too_many = binaries.keys() - load.alive.keys() - load.unsure.keys()
    assert not too_many, f"deleted, and still here: {too_many}"
    for name, mine in load.alive.items():
        home = binaries[name].parent
        assert binaries[name].read_bytes() == mine.content, f"{name} holds something else"
        assert home.parent == where.models, f"{name} lies in {home}"
        said = (home / paths.MANIFEST).read_text()
        assert mine.said is None or f'"{mine.said}"' in said, f"her {mine.said} of {name} is gone: {said}"
    kinds = {path.name for path in here} - binaries.keys() - {paths.MANIFEST, "README.md"}
    assert kinds == {Path(MARKER).name}, f"left lying about: {kinds}"
    private = {path.name.removesuffix(".new") for path in where.private.iterdir()}  # hashing goes on
    known = {"lock", "trash", "log.db", "log.db-wal", "log.db-shm", "hashing.json", "schemas", "backups"}
    assert private <= known, f"left lying about: {private - known}"


def empty_folders(root: Path) -> list[Path]:
    return [Path(folder) for folder, below, files in os.walk(root / paths.MODELS) if not below and not files]
