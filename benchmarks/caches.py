"""What one KV cache for all costs a step, beside a part for each: llama.cpp alone, without service or worker.

For each number of sequences and their length there are three contexts on the same weights: one cache for all,
the same behind as many sequences again that nobody uses any more, and a part for each. They take steps in
turn, a new token for every sequence.
"""

import itertools
import os
import random
import time
from collections.abc import Sequence

from msgspec.structs import replace

from benchmarks.report import Row, median
from benchmarks.serving import CONTEXT, THREADS
from janfs.engines.llama_cpp.log import Log
from janfs.engines.llama_cpp.model import Decoded, Entry
from janfs.engines.llama_cpp.native import NativeModel
from janfs.engines.llama_cpp.weights import Weights
from janfs.engines.protocol import EngineSettings
from janfs.sample import sample_file

CASES = ((4, 190), (8, 40), (8, 100), (8, 190), (8, 400))  # sequences, tokens of each
SEQUENCES = 2 * max(count for count, _ in CASES)  # the unused ones, too
STEPS, ROUNDS = 40, 2


def run() -> list[Row]:
    """Each case's steps; the ratios are medians over pairs of steps."""
    log = Log()
    settings = EngineSettings(ctx_len=CONTEXT, n_parallel=SEQUENCES)
    weights = Weights(os.fsencode(sample_file()), settings, log)
    one, crowded = (NativeModel(weights, settings, THREADS, log) for _ in range(2))
    apart = NativeModel(weights, replace(settings, kv_unified=False), THREADS, log)
    rows: list[Row] = []
    for count, length in CASES:
        chance = random.Random(length)
        seconds: dict[NativeModel, list[float]] = {one: [], crowded: [], apart: []}
        for _ in range(ROUNDS):
            for model, unused in ((one, ()), (crowded, range(count, 2 * count)), (apart, ())):
                _fill(model, [*unused, *range(count)], length, chance)
            for place, model in itertools.product(range(length, length + STEPS), seconds):
                batch = [Entry(chance.randrange(weights.n_vocab), place, seq, True) for seq in range(count)]
                seconds[model].append(_decode(model, batch))
        name = f"{count} sequences of {length} tokens"
        rows += [
            Row(f"{name}: step, a cache for each", median(seconds[apart]) * 1000, "ms"),
            Row(f"{name}: one cache for all", _ratio(seconds[one], seconds[apart]), "x"),
            Row(f"{name}: … and as many cells unused", _ratio(seconds[crowded], seconds[apart]), "x"),
        ]
    return rows


def _fill(model: NativeModel, seqs: Sequence[int], length: int, chance: random.Random) -> None:
    """Empty the cache, and begin these sequences with so many tokens each."""
    vocabulary = model.weights.n_vocab
    for seq in range(SEQUENCES):
        model.memory.release(seq)
    for seq in seqs:
        _decode(model, [Entry(chance.randrange(vocabulary), at, seq, False) for at in range(length)])


def _decode(model: NativeModel, batch: Sequence[Entry]) -> float:
    """Seconds that a batch takes."""
    began = time.perf_counter()
    if model.decode(batch) is not Decoded.OK:
        raise AssertionError("the cache is too small for this")
    return time.perf_counter() - began


def _ratio(ones: Sequence[float], others: Sequence[float]) -> float:
    return median([one / other for one, other in zip(ones, others, strict=True)])
