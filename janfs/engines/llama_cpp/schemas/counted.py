"""Texts of a pattern that have some length, as rules for one character after the other. Pure.

What may follow on a character is a partial derivative of the pattern (V. Antimirov, Partial derivatives of
regular expressions and finite automaton constructions, 1996).
"""

from collections.abc import Iterator
from typing import NamedTuple

from janfs.engines.llama_cpp.schemas.rules import Nothing, Rules, SchemaError, repeated

_MOST_RULES = 4096


class Either(NamedTuple):
    """One of several ways."""

    ways: tuple["Parts", ...]


class Repeat(NamedTuple):
    """The same so many times (None: any number)."""

    parts: "Parts"
    least: int
    most: int | None


Parts = tuple[str | Either | Repeat, ...]
"""What a pattern is, one behind the other; a text is GBNF of one character."""


def counted(rules: Rules, pattern: Parts, least: int, most: int | None) -> str:
    """GBNF of the texts of a pattern that have `least` to `most` characters. Raises `SchemaError`."""
    match pattern:
        case (Repeat((str(character),), fewest, highest),):
            bounds = [bound for bound in (most, highest) if bound is not None]
            return repeated(character, max(least, fewest), min(bounds, default=None))
    *levels, last = _levels(pattern, least if most is None else most)
    names = _endless(rules, last) if most is None else dict.fromkeys(filter(_may_end, last), '""')
    for count, level in reversed(list(enumerate(levels))):
        behind, names = names, {}
        for parts in level:
            ways = [f"{one} {behind[rest]}" for one, rest in _firsts(parts) if rest in behind]
            ways += ['""'] if count >= least and _may_end(parts) else []
            if ways:
                names[parts] = rules.add(" | ".join(dict.fromkeys(ways)))
    if pattern not in names:
        raise Nothing("a pattern beside a length that none of its texts has")
    return names[pattern]


def _levels(pattern: Parts, length: int) -> list[dict[Parts, None]]:
    """What may stand behind each number of characters, from none to `length`."""
    levels = [dict.fromkeys([pattern])]
    for _ in range(length):
        levels.append({rest: None for parts in levels[-1] for _, rest in _firsts(parts)})
        _check(sum(map(len, levels)))
    return levels


def _endless(rules: Rules, begun: dict[Parts, None]) -> dict[Parts, str]:
    """The rules for texts of some patterns, however long."""
    names = {parts: rules.reserve() for parts in begun}
    left = list(names)
    while left:
        parts = left.pop()
        ways = ['""'] if _may_end(parts) else []
        for one, rest in _firsts(parts):
            if rest not in names:
                names[rest] = rules.reserve()
                left.append(rest)
                _check(len(names))
            ways.append(f"{one} {names[rest]}")
        rules.fill(names[parts], " | ".join(dict.fromkeys(ways)))
    return names


def _check(count: int) -> None:
    if count > _MOST_RULES:
        raise SchemaError("'pattern' beside 'minLength' or 'maxLength' needs too large a grammar")


def _firsts(parts: Parts) -> Iterator[tuple[str, Parts]]:
    """The characters with which a text may begin, each with what may follow."""
    if not parts:
        return
    first, *rest = parts
    match first:
        case Either(ways):
            for way in ways:
                yield from _firsts((*way, *rest))
        case Repeat(again, least, most):
            left = Repeat(again, max(0, least - 1), None if most is None else most - 1)
            for one, behind in _firsts(again) if most != 0 else ():
                yield one, (*behind, *(() if left.most == 0 else (left,)), *rest)
            if _may_end((first,)):
                yield from _firsts(tuple(rest))
        case _:
            yield first, tuple(rest)


def _may_end(parts: Parts) -> bool:
    """Whether there may be no character at all."""
    return all(
        any(map(_may_end, part.ways))
        if isinstance(part, Either)
        else isinstance(part, Repeat) and (part.least == 0 or _may_end(part.parts))
        for part in parts
    )
