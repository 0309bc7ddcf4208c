"""Texts of JSON: free ones, those of some length, and those that fit a regular expression. Pure."""

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from re import _constants as sre  # type: ignore[attr-defined]  # as re reads a pattern; there is no other way
from re import _parser as reading  # type: ignore[attr-defined]  # the same
from typing import Any

from janfs.engines.llama_cpp.schemas.counted import Either, Parts, Repeat, counted
from janfs.engines.llama_cpp.schemas.rules import (
    LAST_CHARACTER,
    Nothing,
    Ranges,
    Rules,
    SchemaError,
    Unsayable,
    either,
    literal,
    one_of,
    repeated,
    union,
    without,
)

# Control characters and halves of surrogate pairs do not stand in JSON as they are.
_PLAIN: Ranges = ((0x20, 0x21), (0x23, 0x5B), (0x5D, 0x7E), (0x80, 0xD7FF), (0xE000, LAST_CHARACTER))
_ALL: Ranges = ((0, 0xD7FF), (0xE000, LAST_CHARACTER))
_SHORT = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_DIGITS: Ranges = ((0x30, 0x39),)
_WORDS: Ranges = ((0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A))
_BLANKS: Ranges = ((0x09, 0x0D), (0x20, 0x20), (0xA0, 0xA0))
_LINE_ENDS: Ranges = ((0x0A, 0x0A), (0x0D, 0x0D), (0x2028, 0x2029))
_CATEGORIES = {
    sre.CATEGORY_DIGIT: _DIGITS,
    sre.CATEGORY_NOT_DIGIT: without(_ALL, _DIGITS),
    sre.CATEGORY_WORD: _WORDS,
    sre.CATEGORY_NOT_WORD: without(_ALL, _WORDS),
    sre.CATEGORY_SPACE: _BLANKS,
    sre.CATEGORY_NOT_SPACE: without(_ALL, _BLANKS),
}
_LEAP_YEAR = "([0-9]{2}(0[48]|[2468][048]|[13579][26])|([02468][048]|[13579][26])00)"
_MONTHS = "(0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)"
_DATE = f"([0-9]{{4}}-({_MONTHS}|02-(0[1-9]|1[0-9]|2[0-8]))|{_LEAP_YEAR}-02-29)"
_TIME = r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{3})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
_UUID = r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_BYTE = "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_NAMED = re.compile(r"\\.|\[(?:[^\]\\]|\\.)*\]|\(\?<(?![=!])", re.DOTALL)
_MAILBOX = r"[A-Za-z0-9_+-]+(\.[A-Za-z0-9_+-]+)*"
_LABEL = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_DAYS = "([0-9]{1,9}Y([0-9]{1,9}M)?([0-9]{1,9}D)?|[0-9]{1,9}M([0-9]{1,9}D)?|[0-9]{1,9}D)"
_HOURS = "T([0-9]{1,9}H([0-9]{1,9}M)?([0-9]{1,9}S)?|[0-9]{1,9}M([0-9]{1,9}S)?|[0-9]{1,9}S)"
_FORMATS = {
    "date": _DATE,
    "time": _TIME,
    "date-time": f"{_DATE}T{_TIME}",
    "duration": f"P([0-9]{{1,9}}W|{_DAYS}({_HOURS})?|{_HOURS})",
    **{f"uuid{version}": _UUID for version in ("", 1, 2, 3, 4, 5)},
    "ipv4": rf"{_BYTE}(\.{_BYTE}){{3}}",
    "email": rf"{_MAILBOX}@({_LABEL}\.)+[A-Za-z]{{2,63}}",
}
_BOUNDED = {"email": rf"{_MAILBOX}@([A-Za-z0-9]+(-+[A-Za-z0-9]+)*\.)+[A-Za-z]{{2,}}"}
"""Formats that count, but where a text is counted anyway: the two together would take too large a grammar."""
_LOOKS_AROUND = {
    "email": (
        r"^(?!\.)(?!.*\.\.)([A-Za-z0-9_'+\-\.]*)[A-Za-z0-9_+-]"
        r"@([A-Za-z0-9][A-Za-z0-9\-]*\.)+[A-Za-z]{2,}$"
    ),
    "duration": (
        r"^P(?:(\d+W)|(?!.*W)(?=\d|T\d)(\d+Y)?(\d+M)?(\d+D)?"
        r"(T(?=\d)(\d+H)?(\d+M)?(\d+([.,]\d+)?S)?)?)$"
    ),
}
"""What zod writes beside a format, and no grammar can say. What our own pattern finds fits it."""

CHARACTER = (
    rf'{one_of(_PLAIN)} | "\\" (["\\/bfnrt] | "u" ([0-9a-cefA-CEF] [0-9a-fA-F]{{3}}'
    r' | [dD] [0-7] [0-9a-fA-F]{2} | [dD] [89abAB] [0-9a-fA-F]{2} "\\u" [dD] [c-fC-F] [0-9a-fA-F]{2}))'
)
"""A character in a text of JSON, as it is or escaped."""


def text(rules: Rules, schema: dict[str, Any], *, strict: bool) -> str:
    """A text that fits a schema of the type `string`. Unless `strict`, what cannot be said is left out."""
    least, most = schema.get("minLength", 0), schema.get("maxLength")
    pattern, form = schema.get("pattern"), schema.get("format")
    if form in _FORMATS and pattern in (None, _LOOKS_AROUND.get(form)):
        own = _FORMATS if most is None else _FORMATS | _BOUNDED
        pattern = f"^{own[form]}$"
    if pattern is None:
        return rules.add(f'"\\"" {repeated(rules.add(CHARACTER), least, most)} "\\""')
    try:
        return rules.add(f'"\\"" {_Pattern(rules, pattern, least, most).body} "\\""')
    except SchemaError:
        if strict:
            raise
        return text(
            rules, {name: schema[name] for name in ("minLength", "maxLength") if name in schema}, strict=True
        )


def finds(pattern: str, text: str) -> bool:
    """Whether a regular expression is found in a text. Raises `SchemaError` for what is none."""
    with _reading(pattern):
        return re.search(_as_python_has_it(pattern), text, re.ASCII) is not None


def _as_python_has_it(pattern: str) -> str:
    """A pattern of JSON Schema, which is JavaScript's, with its named groups, `(?<name>…)`, as here."""
    return _NAMED.sub(lambda part: "(?P<" if part[0] == "(?<" else part[0], pattern)


@contextmanager
def _reading(pattern: str) -> Iterator[None]:
    try:
        yield
    except (re.error, RecursionError, OverflowError) as error:
        raise SchemaError(f"the pattern '{pattern[:100]}': {error}") from error


def other_than(rules: Rules, names: Sequence[str]) -> str:
    """A text without escapes at its beginning that is none of these names."""
    return rules.add(f'"\\"" {_other(rules, list(names))} "\\""')


def _other(rules: Rules, rests: list[str]) -> str:
    """What may follow where these are what must not."""
    after: dict[str, list[str]] = {}
    for rest in filter(None, rests):
        after.setdefault(rest[0], []).append(rest[1:])
    known = union([(ord(first), ord(first)) for first in after])
    character = rules.add(CHARACTER)
    ways = [f"{one_of(without(_PLAIN, known))} {character}*"]
    ways += [
        f"{one_of(((ord(first), ord(first)),))} {_other(rules, after[first])}"
        for first in after
        if without(((ord(first), ord(first)),), _PLAIN) == ()
    ]
    return rules.add(" | ".join(ways if "" in rests else [*ways, '""']))


class _Pattern:
    """A regular expression as GBNF, of texts as JSON has them. Raises `SchemaError`."""

    def __init__(self, rules: Rules, pattern: str, least: int, most: int | None) -> None:
        with _reading(pattern):
            parsed = reading.parse(_as_python_has_it(pattern))
        self._rules, self._pattern = rules, pattern
        self._character = rules.add(CHARACTER)
        ways, shortest, longest = self._whole(parsed)
        if shortest < least or (most is not None and longest > most):
            self.body = counted(rules, ways[0] if len(ways) == 1 else (Either(ways),), least, most)
        else:
            self.body = either([self._written(way) for way in ways])

    def _whole(self, parsed: Any) -> tuple[tuple[Parts, ...], int, int]:
        """All of a text: where the pattern is not held to its ends, there may be more."""
        ways, widths = [], []
        free = Repeat((self._character,), 0, None)
        for items in _branches(list(parsed)):
            begins = bool(items) and items[0] == (sre.AT, sre.AT_BEGINNING)
            ends = bool(items) and items[-1] in ((sre.AT, sre.AT_END), (sre.AT, sre.AT_END_STRING))
            inner = items[begins : len(items) - ends]
            ways.append((*([] if begins else [free]), *self._parts(inner), *([] if ends else [free])))
            short, long = reading.SubPattern(parsed.state, inner).getwidth()
            widths.append((short, long if begins and ends else sre.MAXREPEAT))
        return tuple(ways), min(short for short, _ in widths), max(long for _, long in widths)

    def _written(self, parts: Parts) -> str:
        """GBNF of all texts of a pattern."""
        found = []
        for part in parts:
            match part:
                case Either(ways):
                    found.append(either([self._written(way) for way in ways]))
                case Repeat(again, least, most):
                    found.append(repeated(self._rules.add(self._written(again)), least, most))
                case _:
                    found.append(part)
        return " ".join(found) or '""'

    def _parts(self, items: Iterable[tuple[Any, Any]]) -> Parts:
        found: list[str | Either | Repeat] = []
        for kind, said in items:
            match kind:
                case sre.BRANCH:
                    found.append(Either(tuple(map(self._parts, said[1]))))
                case sre.SUBPATTERN if not said[1] and not said[2]:
                    found += self._parts(said[3])
                case sre.MAX_REPEAT | sre.MIN_REPEAT:
                    least, most, item = said
                    found.append(Repeat(self._parts(item), least, None if most == sre.MAXREPEAT else most))
                case _:
                    found.append(self._character_of(kind, said))
        return tuple(found)

    def _character_of(self, kind: Any, said: Any) -> str:
        match kind:
            case sre.LITERAL:
                return self._one(((said, said),))
            case sre.NOT_LITERAL:
                return self._one(without(_ALL, ((said, said),)))
            case sre.ANY:
                return self._one(without(_ALL, _LINE_ENDS))
            case sre.IN:
                return self._one(_set(said))
        what = str(said if kind is sre.AT else kind).lower().replace("_", " ")
        raise Unsayable(f"the pattern '{self._pattern[:100]}': no {what} here")

    def _one(self, ranges: Ranges) -> str:
        """One of some characters, as it stands in JSON."""
        plain = without(ranges, without(_ALL, _PLAIN))
        odd = [number for low, high in without(ranges, _PLAIN) for number in range(low, high + 1)]
        ways = [one_of(plain)] if plain else []
        ways += [literal(_SHORT.get(chr(each), f"\\u{each:04x}")) for each in odd]
        return self._rules.add(either(ways)) if odd else either(ways)


def _branches(items: list[Any]) -> list[list[Any]]:
    """The ways of a pattern; what they have in common stands before them as it was read."""
    if not items or items[-1][0] is not sre.BRANCH:
        return [items]
    return [way for branch in items[-1][1][1] for way in _branches([*items[:-1], *branch])]


def _set(items: Sequence[tuple[Any, Any]]) -> Ranges:
    """The characters of a set in brackets. Raises `Nothing` for none."""
    found: list[tuple[int, int]] = []
    negated = False
    for kind, said in items:
        match kind:
            case sre.NEGATE:
                negated = True
            case sre.LITERAL:
                found.append((said, said))
            case sre.RANGE:
                found.append(said)
            case sre.CATEGORY:
                found += _CATEGORIES[said]
    ranges = without(union(found), ((0xD800, 0xDFFF),))
    ranges = without(_ALL, ranges) if negated else ranges
    if not ranges:
        raise Nothing("a set without a character")
    return ranges
