"""What is different between two model.json, leaf by leaf. A list is one leaf; an empty object has none."""

import difflib
import json
import re
from collections.abc import Iterable
from typing import Any, Literal

from msgspec import UNSET, Struct, UnsetType

from janfs.manifest.leaves import Pointer, leaves, same

_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_PLAIN_KEY = re.compile(r"[\w$-]+")


class Change(Struct, frozen=True, omit_defaults=True):
    """One leaf that is there on one side only, or has another value on each; `path` are the keys to it."""

    path: Pointer
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
