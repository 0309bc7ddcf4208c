from collections.abc import Iterator

import pytest

from tests.pipeline.world import only_errors_logged


@pytest.fixture(autouse=True, scope="module")
def quiet() -> Iterator[None]:
    with only_errors_logged():
        yield
