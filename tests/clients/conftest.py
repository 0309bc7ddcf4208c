"""One running service with a real, small model for all clients."""

from collections.abc import Iterator

import pytest

from tests.e2e.conftest import SAMPLE_ID
from tests.support.service import ServiceProcess

QUOTE = 18  # the sample model's token for `"`: leant towards, so that texts in JSON end soon


@pytest.fixture(scope="package")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    with ServiceProcess(tmp_path_factory.mktemp("clients") / "jan", "--sample") as service:
        service.wait_ready()
        service.wait_model(SAMPLE_ID)
        yield service
