"""A model as llama.cpp has it: its words, its batches, and every way of loading it."""

import inspect
import os
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import llama_cpp as llama
import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from janfs.engines.llama_cpp import (
    candidates,
    constraint,
    context,
    native,
    native_memory,
    parameters,
    pooled,
    sampling,
    weights,
)
from janfs.engines.llama_cpp import log as log_module
from janfs.engines.llama_cpp.log import Log
from janfs.engines.llama_cpp.model import Decoded, Entry
from janfs.engines.llama_cpp.native import NativeModel
from janfs.engines.llama_cpp.pictures import Picture
from janfs.engines.llama_cpp.pooled import PooledModel
from janfs.engines.llama_cpp.weights import Weights
from janfs.engines.protocol import CacheType, EngineSettings, SamplingParams
from janfs.errors import EngineError, LoadFailed
from tests.engines.llama_cpp.native_models import GREEDY, SMALL, TEXT, answers, first, go_on, load, prompt
from tests.engines.tiny_model import N_EMBD, write_tiny_adapter
from tests.support.bert import tiny_bert, write_bert


@pytest.mark.model
def test_a_model_says_what_it_is(sample: NativeModel) -> None:
    weights = sample.weights
    assert weights.n_params == 134_515_008
    assert (weights.n_vocab, weights.n_ctx_train, sample.n_ctx, sample.n_batch) == (49_152, 8192, 256, 256)
    assert weights.description == "llama 256M Q4_1"
    assert "<|im_start|>" in str(weights.chat_template)
    assert list(map(weights.special_text, (weights.bos, weights.eos))) == ["<|im_start|>", "<|im_end|>"]
    assert weights.special_text(-1) == ""
    assert not weights.adds_bos
    assert {weights.special_text(token) for token in weights.end_tokens} >= {"<|im_end|>", "<|endoftext|>"}
    assert (weights.writes, weights.is_causal, weights.pooling) == (True, True, None)


def test_a_model_without_a_template_says_so(tiny: NativeModel) -> None:
    assert tiny.weights.chat_template is None
    assert tiny.weights.adds_bos


@given(text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="<▁"), max_size=60))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_pieces_of_a_text_are_the_bytes_of_the_text(tiny: NativeModel, text: str) -> None:
    assert b"".join(map(tiny.piece, tiny.weights.tokenize(text))) == text.encode()


@pytest.mark.model
def test_special_tokens_are_recognised_and_show_nothing(sample: NativeModel) -> None:
    assert sample.weights.tokenize("<|im_start|>") == [sample.weights.bos]
    assert sample.piece(sample.weights.bos) == b""


@pytest.mark.model
def test_the_longest_token_comes_out_whole(sample: NativeModel) -> None:
    longest = max(len(sample.piece(token)) for token in range(sample.weights.n_vocab))
    assert longest > 64, "no token is longer than the first buffer, so this test shows nothing"


def test_a_context_that_is_full_says_so_and_stays_usable(tiny: NativeModel) -> None:
    assert tiny.decode(prompt([5] * 256)) is Decoded.OK
    assert tiny.decode([Entry(5, 256, 0, True)]) is Decoded.FULL
    tiny.memory.release(0)
    assert tiny.decode(prompt([5])) is Decoded.OK


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_a_context_computes_the_same_with_any_number_of_threads(tiny: NativeModel, threads: int) -> None:
    before = first(tiny, GREEDY, TEXT)
    tiny.use_threads(threads)
    assert first(tiny, GREEDY, TEXT) == before


def test_an_abort_ends_a_decode_and_the_next_one_is_as_ever(tiny: NativeModel) -> None:
    tiny.abort(True)
    assert tiny.decode(prompt([5] * 64)) is Decoded.ABORTED
    tiny.abort(False)
    tiny.memory.release(0)
    assert tiny.decode(prompt([5] * 64)) is Decoded.OK


def test_a_batch_that_llama_cpp_refuses_is_an_error(tiny: NativeModel) -> None:
    with pytest.raises(EngineError, match="-1"):
        tiny.decode([Entry(tiny.weights.n_vocab, 0, 0, True)])
    assert tiny.decode(prompt([5])) is Decoded.OK


def test_a_model_that_cannot_be_loaded_gives_llama_cpps_reason(tmp_path: Path, log: Log) -> None:
    with pytest.raises(LoadFailed, match="does not exist"):
        load(tmp_path / "none.gguf", log)
    path = tmp_path / "noise.gguf"
    path.write_bytes(b"noise" * 100)
    with pytest.raises(LoadFailed, match="invalid magic"):
        load(path, log)


@pytest.mark.parametrize("cache_type", ["f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0"])
def test_every_cache_type_can_be_used(tiny_model: Path, log: Log, cache_type: CacheType) -> None:
    chosen = EngineSettings(ctx_len=256, n_parallel=1, n_batch=32, cache_type=cache_type)
    model = load(tiny_model, log, chosen)
    assert first(model, GREEDY, [1, 5, 6]) < model.weights.n_vocab


@pytest.mark.parametrize("use_mmap", [True, False])
@pytest.mark.parametrize("mlock", [True, False])
def test_every_way_of_loading_can_be_used(tiny_model: Path, log: Log, use_mmap: bool, mlock: bool) -> None:
    chosen = EngineSettings(ctx_len=256, n_parallel=1, use_mmap=use_mmap, mlock=mlock, flash_attn="off")
    assert load(tiny_model, log, chosen).n_ctx == 256


def test_an_adapter_changes_the_answers(
    tiny: NativeModel, tiny_model: Path, tmp_path: Path, log: Log
) -> None:
    assert answers(load(tiny_model, log, SMALL, write_tiny_adapter(tmp_path / "style.gguf"))) != answers(tiny)


WIDE = msgspec.structs.replace(SMALL, ctx_len=512)


def test_a_cache_that_was_rearranged_is_computed_with_as_the_one_before(
    tiny_model: Path, tmp_path: Path, log: Log
) -> None:
    adapter = write_tiny_adapter(tmp_path / "style.gguf")
    expected = answers(load(tiny_model, log, WIDE, adapter))
    model = load(tiny_model, log, WIDE, adapter)
    model.use_threads(2)
    for unified in (False, True):
        sampler = model.sampler(GREEDY, [])  # of a request that goes on
        model.rearrange(unified)
        assert (model.memory.unified, model.n_ctx, model.part) == (unified, 512, 256)
        assert model.decode(prompt(TEXT[:40])) is Decoded.OK
        assert sampler.sample(39).token == expected[0]
        sampler.close()
        model.abort(True)
        assert model.decode(prompt(TEXT, seq=1)) is Decoded.ABORTED
        model.abort(False)
        model.memory.release(0)
        model.memory.release(1)
        assert answers(model) == expected


def test_a_cache_for_which_there_is_no_memory_stays_as_it_was(
    tiny_model: Path, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load(tiny_model, log, WIDE)
    make = llama.llama_init_from_model
    monkeypatch.setattr(
        llama, "llama_init_from_model", lambda handle, params: params.kv_unified and make(handle, params)
    )
    model.rearrange(False)
    assert (model.memory.unified, model.n_ctx) == (True, 512)
    assert model.decode(prompt(TEXT)) is Decoded.OK
    monkeypatch.setattr(llama, "llama_init_from_model", lambda *_: None)
    with pytest.raises(MemoryError, match="had before"):
        model.rearrange(False)


def test_an_adapter_for_another_model_is_named(tiny: NativeModel, tmp_path: Path) -> None:
    wrong = write_tiny_adapter(tmp_path / "wide.gguf", width=2 * N_EMBD)
    with pytest.raises(LoadFailed, match=r"wide\.gguf cannot be applied: .*incorrect shape"):
        tiny.weights.adapt([os.fsencode(wrong)])


class Recorder(ModuleType):
    """Stands in for llama_cpp and notes which of its functions are called."""

    def __init__(self) -> None:
        super().__init__("llama_cpp")
        self.called: set[str] = set()

    @staticmethod
    def is_function(name: str) -> bool:
        found = getattr(llama, name)
        return inspect.isfunction(found) or type(found).__name__ == "_FuncPtr"

    def __getattr__(self, name: str) -> Any:
        found = getattr(llama, name)
        if not self.is_function(name):
            return found

        def call(*args: Any) -> Any:
            self.called.add(name)
            return found(*args)

        return call


def test_every_function_of_llama_cpp_that_is_used_can_be_called(
    templated_model: Path,
    windowed_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    request: pytest.FixtureRequest,
    log: Log,
) -> None:
    recorder = Recorder()
    modules = (
        *(weights, context, native, native_memory, parameters, sampling, candidates, constraint, pooled),
        log_module,
    )
    for module in modules:
        monkeypatch.setattr(module, "llama", recorder)
    own_log = Log()
    request.addfinalizer(lambda _until_then=own_log: llama.llama_log_set(log.callback, None))
    model = load(templated_model, own_log, SMALL, write_tiny_adapter(tmp_path / "style.gguf"))
    assert model.weights.description
    assert model.weights.chat_template == "a template"
    everything = SamplingParams(
        seed=1, repeat_penalty=1.1, frequency_penalty=1, presence_penalty=1, ignore_eos=True, repeat_last_n=-1
    )
    others = [
        SamplingParams(typical_p=0.9, logit_bias=((5, 1),)),
        SamplingParams(mirostat=1),
        SamplingParams(mirostat=2),
        SamplingParams(dynatemp_range=0.5, logprobs=2),
        *(SamplingParams(grammar=f'root ::= "{number}"') for number in range(constraint.KEPT + 1)),
    ]
    for params in (everything, GREEDY, *others):
        model.piece(first(model, params, model.weights.tokenize("once upon a time")))
    image = Picture(0, np.zeros((2, N_EMBD), np.float32), np.arange(2).reshape(1, 2), 2, at_once=True)
    assert model.look(image, 0, 2, 1) is Decoded.OK
    wide = load(templated_model, own_log, WIDE)
    wide.rearrange(False)
    wide.use_threads(2)
    windowed = load(windowed_model, own_log)
    go_on(windowed, 0, TEXT, 0)
    assert windowed.memory.share(0, 1, 0, len(TEXT))
    assert (copy := model.memory.save(0, 0, 2**20)) is not None
    assert model.memory.restore(1, copy)
    short = msgspec.structs.replace(SMALL, n_batch=16)
    texts = PooledModel(model.weights, short, 1, own_log)
    assert len(texts.compute([TEXT])[0]) == 4 * N_EMBD
    texts.use_threads(2)
    assert len(texts.compute([[5] * 200])[0]) == 4 * N_EMBD
    encoder = write_bert(tmp_path / "encoder.gguf", tiny_bert(), None)
    assert PooledModel(Weights(os.fsencode(encoder), short, own_log), short, 1, own_log).compute([[5, 6]])
    source = "".join(map(inspect.getsource, modules))
    named = set(re.findall(r"llama\.(llama_\w+)\b", source))
    functions = {
        name for name in named if callable(getattr(llama, name)) and not inspect.isclass(getattr(llama, name))
    }
    assert len(functions) > 25, "the search in the source finds too little to be right"
    assert functions - recorder.called == set()
