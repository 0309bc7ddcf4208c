"""What becomes of a model.json when something else would be generated: the person's word goes before ours.

Leaf by leaf, three versions are compared: what was generated last (`base`), what the file says, and what
would be generated now (`ours`). A leaf that is not as it was generated is the person's for good; so is one
that they took out, and an object that they took out with all that may ever come into it. What is the
person's is remembered (`owned`), for their value may come to be the same as ours by accident. Paths are
canonical but for those in `changes`, which are the file's own.
"""

from collections.abc import Iterable
from typing import Any

from msgspec import Struct

from janfs.manifest.leaves import REMOVED, Changes, Pointer, covers, leaves, objects, same
from janfs.manifest.places import Places


class Conflict(Struct, frozen=True):
    """The person's value stays where ours is another now; `REMOVED` for none."""

    pointer: Pointer
    theirs: Any
    ours: Any


class Merge(Struct, frozen=True):
    """What to change in the file, what is the person's from now on, and where the two differ."""

    changes: Changes
    owned: frozenset[Pointer]
    conflicts: tuple[Conflict, ...]


def claimed(base: dict[str, Any], disk: dict[str, Any], owned: Iterable[Pointer] = ()) -> frozenset[Pointer]:
    """What is the person's: what was (`owned`), and all in which the file differs from what was generated."""
    places = Places(disk)
    found = set(owned)
    generated = leaves(base)
    for pointer in objects(base):
        inside = [leaf for leaf in generated if leaf[: len(pointer)] == pointer and not covers(found, leaf)]
        if inside and not isinstance(places.value(pointer), dict):
            found.add(pointer)
    for pointer in (*generated, *places):
        if covers(found, pointer):
            continue
        if pointer in places.twice or not same(generated.get(pointer, REMOVED), places.value(pointer)):
            found.add(pointer)
    return frozenset(found)


def merge(
    base: dict[str, Any], disk: dict[str, Any], ours: dict[str, Any], owned: Iterable[Pointer] = ()
) -> Merge:
    """How to bring the file to `ours` without touching what is the person's."""
    owners = set(claimed(base, disk, owned))
    places = Places(disk)
    before, after = leaves(base), leaves(ours)
    changes: dict[Pointer, Any] = {}
    conflicts: list[Conflict] = []
    for pointer in dict.fromkeys((*before, *after)):
        wanted = after.get(pointer, REMOVED)
        if same(before.get(pointer, REMOVED), wanted):
            continue
        theirs = places.value(pointer)
        if not covers(owners, pointer) and not any(own[: len(pointer)] == pointer for own in owners):
            changes[places.of(pointer)] = wanted
        elif not same(theirs, wanted):
            conflicts.append(Conflict(pointer, theirs, wanted))
            owners.add(pointer)
    return Merge(changes, frozenset(owners), tuple(conflicts))
