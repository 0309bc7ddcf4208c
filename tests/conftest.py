"""What every test may ask for."""

import os
from pathlib import Path

import hypothesis
import pytest

from janfs import logs
from janfs.sample import sample_file

# A busy machine is no defect. Under CI hypothesis takes its own profile, which says the same.
hypothesis.settings.register_profile(
    "busy", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
if not os.environ.get("CI"):
    hypothesis.settings.load_profile("busy")


@pytest.fixture(scope="session", autouse=True)
def quiet_logs() -> None:
    """Warnings and worse, as by default."""
    logs.configure("warning")


@pytest.fixture(scope="session")
def sample_model() -> Path:
    """SmolLM2 135M Instruct, Q4_1: the file that `--sample` puts into the models folder."""
    return sample_file()
