"""The worker process with a real model, seen from the host."""

import asyncio
import json
import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from llama_cpp import Llama

from janfs.engines.llama_cpp.client import LlamaCppEngine, start_worker
from janfs.engines.llama_cpp.waiting import waiting_policy
from janfs.engines.protocol import (
    CallDelta,
    ChatMessage,
    ChatPrompt,
    Engine,
    EngineSettings,
    Finished,
    GenerateRequest,
    PairPrompt,
    PlainText,
    Prompt,
    Reply,
    RunSpec,
    SamplingParams,
    TextDelta,
    TextPrompt,
    TokenPrompt,
    Tool,
)
from janfs.errors import ContextExceeded, EngineError, InvalidInput, LoadFailed
from tests.engines.tiny_model import write_tiny_adapter
from tests.support.bert import Bert, rank_of
from tests.support.patience import PATIENCE

# Each word of the answers to these and to `QUESTIONS` is clearly the likeliest: a busy machine cuts prompts
# into other batches, which moves logits by some 0.2.
PROMPTS = (
    "2 4 6 8 10 12",
    "<|im_start|>user\nWhat is the capital of Japan?<|im_end|>\n<|im_start|>assistant\n",
    "1, 2, 3, 4, 5, 6,",
)
GREEDY = SamplingParams(temperature=0, max_tokens=16)


class Client:
    """An engine on an event loop of its own, for tests that are not async."""

    def __init__(self, runner: asyncio.Runner, engine: LlamaCppEngine) -> None:
        self.runner = runner
        self.engine = engine
        self._count = 0

    def run(self, what: Awaitable[Any]) -> Any:
        async def awaited() -> Any:
            async with asyncio.timeout(PATIENCE):
                return await what

        return self.runner.run(awaited())

    async def answer(
        self, prompt: Prompt, sampling: SamplingParams = GREEDY, *, cache_prompt: bool = True
    ) -> tuple[list[str], Finished]:
        self._count += 1
        request = GenerateRequest(
            request_id=f"r{self._count}", prompt=prompt, sampling=sampling, cache_prompt=cache_prompt
        )
        *deltas, end = [reply async for reply in self.engine.generate(request)]
        assert isinstance(end, Finished)
        return [delta.text for delta in deltas if isinstance(delta, TextDelta)], end


@contextmanager
def working(spec: RunSpec) -> Iterator[Client]:
    with asyncio.Runner() as runner:
        engine = runner.run(start_worker(spec))
        yield Client(runner, engine)
        runner.run(engine.close(0, "the tests are over"))


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


@pytest.fixture(scope="module")
def oracle_of_logits(sample_model: Path) -> Llama:
    """The same, which keeps the logits of every token."""
    return Llama(
        str(sample_model),
        n_ctx=128,
        n_threads=1,
        n_threads_batch=1,
        flash_attn=True,
        logits_all=True,
        verbose=False,
    )


def oracle_says(oracle: Llama, prompt: str) -> tuple[str, str, int, int]:
    answer = oracle.create_completion(
        prompt, max_tokens=GREEDY.max_tokens, temperature=0.0, repeat_penalty=1.0
    )
    choice, usage = answer["choices"][0], answer["usage"]
    return choice["text"], choice["finish_reason"], usage["prompt_tokens"], usage["completion_tokens"]


def as_told(deltas: list[str], end: Finished) -> tuple[str, str, int, int]:
    return "".join(deltas), end.finish_reason, end.usage.prompt_tokens, end.usage.completion_tokens


@pytest.mark.model
def test_greedy_answers_are_the_oracles_alone_and_in_company(either: Client, oracle: Llama) -> None:
    expected = [oracle_says(oracle, prompt) for prompt in PROMPTS]
    assert {reason for _, reason, _, _ in expected} == {"stop", "length"}, "the prompts show too little"
    alone = [as_told(*either.run(either.answer(TextPrompt(prompt)))) for prompt in PROMPTS]
    assert alone == expected

    async def together() -> list[tuple[str, str, int, int]]:
        # Twice as many as there are sequences, so that some join while others are half way.
        answers = await asyncio.gather(*(either.answer(TextPrompt(prompt)) for prompt in PROMPTS * 2))
        return [as_told(*answer) for answer in answers]

    assert either.run(together()) == expected * 2


SYSTEM = "<|im_start|>system\n" + " ".join(
    f"Rule {number}: answer in short plain words." for number in range(8)
)
QUESTIONS = tuple(f"What is the capital of {country}?" for country in ("France", "Germany", "Japan"))


def asking(question: str) -> str:
    return f"{SYSTEM}<|im_end|>\n<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n"


@pytest.mark.model
def test_greedy_answers_are_the_oracles_with_and_without_a_cached_prefix(
    either: Client, oracle: Llama
) -> None:
    expected = [oracle_says(oracle, asking(question)) for question in QUESTIONS]

    async def together() -> list[tuple[list[str], Finished]]:
        return list(await asyncio.gather(*(either.answer(TextPrompt(asking(each))) for each in QUESTIONS)))

    # At once: one computes what they share, the others have it from there. Again: all of it is there.
    for least in (70, 90):
        answers = either.run(together())
        assert [as_told(*answer) for answer in answers] == expected
        assert sorted(end.usage.cached_tokens for _, end in answers)[1] >= least
    prompt = TextPrompt(asking(QUESTIONS[0]))
    deltas, end = either.run(either.answer(prompt, cache_prompt=False))
    assert as_told(deltas, end) == expected[0]
    assert end.usage.cached_tokens == 0


@pytest.mark.model
def test_the_next_turn_of_a_chat_is_the_oracles_and_computes_only_what_is_new(
    either: Client, oracle: Llama
) -> None:
    chat = asking(QUESTIONS[0])
    for question in QUESTIONS[1:]:
        deltas, end = either.run(either.answer(TextPrompt(chat)))
        known = end.usage.prompt_tokens + end.usage.completion_tokens
        chat += "".join(deltas) + f"<|im_end|>\n<|im_start|>user\n{question}<|im_end|>\n"
        chat += "<|im_start|>assistant\n"
        answer = either.run(either.answer(TextPrompt(chat)))
        assert as_told(*answer) == oracle_says(oracle, chat)
        assert answer[1].usage.cached_tokens >= known - 2, "the last turn was computed again"


def test_where_caching_is_off_every_prompt_is_computed_whole(tiny_model: Path) -> None:
    async def cached(engine: Engine) -> int:
        ends = []
        for number in range(2):
            request = GenerateRequest(request_id=str(number), prompt=TextPrompt("a" * 50), sampling=GREEDY)
            ends += [reply async for reply in engine.generate(request) if isinstance(reply, Finished)]
        return ends[-1].usage.cached_tokens

    async def some(engine: Engine) -> None:
        assert await cached(engine) == 50

    async def none(engine: Engine) -> None:
        assert await cached(engine) == 0

    run_tiny(tiny_model, some)
    run_tiny(tiny_model, none, caching_enabled=False)


def test_a_chat_that_had_to_make_room_comes_back_from_its_copy_until_that_is_given_up(
    tiny_model: Path,
) -> None:
    async def scenario(engine: Engine) -> None:
        async def told(word: str) -> tuple[str, int]:
            """An answer to a long prompt, and how much of that was known."""
            request = GenerateRequest(request_id=word, prompt=TextPrompt(word * 400), sampling=GREEDY)
            *deltas, end = [reply async for reply in engine.generate(request)]
            assert isinstance(end, Finished)
            return "".join(
                each.text for each in deltas if isinstance(each, TextDelta)
            ), end.usage.cached_tokens

        first, known = await told("a")
        assert known == 0
        assert (await told("b"))[1] == 1, "what begins every text"
        assert await told("a") == (first, 400), "it was not copied when the other took its cells"
        assert await engine.spare() > 400 * 64
        assert await engine.spare() == 0
        assert (await told("b"))[1] < 400, "its copy was given up, and it had made room"

    run_tiny(tiny_model, scenario)


@pytest.mark.parametrize("kv_unified", [True, False], ids=["one cache for all", "a cache for each"])
@pytest.mark.parametrize("kind", ["tiny_model", "windowed_model", "recurrent_model"])
def test_whatever_the_memory_answers_do_not_depend_on_who_else_asks(
    kind: str, kv_unified: bool, request: pytest.FixtureRequest
) -> None:
    """Few cells for many requests that begin alike: prefixes are shared, given up and computed again."""
    prompts = [(1, *range(3, 3 + shared), *range(100 + n, 140 + n)) for n in range(3) for shared in (30, 80)]

    async def answer(engine: Engine, prompt: tuple[int, ...]) -> str:
        sampling = SamplingParams(temperature=0, max_tokens=24, ignore_eos=True)
        asked = GenerateRequest(request_id="r", prompt=TokenPrompt(prompt), sampling=sampling)
        return "".join([r.text async for r in engine.generate(asked) if isinstance(r, TextDelta)])

    async def scenario(engine: Engine) -> None:
        alone = [await answer(engine, prompt) for prompt in prompts]
        for _ in range(3):
            assert await asyncio.gather(*(answer(engine, prompt) for prompt in prompts)) == alone

    run_tiny(request.getfixturevalue(kind), scenario, ctx_len=256, n_parallel=4, kv_unified=kv_unified)


@pytest.mark.model
def test_a_stop_string_that_spans_tokens_ends_the_answer_and_is_no_part_of_it(client: Client) -> None:
    prompt = TextPrompt(PROMPTS[2])
    whole = "".join(client.run(client.answer(prompt))[0])
    assert " 10, 11" in whole
    sampling = msgspec.structs.replace(GREEDY, stop=("0, 11",))
    deltas, end = client.run(client.answer(prompt, sampling))
    assert "".join(deltas) == whole[: whole.index("0, 11")]
    assert (end.finish_reason, end.stop_string) == ("stop", "0, 11")


@pytest.mark.model
@pytest.mark.parametrize("as_tokens", [True, False])
def test_an_echoed_prompts_logprobs_are_the_oracles(
    client: Client, oracle_of_logits: Llama, as_tokens: bool
) -> None:
    text = "The capital of France is Paris, and the capital of Italy is Rome."
    tokens = client.run(client.engine.tokenize(TextPrompt(text)))
    assert len(tokens) <= 16 < len(tokens) * 2, "one prompt is to be computed at once, the other in pieces"
    prompt: Prompt = TokenPrompt(tokens * 2) if as_tokens else TextPrompt(text)
    computed = tokens * 2 if as_tokens else tokens
    request = GenerateRequest(
        request_id="r",
        prompt=prompt,
        sampling=SamplingParams(temperature=0, max_tokens=0, logprobs=2),
        echo=True,
    )

    async def replies() -> list[Reply]:
        return [reply async for reply in client.engine.generate(request)]

    echoed, end = client.run(replies())
    assert isinstance(echoed, TextDelta)
    assert echoed.text == (text * 2 if as_tokens else text)
    assert [each.token for each in echoed.logprobs] == list(computed)
    assert echoed.logprobs[0].logprob is None
    oracle_of_logits.reset()
    oracle_of_logits.eval(computed)
    logits = np.array(oracle_of_logits.scores[: len(computed)], np.float64)
    expected = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    for at, each in enumerate(echoed.logprobs[1:]):
        assert each.logprob == pytest.approx(expected[at, each.token], abs=0.05), f"after {at + 1} tokens"
        assert [likely.logprob for likely in each.top] == pytest.approx(
            sorted(expected[at], reverse=True)[:2], abs=0.05
        )
    assert (end.finish_reason, end.usage.completion_tokens) == ("length", 0)


@pytest.mark.model
def test_what_was_put_in_front_of_a_prompt_is_not_echoed(tiny_model: Path) -> None:
    async def scenario(engine: Engine) -> None:
        for prompt, n_tokens in ((TextPrompt("ab"), 2), (TokenPrompt((1, 5)), 2), (TextPrompt("<s>ab"), 3)):
            sampling = SamplingParams(temperature=0, max_tokens=0, logprobs=0)
            request = GenerateRequest(request_id="r", prompt=prompt, sampling=sampling, echo=True)
            echoed, _ = [reply async for reply in engine.generate(request)]
            assert isinstance(echoed, TextDelta)
            assert b"".join(each.text for each in echoed.logprobs).decode() == echoed.text
            assert len(echoed.logprobs) == n_tokens
            first = echoed.logprobs[0]
            assert (first.logprob is None) == (first.token == 1), "only the first of all follows nothing"

    run_tiny(tiny_model, scenario)


@pytest.mark.model
@pytest.mark.parametrize("text", ["😀 🎉 🚀 😀 🎉 🚀 😀 🎉 🚀 😀 🎉 🚀", "你好世界你好世界你好世界你好世界"])
def test_characters_of_several_tokens_come_out_whole(client: Client, oracle: Llama, text: str) -> None:
    tokens = client.run(client.engine.tokenize(TextPrompt(text)))
    assert len(tokens) > len(text.replace(" ", "")), "no character spans tokens, so this test shows nothing"
    deltas, _ = client.run(client.answer(TextPrompt(text)))
    # A last character that the limit cuts through is U+FFFD here; the oracle goes on until it is whole.
    whole, expected = "".join(deltas).rstrip("�"), oracle_says(oracle, text)[0]
    assert expected.startswith(whole)
    assert len(expected) - len(whole) <= 1
    assert not any("�" in delta for delta in deltas[:-1]), "half a character was shown"
    assert any(not character.isascii() for delta in deltas for character in delta)


@pytest.mark.model
def test_an_answer_that_is_bound_to_a_schema_fits_it_in_any_company(client: Client) -> None:
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string", "maxLength": 12}, "people": {"enum": [1, 2, 3]}},
        "required": ["city", "people"],
        "additionalProperties": False,
    }
    bound = SamplingParams(temperature=1.5, seed=1, max_tokens=80, json_schema=json.dumps(schema))
    prompt = TextPrompt(PROMPTS[2])

    async def together() -> list[tuple[list[str], Finished]]:
        return await asyncio.gather(*(client.answer(prompt, each) for each in (bound, GREEDY, bound)))

    first, free, second = client.run(together())
    for deltas, end in (first, second):
        assert end.finish_reason == "stop", "".join(deltas)
        found = json.loads("".join(deltas))
        assert set(found) == {"city", "people"}
        assert found["people"] in (1, 2, 3)
        assert len(found["city"]) <= 12
    alone = client.run(client.answer(prompt))
    assert as_told(*free) == as_told(*alone), "a bound answer changed a free one beside it"


@pytest.mark.model
def test_logprobs_come_with_their_text_and_change_nothing(client: Client) -> None:
    prompt = TextPrompt(PROMPTS[2])
    looking = msgspec.structs.replace(GREEDY, logprobs=3, stop=("9, 1",))

    async def replies() -> list[Any]:
        request = GenerateRequest(request_id="l", prompt=prompt, sampling=looking)
        return [reply async for reply in client.engine.generate(request)]

    *deltas, end = client.run(replies())
    shown = "".join(delta.text for delta in deltas)
    assert "".join(client.run(client.answer(prompt))[0]).startswith(shown)
    assert end.logprobs == (), "tokens of the stop string are told"
    tokens = [token for delta in deltas for token in delta.logprobs]
    assert b"".join(token.text for token in tokens).decode().startswith(shown)
    for token in tokens:
        assert token.logprob == token.top[0].logprob, "greedy takes the likeliest"
        assert token.logprob <= 0
        assert len(token.top) == 3


WEATHER = Tool(
    "weather",
    "Tells the weather.",
    json.dumps({"type": "object", "properties": {"city": {"enum": ["Paris", "Rome"]}}, "required": ["city"]}),
)


@pytest.mark.model
def test_a_model_that_must_call_calls_with_arguments_that_fit(client: Client) -> None:
    chat = ChatPrompt((ChatMessage("user", "How is the weather in Rome?"),), (WEATHER, Tool("time")), True)

    chat = msgspec.structs.replace(chat, parallel=False)
    sampling = msgspec.structs.replace(GREEDY, max_tokens=60)

    async def called(sampling: SamplingParams) -> list[Any]:
        request = GenerateRequest(request_id="c", prompt=chat, sampling=sampling)
        return [reply async for reply in client.engine.generate(request)]

    (end,) = client.run(called(msgspec.structs.replace(sampling, max_tokens=2)))
    assert end.finish_reason == "length", "what was cut off in its head is neither a call nor words"
    *parts, end = client.run(called(sampling))
    assert end.finish_reason == "tool_calls"
    assert all(isinstance(part, CallDelta) for part in parts), parts
    assert parts[0].name in ("weather", "time")
    arguments = json.loads("".join(part.arguments for part in parts))
    assert parts[0].name == "time" or arguments["city"] in ("Paris", "Rome")


@pytest.mark.model
@pytest.mark.parametrize(
    ("must_call", "leaning", "calls"), [(False, "<", True), (False, "{", False), (True, "{", True)]
)
def test_a_model_that_may_call_calls_or_answers_in_the_form_it_is_bound_to(
    client: Client, must_call: bool, leaning: str, calls: bool
) -> None:
    chat = ChatPrompt((ChatMessage("user", "How is the weather in Rome?"),), (WEATHER,), must_call, False)
    schema = json.dumps({"type": "object", "properties": {"sky": {"enum": ["blue"]}}, "required": ["sky"]})
    token, *_ = client.run(client.engine.tokenize(TextPrompt(leaning)))
    sampling = msgspec.structs.replace(GREEDY, max_tokens=60, json_schema=schema, logit_bias=((token, 50.0),))

    async def said() -> list[Any]:
        request = GenerateRequest(request_id="b", prompt=chat, sampling=sampling)
        return [reply async for reply in client.engine.generate(request)]

    *parts, end = client.run(said())
    if calls:
        assert end.finish_reason == "tool_calls"
        assert json.loads("".join(part.arguments for part in parts))["city"] in ("Paris", "Rome")
    else:
        assert end.finish_reason == "stop"
        assert json.loads("".join(part.text for part in parts))["sky"] == "blue"


@pytest.mark.model
def test_an_answer_is_gone_on_with(client: Client) -> None:
    question = ChatMessage("user", "Count from one to five.")
    begun = ChatPrompt((question, ChatMessage("assistant", "One, two, three,")))
    text = "".join(client.run(client.answer(begun))[0])
    assert text.lstrip().startswith("four"), text


@pytest.mark.model
def test_a_call_that_was_begun_is_told_whole(client: Client) -> None:
    begun = 'I look.\n<tool_call>\n{"name": "weather", "arguments": {"city": "'
    chat = ChatPrompt(
        (ChatMessage("user", "How is it in Rome?"), ChatMessage("assistant", begun)), (WEATHER,)
    )
    request = GenerateRequest(request_id="c", prompt=chat, sampling=GREEDY)

    async def told() -> list[Reply]:
        return [reply async for reply in client.engine.generate(request)]

    first, *others, _ = client.run(told())
    assert isinstance(first, CallDelta)
    assert (first.name, first.arguments[:10]) == ("weather", '{"city": "')
    assert not any(isinstance(part, TextDelta) and "I look" in part.text for part in others)


def test_a_seed_gives_the_same_answer_again(tiny_model: Path) -> None:
    """From engines of their own: where cells lie, and in which batches they came, moves logits."""

    def answer(seed: int) -> str:
        sampling = SamplingParams(temperature=1.5, max_tokens=16, seed=seed)
        request = GenerateRequest(request_id="r", prompt=TextPrompt("Once upon a time"), sampling=sampling)
        said: list[str] = []

        async def scenario(engine: Engine) -> None:
            said.extend([each.text async for each in engine.generate(request) if isinstance(each, TextDelta)])

        run_tiny(tiny_model, scenario)
        return "".join(said)

    assert answer(7) == answer(7)
    assert answer(7) != answer(8)


@pytest.mark.model
def test_the_files_template_and_end_token_are_used(client: Client) -> None:
    question = ChatPrompt((ChatMessage("user", "What is 1 plus 1?"),))
    text = client.run(client.engine.apply_template(question))
    assert text.startswith("<|im_start|>system\nYou are a helpful AI assistant named SmolLM")
    assert text.endswith("<|im_start|>user\nWhat is 1 plus 1?<|im_end|>\n<|im_start|>assistant\n")
    _, end = client.run(client.answer(question))
    assert end.finish_reason == "stop"
    ignoring = msgspec.structs.replace(GREEDY, ignore_eos=True)
    _, end = client.run(client.answer(question, ignoring))
    assert (end.finish_reason, end.usage.completion_tokens) == ("length", 16)


WORDS = "word tree house water king book light river stone night bread horse glass wind hand fire snow"


@pytest.mark.model
def test_a_long_prompt_that_nobody_waits_for_is_given_up_in_the_middle_of_its_decode(
    sample_spec: Callable[..., RunSpec],
) -> None:
    async def known(engine: Engine, word: str, after: float) -> int | None:
        """How many tokens are known of a prompt whose request was cancelled `after` seconds; None where
        this machine came to it too late to tell.
        """
        long = GenerateRequest(request_id="long", prompt=TextPrompt(f"{word} " * 1900))
        gone = asyncio.create_task(anext(engine.generate(long)))
        asked = time.monotonic()
        await asyncio.sleep(after)
        gone.cancel()
        await asyncio.wait([gone])
        if time.monotonic() - asked > after + 0.5:
            return None
        begun = GenerateRequest(request_id="short", prompt=TextPrompt(f"{word} " * 50), sampling=GREEDY)
        async with aclosing(engine.generate(begun)) as replies:
            return [r.usage.cached_tokens async for r in replies if isinstance(r, Finished)][-1]

    async def scenario() -> None:
        engine = await start_worker(sample_spec(n_parallel=1, n_batch=2048))
        try:
            words = iter(WORDS.split())  # each once, since a prompt that was computed is known
            for after in (0.0005, 0.003, 0.01, 0.1, 0.5):
                while (found := await known(engine, next(words), after)) is None:
                    pass
                assert found == 0, f"after {after} s it was computed to its end"
        finally:
            await engine.close(0, "over")

    # The whole prompt is one decode here, which takes this model 5 seconds and more on one thread.
    asyncio.run(scenario())


def run_tiny(path: Path, scenario: Callable[[Engine], Awaitable[None]], **settings: Any) -> None:
    async def whole() -> None:
        engine = await start_worker(spec_for(path, **settings))
        try:
            await scenario(engine)
        finally:
            await engine.close(0, "over")

    asyncio.run(whole())


def spec_for(path: Path, **settings: Any) -> RunSpec:
    chosen = EngineSettings(**{"ctx_len": 512, "cpu_threads": 1, **settings})
    return RunSpec(
        model_id="m", uid="u", engine="llama-cpp", path=str(path), settings=chosen, fingerprint="f"
    )


def test_a_plain_text_is_told_as_it_is_and_its_tokens_are_its_bytes(tiny_model: Path) -> None:
    async def scenario(engine: Engine) -> None:
        text = "é<s>"
        tokens = await engine.tokenize(PlainText(text))
        assert await engine.pieces(tokens) == (b"\xc3", b"\xa9", b"<s>")
        assert await engine.tokenize(PlainText(text, whole=True)) == (1, *tokens)
        plain = await engine.tokenize(PlainText(text, special=False))
        assert b"".join(await engine.pieces(plain)) == text.encode()
        assert 1 not in plain

    run_tiny(tiny_model, scenario)


def test_the_beginning_token_is_put_in_front_once(tiny_model: Path) -> None:
    async def scenario(engine: Engine) -> None:
        assert (await engine.tokenize(TextPrompt("a")))[0] == 1
        assert await engine.tokenize(TextPrompt("<s>a")) == await engine.tokenize(TextPrompt("a"))
        assert await engine.tokenize(TextPrompt("")) == (1,)

    run_tiny(tiny_model, scenario)


def test_the_settings_template_wins_and_its_turn_ends_the_answer(templated_model: Path) -> None:
    message = ChatPrompt((ChatMessage("user", "hi"),))

    async def with_file(engine: Engine) -> None:
        assert await engine.apply_template(message) == "a template"

    async def with_settings(engine: Engine) -> None:
        assert await engine.apply_template(message) == "Q: hi A:"

    run_tiny(templated_model, with_file)
    run_tiny(templated_model, with_settings, prompt_template="Q: {prompt} A:")


def test_a_name_that_is_not_unicode_is_loaded_all_the_same(tiny_model: Path, tmp_path: Path) -> None:
    odd = tmp_path / os.fsdecode(b"caf\xe9.gguf")
    odd.write_bytes(tiny_model.read_bytes())

    async def scenario(engine: Engine) -> None:
        assert engine.info.n_ctx == 512

    run_tiny(odd, scenario)


def test_a_worker_is_told_how_its_threads_are_to_wait(tiny_model: Path) -> None:
    async def scenario(engine: Engine) -> None:
        environment = Path(f"/proc/{engine.info.pid}/environ").read_bytes().split(b"\0")
        found = dict(each.decode().partition("=")[::2] for each in environment if each)
        assert waiting_policy(os.environ).items() <= found.items()
        assert {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & set(found)

    run_tiny(tiny_model, scenario)


@pytest.mark.skipif("OMP_WAIT_POLICY" not in waiting_policy({}), reason="this kernel counts no waiting")
def test_a_workers_threads_sleep_soon_while_others_want_the_cores(tiny_model: Path) -> None:
    async def scenario(engine: Engine) -> None:
        tasks = Path(f"/proc/{engine.info.pid}/task")
        alone = len(list(tasks.iterdir()))
        others = [subprocess.Popen(["sh", "-c", "while :; do :; done"]) for _ in range(2 * os.cpu_count())]
        try:
            until = time.monotonic() + PATIENCE
            while len(list(tasks.iterdir())) <= alone + os.cpu_count():
                assert time.monotonic() < until, "no second team of threads came"
                async for _ in engine.generate(long):
                    pass
        finally:
            for other in others:
                other.kill()
                other.wait()

    sampling = SamplingParams(temperature=0, max_tokens=3000, ignore_eos=True)
    long = GenerateRequest(request_id="1", prompt=TextPrompt("a"), sampling=sampling)
    run_tiny(tiny_model, scenario, ctx_len=4096, cpu_threads=2)


def test_a_model_that_makes_vectors_does_not_write(ranking_model: Path, noise_bert: Bert) -> None:
    async def scenario(engine: Engine) -> None:
        with pytest.raises(InvalidInput, match="cannot write"):
            await anext(engine.generate(GenerateRequest(request_id="r", prompt=TextPrompt("hi"))))
        (one,) = await engine.embed((PairPrompt("what is it?", "a cat."),))
        assert struct.unpack("<f", one.vector)[0] == pytest.approx(
            rank_of(noise_bert, "what is it?", "a cat."), abs=2e-3
        )
        with pytest.raises(ContextExceeded) as caught:
            await engine.embed((PairPrompt("what is it?", "a cat " * 40),))
        assert caught.value.param == "documents"
        with pytest.raises(InvalidInput, match="/v1/rerank"):
            await engine.embed((TextPrompt("a cat."),))

    run_tiny(ranking_model, scenario)


def test_a_model_that_writes_makes_vectors_only_if_it_is_told_to(tiny_model: Path) -> None:
    async def refused(engine: Engine) -> None:
        with pytest.raises(InvalidInput, match='"embedding": true'):
            await engine.embed((TextPrompt("a cat."),))

    async def unpooled(engine: Engine) -> None:
        with pytest.raises(InvalidInput, match="pooling is none"):
            await engine.embed((TextPrompt("a cat."),))

    run_tiny(tiny_model, refused)
    run_tiny(tiny_model, unpooled, embedding=True, pooling="none")


def test_adapters_are_applied_and_one_that_does_not_fit_is_named(tiny_model: Path, tmp_path: Path) -> None:
    async def answer(*adapters: Path) -> str:
        spec = msgspec.structs.replace(spec_for(tiny_model), adapters=tuple(map(str, adapters)))
        engine = await start_worker(spec)
        request = GenerateRequest(request_id="r", prompt=TextPrompt("once"), sampling=GREEDY)
        found = [reply async for reply in engine.generate(request)]
        await engine.close(0, "answered")
        return "".join(reply.text for reply in found if isinstance(reply, TextDelta))

    style = write_tiny_adapter(tmp_path / "style.gguf")
    assert asyncio.run(answer(style)) != asyncio.run(answer())
    with pytest.raises(LoadFailed, match=r"wide\.gguf cannot be applied"):
        asyncio.run(answer(write_tiny_adapter(tmp_path / "wide.gguf", width=128)))


def test_a_file_that_cannot_be_loaded_says_why(tmp_path: Path) -> None:
    path = tmp_path / "noise.gguf"
    path.write_bytes(b"noise" * 100)
    with pytest.raises(LoadFailed, match="invalid magic"):
        asyncio.run(start_worker(spec_for(path)))
    with pytest.raises(LoadFailed, match="does not exist"):
        asyncio.run(start_worker(spec_for(tmp_path / "none.gguf")))


def test_text_that_is_not_unicode_is_refused_and_costs_nobody_else(tiny_model: Path) -> None:
    async def scenario(engine: Engine) -> None:
        with pytest.raises(InvalidInput, match="surrogate"):
            await engine.tokenize(TextPrompt("\ud800"))
        assert await engine.tokenize(TextPrompt("a"))

    run_tiny(tiny_model, scenario)


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and was not reaped yet does not."""
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_for_end(pid: int) -> None:
    until = time.monotonic() + PATIENCE
    while alive(pid):
        assert time.monotonic() < until, f"the worker {pid} still runs"
        time.sleep(0.01)


HOST = """
import asyncio, sys
from janfs.engines.llama_cpp.client import start_worker
from tests.engines.llama_cpp.test_worker import spec_for

async def main():
    engine = await start_worker(spec_for(sys.argv[1]))
    print(engine.info.pid, flush=True)
    await asyncio.sleep(3600)

asyncio.run(main())
"""


def test_a_worker_does_not_outlive_a_host_that_was_killed(tiny_model: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOST, str(tiny_model)], stdout=subprocess.PIPE) as host:
        assert host.stdout is not None
        pid = int(host.stdout.readline())
        assert alive(pid)
        host.kill()
    wait_for_end(pid)


def test_a_worker_whose_host_is_dead_already_ends_at_once() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "janfs.engines.llama_cpp.worker", "0", "999999999"],
        timeout=PATIENCE,
        check=False,
    )
    assert ended.returncode == 0


def test_ctrl_c_is_left_to_the_host(tiny_model: Path) -> None:
    async def scenario(engine: Engine) -> None:
        os.kill(engine.info.pid, signal.SIGINT)
        assert await engine.tokenize(TextPrompt("a"))

    run_tiny(tiny_model, scenario)


@pytest.mark.model
def test_cancelling_a_load_ends_its_process(sample_model: Path) -> None:
    async def scenario() -> None:
        before = child_pids()
        loading = asyncio.create_task(start_worker(spec_for(sample_model)))
        while not (children := child_pids() - before):
            await asyncio.sleep(0.01)
        loading.cancel()
        await asyncio.wait([loading])
        assert loading.cancelled()
        assert not any(alive(pid) for pid in children)

    asyncio.run(scenario())


def child_pids() -> set[int]:
    """Workers of this process."""
    found = Path(f"/proc/{os.getpid()}/task").glob("*/children")
    pids = {int(pid) for path in found for pid in told(path).split()}
    return {pid for pid in pids if b"llama_cpp.worker" in told(Path(f"/proc/{pid}/cmdline"))}


def told(path: Path) -> bytes:
    """What the kernel tells there; nothing of a thread or a process that ended just now."""
    try:
        return path.read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def test_after_close_the_process_is_gone_and_the_engine_says_why(tiny_model: Path) -> None:
    async def scenario() -> None:
        engine = await start_worker(spec_for(tiny_model))
        await engine.close(0, "unloaded by a test")
        assert not alive(engine.info.pid)
        with pytest.raises(EngineError, match="unloaded by a test"):
            await engine.tokenize(TextPrompt("a"))

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("janfs.engines.llama_cpp.worker", {"litestar", "sqlalchemy", "alembic", "asyncio"}),
        ("janfs.engines.llama_cpp.client", {"llama_cpp", "numpy", "jinja2"}),
    ],
)
def test_neither_side_imports_what_is_for_the_other(module: str, unwanted: set[str]) -> None:
    code = f"import {module}, sys; print(*sorted(name.split('.')[0] for name in sys.modules))"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not unwanted & set(ended.stdout.split())
