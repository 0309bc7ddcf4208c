"""Grammars put together of others, as texts in GBNF. Pure.

Format: llama.cpp's grammars/README.md
"""

import re

# A literal, a set of characters, a comment, a count, a token by its name or number, the name of a rule.
_WORD = re.compile(
    r'"(?:[^"\\]|\\.)*"|\[(?:[^\]\\]|\\.)*\]|#[^\n]*|\{[^}]*\}|<[^>\n]*>|(?P<name>[A-Za-z0-9-]+)', re.DOTALL
)


def either(one: str, other: str) -> str:
    """A grammar of all that one of two allows, whatever the names of their rules."""
    return f"root ::= one-root | other-root\n{_renamed(one, 'one-')}\n{_renamed(other, 'other-')}"


def behind(mark: str, grammar: str) -> str:
    """A grammar of any text up to a mark and with it, then space, and then what another grammar allows."""
    return f"root ::= until-0 [ \\t\\r\\n]* then-root\n{_until(mark)}\n{_renamed(grammar, 'then-')}"


def _until(mark: str) -> str:
    """Rules of the automaton that looks for a mark; rule number `n` has seen its first `n` characters."""
    rules = []
    for seen in range(len(mark)):
        ways = {character: _longest(mark, mark[:seen] + character) for character in sorted(set(mark))}
        ways = {character: reached for character, reached in ways.items() if reached}
        others = "".join(map(_escaped, ways))
        found = [
            f"[{_escaped(character)}]" + (f" until-{reached}" if reached < len(mark) else "")
            for character, reached in ways.items()
        ]
        rules.append(f"until-{seen} ::= [^{others}] until-0 | {' | '.join(found)}")
    return "\n".join(rules)


def _longest(mark: str, text: str) -> int:
    """How much of the mark's beginning a text ends with."""
    return next(size for size in range(len(mark), -1, -1) if text.endswith(mark[:size]))


def _escaped(character: str) -> str:
    return f"\\U{ord(character):08X}"


def _renamed(grammar: str, prefix: str) -> str:
    return _WORD.sub(lambda word: (prefix if word["name"] else "") + word[0], grammar)
