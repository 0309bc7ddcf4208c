"""An answer goes on where the assistant's last message ends, in the marks of the model's family."""

from pathlib import Path

import pytest

from janfs.engines.llama_cpp.begun import head_and_beginning
from janfs.engines.llama_cpp.chat import ChatFormat
from janfs.engines.llama_cpp.dialects.marks import GENERIC, HARMONY, Marks, family_of
from janfs.engines.llama_cpp.dialects.stream import PartStream
from janfs.engines.llama_cpp.prompt import chat_text, prepare
from janfs.engines.protocol import (
    ChatMessage,
    ChatPrompt,
    Engine,
    GenerateRequest,
    ReasoningDelta,
    SamplingParams,
    TextDelta,
)
from janfs.errors import UnsupportedParameter
from tests.engines.llama_cpp.test_prompt import Letters, spell
from tests.engines.llama_cpp.working import run_tiny
from tests.engines.tiny_model import write_tiny_model

USER = ChatMessage("user", "hi")
ANALYSIS = "<|channel|>analysis<|message|>"
FINAL = "<|channel|>final<|message|>"


def family(marks: Marks = GENERIC, *, opens: str = "", thinks: bool = True) -> ChatFormat:
    """One whose template begins answers with some text, maybe a thought."""
    return ChatFormat(
        lambda messages, tools=(): "^" + "".join(each.content for each in messages) + f"> {opens}",
        marks=marks,
        thinks=thinks,
    )


def begun(words: str, thought: str | None = None) -> ChatPrompt:
    return ChatPrompt((USER, ChatMessage("assistant", words, reasoning=thought)))


CASES = [
    pytest.param(family(), "<think>\nHm.", "\n</think>\n\nYes", id="an answer thinks by itself"),
    pytest.param(family(opens="<think>"), "\nHm.", "\n</think>\n\nYes", id="the template's line ends there"),
    pytest.param(family(opens="<think>\n"), "Hm.", "\n</think>\n\nYes", id="the template has it think"),
    pytest.param(
        family(family_of("[THINK]")), "[THINK]\nHm.", "\n[/THINK]\n\nYes", id="other marks than most have"
    ),
    pytest.param(
        family(HARMONY), f"{ANALYSIS}Hm.", f"<|end|><|start|>assistant{FINAL}Yes", id="it thinks on a channel"
    ),
]


@pytest.mark.parametrize(("chat", "thought", "words"), CASES)
def test_thoughts_stand_before_the_words_and_without_words_they_go_on(
    chat: ChatFormat, thought: str, words: str
) -> None:
    for prompt, text, adds in (
        (begun("Yes", "Hm."), thought + words, TextDelta(", no.")),
        (begun("", "Hm."), thought, ReasoningDelta(", no.")),
    ):
        head, beginning = head_and_beginning(prompt, chat)
        assert (head, beginning) == (chat.render((USER,)), text)
        prepared = prepare(prompt, Letters(), chat)
        assert spell(prepared.tokens) == chat_text(prompt, chat) == head + text
        assert prepared.read is not None
        parts = PartStream(prepared.read, prepared.begun)
        assert [*parts.feed(", no."), *parts.finish()] == [adds], "only what is new is told"


@pytest.mark.parametrize(("chat", "thought", "words"), CASES)
def test_only_the_words_are_bound_and_only_an_open_thought_has_a_bound(
    chat: ChatFormat, thought: str, words: str
) -> None:
    for asked, said, goes_on in ((begun("Yes", "Hm."), "Yes", False), (begun("", "Hm."), "", True)):
        bound = ChatPrompt(asked.messages, most_thought=5)
        guidance = prepare(bound, Letters(), chat, 'root ::= "Yes, no."').guidance
        assert spell(list(guidance.said)) == said
        assert guidance.thoughts is not None
        assert guidance.thoughts.begun is goes_on


@pytest.mark.parametrize(
    ("marks", "words", "text"),
    [
        (GENERIC, "Yes", "Yes"),
        (GENERIC, "<think>\nHm", "<think>\nHm"),
        (HARMONY, "Yes", f"{FINAL}Yes"),
        (HARMONY, f"{ANALYSIS}Hm", f"{ANALYSIS}Hm"),
        (HARMONY, "", ""),
    ],
)
def test_words_alone_are_what_an_answer_says_and_their_own_marks_hold(
    marks: Marks, words: str, text: str
) -> None:
    assert head_and_beginning(begun(words), family(marks))[1] == text
    assert head_and_beginning(begun(words, ""), family(marks))[1] == text, "no thought is none"


def test_thoughts_are_refused_where_nobody_knows_how_they_are_written() -> None:
    quiet = family(thinks=False)
    with pytest.raises(UnsupportedParameter, match="'reasoning_content'") as caught:
        prepare(begun("Yes", "Hm."), Letters(), quiet)
    assert caught.value.param == "messages"
    assert chat_text(begun("Yes"), quiet).endswith("> Yes")
    earlier = ChatPrompt((*begun("Yes", "Hm.").messages, USER))
    assert chat_text(earlier, quiet).endswith("> "), "of earlier turns the template decides"


def test_one_that_stands_alone_is_a_turn_like_any_other() -> None:
    alone = ChatPrompt((ChatMessage("assistant", "Yes"),))
    assert head_and_beginning(alone, family()) == ("^Yes> ", "")
    assert spell(prepare(alone, Letters(), family()).tokens) == chat_text(alone, family())


def test_a_worker_goes_on_where_thought_and_words_end(tmp_path: Path) -> None:
    template = "{{ messages[0].content }}<think>\n"
    path = write_tiny_model(tmp_path / "thinks.gguf", chat_template=template)
    asked = begun("y", "Hm.")
    bound = SamplingParams(max_tokens=9, grammar='root ::= "yes"')

    async def scenario(engine: Engine) -> None:
        assert await engine.apply_template(asked) == "hi<think>\nHm.\n</think>\n\ny"
        request = GenerateRequest(request_id="r", prompt=asked, sampling=bound)
        *told, _ = [reply async for reply in engine.generate(request)]
        assert all(isinstance(each, TextDelta) for each in told)
        assert "".join(each.text for each in told if isinstance(each, TextDelta)) == "es"

    run_tiny(path, scenario)
