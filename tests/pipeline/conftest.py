from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pipeline.world import World, only_errors_logged


@pytest.fixture(autouse=True, scope="module")
def quiet() -> Iterator[None]:
    with only_errors_logged():
        yield


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path / "log.db")
    made.tick()
    yield made
    made.stop()
