import ctypes
from collections.abc import Callable, Iterator
from pathlib import Path

import gguf
import llama_cpp as llama
import pytest
from llama_cpp import mtmd_cpp as mtmd

from janfs.engines import loader
from janfs.engines.llama_cpp.log import Log
from janfs.engines.protocol import EngineSettings, RunSpec
from tests.engines.tiny_model import (
    write_tiny_model,
    write_tiny_model_with_a_window,
    write_tiny_recurrent_model,
)
from tests.support.bert import Bert, tiny_bert, write_bert


@pytest.fixture(scope="session")
def log() -> Iterator[Log]:
    """The one of this process: llama.cpp calls what it was given last, and that has to live for as long."""
    yield Log()
    nobody, nothing = llama.llama_log_callback(), ctypes.c_void_p(0)
    llama.llama_log_set(nobody, nothing)
    mtmd.mtmd_helper_log_set(nobody, nothing)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of 100 kB that writes noise, without a chat template."""
    return write_tiny_model(tmp_path_factory.mktemp("tiny") / "tiny.gguf")


@pytest.fixture(scope="session")
def windowed_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with a layer that sees only the last 16 tokens."""
    return write_tiny_model_with_a_window(tmp_path_factory.mktemp("tiny") / "windowed.gguf")


@pytest.fixture(scope="session")
def recurrent_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same without attention: a state, which can be neither shared nor cut."""
    return write_tiny_recurrent_model(tmp_path_factory.mktemp("tiny") / "recurrent.gguf")


@pytest.fixture(scope="session")
def templated_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with a chat template: the words "a template"."""
    return write_tiny_model(tmp_path_factory.mktemp("tiny") / "templated.gguf", chat_template="a template")


@pytest.fixture(scope="session")
def noise_bert() -> Bert:
    """An encoder of noise, with a head that ranks."""
    return tiny_bert(ranks=True)


@pytest.fixture(scope="session")
def ranking_model(noise_bert: Bert, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its file, as a reranker."""
    return write_bert(tmp_path_factory.mktemp("tiny") / "ranks.gguf", noise_bert, gguf.PoolingType.RANK)


@pytest.fixture(scope="session")
def sample_spec(sample_model: Path) -> Callable[..., RunSpec]:
    """Makes specs of the sample model: small, and quick to load."""

    def make(model_id: str = "smollm2", fingerprint: str = "one", **settings: object) -> RunSpec:
        chosen = EngineSettings(**{"ctx_len": 2048, "n_parallel": 4, "cpu_threads": 1, **settings})
        return RunSpec(
            model_id=model_id,
            uid=f"uid-{model_id}",
            engine="llama-cpp",
            path=str(sample_model),
            settings=chosen,
            fingerprint=fingerprint,
        )

    return make


@pytest.fixture
def cooling(monkeypatch: pytest.MonkeyPatch) -> None:
    """A failed load cools down for as long as a test lasts."""
    monkeypatch.setattr(loader, "_now", lambda: 0.0)
