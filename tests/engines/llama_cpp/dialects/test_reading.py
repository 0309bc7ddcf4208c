"""What families write, read as it comes."""

import itertools
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from janfs.engines.llama_cpp.dialects import harmony
from janfs.engines.llama_cpp.dialects.marks import GENERIC, THOUGHTS, Marks, family_of
from janfs.engines.llama_cpp.dialects.reading import Call, Reader, Said, reader
from janfs.engines.llama_cpp.dialects.stream import PartStream
from janfs.engines.llama_cpp.dialects.tagged import TextArguments
from janfs.engines.protocol import CallDelta, ReasoningDelta, TextDelta

TEMPLATES = {
    "hermes": "{% if tools %}<tool_call>{% endif %}",
    "qwen-coder": "{% if tools %}<tool_call>\n<function=name>{% endif %}",
    "mistral": "{% if tools %}[TOOL_CALLS]{% endif %}",
    "mistral-args": "{% if tools %}[TOOL_CALLS]{{ name }}[ARGS]{% endif %}",
    "llama3": "{% if tools %}<|python_tag|>{% endif %}",
    "deepseek": "{% if tools %}<｜tool▁calls▁begin｜>{% endif %}",
    "gpt-oss": "{% if tools %}<|channel|>{% endif %}",
    "generic": "<|im_start|>{{ content }}",
}
FAMILIES = {name: family_of(template) for name, template in TEMPLATES.items()}

CITY = '{"city": "Paris, } \\"x\\""}'
WEATHER, TIME = Call("weather", CITY), Call("time", "{}")
TEXTS: TextArguments = {"weather": {"city": False}, "time": {}}
# What each family writes for some words and two calls.
WRITTEN = {
    "hermes": f'Let me see.\n<tool_call>\n{{"name": "weather", "arguments": {CITY}}}\n</tool_call>\n'
    '<tool_call>\n{"name": "time", "arguments": {}}\n</tool_call>',
    "generic": f'Let me see. <tool_call>{{"arguments": {CITY}, "name": "weather"}}</tool_call>\n'
    '<tool_call>{"name": "time"}</tool_call>',
    "qwen-coder": "Let me see.\n\n<tool_call>\n<function=weather>\n"
    '<parameter=city>\nParis, } "x"\n</parameter>\n'
    "</function>\n</tool_call>\n<tool_call>\n<function=time>\n</function>\n</tool_call>",
    "qwen-coder-unmarked": 'Let me see.\n\n<function=weather>\n<parameter=city>\nParis, } "x"\n</parameter>\n'
    "</function>\n</tool_call>\n<function=time>\n</function>\n</tool_call>",
    "glm": 'Let me see.\n<tool_call>weather\n<arg_key>city</arg_key>\n<arg_value>Paris, } "x"</arg_value>\n'
    "</tool_call>\n<tool_call>time\n</tool_call>",
    "mistral": f'Let me see.[TOOL_CALLS][{{"name": "weather", "arguments": {CITY}}}, '
    '{"name": "time", "arguments": {}, "id": "a1b2c3d4e"}]',
    "mistral-args": f"Let me see.[TOOL_CALLS]weather[ARGS]{CITY}[TOOL_CALLS]time[ARGS]{{}}",
    "mistral-ids": f"Let me see.[TOOL_CALLS]weather[CALL_ID]a1b2c3d4e[ARGS]{CITY}"
    "[TOOL_CALLS]time[CALL_ID]e4d3c2b1a[ARGS]{}",
    "llama3": f'Let me see.<|python_tag|>{{"name": "weather", "parameters": {CITY}}}; '
    '<|python_tag|>{"type": "function", "function": {"name": "time", "parameters": {}}}',
    "deepseek": "Let me see.<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>weather\n"
    f"```json\n{CITY}\n```<｜tool▁call▁end｜>\n<｜tool▁call▁begin｜>time<｜tool▁sep｜>{{}}"
    "<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
    "gpt-oss": "<|channel|>final<|message|>Let me see.<|end|><|start|>assistant<|channel|>commentary "
    f"to=functions.weather <|constrain|>json<|message|>{CITY}<|call|><|start|>assistant "
    "to=functions.time<|channel|>commentary<|message|>{}<|call|>",
}


def reads(name: str, *, tools: bool = True, thinking: bool = False) -> Reader:
    if name == "gpt-oss":
        return harmony.read
    name = {"mistral-ids": "mistral-args", "qwen-coder-unmarked": "qwen-coder", "glm": "hermes"}.get(
        name, name
    )
    marks = FAMILIES[name]
    return reader(marks, tools=tools, thinking=thinking, texts=TEXTS)


def put_together(stream: PartStream, pieces: list[str]) -> Said:
    """What the parts add up to, each kind for itself."""
    parts = [part for piece in pieces for part in stream.feed(piece)] + stream.finish()
    content = "".join(part.text for part in parts if isinstance(part, TextDelta))
    reasoning = "".join(part.text for part in parts if isinstance(part, ReasoningDelta))
    calls: list[Call] = []
    for part in parts:
        if isinstance(part, CallDelta) and part.name is not None:
            assert part.index == len(calls), f"call {part.index} begins after {len(calls)}"
            calls.append(Call(part.name, part.arguments))
        elif isinstance(part, CallDelta):
            assert part.index == len(calls) - 1, "arguments of a call that is not the last"
            calls[-1] = Call(calls[-1].name, calls[-1].arguments + part.arguments)
    return Said(content, reasoning, tuple(calls))


@pytest.mark.parametrize("name", FAMILIES)
def test_a_template_tells_its_family(name: str) -> None:
    assert FAMILIES[name].name == name
    assert family_of(None) == GENERIC


@pytest.mark.parametrize("name", WRITTEN)
def test_words_and_calls_are_told_apart(name: str) -> None:
    assert reads(name)(WRITTEN[name], True) == Said("Let me see.", "", (WEATHER, TIME))


@pytest.mark.parametrize("name", WRITTEN)
def test_arguments_come_as_they_are_written(name: str) -> None:
    stream = PartStream(reads(name))
    growing = [
        part for character in WRITTEN[name] for part in stream.feed(character) if isinstance(part, CallDelta)
    ]
    if name in ("generic", "qwen-coder", "qwen-coder-unmarked", "glm"):
        return  # arguments before the name wait for it, and those in tags come one by one
    assert len([part for part in growing if part.index == 0]) > 10, "they came all at once"


@pytest.mark.parametrize("name", WRITTEN)
@given(cuts=st.lists(st.integers(1, 40), max_size=40))
def test_however_an_answer_is_cut_it_says_the_same(name: str, cuts: list[int]) -> None:
    text, at, pieces = WRITTEN[name], 0, []
    for length in itertools.chain(cuts, itertools.repeat(7)):
        pieces.append(text[at : at + length])
        at += length
        if at >= len(text):
            break
    assert put_together(PartStream(reads(name)), pieces) == reads(name)(text, True)


@pytest.mark.parametrize("name", WRITTEN)
@given(data=st.data())
def test_of_an_answer_that_was_begun_only_what_is_new_is_told_but_calls_are_told_whole(
    name: str, data: st.DataObject
) -> None:
    text, whole = WRITTEN[name], reads(name)(WRITTEN[name], True)
    begun = text[: data.draw(st.integers(0, len(text) - 1))]
    told = put_together(PartStream(reads(name), begun), [*text[len(begun) :]])
    assert told.calls == whole.calls
    assert whole.content.endswith(told.content)
    words = len(whole.content) - len(told.content)
    assert reads(name)(begun, True).content[:words] == whole.content[:words], "words are missing"
    if whole.content in begun:
        assert told.content == "", "words were told that the client has sent itself"


ODD = st.sampled_from(
    [*'"\\{}[],:\n\té a<|', "</tool_call>", "<tool_call>", "[ARGS]", "```", '"name": "x"', "😀"]
)
ODDITIES = st.lists(ODD, max_size=6).map("".join)
ARGUMENTS = st.dictionaries(ODDITIES, ODDITIES | st.integers() | st.lists(ODDITIES, max_size=2), max_size=3)


@pytest.mark.parametrize("name", [name for name in WRITTEN if CITY in WRITTEN[name]])
@given(arguments=ARGUMENTS, indent=st.none() | st.just(1), escaped=st.booleans(), size=st.integers(1, 9))
@settings(max_examples=30, deadline=None)
def test_arguments_come_letter_for_letter_whatever_is_in_them(
    name: str, arguments: Any, *, indent: int | None, escaped: bool, size: int
) -> None:
    said = json.dumps(arguments, indent=indent, ensure_ascii=escaped)
    text = WRITTEN[name].replace(CITY, said)
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    whole = Said("Let me see.", "", (Call("weather", said), TIME))
    assert put_together(PartStream(reads(name)), pieces) == reads(name)(text, True) == whole


def test_a_thought_that_was_begun_is_gone_on_with() -> None:
    read = reads("hermes")
    told = put_together(PartStream(read, "<think>\nHm "), ["yes.", "</think>", "\n", "Yes", "."])
    assert told == Said("Yes.", "yes.")
    told = put_together(PartStream(read, "<think>\nHm.</think>\nWell, "), ["ye", "s."])
    assert told == Said("yes.")
    told = put_together(PartStream(read, "<thi"), ["nk>Hm.</think>Yes."])
    assert told == Said("Yes.", "Hm.")


MARKS = [mark for name in ("deepseek", "mistral-args", "hermes") for mark in FAMILIES[name].special]
TAGS = [
    "<function=time>",
    "<parameter=city>",
    "</parameter>",
    "</function>",
    "time",
    "<arg_key>",
    "</arg_key>",
]
TAGS += ["<arg_value>", "</arg_value>", "city"]
HARMONYS = ["<|python_tag|>", "<|channel|>", "<|message|>", "<|end|>", "to=functions.x", "final"]
marks = st.sampled_from([*MARKS, *TAGS, *HARMONYS, "```json\n"])
scraps = st.one_of(
    marks,
    marks.map(lambda mark: mark[: len(mark) // 2]),
    st.sampled_from(
        ['{"name": "x"', '"arguments": ', "{", "}", "[", "]", ",", '"', "\\", " ", "\n", "word", "12"]
    ),
)


@pytest.mark.parametrize("name", WRITTEN)
@given(pieces=st.lists(scraps, max_size=14), thinking=st.booleans(), tools=st.booleans())
def test_no_text_takes_back_what_it_said(name: str, pieces: list[str], thinking: bool, tools: bool) -> None:
    read = reads(name, tools=tools, thinking=thinking)
    text = "".join(pieces)
    before = Said()
    for end in range(len(text) + 1):
        now = read(text[:end], False)
        _only_grows(before, now, text[:end])
        before = now
    _only_grows(before, read(text, True), text)


def _only_grows(before: Said, now: Said, text: str) -> None:
    assert now.content.startswith(before.content), f"{text!r}: {before.content!r} became {now.content!r}"
    assert now.reasoning.startswith(before.reasoning), f"{text!r}: {before} became {now}"
    assert len(now.calls) >= len(before.calls), f"{text!r}: {before} became {now}"
    for one, other in zip(before.calls, now.calls, strict=False):
        assert (one.name, other.arguments[: len(one.arguments)]) == (other.name, one.arguments), text


@given(st.text(alphabet=st.characters(exclude_characters="<[{")))
def test_plain_words_are_words(text: str) -> None:
    for name in WRITTEN:
        assert reads(name)(text, True) == Said(text)
        assert reads(name, tools=False)(text, True) == Said(text)


def test_a_thought_is_no_answer_whether_the_prompt_began_it_or_not() -> None:
    text = "Hm. <tool_call> would do.\n</think>\n\nYes."
    said = Said("Yes.", "Hm. <tool_call> would do.")
    for tools in (True, False):
        assert reads("hermes", tools=tools, thinking=True)(text, True) == said
        assert reads("hermes", tools=tools)(f"<think>\n{text}", True) == said
    assert reads("hermes")("<think>\nHm.", True) == Said("", "Hm.")


@pytest.mark.parametrize(("begins", "ends"), THOUGHTS)
def test_a_template_says_what_a_thought_stands_between(begins: str, ends: str) -> None:
    for tools in ("", TEMPLATES["mistral"], TEMPLATES["hermes"]):
        marks = family_of(f"{{{{ '{begins}' }}}}{tools}")
        assert marks.thought == family_of(f"{{{{ '{ends}' }}}}{tools}").thought == (begins, ends)
        stream = PartStream(reader(marks, tools=True, thinking=False))
        said = put_together(stream, [*f"{begins}Hm. <tool_call>{ends}\n\nYes."])
        assert said == Said("Yes.", "Hm. <tool_call>")
        assert reader(marks, tools=False, thinking=True)(f"Hm.{ends}Yes.", True) == Said("Yes.", "Hm.")


def test_harmony_thinks_on_a_channel_of_its_own() -> None:
    text = "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>Yes."
    assert harmony.read(text, True) == Said("Yes.", "Hm.")


def test_harmony_may_say_with_the_role_whom_its_first_message_is_for() -> None:
    text = f" to=functions.weather<|channel|>commentary json<|message|>{CITY}<|call|>"
    assert put_together(PartStream(harmony.read), [*text]) == Said(calls=(Call("weather", CITY),))
    assert put_together(PartStream(harmony.read), [*" to be"]) == Said(" to be")
    assert put_together(PartStream(harmony.read), [*"to="]) == Said("to=")


def test_of_a_message_of_harmonys_that_is_cut_off_in_its_head_nothing_is_told() -> None:
    for head in ("<|channel|>", "<|channel|>analysis", "<|channel|>commentary to=functions.time"):
        assert put_together(PartStream(harmony.read), [*head]) == Said()


@pytest.mark.parametrize(
    "text",
    [
        "<tool_call>",
        "<tool_call>\nnothing",
        '<tool_call>{"arguments": {}}</tool_call>',
        "a <tool_call",
        "<tool_call>[",
    ],
)
def test_what_only_looks_like_a_call_comes_out_as_words(text: str) -> None:
    assert reads("hermes")(text, True) == Said(text)


@pytest.mark.parametrize(
    "text", ["<function=", "<function=tim", "<function=timer>", "<function=>", "a <func"]
)
def test_what_only_looks_like_a_call_without_its_mark_comes_out_as_words(text: str) -> None:
    assert put_together(PartStream(reads("qwen-coder")), [*text]) == Said(text)
    call = "<function=time>\n</function>"
    assert put_together(PartStream(reads("qwen-coder")), [*f"{text} {call}"]) == Said(text, "", (TIME,))
    assert reads("hermes")(call, True) == Said(call), "a model that writes none so"


def test_without_tools_a_call_is_only_text() -> None:
    assert reads("hermes", tools=False)(WRITTEN["hermes"], True).content == WRITTEN["hermes"]


def test_a_bare_object_is_a_call_where_the_family_writes_them_so() -> None:
    text = '{"name": "time", "parameters": {}}'
    assert reads("llama3")(text, True).calls == (TIME,)
    assert reads("hermes")(text, True) == Said(text)
    assert reads("llama3")('{"name": "none"', False) == Said()
    for answer in ('{"a": 1}', '{"name": "Alice", "age": 30}', '{"name": "none"'):
        assert put_together(PartStream(reads("llama3")), [*answer]) == Said(answer), "JSON that is no call"


def test_arguments_that_are_written_as_a_text_are_what_is_in_it() -> None:
    arguments = json.dumps({"a": 'b "c"'})
    call = json.dumps({"name": "x", "arguments": arguments})
    assert reads("hermes")(f"<tool_call>{call}</tool_call>", True).calls == (Call("x", arguments),)


BROKEN = '{"city": "Paris",}'


@pytest.mark.parametrize("name", ["hermes", "mistral", "mistral-args", "mistral-ids", "deepseek", "gpt-oss"])
def test_arguments_that_are_no_json_are_told_as_they_are_and_hide_no_call_behind_them(name: str) -> None:
    text = WRITTEN[name].replace(CITY, BROKEN)
    calls = (Call("weather", BROKEN), TIME)
    assert reads(name)(text, True).calls == put_together(PartStream(reads(name)), [*text]).calls == calls


@pytest.mark.parametrize("between", ["</tool_call>\n<tool_call>", "}\n"])
def test_a_forgotten_bracket_or_mark_hides_no_call(between: str) -> None:
    text = f'<tool_call>{{"name": "weather", "arguments": {CITY}{between}{{"name": "time"}}</tool_call>'
    assert put_together(PartStream(reads("hermes")), [*text]) == Said(calls=(WEATHER, TIME))


@pytest.mark.parametrize("name", ["hermes", "mistral", "mistral-args", "llama3", "deepseek", "gpt-oss"])
def test_line_breaks_in_the_texts_of_arguments_are_escaped_as_json_wants_them(name: str) -> None:
    text = WRITTEN[name].replace(CITY, '{\n"code": "a\n\tb\\n\n"\n}')
    told = put_together(PartStream(reads(name)), [*text])
    assert told == reads(name)(text, True)
    assert told.calls[0].arguments == '{\n"code": "a\\n\\tb\\n\\n"\n}'
    assert json.loads(told.calls[0].arguments) == {"code": "a\n\tb\n\n"}


@pytest.mark.parametrize("none", ["null", '""', '"{}"', "{}"])
def test_who_gives_no_arguments_gives_an_empty_object(none: str) -> None:
    text = f'<tool_call>{{"name": "time", "arguments": {none}}}</tool_call>'
    assert put_together(PartStream(reads("hermes")), [*text]) == Said(calls=(TIME,))
    text = "<|channel|>commentary to=functions.time<|message|>"
    assert put_together(PartStream(harmony.read), [*text]) == Said(calls=(TIME,))


@pytest.mark.parametrize(("written", "name"), [('"\\q"', "\\q"), ('"\\ud800"', "?"), ('"\\u00e9"', "é")])
def test_a_name_that_is_no_json_does_no_harm(written: str, name: str) -> None:
    text = f'<tool_call>{{"name": {written}, "arguments": {{}}}}</tool_call>'
    assert reads("hermes")(text, True).calls[0].name == name


def test_marks_name_what_must_be_seen() -> None:
    assert Marks(name="x", call="<c>").special == ("<c>", *THOUGHTS[0])
    assert {"[TOOL_CALLS]", "[CALL_ID]", "[ARGS]"} <= set(FAMILIES["mistral-args"].special)
