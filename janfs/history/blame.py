"""Who set each leaf of a model.json, and when. Pure."""

from collections.abc import Iterable
from typing import Any

from msgspec import Struct

from janfs.history.versions import Version
from janfs.manifest.leaves import Pointer, leaves, same


class Blamed(Struct, frozen=True, omit_defaults=True):
    """A leaf with its value, and the event that gave it this value; `path` are the keys to it.

    `header` is the key of the GGUF header that we took it from, where we did.
    """

    path: Pointer
    value: Any
    position: int
    recorded_at: str
    actor: str
    type: str
    header: str | None = None


def blame(texts: Iterable[tuple[Version, Any]]) -> list[Blamed]:
    """The leaves of the last of these versions, each with the version that gave it its value.

    The versions are those that could be read, in order, each with what it says. A file that went away and
    came back as it was has the same author as before.
    """
    known: dict[Pointer, Blamed] = {}
    for version, value in texts:
        now: dict[Pointer, Blamed] = {}
        for path, leaf in leaves(value).items():
            before = known.get(path)
            if before is not None and same(before.value, leaf):
                now[path] = before
            else:
                now[path] = Blamed(
                    path, leaf, version.position, version.recorded_at, version.actor, version.type
                )
        known = now
    return list(known.values())
