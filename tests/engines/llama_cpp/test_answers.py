"""What a worker answers with a real model: as llama-cpp-python's own loop does, in any company."""

import asyncio
import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from llama_cpp import Llama

from janfs.engines.protocol import (
    CallDelta,
    ChatMessage,
    ChatPrompt,
    Engine,
    Finished,
    GenerateRequest,
    Prompt,
    SamplingParams,
    TextDelta,
    TextPrompt,
    TokenPrompt,
    Tool,
)
from tests.engines.llama_cpp.working import GREEDY, Client, run_tiny

# Each word of the answers to these and to `QUESTIONS` is clearly the likeliest: a busy machine cuts prompts
# into other batches, which moves logits by some 0.2.
PROMPTS = (
    "2 4 6 8 10 12",
    "<|im_start|>user\nWhat is the capital of Japan?<|im_end|>\n<|im_start|>assistant\n",
    "1, 2, 3, 4, 5, 6,",
)


@pytest.fixture(scope="module")
def oracle_of_logits(sample_model: Path) -> Llama:
    """llama-cpp-python's own loop, which keeps the logits of every token."""
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

    echoed, end = client.run(client.replies(request))
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
    request = GenerateRequest(request_id="l", prompt=prompt, sampling=looking)
    *deltas, end = client.run(client.replies(request))
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
    question = ChatMessage("user", "How is the weather in Rome?")
    chat = ChatPrompt((question,), (WEATHER, Tool("time")), True, parallel=False)

    def called(max_tokens: int) -> list[Any]:
        sampling = msgspec.structs.replace(GREEDY, max_tokens=max_tokens)
        return client.run(client.replies(GenerateRequest(request_id="c", prompt=chat, sampling=sampling)))

    (end,) = called(2)
    assert end.finish_reason == "length", "what was cut off in its head is neither a call nor words"
    *parts, end = called(60)
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
    request = GenerateRequest(request_id="b", prompt=chat, sampling=sampling)
    *parts, end = client.run(client.replies(request))
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
    first, *others, _ = client.run(client.replies(request))
    assert isinstance(first, CallDelta)
    assert (first.name, first.arguments[:10]) == ("weather", '{"city": "')
    assert not any(isinstance(part, TextDelta) and "I look" in part.text for part in others)


@pytest.mark.model
@pytest.mark.parametrize("must_call", [True, False])
def test_a_call_that_was_begun_fits_its_schema(client: Client, must_call: bool) -> None:
    begun = 'I look.\n<tool_call>\n{"name": "weather", "arguments": {"city": "'
    messages = (ChatMessage("user", "How is it in Berlin?"), ChatMessage("assistant", begun))
    tools = (Tool("time"), msgspec.structs.replace(WEATHER, strict=True))
    chat = ChatPrompt(messages, tools, must_call, parallel=False)
    request = GenerateRequest(request_id="c", prompt=chat, sampling=GREEDY)
    *parts, end = client.run(client.replies(request))
    assert end.finish_reason == "tool_calls"
    calls = [part for part in parts if isinstance(part, CallDelta)]
    assert {part.name for part in calls if part.name} == {"weather"}
    assert json.loads("".join(part.arguments for part in calls))["city"] in ("Paris", "Rome")


@pytest.mark.model
def test_a_bound_answer_that_was_begun_fits_as_a_whole(client: Client) -> None:
    begun = '{"sky": "'
    schema = json.dumps({"type": "object", "properties": {"sky": {"enum": ["blue"]}}, "required": ["sky"]})
    chat = ChatPrompt((ChatMessage("user", "How is the sky?"), ChatMessage("assistant", begun)))
    bound = msgspec.structs.replace(GREEDY, json_schema=schema)
    assert json.loads(begun + "".join(client.run(client.answer(chat, bound))[0])) == {"sky": "blue"}
    words = ChatPrompt((chat.messages[0], ChatMessage("assistant", "Here it is: ")))
    assert json.loads("".join(client.run(client.answer(words, bound))[0])) == {"sky": "blue"}


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
