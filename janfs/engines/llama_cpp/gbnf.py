"""Grammars put together of others, as texts in GBNF. Pure.

Format: llama.cpp's grammars/README.md
"""

import re
from collections.abc import Iterable, Mapping, Sequence

# A literal, a set of characters, a comment, a count, a token by its name or number, the name of a rule.
_WORD = re.compile(
    r'"(?:[^"\\]|\\.)*"|\[(?:[^\]\\]|\\.)*\]|#[^\n]*|(?P<count>\{(?:[^}#]|#[^\n]*)*\})|(?P<token><[^>\n]*>)'
    r"|(?P<name>[A-Za-z0-9-]+)",
    re.DOTALL,
)

_BLANKS = "[ \\t\\r\\n]*"


MOST_REPEATED = 100_000  # by all counts of a grammar together


def wrong_count(grammar: str) -> str | None:
    """Why llama.cpp would fill the memory with rules for the counts of a grammar; None where it would not."""
    total = 0
    for count in filter(None, (word["count"] for word in _WORD.finditer(grammar))):
        digits = re.findall(r"\d+", re.sub(r"#[^\n]*", "", count))
        bounds = [int(each) if len(each) < 10 else 10**9 for each in digits]
        if bounds != sorted(bounds):
            return f"the count {count[:40]} ends before it begins"
        total += max(bounds, default=0)
    return None if total <= MOST_REPEATED else f"its counts repeat more than {MOST_REPEATED:,} times together"


def names_tokens(grammar: str) -> bool:
    """Whether a grammar names tokens by what they are, not only by their text."""
    return any(word["token"] for word in _WORD.finditer(grammar))


def either(one: str, other: str) -> str:
    """A grammar of all that one of two allows, whatever the names of their rules."""
    return f"root ::= one-root | other-root\n{renamed(one, 'one-')}\n{renamed(other, 'other-')}"


def behind(mark: str, grammar: str, *, begins: str = "") -> str:
    """A grammar of any text up to a mark and with it, then blanks, and then what another grammar allows.

    The text `begins` with another mark, where there is one, blanks aside.
    """
    first = f'{_BLANKS} "{"".join(map(_escaped, begins))}" ' if begins else ""
    until = _automaton("until", {mark: ""})
    return f"root ::= {first}until-0 {_BLANKS} then-root\n{until}\n{renamed(grammar, 'then-')}"


def where(marks: Mapping[str, str], *, said: str = "", never_first: Sequence[str] = ()) -> str:
    """A grammar of any text, in which a mark is followed by blanks and what its grammar allows, to the end.

    No mark is part of another one. What was `said` just before may belong to one. The text does not begin
    as any of `never_first`, blanks aside.
    """
    thens = {mark: f"{_BLANKS} then{number}-root" for number, mark in enumerate(marks)}
    states = _states(marks)
    lines = [f"root ::= free-{states.index(_seen(marks, said))}", _automaton("free", thens, ends=True)]
    if never_first:
        lines = ["root ::= begin-0", *_unlike(never_first, marks), *lines[1:]]
    return "\n".join([*lines, *(renamed(each, f"then{n}-") for n, each in enumerate(marks.values()))])


def _unlike(beginnings: Sequence[str], marks: Mapping[str, str]) -> list[str]:
    """Rules for a text of the automaton of `marks` that begins as none of these, blanks aside."""
    rules, begun, states = [], _states(beginnings), _states(marks)
    known = sorted({character for text in (*beginnings, *marks) for character in text})
    for number, state in enumerate(begun):
        blanks, characters = "", known
        ways = ['""']
        if not state:
            blanks, characters = " \\t\\r\\n", [each for each in known if not each.isspace()]
            ways.append(f"[{blanks}] begin-0")
        for character in characters:
            text = state + character
            if text in begun:
                ways.append(f"[{_escaped(character)}] begin-{begun.index(text)}")
            elif text not in beginnings:
                ways.append(f"[{_escaped(character)}] free-{states.index(_seen(marks, text))}")
        ways.append(f"[^{blanks}{''.join(map(_escaped, characters))}] free-0")
        rules.append(f"begin-{number} ::= {' | '.join(ways)}")
    return rules


def after_blanks(grammar: str) -> str:
    """What a grammar allows, behind any blanks."""
    return f"root ::= {_BLANKS} then-root\n{renamed(grammar, 'then-')}"


def _automaton(name: str, thens: Mapping[str, str], *, ends: bool = False) -> str:
    """Rules of the automaton that looks for marks, behind each of which comes what it leads to.

    Each has seen the beginning of a mark (A. V. Aho, M. J. Corasick, Efficient String Matching, 1975).
    Where the text `ends`, it may do so without a mark.
    """
    rules, states = [], _states(thens)
    for number, state in enumerate(states):
        ways = {first: _seen(thens, state + first) for first in sorted(set("".join(thens)))}
        ways = {first: reached for first, reached in ways.items() if reached}
        others = "".join(map(_escaped, ways))
        found = [
            f"[{_escaped(first)}] {thens[reached] if reached in thens else f'{name}-{states.index(reached)}'}"
            for first, reached in ways.items()
        ]
        found += ['""'] if ends else []
        rules.append(f"{name}-{number} ::= [^{others}] {name}-0 | {' | '.join(found)}".rstrip())
    return "\n".join(rules)


def _states(marks: Iterable[str]) -> list[str]:
    """The beginnings of marks, the empty one first."""
    return list(dict.fromkeys(["", *(mark[:size] for mark in marks for size in range(1, len(mark)))]))


def _seen(marks: Iterable[str], text: str) -> str:
    """The longest beginning of a mark that a text ends with."""
    return max((mark[: _overlap(mark, text)] for mark in marks), key=len)


def _overlap(mark: str, text: str) -> int:
    return next(size for size in range(len(mark), -1, -1) if text.endswith(mark[:size]))


def _escaped(character: str) -> str:
    return f"\\U{ord(character):08X}"


def renamed(grammar: str, prefix: str) -> str:
    """The same grammar, its rules with a prefix to their names."""
    return _WORD.sub(lambda word: (prefix if word["name"] else "") + word[0], grammar)
