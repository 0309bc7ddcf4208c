"""Grammars put together of others, as texts in GBNF. Pure.

Format: llama.cpp's grammars/README.md
"""

import re

# A literal, a set of characters, a comment, a count, a token by its name or number, the name of a rule.
_WORD = re.compile(
    r'"(?:[^"\\]|\\.)*"|\[(?:[^\]\\]|\\.)*\]|#[^\n]*|(?P<count>\{(?:[^}#]|#[^\n]*)*\})|<[^>\n]*>'
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


def either(one: str, other: str) -> str:
    """A grammar of all that one of two allows, whatever the names of their rules."""
    return f"root ::= one-root | other-root\n{renamed(one, 'one-')}\n{renamed(other, 'other-')}"


def behind(mark: str, grammar: str, *, begins: str = "") -> str:
    """A grammar of any text up to a mark and with it, then blanks, and then what another grammar allows.

    The text `begins` with another mark, where there is one, blanks aside.
    """
    first = f'{_BLANKS} "{"".join(map(_escaped, begins))}" ' if begins else ""
    until = _automaton("until", mark, "")
    return f"root ::= {first}until-0 {_BLANKS} then-root\n{until}\n{renamed(grammar, 'then-')}"


def where(mark: str, grammar: str, *, never_first: str = "") -> str:
    """A grammar of any text, in which a mark is followed by blanks and what another one allows, to the end.

    The text does not begin with the character `never_first`, where there is one, blanks aside.
    """
    then, root = f"{_BLANKS} then-root", "free-0"
    lines = [_automaton("free", mark, then, ends=True), renamed(grammar, "then-")]
    if never_first:
        root, mark_begins = "begin", _escaped(mark[0])
        others = f"[^ \\t\\r\\n{_escaped(never_first)}{mark_begins}]"
        begin = f'begin ::= [ \\t\\r\\n] begin | {others} free-0 | [{mark_begins}] free-1 | ""'
        lines.append(begin)
    return "\n".join([f"root ::= {root}", *lines])


def after_blanks(grammar: str) -> str:
    """What a grammar allows, behind any blanks."""
    return f"root ::= {_BLANKS} then-root\n{renamed(grammar, 'then-')}"


def _automaton(name: str, mark: str, then: str, *, ends: bool = False) -> str:
    """Rules of the automaton that looks for a mark, behind which comes `then`.

    Rule number `n` has seen the mark's first `n` characters. Where the text `ends`, it may do so without it.
    """
    rules = []
    for seen in range(len(mark)):
        ways = {character: _longest(mark, mark[:seen] + character) for character in sorted(set(mark))}
        ways = {character: reached for character, reached in ways.items() if reached}
        others = "".join(map(_escaped, ways))
        found = [
            f"[{_escaped(character)}] " + (f"{name}-{reached}" if reached < len(mark) else then)
            for character, reached in ways.items()
        ]
        found += ['""'] if ends else []
        rules.append(f"{name}-{seen} ::= [^{others}] {name}-0 | {' | '.join(found)}".rstrip())
    return "\n".join(rules)


def _longest(mark: str, text: str) -> int:
    """How much of the mark's beginning a text ends with."""
    return next(size for size in range(len(mark), -1, -1) if text.endswith(mark[:size]))


def _escaped(character: str) -> str:
    return f"\\U{ord(character):08X}"


def renamed(grammar: str, prefix: str) -> str:
    """The same grammar, its rules with a prefix to their names."""
    return _WORD.sub(lambda word: (prefix if word["name"] else "") + word[0], grammar)
