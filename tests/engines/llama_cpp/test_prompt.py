import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct
from msgspec.structs import replace

from janfs.engines.llama_cpp.chat import ChatFormat
from janfs.engines.llama_cpp.dialects.marks import HARMONY, family_of
from janfs.engines.llama_cpp.dialects.reading import Call, Said, behind_thought
from janfs.engines.llama_cpp.gbnf import behind
from janfs.engines.llama_cpp.prompt import prepare
from janfs.engines.protocol import ChatMessage, ChatPrompt, TextPrompt, TokenPrompt, Tool
from janfs.errors import ContextExceeded, InvalidInput

CHAT = ChatFormat(
    lambda messages, tools=(): "^" + "".join(message.content for message in messages), ("stop here",)
)
USER = ChatMessage("user", "hi")
BOS = ord("^")


class Letters(Struct):
    """A vocabulary in which a token is a character's code; "^" begins texts."""

    adds_bos: bool = True
    bos: int = BOS
    eos: int = ord("$")
    n_vocab: int = 0x110000
    longest: int = 4

    def fewest(self, text: str) -> int:
        return len(text) // self.longest

    def tokenize(self, text: str) -> list[int]:
        return list(map(ord, text))

    def piece(self, token: int, *, special: bool = False) -> bytes:
        assert special or token != BOS
        return chr(token).encode()


class Merging(Letters, kw_only=True):
    """The same, but ">{" is one token, and each text is led by something."""

    leads: str = ""

    def tokenize(self, text: str) -> list[int]:
        return list(map(ord, (self.leads + text).replace(">{", "\x01")))

    def piece(self, token: int, *, special: bool = False) -> bytes:
        return b">{" if token == 1 else chr(token).encode()


class Unread(Letters):
    """One whose texts are not to be cut into tokens."""

    def tokenize(self, text: str) -> list[int]:
        raise AssertionError(f"{len(text)} letters are cut into tokens")


def spell(tokens: list[int]) -> str:
    return "".join(map(chr, tokens))


@pytest.mark.parametrize(
    ("asked", "param"),
    [(TextPrompt("a" * 401), "prompt"), (ChatPrompt((ChatMessage("user", "a" * 401),)), "messages")],
    ids=["text", "chat"],
)
def test_a_text_that_cannot_fit_by_its_length_is_refused_before_it_is_cut_into_tokens(
    asked: TextPrompt | ChatPrompt, param: str
) -> None:
    with pytest.raises(ContextExceeded) as refused:
        prepare(asked, Unread(longest=4), CHAT, n_ctx=99)
    assert (refused.value.n_prompt_tokens, refused.value.n_ctx, refused.value.param) == (100, 99, param)
    assert len(prepare(asked, Letters(longest=4), CHAT, n_ctx=101).tokens) == 402, "it might fit"


def test_a_chat_has_a_message() -> None:
    with pytest.raises(InvalidInput, match="needs at least one"):
        ChatPrompt(())


@given(st.text())
def test_a_text_begins_with_one_beginning_token(text: str) -> None:
    tokens = prepare(TextPrompt(text), Letters(), CHAT).tokens
    assert spell(tokens) == (text if text.startswith("^") else "^" + text)


@given(st.text(min_size=1))
def test_nothing_is_added_for_a_model_that_wants_nothing(text: str) -> None:
    assert spell(prepare(TextPrompt(text), Letters(adds_bos=False), CHAT).tokens) == text


def test_a_chat_is_not_given_a_second_beginning_and_brings_its_stop_strings() -> None:
    prepared = prepare(ChatPrompt((ChatMessage("user", "hi"),)), Letters(), CHAT)
    assert (spell(prepared.tokens), prepared.stop) == ("^hi", ("stop here",))


@given(st.lists(st.integers(0, 0x10FFFF), min_size=1).map(tuple))
def test_tokens_are_computed_as_they_stand(tokens: tuple[int, ...]) -> None:
    assert prepare(TokenPrompt(tokens), Letters(), CHAT).tokens == list(tokens)


@pytest.mark.parametrize("token", [-1, 0x110000])
def test_a_token_that_does_not_exist_is_refused(token: int) -> None:
    with pytest.raises(InvalidInput, match=str(token)):
        prepare(TokenPrompt((1, token)), Letters(), CHAT)


def test_an_empty_prompt_is_the_token_that_begins_or_else_ends_texts() -> None:
    quiet = Letters(adds_bos=False)
    assert spell(prepare(TextPrompt(""), quiet, CHAT).tokens) == "^"
    assert spell(prepare(TokenPrompt(()), Letters(adds_bos=False, bos=-1), CHAT).tokens) == "$"
    with pytest.raises(InvalidInput, match="empty"):
        prepare(TextPrompt(""), Letters(adds_bos=False, bos=-1, eos=-1), CHAT)


def test_a_last_message_of_the_assistants_is_gone_on_with() -> None:
    begun = ChatPrompt((ChatMessage("user", "hi"), ChatMessage("assistant", "hel")))
    assert spell(prepare(begun, Letters(), CHAT).tokens) == "^hihel"
    alone = ChatPrompt((ChatMessage("assistant", "hel"),))
    assert spell(prepare(alone, Letters(), CHAT).tokens) == "^hel"


def test_an_answer_is_read_only_where_there_is_something_to_tell_apart() -> None:
    asked = (ChatMessage("user", "hi"),)
    assert prepare(ChatPrompt(asked), Letters(), CHAT).read is None
    assert prepare(ChatPrompt(asked, (Tool("x"),)), Letters(), CHAT).read is not None
    thinking = ChatFormat(lambda messages, tools=(): "<think>\n", thinks=True)
    read = prepare(ChatPrompt(asked), Letters(), thinking).read
    assert read is not None
    assert read("Hm.</think>Yes.", True) == Said("Yes.", "Hm.")


def test_who_may_call_is_bound_where_a_tool_is_strict() -> None:
    tools = (Tool("x"), Tool("y", strict=True))
    prompt = ChatPrompt((ChatMessage("user", "hi"),), tools)
    assert prepare(replace(prompt, tools=tools[:1]), Letters(), CHAT).grammar is None
    grammar = prepare(prompt, Letters(), CHAT).grammar
    assert grammar is not None
    assert grammar != prepare(replace(prompt, must_call=True), Letters(), CHAT).grammar


def test_a_call_without_its_mark_is_one_only_where_nothing_binds_calls() -> None:
    coder = CHAT._replace(marks=family_of("{{ tools }}<tool_call><function=name>"))
    free, call = ChatPrompt((USER,), (Tool("x"),)), "<function=x></function>"
    for prompt, form in (
        (free, 'root ::= "yes"'),
        (replace(free, must_call=True), None),
        (replace(free, tools=(Tool("x", strict=True),)), None),
    ):
        read = prepare(prompt, Letters(), coder, form).read
        assert read is not None
        assert read(call, True).calls == ()
    read = prepare(free, Letters(), coder).read
    assert read is not None
    assert read(call, True) == Said(calls=(Call("x", "{}"),))


def test_who_must_call_is_bound_by_a_grammar() -> None:
    prompt = ChatPrompt((ChatMessage("user", "hi"),), (Tool("x"),), must_call=True)
    grammar = prepare(prompt, Letters(), CHAT).grammar
    assert grammar is not None
    assert '"\\"x\\","' in grammar


def test_an_answer_that_is_bound_may_be_a_call_instead() -> None:
    form = 'root ::= "yes" | "no"'
    free = ChatPrompt((ChatMessage("user", "hi"),), (Tool("x"),))
    both = prepare(free, Letters(), CHAT, form).grammar
    assert both is not None
    assert '"yes" | "no"' in both
    assert '"\\"x\\","' in both
    called = prepare(replace(free, must_call=True), Letters(), CHAT, form).grammar
    assert called == prepare(replace(free, must_call=True), Letters(), CHAT).grammar, "who must call, calls"
    for other in (replace(free, tools=()), TextPrompt("hi"), TokenPrompt((1,))):
        assert prepare(other, Letters(), CHAT, form).grammar == form


def test_a_thought_that_the_prompt_began_is_thought_to_its_end_before_a_bound_answer() -> None:
    thinking = ChatFormat(lambda messages, tools=(): "<think>\n", thinks=True)
    asked = ChatPrompt((ChatMessage("user", "hi"),))
    form = 'root ::= "yes"'
    assert prepare(asked, Letters(), thinking, form).grammar == behind("</think>", form)
    assert prepare(asked, Letters(), thinking).grammar is None
    quiet = ChatFormat(lambda messages, tools=(): "", thinks=True)
    assert prepare(asked, Letters(), quiet, form).grammar == form


THINKS = CHAT._replace(thinks=True)


@pytest.mark.parametrize("begun", [True, False])
def test_a_bound_on_thoughts_is_told_with_what_ends_one(begun: bool) -> None:
    asked = ChatPrompt((ChatMessage("user", "hi<think>" if begun else "hi"),), most_thought=5)
    thoughts = prepare(asked, Letters(), THINKS).guidance.thoughts
    assert thoughts is not None
    assert (thoughts.most, thoughts.begins, thoughts.ends, thoughts.begun) == (
        5,
        "<think>",
        "</think>",
        begun,
    )
    assert spell(list(thoughts.closing)) == "\n</think>\n\n"
    assert prepare(asked, Letters(), CHAT).guidance.thoughts is None, "it does not think at all"
    free = ChatPrompt(asked.messages)
    assert prepare(free, Letters(), THINKS).guidance.thoughts is None


@pytest.mark.parametrize(
    ("head", "begun", "goes_on"),
    [
        ("", "<think>\nHm", True),
        ("", "<think>\nHm</think>Yes", False),
        ("", "Yes", False),
        ("<think>\n", "Hm", True),
        ("<think>\n", "Hm</think>Yes", False),
    ],
)
def test_a_thought_that_an_answer_was_begun_with_is_gone_on_with(
    head: str, begun: str, goes_on: bool
) -> None:
    chat = ChatFormat(lambda messages, tools=(): "^" + head, thinks=True)
    asked = ChatPrompt((USER, ChatMessage("assistant", begun)), most_thought=5)
    form = 'root ::= "yes"'
    prepared = prepare(asked, Letters(), chat, form)
    assert spell(prepared.tokens) == f"^{head}{begun}"
    assert prepared.begun == begun
    assert prepared.guidance.thoughts is not None
    assert prepared.guidance.thoughts.begun is goes_on
    assert prepared.grammar == (behind("</think>", form) if goes_on else form)
    assert prepared.read is not None
    answered = behind_thought(begun, chat.marks, thinking=bool(head))
    assert answered == (None if goes_on else "Yes")
    assert spell(list(prepared.guidance.said)) == (answered or "")
    said = prepared.read(begun + "</think>Done", True)
    assert said.content == ("Done" if goes_on else f"{begun.rpartition('</think>')[2]}</think>Done")


@pytest.mark.parametrize(
    ("head", "leads", "said"),
    [("<", "", "{a"), (">", "", "{a"), ("<", " ", "{a"), (">", " ", "")],
    ids=["as the prompt ends", "by itself", "as the prompt ends, not by itself", "not at all"],
)
def test_what_an_answer_was_begun_with_is_said_where_tokens_spell_it(
    head: str, leads: str, said: str
) -> None:
    chat = ChatFormat(lambda messages, tools=(): "^" + head)
    asked = ChatPrompt((USER, ChatMessage("assistant", "{a")))
    prepared = prepare(asked, Merging(leads=leads), chat, 'root ::= "{ab"')
    assert spell(list(prepared.guidance.said)) == said
    assert prepare(asked, Merging(leads=leads), chat).guidance.said == (), "nothing binds it"


def test_of_an_answer_that_must_call_only_the_call_is_said() -> None:
    call = '<tool_call>\n{"name": "x"'
    asked = ChatPrompt((USER, ChatMessage("assistant", f"I look. {call}")), (Tool("x", strict=True),))
    assert spell(list(prepare(asked, Letters(), CHAT).guidance.said)) == f"I look. {call}"
    for bound, form in ((replace(asked, must_call=True), None), (asked, 'root ::= "yes"')):
        assert spell(list(prepare(bound, Letters(), CHAT, form).guidance.said)) == call


def test_gpt_oss_goes_from_its_analysis_to_its_answer() -> None:
    chat = THINKS._replace(marks=HARMONY)
    asked = ChatPrompt((ChatMessage("user", "hi"),), most_thought=5)
    prepared = prepare(asked, Letters(), chat)
    assert prepared.guidance.thoughts is not None
    closing = spell(list(prepared.guidance.thoughts.closing))
    assert prepared.read is not None
    told = prepared.read(f"<|channel|>analysis<|message|>Hm{closing}Yes.", True)
    assert told == Said("Yes.", "Hm")
    assert "<|channel|>analysis<|message|>".startswith(prepared.guidance.thoughts.begins)
    assert closing.startswith(prepared.guidance.thoughts.ends)


def test_who_wants_one_call_gets_one() -> None:
    tool = Tool("f")
    text = '<tool_call>{"name": "f", "arguments": {}}</tool_call>' * 2
    for parallel, count in ((True, 2), (False, 1)):
        asked = ChatPrompt((ChatMessage("user", "hi"),), (tool,), parallel=parallel)
        read = prepare(asked, Letters(), CHAT).read
        assert read is not None
        assert read(text, True).calls == (Call("f", "{}"),) * count


def test_where_a_call_is_bare_json_an_answer_of_json_is_none() -> None:
    llama3 = ChatFormat(lambda messages, tools=(): "", marks=family_of("tools <|python_tag|>"))
    asked = ChatPrompt((ChatMessage("user", "hi"),), (Tool("x"),))
    answer = '{"name": "x", "parameters": {}}'
    read = prepare(asked, Letters(), llama3, 'root ::= "{" [^}]* "}"').read
    assert read is not None
    assert read(answer, True) == Said(answer)
    assert read(f"<|python_tag|>{answer}", True).calls == (Call("x", "{}"),)
    read = prepare(asked, Letters(), llama3).read
    assert read is not None
    assert read(answer, True).calls == (Call("x", "{}"),)
