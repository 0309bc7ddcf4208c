"""Small models in this process, and what they answer."""

import os
from pathlib import Path

from janfs.engines.llama_cpp.log import Log
from janfs.engines.llama_cpp.model import Decoded, Entry
from janfs.engines.llama_cpp.native import NativeModel
from janfs.engines.llama_cpp.weights import Weights
from janfs.engines.protocol import EngineSettings, SamplingParams

SMALL = EngineSettings(ctx_len=256, n_parallel=2, n_batch=256)
GREEDY = SamplingParams(temperature=0)


def load(path: Path, log: Log, settings: EngineSettings = SMALL, *adapters: Path) -> NativeModel:
    loaded = Weights(os.fsencode(path), settings, log)
    loaded.adapt([os.fsencode(adapter) for adapter in adapters])
    return NativeModel(loaded, settings, 1, log)


def prompt(tokens: list[int], seq: int = 0) -> list[Entry]:
    """A batch that computes these from the first on; of the last one the logits are wanted."""
    last = len(tokens) - 1
    return [Entry(token, position, seq, position == last) for position, token in enumerate(tokens)]


def first(model: NativeModel, params: SamplingParams, tokens: list[int]) -> int:
    """The token that follows these."""
    assert model.decode(prompt(tokens)) is Decoded.OK
    sampler = model.sampler(params, tokens)
    try:
        return sampler.sample(len(tokens) - 1).token
    finally:
        sampler.close()
        model.memory.release(0)


def go_on(model: NativeModel, seq: int, tokens: list[int], start: int) -> int:
    """Compute the tokens from the place `start` on; the likeliest that follows them."""
    last = len(tokens) - 1
    batch = [Entry(tokens[at], at, seq, at == last) for at in range(start, len(tokens))]
    assert model.decode(batch) is Decoded.OK
    sampler = model.sampler(GREEDY, tokens)
    token = sampler.sample(len(batch) - 1).token
    sampler.close()
    return token


TEXT = [1, *(3 + n % 250 for n in range(0, 600, 7))]  # 87 tokens


def answers(model: NativeModel) -> list[int]:
    """What follows each beginning of a text of more than 40 tokens, computed from its first token."""
    found = []
    for length in range(40, len(TEXT)):
        found.append(go_on(model, 0, TEXT[:length], 0))
        model.memory.release(0)
    return found
