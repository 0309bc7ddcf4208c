"""What tests of grammars have in common: llama.cpp's own reading of them."""

import ctypes
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import llama_cpp as llama
import pytest

from janfs.engines.llama_cpp.log import Log
from janfs.engines.llama_cpp.native import NativeModel
from janfs.engines.llama_cpp.weights import Weights
from janfs.engines.protocol import EngineSettings, SamplingParams

Allows = Callable[[str, str], bool]


@pytest.fixture(scope="module")
def allows(tiny_model: Path) -> Iterator[Allows]:
    """Whether a grammar allows a text, from its beginning to its end."""
    log, small = Log(), EngineSettings(ctx_len=64, n_parallel=1)
    vocabulary = Weights(os.fsencode(tiny_model), small, log)
    model = NativeModel(vocabulary, small, 1, log)

    def allows(grammar: str, text: str) -> bool:
        sampler = model.grammars.sampler(SamplingParams(grammar=grammar))
        try:
            for token in [*vocabulary.tokenize(text), vocabulary.eos]:
                one = llama.llama_token_data(id=token, logit=1.0, p=0.0)
                alone = llama.llama_token_data_array(
                    data=ctypes.pointer(one), size=1, selected=-1, sorted=False
                )
                llama.llama_sampler_apply(sampler, ctypes.byref(alone))
                if one.logit == float("-inf"):
                    return False
                if token != vocabulary.eos:
                    llama.llama_sampler_accept(sampler, token)
            return True
        finally:
            llama.llama_sampler_free(sampler)

    yield allows
    llama.llama_log_set(llama.llama_log_callback(), ctypes.c_void_p(0))
