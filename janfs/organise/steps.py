"""What the planner may ask for: decisions for the log, and deeds for the disk."""

from collections.abc import Container

from msgspec import Struct

from janfs.events.types import CopyHow, Event, PartPaired
from janfs.folder.filesystem import Stamp
from janfs.folder.gguf import GgufFacts


class Policy(Struct, frozen=True):
    """What the planner has to keep to besides the catalogue.

    With `organise` off nothing is moved, and models are registered where they lie. `arriving` are folders
    that hold files which are not whole yet, the `unfinished`; what is in those `held` is still coming, and is
    left alone. The names in `models/` that are `taken` are so by something on the disk, which the catalogue
    need not know. What is `resting` was taken out of its model's folder lately, and stays out for a while.
    """

    organise: bool = True
    arriving: Container[str] = ()
    held: Container[str] = ()
    taken: Container[str] = ()
    unfinished: Container[str] = ()
    resting: Container[str] = ()


class Decide(Struct, frozen=True):
    """Put decisions into the log, each with its stream; nothing happens on disk. `cause` led to them."""

    events: tuple[tuple[str, Event], ...]
    cause: int


def is_pairing(step: Decide) -> bool:
    """Whether a part joins a model: the one that it fits of those that are known, or one that names it."""
    return any(isinstance(event, PartPaired) for _, event in step.events)


class Move(Struct, frozen=True):
    """Move a file into the folder of its model."""

    uid: str
    source: str
    target: str
    stamp: Stamp
    cause: int


class Copy(Struct, frozen=True):
    """Give a file a second place; of a symbolic link `source` may be an absolute path elsewhere."""

    uid: str
    source: str
    target: str
    how: CopyHow
    stamp: Stamp | None
    cause: int


class Generate(Struct, frozen=True):
    """Generate a model's model.json, or anew if there is one; `stamp` is its (first) binary's, `size` that
    of all. `made_from` is a digest of what goes into it.
    """

    uid: str
    path: str
    file_names: tuple[str, ...]
    size: int
    stamp: Stamp
    facts: GgufFacts
    cause: int
    mmproj: str | None = None
    made_from: str = ""
    anew: bool = False


Step = Decide | Move | Copy | Generate
