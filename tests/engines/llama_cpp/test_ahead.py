"""What is computed of a chat's next turn while nobody waits."""

import asyncio
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llama_cpp import Llama

from janfs.engines.llama_cpp.ahead import SILENCE, Turn, Turns, may_go_on, opening
from janfs.engines.llama_cpp.chat import turns
from janfs.engines.llama_cpp.prompt import chat_tokens
from janfs.engines.protocol import (
    CallDelta,
    ChatMessage,
    ChatPrompt,
    Finished,
    FinishReason,
    Image,
    ReasoningDelta,
    Reply,
    SamplingParams,
    TextDelta,
    TextPrompt,
    Usage,
)
from janfs.errors import EngineError, InvalidInput, JanfsError
from tests.engines.llama_cpp.test_prompt import CHAT, Letters, spell
from tests.engines.llama_cpp.working import Client

USER = ChatMessage("user", "hi")
ASKED = ChatPrompt((USER,))


def ended(reason: FinishReason) -> Finished:
    return Finished(reason, Usage(1, 1))


def heard(replies: list[Reply | JanfsError]) -> list[Turn | None]:
    written = Turns()
    written.begin("a", ASKED)
    return [written.hear("a", reply) for reply in replies]


@given(st.lists(st.text()), st.sampled_from(["stop", "length"]))
def test_an_answer_is_put_together_and_told_at_its_end(parts: list[str], reason: FinishReason) -> None:
    replies: list[Reply | JanfsError] = [ReasoningDelta("Hm."), *map(TextDelta, parts), ended(reason)]
    *before, last = heard(replies)
    assert set(before) == {None}
    assert last == Turn(ASKED, "".join(parts))


@pytest.mark.parametrize(
    "replies",
    [
        pytest.param([CallDelta(0, "f", "{}"), ended("tool_calls")], id="a call"),
        pytest.param([TextDelta("x"), CallDelta(0, "f", "{}"), ended("stop")], id="a call behind words"),
        pytest.param([TextDelta("x"), EngineError("broken")], id="an error"),
    ],
)
def test_no_question_is_awaited_after(replies: list[Reply | JanfsError]) -> None:
    assert set(heard([*replies, ended("stop")])) == {None}


def test_only_chats_are_followed_and_none_that_was_given_up() -> None:
    written = Turns()
    written.begin("a", ASKED)
    written.forget("a")
    written.forget("unknown")
    assert [written.hear(each, ended("stop")) for each in ("a", "unknown")] == [None, None]


def test_what_cannot_be_gone_on_with_unasked() -> None:
    image = ChatMessage("user", "see", images=(Image(0, b"", "messages[0]"),))
    assert may_go_on(ASKED)
    assert not may_go_on(ChatPrompt((USER, ChatMessage("assistant", "hel")))), "the answer is not at its end"
    assert not may_go_on(ChatPrompt((image, ChatMessage("assistant", "I do."), USER)))


@given(st.text(), st.text(), st.text())
def test_the_next_turn_begins_so_whatever_is_asked(said: str, answer: str, question: str) -> None:
    chat = turns("", "\nUser: ", "\nAssistant:")
    turn = Turn(ChatPrompt((ChatMessage("user", said),)), answer)
    known = opening(turn, Letters(), chat)
    messages = (*turn.chat.messages, ChatMessage("assistant", answer), ChatMessage("user", question))
    following = chat_tokens(ChatPrompt(messages), Letters(), chat)
    assert following[: len(known)] == known
    assert spell(known).endswith(f"{said}\nAssistant:{answer}\nUser: ")


def test_a_template_that_refuses_a_further_turn_says_so() -> None:
    def render(messages: object, tools: object = ()) -> str:
        raise InvalidInput("One turn is enough.")

    with pytest.raises(InvalidInput):
        opening(Turn(ASKED, "x"), Letters(), CHAT._replace(render=render))


async def answered(client: Client, messages: tuple[ChatMessage, ...]) -> tuple[str, Finished]:
    texts, end = await client.answer(ChatPrompt(messages), SamplingParams(temperature=0, max_tokens=8))
    return "".join(texts), end


@pytest.mark.model
def test_what_precedes_the_next_question_is_there_before_it_comes(either: Client) -> None:
    async def left_to_compute(country: str, silence: float, sharing: int = 1) -> tuple[int, int]:
        """Of a second turn, asked after a while; beside it, what the question and the answer's head take."""
        either.engine.share(sharing)
        asked = ChatMessage("user", f"What is the capital of {country}? Answer with one word.")
        text, _ = await answered(either, (asked,))
        await asyncio.sleep(silence)
        question = ChatMessage("user", "And of Italy?")
        messages = (asked, ChatMessage("assistant", text), question)
        _, end = await answered(either, messages)
        whole = await either.engine.apply_template(ChatPrompt(messages))
        rest = await either.engine.tokenize(TextPrompt(whole[whole.index(question.content) :]))
        return end.usage.prompt_tokens - end.usage.cached_tokens, len(rest)

    at_once, rest = either.run(left_to_compute("France", 0))
    assert at_once > rest, "there is nothing that could be computed ahead"
    beside, _ = either.run(left_to_compute("Italy", 4 * SILENCE, sharing=2))
    assert beside > rest, "it was computed while another model answers"
    silence = 2 * SILENCE
    for country in ("Spain", "Japan", "Egypt", "Peru", "Chile"):
        if either.run(left_to_compute(country, silence))[0] <= rest:
            return
        silence *= 3
    pytest.fail(f"nothing was computed in a silence of {silence / 3:.1f} seconds")


@pytest.mark.model
def test_whenever_the_next_question_comes_it_is_answered_as_the_oracle_does(
    either: Client, oracle: Llama
) -> None:
    random_ = random.Random(4)
    messages: tuple[ChatMessage, ...] = ()

    async def asked(question: str) -> tuple[str, str]:
        nonlocal messages
        messages = (*messages, ChatMessage("user", question))
        text, _ = await answered(either, messages)
        prompt = await either.engine.apply_template(ChatPrompt(messages))
        messages = (*messages, ChatMessage("assistant", text))
        # About when what follows is begun, so that it is met before, within and after.
        await asyncio.sleep(SILENCE * random_.uniform(0.9, 1.4))
        return text, prompt

    for country in ("Chile", "France", "Spain", "Norway", "Greece"):  # the likeliest token by far, each time
        text, prompt = either.run(asked(f"What is the capital of {country}?"))
        expected = oracle.create_completion(prompt, max_tokens=8, temperature=0.0, repeat_penalty=1.0)
        assert text == expected["choices"][0]["text"]
