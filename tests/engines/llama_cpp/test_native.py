import ctypes
import inspect
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import llama_cpp as llama
import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from janfs.engines.llama_cpp import candidates, grammar, native, parameters, pooled, sampling, weights
from janfs.engines.llama_cpp import log as log_module
from janfs.engines.llama_cpp.kv_memory import MAX_SEQUENCES
from janfs.engines.llama_cpp.log import Log
from janfs.engines.llama_cpp.native import NativeModel
from janfs.engines.llama_cpp.pictures import Picture
from janfs.engines.llama_cpp.pooled import PooledModel
from janfs.engines.llama_cpp.sampling import seed_of
from janfs.engines.llama_cpp.scheduler import Decoded, Entry
from janfs.engines.llama_cpp.weights import Weights
from janfs.engines.protocol import CacheType, EngineSettings, SamplingParams
from janfs.errors import EngineError, InvalidInput, LoadFailed
from tests.engines.tiny_model import N_EMBD, write_tiny_adapter
from tests.support.bert import tiny_bert, write_bert

SMALL = EngineSettings(ctx_len=256, n_parallel=2, n_batch=256)


@pytest.fixture(scope="module")
def log() -> Iterator[Log]:
    yield Log()
    llama.llama_log_set(llama.llama_log_callback(), ctypes.c_void_p(0))  # it ends before the process does


def load(path: Path, log: Log, settings: EngineSettings = SMALL, *adapters: Path) -> NativeModel:
    loaded = Weights(os.fsencode(path), settings, log)
    loaded.adapt([os.fsencode(adapter) for adapter in adapters])
    return NativeModel(loaded, settings, 1, log)


@pytest.fixture(scope="module")
def sample(sample_model: Path, log: Log) -> NativeModel:
    return load(sample_model, log)


@pytest.fixture
def tiny(tiny_model: Path, log: Log) -> NativeModel:
    return load(tiny_model, log)


def prompt(tokens: list[int], seq: int = 0) -> list[Entry]:
    last = len(tokens) - 1
    return [Entry(token, position, seq, position == last) for position, token in enumerate(tokens)]


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
    tiny.release(0)
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
    tiny.release(0)
    assert tiny.decode(prompt([5] * 64)) is Decoded.OK


def test_a_batch_that_llama_cpp_refuses_is_an_error(tiny: NativeModel) -> None:
    with pytest.raises(EngineError, match="-1"):
        tiny.decode([Entry(tiny.weights.n_vocab, 0, 0, True)])
    assert tiny.decode(prompt([5])) is Decoded.OK


def first(model: NativeModel, params: SamplingParams, tokens: list[int]) -> int:
    """The token that follows these."""
    assert model.decode(prompt(tokens)) is Decoded.OK
    sampler = model.sampler(params, tokens)
    try:
        return sampler.sample(len(tokens) - 1).token
    finally:
        sampler.close()
        model.release(0)


GREEDY = SamplingParams(temperature=0)


@pytest.mark.parametrize(
    "params",
    [
        GREEDY,
        SamplingParams(temperature=0, ignore_eos=True),
        SamplingParams(temperature=0, logit_bias=tuple((token, -100.0) for token in range(0, 286, 2))),
    ],
    ids=["all", "no end", "every other one"],
)
def test_the_likeliest_token_is_the_one_that_llama_cpps_chain_takes(
    tiny: NativeModel, params: SamplingParams
) -> None:
    banned = sampling.banned_tokens(params, tiny.weights.end_tokens)
    chain = sampling.sampler_chain(params, [], tiny.n_ctx, tiny.weights.n_vocab, banned)
    sampler = tiny.sampler(params, [])
    assert isinstance(sampler, sampling.GreedySampler)
    for token in range(3, tiny.weights.n_vocab):
        assert tiny.decode(prompt([1, token])) is Decoded.OK
        assert sampler.sample(1).token == llama.llama_sampler_sample(chain, tiny._ctx, 1), f"after {token}"
        tiny.release(0)
    sampler.close()
    llama.llama_sampler_free(chain)


@pytest.mark.parametrize(
    "params",
    [
        SamplingParams(temperature=0, logit_bias=((5, -1.0), (6, -100.0))),
        SamplingParams(temperature=0, repeat_penalty=1.1, logit_bias=((6, -100.0),)),
        SamplingParams(temperature=0, presence_penalty=1),
    ],
)
def test_what_weighs_tokens_is_left_to_llama_cpps_chain(tiny: NativeModel, params: SamplingParams) -> None:
    sampler = tiny.sampler(params, [])
    assert isinstance(sampler, sampling.ChainSampler)
    sampler.close()


def test_ignore_eos_never_chooses_an_end(tiny: NativeModel) -> None:
    prompts = [[1, token] for token in range(3, tiny.weights.n_vocab)]
    ending = [tokens for tokens in prompts if tiny.is_end(first(tiny, GREEDY, tokens))]
    assert ending, "no prompt leads to an end, so this test shows nothing"
    for tokens in ending:
        assert not tiny.is_end(first(tiny, SamplingParams(temperature=0, ignore_eos=True), tokens))


@pytest.mark.model
def test_the_repeat_penalty_counts_the_prompt_and_openais_do_not(sample: NativeModel) -> None:
    tokens = sample.weights.tokenize("one two three one two three one two three one two")
    plain = first(sample, GREEDY, tokens)
    assert sample.piece(plain) == b" three"
    assert first(sample, SamplingParams(temperature=0, repeat_penalty=10), tokens) != plain
    both = SamplingParams(temperature=0, frequency_penalty=2, presence_penalty=2)
    assert first(sample, both, tokens) == plain


def test_a_seed_gives_the_same_tokens_again_and_another_one_others(tiny: NativeModel) -> None:
    def drawn(seed: int) -> list[int]:
        params = SamplingParams(temperature=2, top_k=0, top_p=1, min_p=0, seed=seed)
        assert tiny.decode(prompt([1, 5])) is Decoded.OK
        sampler = tiny.sampler(params, [])
        tokens = [sampler.sample(1).token for _ in range(20)]
        sampler.close()
        tiny.release(0)
        return tokens

    assert drawn(42) == drawn(42)
    assert drawn(42) != drawn(43)


@pytest.mark.parametrize("narrow", [{"top_p": 0.0}, {"min_p": 1.0}, {"typical_p": 0.001}])
def test_as_many_tokens_are_left_to_choose_from_as_are_to_be_kept(
    tiny: NativeModel, narrow: dict[str, float]
) -> None:
    def drawn(min_keep: int) -> set[int]:
        wide: dict[str, Any] = {"top_k": 0, "top_p": 1, "min_p": 0, "temperature": 2}
        params = SamplingParams(**wide | narrow, seed=1, min_keep=min_keep)
        assert tiny.decode(prompt([1, 5])) is Decoded.OK
        sampler = tiny.sampler(params, [])
        tokens = {sampler.sample(1).token for _ in range(40)}
        sampler.close()
        tiny.release(0)
        return tokens

    assert len(drawn(0)) == 1
    assert 1 < len(drawn(5)) <= 5


def test_a_bias_forbids_a_token_or_brings_it_about(tiny: NativeModel) -> None:
    plain = first(tiny, GREEDY, [1, 5])
    assert first(tiny, SamplingParams(temperature=0, logit_bias=((plain, -100),)), [1, 5]) != plain
    wanted = 7 if plain != 7 else 8
    assert first(tiny, SamplingParams(temperature=0, logit_bias=((wanted, 100),)), [1, 5]) == wanted
    with pytest.raises(InvalidInput, match="vocabulary"):
        tiny.check(SamplingParams(logit_bias=((tiny.weights.n_vocab, 1),)))


def test_logprobs_are_the_softmax_of_the_logits(tiny: NativeModel) -> None:
    assert tiny.decode(prompt([1, 5])) is Decoded.OK
    pointer = llama.llama_get_logits_ith(tiny._ctx, 1)
    logits = np.array([pointer[token] for token in range(tiny.weights.n_vocab)], np.float64)
    expected = logits - np.log(np.exp(logits).sum())
    sampler = tiny.sampler(SamplingParams(temperature=0, logprobs=5), [])
    token, logprob = sampler.sample(1)
    sampler.close()
    tiny.release(0)
    assert token == first(tiny, GREEDY, [1, 5]), "asking for logprobs changes the answer"
    assert logprob is not None
    assert (logprob.token, logprob.logprob) == (token, pytest.approx(expected[token], abs=1e-4))
    assert [each.token for each in logprob.top] == list(np.argsort(-expected, kind="stable")[:5])
    assert [each.logprob for each in logprob.top] == pytest.approx(sorted(expected)[:-6:-1], abs=1e-4)


@pytest.mark.parametrize("temperature", [0, 1.5])
def test_a_grammar_binds_every_token(tiny: NativeModel, temperature: float) -> None:
    params = SamplingParams(temperature=temperature, grammar='root ::= "ab" ("c" | "d")', seed=3)
    tiny.check(params)
    sampler, text, tokens = tiny.sampler(params, []), b"", [1]
    while True:
        assert tiny.decode([Entry(tokens[-1], len(tokens) - 1, 0, True)]) is Decoded.OK
        token = sampler.sample(0).token
        if tiny.is_end(token):
            break
        tokens.append(token)
        text += tiny.piece(token)
    sampler.close()
    tiny.release(0)
    assert text in (b"abc", b"abd")


def test_a_grammar_that_no_token_fits_is_the_callers_mistake(tiny: NativeModel) -> None:
    params = SamplingParams(grammar=f"root ::= <[{tiny.weights.eos}]>")  # an end is no part of a text
    tiny.check(params)
    sampler = tiny.sampler(params, [])
    assert tiny.decode([Entry(1, 0, 0, True)]) is Decoded.OK
    with pytest.raises(InvalidInput, match="fits the grammar"):
        sampler.sample(0)
    sampler.close()
    tiny.release(0)


def test_what_is_no_grammar_is_refused(tiny: NativeModel) -> None:
    deep = "root ::= " + "(" * 1000 + '"a"' + ")" * 1000
    for grammar_text in ("root ::= (", "no root", 'root ::= root "a"', deep, 'root ::= "\0"\0'):
        with pytest.raises(InvalidInput, match="grammar"):
            tiny.check(SamplingParams(grammar=grammar_text))


@pytest.mark.parametrize(
    "counted",
    [
        '"a"{5,3}',
        '("a"{5 , 3 })',
        '("a"{5,#}\n3})',
        '("a"{2,#9}\n1 #\n})',
        '"a"{1,2000} ' * 60,
        '"a"{0,99999999999999999999999999}',
    ],
)
def test_a_count_that_would_fill_the_memory_is_refused(tiny: NativeModel, counted: str) -> None:
    with pytest.raises(InvalidInput, match="count"):
        tiny.check(SamplingParams(grammar=f"root ::= {counted}"))


def test_what_only_looks_like_a_count_is_none(tiny: NativeModel) -> None:
    tiny.check(SamplingParams(grammar='root ::= "{5,3}" [{5,3}] "a"{3,5} "b"{3} "c"{3,} # {5,3}'))


@pytest.mark.parametrize(
    "schema",
    [
        '{"type": "string", "maxLength": 1000000000}',
        '{"type": "string", "minLength": 5, "maxLength": 3}',
        '{"type": "array", "items": {"type": "integer"}, "minItems": 9, "maxItems": 2}',
        '{"type": "string", "pattern": "^a{100000}$"}',
        "{",
        '{"type": "nothing"}',
        '{"$ref": "https://example.org/schema.json"}',
        '{"$ref": "#/nowhere"}',
        "[" * 5000 + "]" * 5000,
        '{"type": "object", "properties": 5}',
        '{"type": "string", "pattern": "("}',
    ],
)
def test_what_is_no_schema_is_refused(tiny: NativeModel, schema: str) -> None:
    with pytest.raises(InvalidInput, match="JSON schema"):
        tiny.check(SamplingParams(json_schema=schema))


def test_long_texts_and_lists_may_have_their_bounds(tiny: NativeModel) -> None:
    text = {"type": "string", "minLength": 3, "maxLength": 2000}
    lists = {"type": "array", "items": {"type": "string", "pattern": "^(ab){1,70}$"}, "maxItems": 500}
    tiny.check(
        SamplingParams(json_schema=json.dumps({"type": "object", "properties": {"a": text, "b": lists}}))
    )


@given(st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)))
def test_a_seed_is_fresh_only_when_it_is_not_given(seed: int | None) -> None:
    fresh = 0xFFFFFFFF  # llama.h: LLAMA_DEFAULT_SEED
    assert 0 <= seed_of(seed) <= fresh
    assert (seed_of(seed) == fresh) == (seed in {None, -1})


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


def go_on(model: NativeModel, seq: int, tokens: list[int], start: int) -> int:
    """Compute the tokens from the place `start` on; the likeliest that follows them."""
    last = len(tokens) - 1
    batch = [Entry(tokens[at], at, seq, at == last) for at in range(start, len(tokens))]
    assert model.decode(batch) is Decoded.OK
    sampler = model.sampler(GREEDY, tokens)
    token = sampler.sample(len(batch) - 1)
    sampler.close()
    return token


TEXT = [1, *(3 + n % 250 for n in range(0, 600, 7))]  # 87 tokens


def answers(model: NativeModel) -> list[int]:
    """What follows each beginning of a text of more than 40 tokens, computed from its first token."""
    found = []
    for length in range(40, len(TEXT)):
        found.append(go_on(model, 0, TEXT[:length], 0))
        model.release(0)
    return found


@pytest.mark.parametrize("kind", ["tiny_model", "windowed_model"])
def test_shared_cells_are_as_good_as_ones_own(kind: str, request: pytest.FixtureRequest, log: Log) -> None:
    model = load(request.getfixturevalue(kind), log)
    assert model.can_share
    expected = answers(model)
    assert len(set(expected)) > 5, "the answers say nothing of the prompt"
    go_on(model, 0, TEXT, 0)
    kept = MAX_SEQUENCES - 1
    assert kept >= SMALL.n_parallel, "a number that no batch may have, but the memory knows"
    assert model.share(0, kept, 0, len(TEXT))
    model.release(0)
    for length, answer in zip(range(40, len(TEXT)), expected, strict=True):
        assert model.share(kept, 1, 0, length - 1)
        assert go_on(model, 1, TEXT[:length], length - 1) == answer
        model.release(1)


@pytest.mark.parametrize("number", [1, MAX_SEQUENCES - 1], ids=["one that batches have", "a finished one"])
def test_a_copy_is_as_good_as_what_it_was_made_of(tiny: NativeModel, number: int) -> None:
    expected = []
    for length in (60, len(TEXT)):
        tiny.release(0)
        expected.append(go_on(tiny, 0, TEXT[:length], 0))
    assert tiny.share(0, number, 0, len(TEXT))
    tiny.release(0)
    goes_on = [*TEXT[:40], 9, 9, 9]
    assert tiny.share(number, 0, 0, 40)
    live = go_on(tiny, 0, goes_on, 40)
    saved = tiny.save(number, 0, 2**20)
    assert saved is not None
    assert tiny.save(number, 0, saved.nbytes - 1) is None, "more than is wanted"
    assert tiny.cut(0, 42)
    assert go_on(tiny, 0, goes_on, 42) == live, "who lives beside what is copied is not as it was"
    assert tiny.cut(number, 59), "what was copied is not as it was"
    for seq in (0, number):
        tiny.release(seq)
    go_on(tiny, 0, [9] * 100, 0)  # overwrites the cells
    for length, answer in zip((60, len(TEXT)), expected, strict=True):
        assert tiny.restore(1, saved)
        assert tiny.cut(1, length - 1)
        assert go_on(tiny, 1, TEXT[:length], length - 1) == answer
        tiny.release(1)


@pytest.mark.parametrize("number", [0, MAX_SEQUENCES - 1], ids=["one that batches have", "a finished one"])
def test_a_copy_of_an_end_comes_back_behind_its_beginning(tiny: NativeModel, number: int) -> None:
    expected = go_on(tiny, 0, TEXT, 0)
    assert tiny.share(0, 1, 0, 60)
    if number:
        assert tiny.share(0, number, 0, len(TEXT))
    whole, end = (tiny.save(number, start, 2**20) for start in (0, 60))
    assert whole is not None
    assert end is not None
    assert end.nbytes < whole.nbytes / 2, "more than the end was copied"
    for seq in {0, number}:
        tiny.release(seq)
    go_on(tiny, 0, [9] * 100, 0)  # overwrites the cells
    tiny.release(0)
    for _ in range(2):
        assert tiny.share(1, 0, 0, 60)
        assert tiny.restore(0, end)
        assert tiny.cut(0, len(TEXT) - 1)
        assert go_on(tiny, 0, TEXT, len(TEXT) - 1) == expected
        tiny.release(0)
    assert go_on(tiny, 1, TEXT, 60) == expected, "the beginning that others have is not as it was"


def test_a_copy_for_which_there_is_no_room_leaves_what_is_before_it(tiny: NativeModel) -> None:
    expected = go_on(tiny, 0, TEXT, 0)
    end = tiny.save(0, 60, 2**20)
    assert end is not None
    assert tiny.cut(0, 60)
    go_on(tiny, 1, [9] * (tiny.n_ctx - len(TEXT) + 1), 0)
    assert not tiny.restore(0, end)
    tiny.release(1)
    assert tiny.cut(0, 60)
    assert go_on(tiny, 0, TEXT, 60) == expected


def test_a_copy_for_which_there_is_no_room_does_not_come_back(tiny: NativeModel) -> None:
    go_on(tiny, 0, TEXT, 0)
    saved = tiny.save(0, 0, 2**20)
    tiny.release(0)
    go_on(tiny, 1, [9] * (tiny.n_ctx - len(TEXT) + 1), 0)
    assert not tiny.restore(0, saved)
    assert tiny.cut(1, 50)
    assert tiny.restore(0, saved), "what is there was not in order any more"


def test_behind_a_window_no_copy_is_made(windowed_model: Path, log: Log) -> None:
    model = load(windowed_model, log)
    go_on(model, 0, TEXT, 0)
    assert model.save(0, 0, 2**20) is None


def test_a_part_that_was_computed_twice_can_be_given_up_for_the_others(tiny: NativeModel) -> None:
    expected = go_on(tiny, 0, TEXT, 0)
    other = go_on(tiny, 1, [*TEXT[:60], 5, 6, 7], 0)
    assert tiny.share(0, 1, 20, 60)
    assert tiny.cut(1, 62)
    assert go_on(tiny, 1, [*TEXT[:60], 5, 6, 7], 62) == other
    tiny.release(1)
    assert tiny.cut(0, 86)
    assert go_on(tiny, 0, TEXT, 86) == expected


def test_behind_a_window_a_cell_that_is_gone_is_not_shared(windowed_model: Path, log: Log) -> None:
    three = msgspec.structs.replace(SMALL, n_parallel=3)
    model = load(windowed_model, log, three)
    go_on(model, 0, [5] * 100, 0)
    go_on(model, 1, [6] * 100, 0)
    go_on(model, 2, [7] * 50, 0)
    model.release(1)
    go_on(model, 1, [8] * 104, 0)  # more than came free: takes 4 cells that the third cannot see any more
    assert model.share(0, 5, 0, 20)
    assert not model.share(2, 6, 0, 10), "its first cells were given away"
    assert not model.share(2, 5, 2, 50), "this would leave a hole"
    assert model.share(2, 6, 0, 50)


def test_what_is_cut_to_before_its_window_shares_nothing(windowed_model: Path, log: Log) -> None:
    model = load(windowed_model, log)
    go_on(model, 0, [5] * 60, 0)
    go_on(model, 1, [6] * 190, 0)
    model.release(0)
    assert model.cut(1, 150)
    go_on(model, 0, [7] * 106, 0)  # takes 46 cells that the other one cannot see any more
    assert model.cut(1, 40)
    assert not model.share(1, 5, 0, 40), "what its next token would see is gone"


def test_a_recurrent_state_is_neither_shared_nor_cut(recurrent_model: Path, log: Log) -> None:
    model = load(recurrent_model, log)
    assert not model.can_share
    assert len(set(answers(model))) > 1
    go_on(model, 0, TEXT, 0)
    assert not model.cut(0, 50)


def test_an_adapter_changes_the_answers(
    tiny: NativeModel, tiny_model: Path, tmp_path: Path, log: Log
) -> None:
    assert answers(load(tiny_model, log, SMALL, write_tiny_adapter(tmp_path / "style.gguf"))) != answers(tiny)


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
    templated_model: Path, windowed_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: Log
) -> None:
    recorder = Recorder()
    modules = (weights, native, parameters, sampling, candidates, grammar, pooled, log_module)
    for module in modules:
        monkeypatch.setattr(module, "llama", recorder)
    own_log = Log()
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
        *(SamplingParams(grammar=f'root ::= "{number}"') for number in range(grammar.KEPT + 1)),
    ]
    for params in (everything, GREEDY, *others):
        model.piece(first(model, params, model.weights.tokenize("once upon a time")))
    image = Picture(0, np.zeros((2, N_EMBD), np.float32), np.arange(2).reshape(1, 2), 2, at_once=True)
    assert model.look(image, 0, 2, 1) is Decoded.OK
    windowed = load(windowed_model, own_log)
    go_on(windowed, 0, TEXT, 0)
    assert windowed.share(0, 1, 0, len(TEXT))
    assert (copy := model.save(0, 0, 2**20)) is not None
    assert model.restore(1, copy)
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
    llama.llama_log_set(own_log.callback, None)  # `own_log` ends here
