"""Where each value of a JSON text stands."""

from collections.abc import Mapping
from typing import NamedTuple

from janfs.errors import ManifestError
from janfs.manifest import jsonc


class Place(NamedTuple):
    """Line and column, in characters, both counted from 1."""

    line: int
    column: int


def positions(text: str | bytes) -> dict[str, Place]:
    """Where every member and list entry stands, by paths such as `engine_parameters.ngl` or `sources[0].url`.

    A member stands where its key begins. Raises `ManifestError` for a text that cannot be read.
    """
    text = jsonc.decode(text)
    jsonc.parse(text)
    offsets = _offsets(text)
    return dict(zip(offsets, _places(text, list(offsets.values())), strict=True))


def placed(error: ManifestError, text: str | bytes) -> ManifestError:
    """An error about a value, with the place of the nearest thing that stands in the text."""
    if error.line or not error.path:
        return error
    found = positions(text)
    path = error.path
    while path and path not in found:
        path = path[: max(path.rfind("."), path.rfind("["), 0)]
    place = found.get(path, Place(1, 1))
    return ManifestError(error.detail, line=place.line, column=place.column, path=error.path)


def _offsets(text: str) -> Mapping[str, int]:
    """Where members and entries begin, in the order of the text, which is known to be sound."""
    found: dict[str, int] = {}
    containers: list[tuple[str, int | None]] = []  # path, and the number of the next entry of a list
    key: tuple[str, int] | None = None
    for token in jsonc.tokenize(text):
        raw = text[token.start : token.end]
        if token.kind in ("space", "comment") or raw in (":", ","):
            continue
        if raw in ("}", "]"):
            containers.pop()
            continue
        path, number = containers[-1] if containers else ("", None)
        if containers and number is None and key is None:
            key = jsonc.parse(raw), token.start
            continue
        here, start = path, token.start
        if number is not None:
            here = f"{path}[{number}]"
            containers[-1] = path, number + 1
        elif key is not None:
            here, start = f"{path}.{key[0]}" if path else key[0], key[1]
        if containers:
            found.setdefault(here, start)
        key = None
        if raw in ("{", "["):
            containers.append((here, None if raw == "{" else 0))
    return found


def _places(text: str, offsets: list[int]) -> list[Place]:
    """Lines and columns of offsets that ascend, in one pass."""
    breaks = [found.end() for found in jsonc.LINE_BREAK.finditer(text)]
    places, line = [], 0
    for offset in offsets:
        while line < len(breaks) and breaks[line] <= offset:
            line += 1
        places.append(Place(line + 1, offset - (breaks[line - 1] if line else 0) + 1))
    return places
