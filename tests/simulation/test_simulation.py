"""Whole lives of a folder, each out of one seed, and each lived twice with the same end to the last byte."""

from pathlib import Path

import pytest

from janfs.folder.scan import scan
from tests.pipeline.hands import photo
from tests.simulation.seeds import run_seeds
from tests.simulation.simulation import Simulation

STEPS = 60


def live(seed: int, database: Path) -> tuple[object, ...]:
    """One life; what the log and the disk hold at its end."""
    database.unlink(missing_ok=True)
    simulation = Simulation(seed, database)
    try:
        simulation.live(STEPS)
        world = simulation.world
        links = {path: stat.link for path, stat in scan(world.fs, "models").files.items()}
        return world.log.head.position, world.log.head.hash, photo(world.fs), links
    finally:
        simulation.world.stop()


def check(seed: int, folder: Path) -> None:
    one, other = (live(seed, folder / f"{run}.db") for run in ("one", "two"))
    assert one == other, "the same seed gave two lives"


@pytest.mark.timeout(900)  # on a busy machine it takes ten times as long
def test_lives_of_a_folder_end_well_and_twice_the_same(tmp_path: Path) -> None:
    run_seeds(lambda seed: check(seed, tmp_path), range(25))


@pytest.mark.long
def test_many_lives_of_a_folder_end_well_and_twice_the_same(tmp_path: Path) -> None:
    run_seeds(lambda seed: check(seed, tmp_path), range(25, 5_000))
