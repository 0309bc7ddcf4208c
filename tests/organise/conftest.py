from pathlib import Path

import pytest

from janfs.folder import real
from tests.organise.hands import Fake, Hands, Make, Real, WithoutFlags


@pytest.fixture(params=["fake", "real", "fake, in steps", "real, in steps"])
def make(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """A new empty root, as often as it is called."""
    numbers = iter(range(1000))
    if request.param == "real, in steps":
        monkeypatch.setattr(real, "_libc", WithoutFlags())

    def fresh() -> Hands:
        if request.param.startswith("fake"):
            return Fake(exchanges=request.param == "fake")
        root = tmp_path / str(next(numbers))
        root.mkdir()
        return Real(root)

    return fresh


@pytest.fixture
def hands(make: Make) -> Hands:
    return make()
