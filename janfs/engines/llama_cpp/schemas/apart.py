"""Whether what is written for one schema can fit another one, too, which `oneOf` forbids. Pure."""

from collections.abc import Sequence
from itertools import permutations
from math import inf
from typing import Any

from janfs.engines.llama_cpp.schemas.constants import can_be, listed
from janfs.engines.llama_cpp.schemas.kinds import accepted, written
from janfs.engines.llama_cpp.schemas.merging import Schema
from janfs.engines.llama_cpp.schemas.objects import Compiling
from janfs.engines.llama_cpp.schemas.rules import Nothing, Unsayable

_DEEPEST = 5


def told_apart(compiling: Compiling, ways: Sequence[Any]) -> list[Any] | None:
    """Several schemas of which nothing that is written for one fits another; None where that cannot be seen.

    Where a property would tell them apart that need not be there, it must be.
    """
    if _all_apart(compiling, ways):
        return list(ways)
    try:
        of_each = [compiling.whole(way).get("properties", {}) for way in ways]
    except Unsayable:
        return None
    for name in of_each[0]:
        if all(name in each for each in of_each) and _all_apart(compiling, [each[name] for each in of_each]):
            return [{"allOf": [way, {"required": [name]}]} for way in ways]
    return None


def _all_apart(compiling: Compiling, ways: Sequence[Any]) -> bool:
    return all(_apart(compiling, *pair, _DEEPEST) for pair in permutations(ways, 2))


def _apart(compiling: Compiling, one: Any, other: Any, deepest: int) -> bool:
    if deepest == 0:
        return False
    try:
        mine, theirs = compiling.whole(one), compiling.whole(other)
    except Nothing:
        return True
    except Unsayable:
        return False
    for word in ("anyOf", "oneOf"):
        if word in mine:
            return all(_apart(compiling, way, theirs, deepest - 1) for way in _ways(mine, word))
        if word in theirs:
            return all(_apart(compiling, mine, way, deepest - 1) for way in _ways(theirs, word))
    for values, schema in ((listed(mine), theirs), (listed(theirs), mine)):
        if values is not None:
            return not any(can_be(value, schema) for value in values)
    both = {*written(mine)} & {*accepted(theirs)}
    if "number" in accepted(theirs) and "integer" in written(mine):
        both.add("integer")
    if "number" in written(mine) and "integer" in accepted(theirs):
        both.add("integer")
    if both <= {"number", "integer"}:
        return not both or _numbers_apart(mine, theirs)
    return both == {"object"} and _objects_apart(compiling, mine, theirs, deepest)


def _ways(said: Schema, word: str) -> list[Schema]:
    rest = {name: what for name, what in said.items() if name != word}
    return [{"allOf": [rest, way]} for way in said[word]]


def _numbers_apart(one: Schema, other: Schema) -> bool:
    (low, above), (high, below) = _ends(one)
    (other_low, other_above), (other_high, other_below) = _ends(other)
    return (
        high < other_low
        or other_high < low
        or (high == other_low and (below or other_above))
        or (other_high == low and (other_below or above))
    )


def _ends(said: Schema) -> tuple[tuple[float, bool], tuple[float, bool]]:
    """The least and the greatest number, and whether it is out of bounds itself."""
    low, high = said.get("minimum", -inf), said.get("maximum", inf)
    above, below = said.get("exclusiveMinimum", -inf), said.get("exclusiveMaximum", inf)
    return (max(low, above), above >= low), (min(high, below), below <= high)


def _objects_apart(compiling: Compiling, one: Schema, other: Schema, deepest: int) -> bool:
    mine, theirs = one.get("properties", {}), other.get("properties", {})
    sure, needed = one.get("required", ()), other.get("required", ())
    only_named = not one.get("additionalProperties", "properties" not in one)
    if only_named and "patternProperties" not in one and {*needed} - {*mine, *sure}:
        return True
    if (
        other.get("additionalProperties") is False
        and "patternProperties" not in other
        and {*sure} - {*theirs}
    ):
        return True
    shared = [name for name in sure if name in theirs]
    return any(_apart(compiling, mine.get(name, True), theirs[name], deepest - 1) for name in shared)
