"""A JSON document by its leaves: what stands at which path, and what changes make of it.

A leaf is whatever is not an object; a list is one leaf, with all that is in it.
"""

import enum
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

Pointer = tuple[str, ...]
"""The keys that lead to a place, from the outermost in."""


class _Removed(enum.Enum):
    REMOVED = "removed"


REMOVED: Final = _Removed.REMOVED
"""In place of a value: nothing stands there, or nothing is to stand there."""

Changes = Mapping[Pointer, Any]
"""What is to stand where, `REMOVED` for nothing; carried out in their order."""


def leaves(document: Any) -> dict[Pointer, Any]:
    """Every leaf of an object, in order; an empty object has none."""
    return dict(_leaves(document, ()))


def _leaves(document: Any, at: Pointer) -> Iterator[tuple[Pointer, Any]]:
    if not isinstance(document, dict):
        yield at, document
        return
    for key, value in document.items():
        yield from _leaves(value, (*at, key))


def objects(document: Any, at: Pointer = ()) -> Iterator[Pointer]:
    """Where objects stand inside of an object, outer ones first."""
    for key, value in document.items():
        if isinstance(value, dict):
            yield (*at, key)
            yield from objects(value, (*at, key))


def find(document: Any, pointer: Pointer) -> Any:
    """What stands at a place; `REMOVED` if nothing does."""
    for key in pointer:
        if not isinstance(document, dict) or key not in document:
            return REMOVED
        document = document[key]
    return document


def applied(document: dict[str, Any], changes: Changes) -> dict[str, Any]:
    """Another document, with these changes; what is on the way to a new value and no object becomes one."""
    ours: dict[int, Any] = {}
    for pointer, value in changes.items():
        document = _applied(document, pointer, value, ours)
    return document


def _applied(document: Any, pointer: Pointer, value: Any, ours: dict[int, Any]) -> Any:
    """A copy with the change; `ours`, by their identity, are copies already, and not made anew for each."""
    if id(document) in ours:
        here = document
    else:
        here = dict(document) if isinstance(document, dict) else {}
        ours[id(here)] = here
    key, rest = pointer[0], pointer[1:]
    if value is not REMOVED:
        here[key] = _applied(here.get(key), rest, value, ours) if rest else value
    elif key in here and not rest:
        del here[key]
    elif isinstance(here.get(key), dict):
        here[key] = _applied(here[key], rest, value, ours)
    return here


def differences(before: Any, after: Any, at: Pointer = ()) -> dict[Pointer, Any]:
    """The changes that make one object of another; `applied` carries them out."""
    found: dict[Pointer, Any] = {(*at, key): REMOVED for key in before if key not in after}
    for key, value in after.items():
        here = (*at, key)
        if key in before and isinstance(value, dict) and isinstance(before[key], dict):
            found |= differences(before[key], value, here)
        elif key not in before or json.dumps(before[key]) != json.dumps(value):
            found[here] = value
    return found


def same(left: Any, right: Any) -> bool:
    """Whether two values are one: 1 is 1.0, but not true."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    return bool(left == right)


def fits(value: Any, levels: int) -> bool:
    """Whether no more than so many objects and lists stand in one another; however many there are."""
    holders = _holders([value])
    while holders and levels > 0:
        holders = [inner for outer in holders for inner in _holders(outer)]
        levels -= 1
    return not holders and levels >= 0


def _holders(values: dict[str, Any] | list[Any]) -> list[dict[str, Any] | list[Any]]:
    inner = values.values() if isinstance(values, dict) else values
    return [each for each in inner if isinstance(each, dict | list)]


def covers(pointers: frozenset[Pointer] | set[Pointer], pointer: Pointer) -> bool:
    """Whether a place, or an object that it stands in, is among `pointers`."""
    return any(pointer[:length] in pointers for length in range(1, len(pointer) + 1))


def to_text(pointer: Pointer) -> str:
    """A path as text, by RFC 6901: `/engine_parameters/ctx_len`."""
    return "".join("/" + key.replace("~", "~0").replace("/", "~1") for key in pointer)


def from_text(text: str) -> Pointer:
    """The path that `to_text` wrote."""
    return tuple(key.replace("~1", "/").replace("~0", "~") for key in text.split("/")[1:])
