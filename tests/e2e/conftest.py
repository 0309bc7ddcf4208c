"""A real service, the real file, real inotify, the real client."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.service import ServiceProcess

SAMPLE_ID = "smollm2-135m-instruct.q4_1"


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., ServiceProcess]]:
    """Starts services on `tmp_path / "jan"`, one after another; the last one is stopped at the end."""
    started: list[ServiceProcess] = []

    def start(*options: str, **given: Any) -> ServiceProcess:
        service = ServiceProcess(tmp_path / "jan", *options, **given)
        started.append(service)
        return service

    yield start
    for service in started:
        service.client.close()
        service.stop()
