"""Grammars for answers that must call."""

import json
import random
import re

import pytest

from janfs.engines.llama_cpp.dialects.forced import call_begun, forced
from janfs.engines.llama_cpp.dialects.reading import Call
from janfs.engines.llama_cpp.grammar import gbnf_of_tool
from janfs.engines.protocol import Tool
from tests.engines.llama_cpp.dialects.test_reading import FAMILIES, reads

KIND = {"type": "object", "properties": {"kind": {"enum": ["a", "b"]}}, "required": ["kind"]}
TOOLS = (Tool("first", None, json.dumps(KIND)), Tool("second", None, '{"type": "object", "properties": {}}'))


def written_by(grammar: str, seed: int) -> str:
    """A text that a grammar allows, chosen at random; only what the grammars here are made of is known."""
    rules = dict(re.findall(r"^([\w-]+) ::= (.*)$", grammar, re.MULTILINE))
    chance = random.Random(seed)

    def expand(expression: str) -> str:
        parts = alternatives(expression)
        return "".join(map(item, sequence(chance.choice(parts))))

    def alternatives(expression: str) -> list[str]:
        found, depth, quoted, start = [], 0, False, 0
        for at, character in enumerate(expression):
            if character == '"' and expression[at - 1] != "\\":
                quoted = not quoted
            depth += (character in "([") - (character in ")]") if not quoted else 0
            if character == "|" and not depth and not quoted:
                found.append(expression[start:at])
                start = at + 1
        return [*found, expression[start:]]

    def sequence(expression: str) -> list[str]:
        return re.findall(
            r'"(?:[^"\\]|\\.)*"|\((?:[^()]|"[^"]*")*\)[*?]?|\[[^\]]*\][*]?|[\w-]+[*?]?', expression
        )

    def item(text: str) -> str:
        if text.startswith('"'):
            return str(json.loads(text))
        if text.endswith(("*", "?")):
            return "".join(item(text[:-1]) for _ in range(chance.randrange(2)))
        if text.startswith("("):
            return expand(text[1:-1])
        if text.startswith("["):
            return ""
        return "" if text == "space" else expand(rules[text])

    return expand(rules["root"])


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("several", [True, False])
def test_what_the_grammar_allows_is_read_as_calls_of_the_tools(name: str, several: bool) -> None:
    grammar = forced(FAMILIES[name], TOOLS, several=several, gbnf_of=gbnf_of_tool)
    counts = set()
    for seed in range(40):
        text = written_by(grammar, seed)
        said = reads(name)(text, True)
        assert said.content == "", f"{text!r} holds words"
        assert said.calls, f"{text!r} calls nothing"
        for call in said.calls:
            allowed = {Call("first", '{"kind": "a"}'), Call("first", '{"kind": "b"}'), Call("second", "{}")}
            assert Call(call.name, json.dumps(json.loads(call.arguments))) in allowed, text
        counts.add(len(said.calls))
    assert counts == ({1, 2} if several and not FAMILIES[name].one_call else {1})


@pytest.mark.parametrize("name", FAMILIES)
def test_a_call_that_was_begun_is_found_behind_words(name: str) -> None:
    marks = FAMILIES[name]
    call = written_by(forced(marks, TOOLS, several=False, gbnf_of=gbnf_of_tool), 1)
    words = marks.call if marks.bare_json else "I look.\n"
    assert call_begun(words + call, marks) == call_begun(call, marks) == call
    assert call_begun("I look.", marks) == "I look."


def test_one_tool_is_enough() -> None:
    grammar = forced(FAMILIES["hermes"], TOOLS[:1], several=False, gbnf_of=gbnf_of_tool)
    assert reads("hermes")(written_by(grammar, 1), True).calls[0].name == "first"
