"""A thought that has had its tokens is ended; nothing else is touched."""

import asyncio
from contextlib import aclosing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from janfs.engines.llama_cpp.choice import Chosen
from janfs.engines.llama_cpp.client import start_worker
from janfs.engines.llama_cpp.guidance import Thoughts
from janfs.engines.llama_cpp.thought import ThoughtBound
from janfs.engines.protocol import (
    ChatMessage,
    ChatPrompt,
    EngineSettings,
    Finished,
    GenerateRequest,
    ReasoningDelta,
    RunSpec,
    SamplingParams,
    TextDelta,
)
from tests.engines.tiny_model import write_tiny_model

END = "\n</think>\n\n"


class Wants:
    """A sampler that chooses the characters of a text in turn, and does as it is told."""

    def __init__(self, text: str) -> None:
        self.rest = list(text)
        self.closed = False

    def sample(self, index: int) -> Chosen:
        return Chosen(ord(self.rest.pop(0)))

    def follow(self, index: int, token: int) -> Chosen:
        return Chosen(token)

    def close(self) -> None:
        self.closed = True


def said(text: str, most: int, *, begun: bool = False) -> str:
    """What is said where a model wants to say a text."""
    thoughts = Thoughts(most, "<think>", "</think>", tuple(map(ord, END)), begun)
    wants = Wants(text)
    bound = ThoughtBound(wants, thoughts, lambda token: chr(token).encode())
    found = ""
    while wants.rest:
        found += chr(bound.sample(0).token)
    bound.close()
    assert wants.closed
    return found


def test_a_thought_that_is_too_long_is_ended_and_what_would_have_followed_is_the_answer() -> None:
    assert said("abcdefgh", 3, begun=True) == f"abc{END}defgh"
    assert said(" <think>abcdefgh", 3) == f" <think>abc{END}defgh"
    assert said("abc", 0, begun=True) == f"{END}abc"
    assert said("<think>abc", 0) == f"<think>{END}abc"


@pytest.mark.parametrize(
    "text", ["Hello, all of you.", "<thinking aloud", "  <", "", "a <think>b", "abc</think> d"]
)
def test_an_answer_without_a_thought_is_left_alone(text: str) -> None:
    assert said(text, 0) == text


def test_a_thought_that_ends_by_itself_is_left_alone_and_so_is_a_second_one() -> None:
    text = "abc</think>words<think>as long as it wants"
    assert said(text, 3 + len("</think>"), begun=True) == text
    assert said(f"<think>{text}", 3 + len("</think>")) == f"<think>{text}"


@given(st.text(max_size=30), st.integers(0, 40), st.booleans())
def test_no_thought_is_longer_and_nothing_is_lost(text: str, most: int, begun: bool) -> None:
    found = said(text, most, begun=begun)
    assert found.replace(END, "", 1) == text.replace(END, "", 1) or found == text
    if begun and len(text) > most:
        assert "</think>" in found[: most + len(END)]


@pytest.fixture(scope="module")
def thinking_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of noise whose template begins a thought."""
    path = tmp_path_factory.mktemp("thinks") / "thinks.gguf"
    return write_tiny_model(path, chat_template="{{ messages[0].content }}<think>\n")


def test_a_worker_holds_to_the_bound_with_and_without_a_grammar(thinking_model: Path) -> None:
    settings = EngineSettings(ctx_len=512, n_parallel=1, cpu_threads=1)
    spec = RunSpec(
        model_id="t",
        uid="t",
        engine="llama-cpp",
        path=str(thinking_model),
        settings=settings,
        fingerprint="1",
    )

    async def scenario() -> None:
        engine = await start_worker(spec)

        async def ask(most: int | None, **sampling: object) -> tuple[str, str, Finished]:
            prompt = ChatPrompt((ChatMessage("user", "Hi"),), most_thought=most)
            params = SamplingParams(**{"temperature": 0.0, "max_tokens": 30, **sampling})  # type: ignore[arg-type]
            request = GenerateRequest(request_id="r", prompt=prompt, sampling=params)
            thought = words = ""
            async with aclosing(engine.generate(request)) as replies:
                async for reply in replies:
                    match reply:
                        case ReasoningDelta(text):
                            thought += text
                        case TextDelta(text):
                            words += text
                        case Finished():
                            return thought, words, reply
            raise AssertionError("no end")

        free, _, end = await ask(None)
        assert end.usage.reasoning_tokens == 30, "the noise ends no thought by itself"
        bounded, words, end = await ask(5)
        assert 5 <= end.usage.reasoning_tokens <= 5 + 3 * len(END)
        whole = bounded.rstrip("\N{REPLACEMENT CHARACTER}")  # a character that was begun reads otherwise
        assert whole
        assert free.startswith(whole)
        assert len(bounded) < len(free)
        assert words
        for logprobs in (None, 1):
            assert (await ask(5, grammar='root ::= "yes"', logprobs=logprobs))[1] == "yes"
        assert (await ask(0, grammar='root ::= "yes"'))[:2] == ("", "yes")
        await engine.close(0, "done")

    asyncio.run(scenario())
