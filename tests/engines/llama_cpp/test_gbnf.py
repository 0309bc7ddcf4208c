"""Grammars put together of others, judged by llama.cpp's own reading of them."""

import json
import re

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from janfs.engines.llama_cpp.dialects.forced import late
from janfs.engines.llama_cpp.dialects.marks import HARMONY, Marks
from janfs.engines.llama_cpp.gbnf import after_blanks, behind, either, names_tokens, where
from janfs.engines.llama_cpp.grammar import gbnf_of_schema, gbnf_of_tool
from janfs.engines.protocol import Tool
from janfs.errors import InvalidInput
from tests.engines.llama_cpp.conftest import Allows
from tests.engines.llama_cpp.dialects.test_reading import FAMILIES

ONE = r"""# "root" is a word here, not a name
root ::= "a" ws item{1,2} ws
item ::= [root"#] | "root" # item
ws ::= " "*"""
OTHER = """root ::= item+
item ::= "[" ws? "]"
ws ::= "\\n"
"""


@pytest.mark.parametrize(
    ("grammar", "named"),
    [
        ("root ::= <[7]>", True),
        ('root ::= "a" !<think>', True),
        ('root ::= "<[7]>"', False),
        ('root ::= [<a>] "b" # <[7]>', False),
    ],
)
def test_a_token_is_named_between_angle_brackets(grammar: str, *, named: bool) -> None:
    assert names_tokens(grammar) is named


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        ("ar", True),
        ('a o" ', True),
        ("a root#", True),
        ("a", False),
        ("a rrr", False),
        ("[]", True),
        ("[\n][]", True),
        ("[ ]", False),
        ("a[]", False),
        ("", False),
    ],
)
def test_either_of_two_grammars_allows_what_one_of_them_does(
    allows: Allows, text: str, allowed: bool
) -> None:
    assert allows(either(ONE, OTHER), text) is allowed
    assert allows(either(OTHER, ONE), text) is allowed
    assert (allows(ONE, text) or allows(OTHER, text)) is allowed, "the two alone say something else"


@settings(max_examples=60)
@given(
    st.lists(st.sampled_from(["<", "</", "</think", "</think>", ">", "t", "k", " ", "{}", "{"]), max_size=7)
)
def test_behind_a_mark_stands_what_a_grammar_allows_and_before_it_anything(
    allows: Allows, pieces: list[str]
) -> None:
    text = "".join(pieces)
    _, mark, rest = text.partition("</think>")
    expected = bool(mark) and re.fullmatch(r"[ \t\r\n]*\{\}", rest) is not None
    assert allows(behind("</think>", 'root ::= "{" "}"'), text) is expected


@pytest.mark.parametrize("mark", ["aab", "abab", "x"])
@settings(max_examples=40)
@given(st.text("abx", max_size=9))
def test_a_mark_may_begin_like_its_own_middle(allows: Allows, mark: str, text: str) -> None:
    _, found, rest = text.partition(mark)
    assert allows(behind(mark, 'root ::= ""'), text) is (bool(found) and not rest)


def test_grammars_of_schemas_go_together(allows: Allows) -> None:
    def of(name: str, kind: str) -> str:
        schema = {"type": "object", "properties": {name: {"type": kind}}, "required": [name]}
        return gbnf_of_schema(json.dumps(schema | {"additionalProperties": False}))

    both = behind("!", either(of("a", "integer"), either(of("a", "boolean"), of("b", "string"))))
    for text in ('!{"a": 1}', 'hm! {"a": true}', '!{"b": "x"}'):
        assert allows(both, text), text
    for text in ('!{"a": "x"}', '!{"b": 1}', '{"a": 1}', '!{"a": 1}{"a": 1}'):
        assert not allows(both, text), text


@given(st.text("<ab x", max_size=12), st.sampled_from(["<a>", "<<b", "aab"]))
@settings(deadline=None, max_examples=150)
def test_text_is_free_up_to_a_mark_and_bound_behind_it(allows: Allows, text: str, mark: str) -> None:
    grammar = where({mark: 'root ::= "end"'})
    assert allows(grammar, text) == (mark not in text)
    if mark not in text and (text + mark).index(mark) == len(text):
        assert allows(grammar, f"{text}{mark}end")
        assert allows(grammar, f"{text}{mark} \n end")
        assert not allows(grammar, f"{text}{mark}en")
        assert not allows(grammar, f"{text}{mark}end ")
    never = where({mark: 'root ::= "end"'}, never_first=["x", "<b<"])
    assert allows(never, text) == (mark not in text and not text.lstrip().startswith(("x", "<b<")))


@given(st.text("abx", max_size=10))
@settings(deadline=None, max_examples=150)
def test_each_of_several_marks_leads_to_its_own(allows: Allows, text: str) -> None:
    marks = {"aab": "1", "abb": "2", "bx": "3"}
    grammar = where({mark: f'root ::= "{end}"' for mark, end in marks.items()}, said="xa")
    first = min((mark for mark in marks if mark in f"a{text}"), key=f"a{text}".index, default=None)
    assert allows(grammar, text) == (first is None)
    if first is not None and f"a{text}".index(first) + len(first) == len(text) + 1:
        assert allows(grammar, text + marks[first])
        assert not any(allows(grammar, text + end) for end in "123" if end != marks[first])


def test_a_mark_begins_a_text_only_where_it_stands_first(allows: Allows) -> None:
    grammar = behind("</t>", 'root ::= "x"', begins="<t>")
    assert allows(grammar, "<t>no</t>x")
    assert allows(grammar, " \n<t></t> x")
    assert not allows(grammar, "no</t>x")
    assert not allows(grammar, "<t>no")
    assert allows(after_blanks('root ::= "x"'), " \n x")


@given(least=st.integers(0, 4), most=st.none() | st.integers(0, 4), count=st.integers(0, 5))
@settings(deadline=None)
def test_texts_and_lists_are_as_long_as_their_schema_says(
    allows: Allows, least: int, most: int | None, count: int
) -> None:
    fits = least <= count and (most is None or count <= most)
    text = {"type": "string", "minLength": least} | ({} if most is None else {"maxLength": most})
    lists = {"type": "array", "items": {"enum": ["a"]}, "minItems": least}
    lists |= {} if most is None else {"maxItems": most}
    for schema, said in ((text, json.dumps("a" * count)), (lists, json.dumps(["a"] * count))):
        if most is not None and most < least:
            with pytest.raises(InvalidInput, match="JSON schema"):
                gbnf_of_schema(json.dumps(schema))
        else:
            assert allows(gbnf_of_schema(json.dumps(schema)), said) == fits, (schema, said)


KIND = {"type": "object", "properties": {"kind": {"enum": ["a", "b"]}}, "required": ["kind"]}
TOOLS = (Tool("bound", None, json.dumps(KIND), strict=True), Tool("loose", None, json.dumps(KIND)))
WRITTEN = {  # a call as each family writes it
    "deepseek": "<｜tool_calls_begin｜><｜tool_call_begin｜>function<｜tool_sep｜>%s\n```json\n%s\n```"
    "<｜tool_call_end｜><｜tool_calls_end｜>",
    "gpt-oss": "<|channel|>commentary to=functions.%s <|constrain|>json<|message|>%s",
    "llama3": '{"name": "%s", "parameters": %s}',
    "mistral": '[TOOL_CALLS]{"name": "%s", "arguments": %s}',
    "mistral-args": "[TOOL_CALLS]%s[ARGS]%s",
}
HERMES = '<tool_call>\n{"name": "%s", "arguments": %s}</tool_call>'


@pytest.mark.parametrize("family", FAMILIES)
def test_an_answer_is_free_until_it_calls_and_then_fits(allows: Allows, family: str) -> None:
    marks = FAMILIES[family]
    if marks.name == "deepseek":  # the vocabulary here takes its sign for a blank
        marks = msgspec.convert(json.loads(msgspec.json.encode(marks).decode().replace("▁", "_")), Marks)
    grammar = late(marks, TOOLS, several=True, gbnf_of=gbnf_of_tool)
    call = WRITTEN.get(marks.name, HERMES)
    words = "" if marks.bare_json else "I look it up: {"
    for text in ("", "Just words.", "a < b, [1] and so on", words):
        assert allows(grammar, text), text
    right, wrong = '{"kind": "a"}', '{"kind": "c"}'
    assert allows(grammar, words + call % ("bound", right))
    assert not allows(grammar, words + call % ("bound", wrong)), "arguments that do not fit"
    assert not allows(grammar, words + call % ("bound", right) + "and so on"), "a call ends the answer"
    assert allows(grammar, words + call % ("loose", wrong)), "nobody asked for its arguments to be bound"
    assert not allows(grammar, words + call % ("unknown", right)), "a tool that is not there"
    if marks.around[0]:  # which may be left out
        alone = call.removeprefix(marks.around[0]).removesuffix(marks.around[1])
        assert allows(grammar, words + alone % ("bound", right) + alone % ("loose", wrong))
        assert not allows(grammar, words + alone % ("bound", wrong))
    if marks is HARMONY:
        for head in (" <|constrain|>json", " json", ""):
            by_role = f" to=functions.%s<|channel|>commentary{head}<|message|>%s"
            for before in ("", "<|channel|>analysis<|message|>Hm, to=functions.x<|end|><|start|>assistant"):
                assert allows(grammar, before + by_role % ("bound", right)), before
                assert not allows(grammar, before + by_role % ("bound", wrong)), before
                assert not allows(grammar, before + by_role % ("unknown", right)), before
    if not marks.one_call and not marks.around[0]:
        other = call.replace("<tool_call>\n", "<tool_call>") % ("loose", "{}")
        assert allows(grammar, words + call % ("bound", right) + "\n" + other)
    if marks.bare_json:
        assert allows(grammar, "<|python_tag|>" + call % ("bound", right))
        assert not allows(grammar, "<|python_tag|>" + call % ("bound", wrong))
    if marks is HARMONY:  # which thinks on a channel
        return
    thinks = late(marks, TOOLS, several=True, gbnf_of=gbnf_of_tool, thinks=True)
    for text in ("", "Just words.", "<thin", words + call % ("bound", right)):
        assert allows(thinks, text), text
    assert not allows(thinks, "<think>hm"), "a thought without an end"
    assert allows(thinks, "<think>" + call % ("bound", wrong) + "</think>" + call % ("bound", right))
    assert not allows(thinks, "<think>hm</think>" + call % ("bound", wrong))
