"""Objects of JSON: which members there may be, how many, and what they are called. Pure."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from janfs.engines.llama_cpp.schemas.constants import can_be, listed
from janfs.engines.llama_cpp.schemas.merging import Schema
from janfs.engines.llama_cpp.schemas.rules import (
    COMMA,
    MOST_REPEATED,
    Nothing,
    Rules,
    Unsayable,
    literal,
    repeated,
)
from janfs.engines.llama_cpp.schemas.texts import finds, other_than

_OF_NAMES = {"enum", "const", "pattern", "minLength", "maxLength"}


class Compiling(Protocol):
    """What makes rules of the schemas that an object has."""

    rules: Rules

    def visit(self, schema: Any) -> str:
        """The name of the rule for what fits a schema."""
        ...

    def whole(self, schema: Any) -> Schema:
        """A schema without `$ref` and `allOf`: what they say is in it."""
        ...


class _Members(NamedTuple):
    """Schemas of members by name, in their order, and which must be there; `others` have a rule for each.

    Two of the others may have the same name.
    """

    named: Mapping[str, Any]
    required: Mapping[str, None]
    others: str | None


def object_rule(compiling: Compiling, said: Schema) -> str:
    """The name of the rule for an object that fits a schema of that type."""
    rules, members = compiling.rules, _members(compiling, said)
    pairs: list[tuple[str, bool]] = []
    for name, schema in members.named.items():
        try:
            value = compiling.visit(schema)
        except Nothing:
            if name in members.required:
                raise
            continue
        key = literal(json.dumps(name, ensure_ascii=False))
        pairs.append((rules.add(f'{key} ":" space {value}'), name in members.required))
    least, most = said.get("minProperties", 0), said.get("maxProperties")
    inner: str | None
    if least <= len(members.required) and (most is None or (not members.others and len(pairs) <= most)):
        inner = _in_order(rules, pairs, members.others)
    else:
        inner = _Counted(rules, pairs, members.others, least, most).rest(0, 0)
    if inner is None:
        raise Nothing("fewer or more properties than there may be")
    return rules.add(f'"{{" space {inner} space "}}"' if inner else '"{" space "}"')


def additional(said: Schema) -> Any:
    """The schema of properties that are neither named nor of a pattern; False where none are written."""
    return said.get("additionalProperties", "properties" not in said and "patternProperties" not in said)


def _members(compiling: Compiling, said: Schema) -> _Members:
    named, required = dict(said.get("properties", {})), dict.fromkeys(said.get("required", []))
    patterns = said.get("patternProperties", {})
    more = additional(said)
    for name in required:
        if name not in named and not any(finds(pattern, name) for pattern in patterns):
            if said.get("additionalProperties") is False:
                raise Nothing("a property that must be there and may not")
            named[name] = True if more is False else more
    names = _names(compiling.whole(said.get("propertyNames", True)))
    if any(not can_be(name, names) for name in required):
        raise Nothing("a property that must be there and may not be called so")
    known = listed(names)
    if known is not None and more is not False and not patterns:
        named |= {name: more for name in known if isinstance(name, str) and name not in named}
        more = False
    for pattern, schema in patterns.items():
        for name in [each for each in [*named, *required] if finds(pattern, each)]:
            named[name] = {"allOf": [named[name], schema]} if name in named else schema
    named = {name: schema for name, schema in named.items() if can_be(name, names)}
    others = None
    if patterns:
        others = _by_pattern(compiling, patterns, named, names)
    elif more is not False:
        others = _pair(compiling, _other_name(compiling, named, names), more)
    return _Members(named, required, others)


def _other_name(compiling: Compiling, named: Mapping[str, Any], names: Schema) -> str:
    if named and names:
        raise Unsayable("'propertyNames' beside 'properties' is not supported")
    if named:
        return other_than(compiling.rules, list(named))
    return compiling.visit({"type": "string", **names})


def _by_pattern(
    compiling: Compiling, patterns: Mapping[str, Any], named: Mapping[str, Any], names: Schema
) -> str | None:
    """The rule for a member by its name's pattern; None where it could be one of those that are named."""
    if len(patterns) > 1 or names:
        raise Unsayable("more than one pattern in 'patternProperties', or 'propertyNames', is not supported")
    ((pattern, schema),) = patterns.items()
    if any(finds(pattern, name) for name in named):
        return None
    return _pair(compiling, compiling.visit({"type": "string", "pattern": pattern}), schema)


def _pair(compiling: Compiling, key: str, schema: Any) -> str | None:
    try:
        return compiling.rules.add(f'{key} ":" space {compiling.visit(schema)}')
    except Nothing:
        return None


def _names(said: Schema) -> Schema:
    """What a schema says of names, which are texts anyway."""
    names = {name: what for name, what in said.items() if (name, what) != ("type", "string")}
    if beyond := names.keys() - _OF_NAMES:
        raise Unsayable(f"'{min(beyond)}' in 'propertyNames' is not supported")
    return names


def _in_order(rules: Rules, pairs: list[tuple[str, bool]], others: str | None) -> str:
    """Members in their order, with commas between, those that need not be there in brackets."""
    if others is not None:
        pairs = [*pairs, (rules.add(f"{others} ({COMMA}{others})*"), False)]
    first = next((number for number, (_, needed) in enumerate(pairs) if needed), None)
    if first is not None:
        before = [f"({pair} {COMMA.strip()})?" for pair, _ in pairs[:first]]
        after = [f"{COMMA}{pair}" if needed else f"({COMMA}{pair})?" for pair, needed in pairs[first + 1 :]]
        return " ".join([*before, pairs[first][0], *after])
    ways: list[str] = []
    rest = ""
    for pair, _ in reversed(pairs):
        ways.append(f"{pair} {rest}".rstrip())
        rest = rules.add(f"({COMMA}{pair})? {rest}".rstrip())
    return f"({' | '.join(reversed(ways))})?" if ways else ""


class _Counted:
    """Members in their order, so many of them at least and at most."""

    def __init__(
        self, rules: Rules, pairs: list[tuple[str, bool]], others: str | None, least: int, most: int | None
    ) -> None:
        if least > len(pairs) + (others is not None):
            what = "" if others is None else ", and names that are not given may repeat"
            raise Unsayable(f"'minProperties': there are {len(pairs)}{what}")
        self._rules, self._pairs, self._others = rules, pairs, others
        self._least, self._most = least, most
        self._names: dict[tuple[int, int], str | None] = {}

    def rest(self, place: int, count: int) -> str | None:
        """The rule for members from a place on, behind `count` others; None where none fit."""
        if (place, count) not in self._names:
            ways = self._others_behind(count) if place == len(self._pairs) else self._ways(place, count)
            self._names[place, count] = self._rules.add(f"({' | '.join(ways)})") if ways else None
        return self._names[place, count]

    def _ways(self, place: int, count: int) -> list[str]:
        pair, needed = self._pairs[place]
        found = []
        if self._most is None or count < self._most:
            # Beyond what there must be, one is as good as another, unless there is a bound.
            enough = count and self._most is None and count >= self._least
            follows = self.rest(place + 1, count if enough else count + 1)
            if follows is not None:
                found.append(f"{COMMA if count else ''}{pair} {follows}")
        without = None if needed else self.rest(place + 1, count)
        return found if without is None else [*found, without]

    def _others_behind(self, count: int) -> list[str]:
        room = None if self._most is None else self._most - count
        found = [] if count < self._least else ['""']
        if self._others is not None and room != 0 and count + 1 >= self._least:
            again = self._rules.add(f"{COMMA}{self._others}")
            more = None if room is None else min(room - 1, MOST_REPEATED)
            found.append(f"{COMMA if count else ''}{self._others} {repeated(again, 0, more)}")
        return found
