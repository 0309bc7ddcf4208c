from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.faults import HookedFileSystem
from tests.pipeline.refusing import Refusing
from tests.pipeline.world import World, gguf, only_errors_logged


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


@pytest.fixture
def model(world: World) -> World:
    """A world with the generated model `a`."""
    world.fs.put("models/a.gguf", gguf("a"))
    world.tick()
    world.clock.advance(1)
    return world


@pytest.fixture
def refusing() -> Refusing:
    return Refusing()


@pytest.fixture
def stubborn(tmp_path: Path, refusing: Refusing) -> Iterator[World]:
    """One whose disk refuses some calls."""
    made = World(tmp_path / "stubborn.db", port=lambda fs: HookedFileSystem(fs, refusing))
    made.tick()
    yield made
    made.stop()
