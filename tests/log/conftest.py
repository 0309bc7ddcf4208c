"""A migrated database and an open log for each test."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from janfs.log.connection import writer_engine
from janfs.log.migrate import migrate
from janfs.log.store import EventLog
from tests.log.kit import open_log


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database that was migrated and never used; to be copied, not touched."""
    path = tmp_path_factory.mktemp("empty") / "log.db"
    engine = writer_engine(path)
    migrate(engine, path)
    engine.dispose()
    return path


@pytest.fixture
def database(tmp_path: Path, empty_database: Path) -> Path:
    return Path(shutil.copy(empty_database, tmp_path / "log.db"))


@pytest.fixture
def log(database: Path) -> Iterator[EventLog]:
    opened = open_log(database)
    yield opened
    opened.close()
