"""What is different between two model.json, leaf by leaf. A list is one leaf; an empty object has none."""

import difflib
import json
import re
from collections.abc import Iterable
from typing import Any, Literal

from msgspec import UNSET, Struct, UnsetType

Path = tuple[str, ...]
_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_PLAIN_KEY = re.compile(r"[\w$-]+")


class Change(Struct, frozen=True, omit_defaults=True):
    """One leaf that is there on one side only, or has another value on each; `path` are the keys to it."""

    path: Path
    kind: Literal["added", "removed", "changed"]
    old: Any | UnsetType = UNSET
    new: Any | UnsetType = UNSET


def compare(old: Any, new: Any) -> list[Change]:
    """The leaves that differ: those of the new value in its order, then those that are gone."""
    before, after = leaves(old), leaves(new)
    changes: list[Change] = []
    for path, value in after.items():
        if path not in before:
            changes.append(Change(path, "added", new=value))
        elif not same(before[path], value):
            changes.append(Change(path, "changed", before[path], value))
    changes += [Change(path, "removed", before[path]) for path in before if path not in after]
    return changes


def unified(old: bytes, new: bytes, old_name: str, new_name: str) -> str:
    """The difference of two texts by lines, as `diff -u` has it; empty where there is none."""
    before, after = (_LINE.findall(text.decode(errors="replace")) for text in (old, new))
    lines = difflib.unified_diff(before, after, old_name, new_name)
    return "".join(
        line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines
    )


def spelled(path: Iterable[str]) -> str:
    """A path as people read it: keys joined by dots, and in quotes where they are no plain words."""
    return ".".join(key if _PLAIN_KEY.fullmatch(key) else json.dumps(key) for key in path)


def leaves(value: Any) -> dict[Path, Any]:
    """Every leaf by the keys that lead to it, in the order of the text."""
    found: dict[Path, Any] = {}
    _collect(value, (), found)
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


def _collect(value: Any, path: Path, found: dict[Path, Any]) -> None:
    if isinstance(value, dict):
        for key, inner in value.items():
            _collect(inner, (*path, key), found)
    else:
        found[path] = value
