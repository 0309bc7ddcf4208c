"""Where a file with spellings of its own says what the specification says elsewhere.

A path in the specification's words is a canonical one. The places follow `spellings`, which reads them.
"""

from collections.abc import Iterator
from typing import Any

from janfs.manifest.leaves import Pointer, find, leaves
from janfs.manifest.parameters import ENGINE_PARAMETERS
from janfs.manifest.spellings import FROM_METADATA, RENAMED

ENGINE, MODEL = "engine_parameters", "model_parameters"
_SOURCES = ("sources", "source", "source_url")
# In the order in which they are read: what is found first holds.
_ENGINE_BLOCKS: tuple[Pointer, ...] = ((ENGINE,), ("settings",), ("parameters", "init"))
_MODEL_BLOCKS: tuple[Pointer, ...] = ((MODEL,), ("parameters", "runtime"), ("parameters",))
_METADATA = {**{key: (ENGINE, name) for key, name in FROM_METADATA.items()}, "engine": ("engine",)}


def canonical_pointer(pointer: Pointer) -> Pointer:
    """The canonical path of what stands at a path in a file."""
    head, rest = pointer[0], pointer[1:]
    if head in _SOURCES:
        return ("sources", *rest)
    if head == "metadata" and rest[:1] and rest[0] in _METADATA:
        return (*_METADATA[rest[0]], *rest[1:])
    if head == "parameters" and rest:
        if rest[0] in ("init", "runtime"):
            return (ENGINE if rest[0] == "init" else MODEL, *_renamed(rest[1:]))
        block = ENGINE if RENAMED.get(rest[0], rest[0]) in ENGINE_PARAMETERS else MODEL
        return (block, *_renamed(rest))
    if head in ("settings", "parameters"):
        return (ENGINE if head == "settings" else MODEL, *_renamed(rest))
    return (head, *_renamed(rest)) if head in (ENGINE, MODEL) else pointer


def _renamed(rest: Pointer) -> Pointer:
    return (RENAMED.get(rest[0], rest[0]), *rest[1:]) if rest else rest


class Places:
    """What a file says, by canonical path, and where it says it."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document
        self._leaves: dict[Pointer, Pointer] = {}
        self.twice: set[Pointer] = set()
        """What is said in two spellings; one of them holds."""
        for pointer in sorted(leaves(document), key=_precedence):
            canonical = canonical_pointer(pointer)
            if self._leaves.setdefault(canonical, pointer) != pointer:
                self.twice.add(canonical)

    def __iter__(self) -> Iterator[Pointer]:
        """The canonical paths of all leaves."""
        return iter(self._leaves)

    def of(self, canonical: Pointer) -> Pointer:
        """Where in this file that stands, or would stand if it were there."""
        if canonical in self._leaves:
            return self._leaves[canonical]
        if canonical[0] not in (ENGINE, MODEL):
            return canonical
        place = (*self._block(canonical[0]), *canonical[1:])
        return place if canonical_pointer(place) == canonical else canonical

    def value(self, canonical: Pointer) -> Any:
        """What stands there, an object too; `REMOVED` if nothing does."""
        return find(self._document, self.of(canonical))

    def _block(self, canonical: str) -> Pointer:
        """The block that holds a kind of parameters here; the specification's if there is none yet."""
        for block in _ENGINE_BLOCKS if canonical == ENGINE else _MODEL_BLOCKS:
            if isinstance(find(self._document, block), dict):
                return block
        flat = canonical == ENGINE and any(
            p[0] == "parameters" and c[0] == ENGINE for c, p in self._leaves.items()
        )
        return ("parameters",) if flat else (canonical,)


def _precedence(pointer: Pointer) -> tuple[int, bool, int]:
    """Current words before older ones, as the reader has it."""
    blocks = [
        (ENGINE,),
        (MODEL,),
        ("settings",),
        ("parameters", "init"),
        ("parameters", "runtime"),
        ("parameters",),
    ]
    place = next((n for n, block in enumerate(blocks) if pointer[: len(block)] == block), len(blocks))
    name = pointer[len(blocks[place])] if place < len(blocks) and len(pointer) > len(blocks[place]) else ""
    source = _SOURCES.index(pointer[0]) if pointer[0] in _SOURCES else 0
    return (len(blocks) + 1 if pointer[0] == "metadata" else place, name in RENAMED, source)
