from collections.abc import Iterator

import pytest

from tests.pipeline.world import only_errors_logged


@pytest.fixture(autouse=True, scope="module")
def quiet() -> Iterator[None]:
    with only_errors_logged():
        yield


@pytest.fixture(params=[False, pytest.param(True, marks=pytest.mark.long)], ids=["some", "all"])
def every(request: pytest.FixtureRequest) -> bool:
    """Whether really every moment is tried, or only those that must differ."""
    found: bool = request.param
    return found
