from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from janfs import logs
from tests.api.service import Service, running_service
from tests.support.upstream import Theirs, theirs


@pytest.fixture(autouse=True, scope="session")
def quiet() -> Iterator[None]:
    """Logs go nowhere; what went wrong is seen from outside."""
    structlog.configure(processors=[_drop])
    yield
    logs.configure()


def _drop(*_: object) -> str:
    raise structlog.DropEvent


@pytest.fixture(scope="module")
def _one_model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running_service(tmp_path_factory.mktemp("root") / "root") as service:
        service.drop("tiny.gguf")
        yield service


@pytest.fixture
def tiny(_one_model: Service) -> Service:
    """A service that a module's tests share, with the model `tiny`; they leave its folder as it is."""
    _one_model.pool.reset()
    return _one_model


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with running_service(tmp_path / "root") as service:
        yield service


@pytest.fixture
def with_model(service: Service) -> Service:
    """A service of the test's own, with the model `tiny-one`."""
    service.drop("Tiny One.gguf")
    return service


@pytest.fixture
def upstream() -> Iterator[Theirs]:
    with theirs() as site:
        yield site


@pytest.fixture
def other() -> Iterator[Theirs]:
    with theirs() as site:
        yield site
