"""What every test may ask for."""

from pathlib import Path

import pytest

from janfs import logs
from janfs.sample import sample_file


@pytest.fixture(scope="session", autouse=True)
def quiet_logs() -> None:
    """Warnings and worse, as by default."""
    logs.configure("warning")


@pytest.fixture(scope="session")
def sample_model() -> Path:
    """SmolLM2 135M Instruct, Q4_1: the file that `--sample` puts into the models folder."""
    return sample_file()
