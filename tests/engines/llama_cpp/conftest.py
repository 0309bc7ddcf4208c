"""llama.cpp in the process of the tests and in workers, and its own reading of grammars."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from llama_cpp import Llama

from janfs.engines.llama_cpp.log import Log
from janfs.engines.llama_cpp.native import NativeModel
from janfs.engines.protocol import EngineSettings, RunSpec, SamplingParams
from tests.engines.llama_cpp.native_models import load
from tests.engines.llama_cpp.working import Client, working

Allows = Callable[[str, str], bool]


@pytest.fixture
def tiny(tiny_model: Path, log: Log) -> NativeModel:
    return load(tiny_model, log)


@pytest.fixture(scope="module")
def sample(sample_model: Path, log: Log) -> NativeModel:
    return load(sample_model, log)


@pytest.fixture(scope="module")
def allows(tiny_model: Path, log: Log) -> Allows:
    """Whether a grammar allows a text, from its beginning to its end."""
    model = load(tiny_model, log, EngineSettings(ctx_len=64, n_parallel=1))
    vocabulary = model.weights

    def allows(grammar: str, text: str) -> bool:
        constraint = model.constraints.of(SamplingParams(grammar=grammar))
        assert constraint is not None
        try:
            return all(map(constraint.take, [*vocabulary.tokenize(text), vocabulary.eos]))
        finally:
            constraint.close()

    return allows


@pytest.fixture(scope="module")
def client(sample_spec: Callable[..., RunSpec]) -> Iterator[Client]:
    with working(sample_spec()) as client:
        yield client


@pytest.fixture(scope="module", params=[True, False], ids=["one cache for all", "a cache for each"])
def either(request: pytest.FixtureRequest, sample_spec: Callable[..., RunSpec]) -> Iterator[Client]:
    """A worker of each kind."""
    with working(sample_spec(kv_unified=request.param)) as client:
        yield client


@pytest.fixture(scope="module")
def oracle(sample_model: Path) -> Llama:
    """llama-cpp-python's own loop, one sequence."""
    return Llama(str(sample_model), n_ctx=512, n_threads=1, n_threads_batch=1, flash_attn=True, verbose=False)
