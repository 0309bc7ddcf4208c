from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conformance.disks import Disk, on_fake, on_hooked, on_real


@pytest.fixture(params=[on_real, on_fake, on_hooked], ids=["real", "fake", "hooked"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Disk:
    make: Callable[[Path], Disk] = request.param
    made = make(tmp_path)
    made.fs.make_folder("models")
    return made
