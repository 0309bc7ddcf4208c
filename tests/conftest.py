"""What every test may ask for."""

import os
from pathlib import Path

import gguf
import hypothesis
import pytest

from janfs import logs
from janfs.sample import sample_file
from tests.support.bert import Bert, minilm, write_bert

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


@pytest.fixture(scope="session")
def minilm_bert() -> Bert:
    """all-MiniLM-L6-v2, as numpy computes it."""
    return minilm()


@pytest.fixture(scope="session")
def minilm_model(minilm_bert: Bert, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as a GGUF file of 35 MB."""
    path = tmp_path_factory.mktemp("minilm") / "all-MiniLM-L6-v2.gguf"
    return write_bert(path, minilm_bert, gguf.PoolingType.MEAN, small=True, name="all-MiniLM-L6-v2")
