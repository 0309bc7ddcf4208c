"""Vectors of real files, against what numpy makes of the same weights."""

import os
from collections.abc import Sequence
from pathlib import Path

import gguf
import numpy as np
import pytest

from janfs.engines.llama_cpp import wire
from janfs.engines.llama_cpp.embedding_input import input_tokens
from janfs.engines.llama_cpp.loading import Loaded, load
from janfs.engines.llama_cpp.log import Log
from janfs.engines.protocol import EngineSettings, PairPrompt, Pooling, TextPrompt
from janfs.errors import LoadFailed
from tests.engines.tiny_model import N_EMBD
from tests.support.bert import (
    Array,
    Bert,
    forward,
    framed,
    mean_vector,
    rank_of,
    tiny_bert,
    tokens_of,
    write_bert,
)

CLOSE = 0.9995  # the least cosine between two vectors of the same text
TEXTS = (
    "what is the capital of france?",
    "paris is the capital of france.",
    "the embeddings of unrelated sentences point elsewhere.",
)


def loaded(path: Path, log: Log, **settings: object) -> Loaded:
    return load(wire.Load(os.fsencode(path), EngineSettings(**{"cpu_threads": 1, **settings})), log)


def vectors(model: Loaded, texts: Sequence[Sequence[int]]) -> list[Array]:
    assert model.pooled is not None
    return [np.frombuffer(each, np.float32) for each in model.pooled.compute(texts)]


def cosine(one: Array, other: Array) -> float:
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


@pytest.mark.model
def test_a_real_models_vectors_are_those_of_the_reference(
    minilm_model: Path, minilm_bert: Bert, log: Log
) -> None:
    model = loaded(minilm_model, log)
    assert (model.writing, model.info.n_ctx) == (None, 512), "its context is what it was trained for"
    texts = [input_tokens(TextPrompt(text), model.weights, "mean") for text in TEXTS]
    assert texts == [framed(minilm_bert, tokens_of(minilm_bert, text)) for text in TEXTS]
    found = vectors(model, texts)
    expected = [mean_vector(minilm_bert, text) for text in TEXTS]
    assert [cosine(*pair) >= CLOSE for pair in zip(found, expected, strict=True)] == [True] * len(TEXTS)
    assert cosine(found[0], found[1]) > cosine(found[0], found[2]) + 0.3, "the vectors say nothing"


def pooled_by_numpy(bert: Bert, tokens: list[int], pooling: Pooling) -> Array:
    hidden = forward(bert, tokens)
    return {"mean": hidden.mean(0), "cls": hidden[0], "last": hidden[-1]}[pooling]


@pytest.mark.parametrize("said", [gguf.PoolingType.MEAN, gguf.PoolingType.CLS, gguf.PoolingType.LAST, None])
@pytest.mark.parametrize("asked", [None, "mean", "cls", "last"])
def test_the_pooling_is_the_settings_then_the_headers_then_the_mean(
    said: gguf.PoolingType | None, asked: Pooling | None, noise_bert: Bert, tmp_path: Path, log: Log
) -> None:
    model = loaded(write_bert(tmp_path / "m.gguf", noise_bert, said), log, pooling=asked)
    texts = [framed(noise_bert, tokens_of(noise_bert, text)) for text in ("a cat sat.", "where?")]
    expected = asked or (said.name.lower() if said is not None else "mean")
    for found, tokens in zip(vectors(model, texts), texts, strict=True):
        assert cosine(found, pooled_by_numpy(noise_bert, tokens, expected)) >= CLOSE, (
            f"it is not the {expected}"
        )


def test_a_text_is_the_same_in_company_and_longer_ones_find_room(tmp_path: Path, log: Log) -> None:
    bert = tiny_bert()
    model = loaded(write_bert(tmp_path / "m.gguf", bert, gguf.PoolingType.MEAN), log, n_batch=16)
    assert model.pooled is not None
    assert model.pooled.n_ctx == 64, "there are no more positions, whatever ctx_len says"
    short, long = [5] * 8, [7] * 64
    alone = vectors(model, [short])[0]
    assert cosine(vectors(model, [long])[0], forward(bert, long).mean(0)) >= CLOSE
    assert cosine(vectors(model, [[9] * 8, short])[1], alone) >= CLOSE


def test_a_rank_is_the_heads(ranking_model: Path, noise_bert: Bert, log: Log) -> None:
    model = loaded(ranking_model, log)
    assert model.writing is None
    pairs = [("what is it?", "a cat."), ("what is it?", "nothing at all"), ("where?", "a cat.")]
    texts = [input_tokens(PairPrompt(*pair), model.weights, "rank") for pair in pairs]
    found = vectors(model, texts)
    assert [len(each) for each in found] == [1, 1, 1]
    expected = [rank_of(noise_bert, *pair) for pair in pairs]
    assert np.concatenate(found) == pytest.approx(expected, abs=2e-3)
    assert len({round(each, 3) for each in expected}) == 3, "all ranks are alike, so this shows nothing"


def test_a_file_without_a_head_does_not_rank(tmp_path: Path, log: Log) -> None:
    path = write_bert(tmp_path / "m.gguf", tiny_bert(), gguf.PoolingType.MEAN)
    with pytest.raises(LoadFailed, match="nothing to rank with"):
        loaded(path, log, pooling="rank")


def test_a_model_that_writes_embeds_too_if_it_is_told_to(tiny_model: Path, log: Log) -> None:
    assert loaded(tiny_model, log).pooled is None
    model = loaded(tiny_model, log, embedding=True, n_batch=16)
    assert model.writing is not None
    assert model.pooled is not None
    assert model.pooled.pooling == "last", "the only one that has seen the whole text"
    text = [1, *(3 + n % 250 for n in range(0, 600, 7))]
    in_pieces, whole = vectors(model, [text])[0], loaded(tiny_model, log, embedding=True, n_batch=512)
    assert len(in_pieces) == N_EMBD
    assert cosine(in_pieces, vectors(whole, [text])[0]) >= CLOSE
    assert cosine(in_pieces, vectors(model, [[*text[:-1], 9]])[0]) < CLOSE, (
        "the vector says nothing of the text"
    )


def test_a_model_with_a_state_makes_one_vector_at_a_time(recurrent_model: Path, log: Log) -> None:
    model = loaded(recurrent_model, log, embedding=True, n_batch=16)
    assert model.pooled is not None
    assert model.pooled.most_texts == 1, "each text there could be takes room for a state"
    one, other = (vectors(model, [[1, token] * 20])[0] for token in (5, 6))
    assert cosine(one, vectors(model, [[1, 5] * 20])[0]) >= CLOSE, "something is left of the text before"
    assert cosine(one, other) < CLOSE


def test_an_encoder_whose_header_is_silent_is_refused_and_does_not_crash(tmp_path: Path, log: Log) -> None:
    path = write_bert(tmp_path / "m.gguf", tiny_bert(), None, says_causal=False)
    with pytest.raises(LoadFailed, match="cannot write text"):
        loaded(path, log)
