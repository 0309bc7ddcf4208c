"""Whether what is written for one schema can fit another one, too, which `oneOf` forbids. Pure."""

from collections.abc import Sequence
from itertools import permutations
from typing import Any

from janfs.engines.llama_cpp.schemas.constants import can_be, listed
from janfs.engines.llama_cpp.schemas.kinds import accepted, written
from janfs.engines.llama_cpp.schemas.merging import Schema, ways_of
from janfs.engines.llama_cpp.schemas.multiples import End
from janfs.engines.llama_cpp.schemas.numbers import ends
from janfs.engines.llama_cpp.schemas.objects import Compiling, additional
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
            return all(_apart(compiling, way, theirs, deepest - 1) for way in ways_of(mine, word))
        if word in theirs:
            return all(_apart(compiling, mine, way, deepest - 1) for way in ways_of(theirs, word))
    for values, schema in ((listed(mine), theirs), (listed(theirs), mine)):
        if values is not None:
            return not any(can_be(value, schema) for value in values)
    both = _with_integers(written(mine)) & _with_integers(accepted(theirs))
    if both == {"number"}:
        return _numbers_apart(mine, theirs)
    return not both or (both == {"object"} and _objects_apart(compiling, mine, theirs, deepest))


def _with_integers(kinds: Sequence[str]) -> set[str]:
    """The same kinds, an integer being a number."""
    return {"number" if kind == "integer" else kind for kind in kinds}


def _numbers_apart(one: Schema, other: Schema) -> bool:
    (low, high), (other_low, other_high) = ends(one), ends(other)
    return _is_below(high, other_low) or _is_below(other_high, low)


def _is_below(high: End | None, low: End | None) -> bool:
    """Whether all numbers up to one bound are below those from another one on."""
    if high is None or low is None:
        return False
    return high.value < low.value or (high.value == low.value and (high.strict or low.strict))


def _objects_apart(compiling: Compiling, one: Schema, other: Schema, deepest: int) -> bool:
    mine, theirs = one.get("properties", {}), other.get("properties", {})
    sure, needed = one.get("required", ()), other.get("required", ())
    only_named = additional(one) is False and "patternProperties" not in one
    if only_named and {*needed} - {*mine, *sure}:
        return True
    if (
        other.get("additionalProperties") is False
        and "patternProperties" not in other
        and {*sure} - {*theirs}
    ):
        return True
    shared = [name for name in sure if name in theirs]
    return any(_apart(compiling, mine.get(name, True), theirs[name], deepest - 1) for name in shared)
