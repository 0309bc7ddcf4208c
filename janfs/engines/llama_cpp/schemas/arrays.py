"""Arrays of JSON: which items there may be, and how many. Pure."""

from typing import Any

from janfs.engines.llama_cpp.schemas.constants import constants
from janfs.engines.llama_cpp.schemas.merging import Schema
from janfs.engines.llama_cpp.schemas.objects import Compiling
from janfs.engines.llama_cpp.schemas.rules import COMMA, Nothing, Rules, Unsayable, repeated

_MOST_UNIQUE = 8  # each set of values that are left is a rule


def array_rule(compiling: Compiling, said: Schema) -> str:
    """The name of the rule for an array that fits a schema of that type."""
    rules = compiling.rules
    items, first = said.get("items", True), said.get("prefixItems", [])
    if isinstance(items, list):  # as it was spelled before 2020
        items, first = said.get("additionalItems", True), items
    least, most = said.get("minItems", 0), said.get("maxItems")
    if said.get("uniqueItems") and (most is None or most > 1):
        inner = _Unique(rules, _listed(compiling, items, first), least, most).rest()
        return rules.add(f'"[" space {inner} space "]"')
    fixed = [compiling.visit(item) for item in first[:most]]
    closed = items is False or (bool(first) and "items" not in said and least <= len(first))
    rest = None if closed or most == len(fixed) else compiling.visit(items)
    if rest is None and least > len(fixed):
        raise Nothing("more items than there may be")
    more = None if most is None else most - len(fixed)
    inner = f" {COMMA}".join(fixed)
    if rest is not None and fixed:
        inner += " " + repeated(rules.add(f"{COMMA}{rest}"), max(0, least - len(fixed)), more)
    elif rest is not None:
        follow = repeated(rules.add(f"{COMMA}{rest}"), max(0, least - 1), None if more is None else more - 1)
        inner = f"{rest} {follow}" if least else f"({rest} {follow})?"
    return rules.add(f'"[" space {inner} space "]"' if inner else '"[" space "]"')


def _listed(compiling: Compiling, items: Any, first: list[Any]) -> list[str]:
    """The values that items can have, as they are written. Raises `Unsayable` where there are too many."""
    said = compiling.whole(items)
    if said.get("type") == "boolean" and "enum" not in said:
        said["enum"] = [True, False]
    values = list(dict.fromkeys(constants(said)))
    if first or not 0 < len(values) <= _MOST_UNIQUE:
        raise Unsayable(f"'uniqueItems' is not supported but for an 'enum' of up to {_MOST_UNIQUE} items")
    return values


class _Unique:
    """Some of several values in any order, none of them twice."""

    def __init__(self, rules: Rules, values: list[str], least: int, most: int | None) -> None:
        if least > min(len(values), len(values) if most is None else most):
            raise Nothing("more items than there may be different ones")
        self._rules = rules
        self._values = tuple(map(rules.add, values))
        self._least, self._most = least, most
        self._names: dict[tuple[str, ...], str] = {}

    def rest(self, left: tuple[str, ...] | None = None) -> str:
        """The rule for what may still come where only these are left."""
        left = self._values if left is None else left
        if left not in self._names:
            written = len(self._values) - len(left)
            ways = ['""'] if written >= self._least else []
            if self._most is None or written < self._most:
                comma = COMMA if written else ""
                ways += [
                    f"{comma}{value} {self.rest(tuple(each for each in left if each != value))}"
                    for value in left
                ]
            self._names[left] = self._rules.add(" | ".join(ways))
        return self._names[left]
