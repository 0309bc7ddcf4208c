from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from tests.api.service import Service, running_service


@pytest.fixture(autouse=True, scope="session")
def quiet() -> Iterator[None]:
    """Logs go nowhere; what went wrong is seen from outside."""
    structlog.configure(processors=[_drop])
    yield
    structlog.reset_defaults()


def _drop(*_: object) -> str:
    raise structlog.DropEvent


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with running_service(tmp_path / "root") as service:
        yield service
