import inspect
import json
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
    native,
    native_memory,
    parameters,
    pooled,
    sampling,
    weights,
)
from janfs.engines.llama_cpp import log as log_module
from janfs.engines.llama_cpp.guidance import UNGUIDED, Guidance
from janfs.engines.llama_cpp.log import Log
from janfs.engines.llama_cpp.native import NativeModel
from janfs.engines.llama_cpp.pictures import Picture
from janfs.engines.llama_cpp.pooled import PooledModel
from janfs.engines.llama_cpp.sampling import seed_of
from janfs.engines.llama_cpp.scheduler import Decoded, Entry
from janfs.engines.llama_cpp.weights import Weights
from janfs.engines.protocol import CacheType, EngineSettings, SamplingParams
from janfs.errors import EngineError, InvalidInput, LoadFailed
from tests.engines.llama_cpp.native_models import GREEDY, SMALL, TEXT, answers, go_on, load
from tests.engines.tiny_model import N_EMBD, write_tiny_adapter
from tests.support.bert import tiny_bert, write_bert


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


def first(model: NativeModel, params: SamplingParams, tokens: list[int]) -> int:
    """The token that follows these."""
    assert model.decode(prompt(tokens)) is Decoded.OK
    sampler = model.sampler(params, tokens)
    try:
        return sampler.sample(len(tokens) - 1).token
    finally:
        sampler.close()
        model.memory.release(0)


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
        tiny.memory.release(0)
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
        tiny.memory.release(0)
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
        tiny.memory.release(0)
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
    tiny.memory.release(0)
    assert token == first(tiny, GREEDY, [1, 5]), "asking for logprobs changes the answer"
    assert logprob is not None
    assert (logprob.token, logprob.logprob) == (token, pytest.approx(expected[token], abs=1e-4))
    assert [each.token for each in logprob.top] == list(np.argsort(-expected, kind="stable")[:5])
    assert [each.logprob for each in logprob.top] == pytest.approx(sorted(expected)[:-6:-1], abs=1e-4)


@pytest.mark.parametrize("temperature", [0, 1.5])
def test_a_grammar_binds_every_token(tiny: NativeModel, temperature: float) -> None:
    params = SamplingParams(temperature=temperature, grammar='root ::= "ab" ("c" | "d")', seed=3)
    assert written(tiny, params, [1]) in (b"abc", b"abd")


def written(
    model: NativeModel, params: SamplingParams, tokens: list[int], guidance: Guidance = UNGUIDED
) -> bytes:
    """What a model writes behind some tokens, to its end."""
    model.check(params)
    sampler, text = model.sampler(params, tokens, guidance), b""
    batch = prompt(tokens)
    while True:
        assert model.decode(batch) is Decoded.OK
        token = sampler.sample(len(batch) - 1).token
        if model.is_end(token):
            break
        batch = [Entry(token, batch[-1].place + 1, 0, True)]
        text += model.piece(token)
    sampler.close()
    model.memory.release(0)
    return text


@pytest.mark.parametrize(("said", "texts"), [("a", (b"bc", b"bd")), ("abd", (b"",)), ("b", (b"abc", b"abd"))])
def test_a_grammar_goes_on_behind_what_is_said_where_it_allows_that(
    tiny: NativeModel, said: str, texts: tuple[bytes, ...]
) -> None:
    tokens = tuple(tiny.weights.tokenize(said))
    params = SamplingParams(temperature=1.5, grammar='root ::= "ab" ("c" | "d")', seed=3)
    assert written(tiny, params, [1, *tokens], Guidance(tokens)) in texts


def test_a_grammar_that_no_token_fits_is_the_callers_mistake(tiny: NativeModel) -> None:
    params = SamplingParams(grammar=f"root ::= <[{tiny.weights.eos}]>")  # an end is no part of a text
    tiny.check(params)
    sampler = tiny.sampler(params, [])
    assert tiny.decode([Entry(1, 0, 0, True)]) is Decoded.OK
    with pytest.raises(InvalidInput, match="fits the grammar"):
        sampler.sample(0)
    sampler.close()
    tiny.memory.release(0)


@pytest.mark.parametrize(
    "how", [{"temperature": 0}, {"temperature": 1}, {"typical_p": 0.5}, {"mirostat": 1}, {"mirostat": 2}]
)
def test_of_the_tokens_that_fit_none_is_chosen_that_a_bias_forbids(
    tiny: NativeModel, how: dict[str, Any]
) -> None:
    params = SamplingParams(grammar="root ::= [abc]", logit_bias=forbid(tiny, "ab"), seed=1, **how)
    assert written(tiny, params, [1]) == b"c"


def test_a_bias_that_forbids_all_that_fits_is_the_callers_mistake(tiny: NativeModel) -> None:
    """llama.cpp ends the process over a token that does not fit."""
    with pytest.raises(InvalidInput, match="logit_bias"):
        written(tiny, SamplingParams(grammar="root ::= [ab]", logit_bias=forbid(tiny, "ab")), [1])
    tiny.memory.release(0)


def forbid(model: NativeModel, letters: str) -> tuple[tuple[int, float], ...]:
    """A bias against every token that is one of these letters."""
    return tuple(
        (token, -100)
        for token, piece in enumerate(model.weights.pieces())
        if piece and piece in letters.encode()
    )


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
        *(weights, native, native_memory, parameters, sampling, candidates, constraint, pooled),
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
