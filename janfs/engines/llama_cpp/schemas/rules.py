"""The rules of a grammar as they are gathered. Pure.

Format: llama.cpp's grammars/README.md
"""

import json
from collections.abc import Sequence

MOST_REPEATED = 2000  # llama.cpp's own bound
_BLOCK = 1000
_LONGEST = MOST_REPEATED * _BLOCK  # no answer is longer
COMMA = '"," space '  # between what an object or an array has
LAST_CHARACTER = 0x10FFFF
Ranges = tuple[tuple[int, int], ...]
"""Characters, as ranges of their numbers with both ends, in order."""


class SchemaError(ValueError):
    """A schema that is none, or of which a grammar cannot be made; it says why."""


class Unsayable(SchemaError):
    """What no grammar can say. Where there are other ways to fit, it is not one of those that are allowed."""


class Nothing(Unsayable):
    """What no text fits, such as an empty `enum`."""


class Rules:
    """Rules by their names. Two of the same form are one."""

    def __init__(self) -> None:
        self._bodies: dict[str, str] = {}
        self._names: dict[str, str] = {}  # of those that are known by their form

    def add(self, body: str) -> str:
        """A name for what stands on the right of a rule."""
        if body not in self._names:
            self._names[body] = self.reserve()
            self._bodies[self._names[body]] = body
        return self._names[body]

    def reserve(self) -> str:
        """A name whose rule is yet to come, as one needs that is part of itself."""
        name = f"r{len(self._bodies)}"
        self._bodies[name] = '""'  # to be read also where it comes to nothing
        return name

    def fill(self, name: str, body: str) -> None:
        """The rule of a name that was reserved."""
        self._bodies[name] = body

    def text(self, root: str) -> str:
        """All of them, `root` being what a text is."""
        return "\n".join([f"root ::= {root}", *(f"{name} ::= {body}" for name, body in self._bodies.items())])


def literal(text: str) -> str:
    """A text that stands as it is; it has no control characters, as nothing of JSON has."""
    return json.dumps(text, ensure_ascii=False)


def one_of(ranges: Ranges) -> str:
    """One character of some."""
    pairs = (_escaped(low) + ("" if low == high else f"-{_escaped(high)}") for low, high in ranges)
    return f"[{''.join(pairs)}]"


def either(ways: Sequence[str]) -> str:
    """One of several. Raises `Nothing` where there is none."""
    if not ways:
        raise Nothing("nothing fits it")
    return ways[0] if len(ways) == 1 else f"({' | '.join(ways)})"


def repeated(item: str, least: int, most: int | None) -> str:
    """An item so many times (None: any number), or `Nothing`."""
    if most is not None and most < least:
        raise Nothing(f"{least:,} to {most:,} repetitions")
    if least > _LONGEST:
        raise SchemaError(f"more than {_LONGEST:,} repetitions")
    if most is not None and most > _LONGEST:
        most = None
    if most == 0:
        return '""'
    if max(least, most or 0) <= MOST_REPEATED:
        return f"{item}{{{least},{'' if most is None else most}}}"
    return _in_blocks(item, least, most)


def _in_blocks(item: str, least: int, most: int | None) -> str:
    """The same for more than llama.cpp repeats: whole blocks, and less than one of them behind the last."""
    (first, rest), full = divmod(least, _BLOCK), _BLOCK - 1
    if most is None:
        return f"{_blocks(item, first)}{item}{{{rest},}}"
    last, end = divmod(most, _BLOCK)
    if first == last:
        return f"{_blocks(item, first)}{item}{{{rest},{end}}}"
    ways = [f"{_blocks(item, first)}{item}{{{rest},{full}}}"]
    if last - first > 1:
        ways.append(f"{_blocks(item, f'{first + 1},{last - 1}')}{item}{{0,{full}}}")
    return either([*ways, f"{_blocks(item, last)}{item}{{0,{end}}}"])


def _blocks(item: str, count: int | str) -> str:
    return f"({item}{{{_BLOCK}}}){{{count}}} " if count else ""


def union(ranges: Sequence[tuple[int, int]]) -> Ranges:
    """The same characters in order, without what is there twice."""
    found: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if found and low <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(high, found[-1][1]))
        else:
            found.append((low, high))
    return tuple(found)


def without(ranges: Ranges, others: Ranges) -> Ranges:
    """Those of the characters that are not among the others."""
    found = list(ranges)
    for low, high in others:
        parts = [((a, min(b, low - 1)), (max(a, high + 1), b)) for a, b in found]
        found = [part for pair in parts for part in pair if part[0] <= part[1]]
    return tuple(found)


def _escaped(number: int) -> str:
    return chr(number) if chr(number).isascii() and chr(number).isalnum() else f"\\U{number:08X}"
