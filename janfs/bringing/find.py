"""What is worth taking of a file or a tree: LM Studio's, a hub cache's, llama.cpp's, Jan's, anyone's.

Hugging Face's cache keeps files as `blobs/<digest>` and links to them as
`models--ORG--REPO/snapshots/<commit>/<file>`; a folder that its tool downloaded into has their digests in
`.cache/huggingface/download/<file>.metadata`. Jan's old model.json may name a file elsewhere by its path.
"""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from janfs.folder import paths

_COMPANION = re.compile(
    r"(?i)(readme|licen[cs]e|copying|notice|use_policy|model[_-]card).*|.*\.(md|jinja|txt)|model\.ya?ml|model\.json"
)
_HUB = re.compile(r"models--(.+)")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_BLOB = re.compile(r"[0-9a-f]{64}")
_DEEPEST = 16
_LARGEST_COMPANION = 64 * 1024 * 1024  # bytes


class Piece(Struct, frozen=True):
    """One file: where its content is, what it is called, and the digest that a hub gives it.

    `linked` says that it was found as a link: what is behind it belongs to somebody else.
    """

    source: Path
    name: str
    size: int
    linked: bool = False
    digest: str | None = None

    @property
    def is_binary(self) -> bool:
        """Whether it is one of a model's GGUF files."""
        return paths.is_binary(self.name)


class Find(Struct, frozen=True):
    """A file, or the files of a folder, that come as one; `name` is what the folder is called.

    `top` is the folder in which all was looked for, where it was one.
    """

    name: str
    pieces: tuple[Piece, ...]
    alone: bool = False
    top: Path | None = None

    @property
    def size(self) -> int:
        """Bytes of all."""
        return sum(piece.size for piece in self.pieces)


def find(path: Path) -> Iterator[Find]:
    """What is worth taking at and below a path, in the order of paths; of a link, what is behind it.

    Raises `OSError` for `path` itself.
    """
    if not path.is_dir():
        path.stat()
        piece = _piece(path)
        if piece is not None and piece.is_binary:
            yield Find(path.stem, (piece,), alone=True)
        return
    top = path.resolve()
    for folder, below, names in os.walk(top):
        here = Path(folder)
        deep = len(here.relative_to(top).parts)
        hidden = {name for name in below if name.startswith(".")}
        below[:] = sorted(name for name in below if name not in hidden and deep < _DEEPEST)
        pieces = [piece for name in sorted(names) if (piece := _piece(here / name)) is not None]
        pieces += _elsewhere(here, pieces)
        if path.is_symlink():
            pieces = [replace(piece, linked=True) for piece in pieces]
        if any(piece.is_binary for piece in pieces):
            yield Find(_called(here), tuple(pieces), top=top)


def _piece(path: Path) -> Piece | None:
    """A file that counts; None for what is no file, not whole, or none of a model's business."""
    if paths.is_ignored(path.name):
        return None
    try:
        target = path.resolve(strict=True)
        size = target.stat().st_size
    except (OSError, RuntimeError):  # leads nowhere, or round in a circle
        return None
    if not target.is_file():
        return None
    if paths.is_binary(path.name):
        return Piece(target, path.name, size, path.is_symlink(), _digest(path, target))
    if _COMPANION.fullmatch(path.name) and size <= _LARGEST_COMPANION:
        return Piece(target, path.name, size, path.is_symlink())
    return None


def _digest(path: Path, target: Path) -> str | None:
    """What a hub says the content is: the name of its blob, or the metadata beside it."""
    if path.is_symlink() and _BLOB.fullmatch(target.name) and target.parent.name == "blobs":
        return target.name
    metadata = path.parent / ".cache" / "huggingface" / "download" / f"{path.name}.metadata"
    try:
        lines = metadata.read_text().split("\n")
        fresh = target.stat().st_mtime <= float(lines[2]) + 1
    except (OSError, ValueError, IndexError):
        return None
    return lines[1] if fresh and _BLOB.fullmatch(lines[1]) else None


def _elsewhere(folder: Path, pieces: list[Piece]) -> list[Piece]:
    """The files that a model.json of Jan names by their paths, where the folder itself has none."""
    manifest = folder / paths.MANIFEST
    if any(piece.is_binary for piece in pieces) or not manifest.is_file():
        return []
    try:
        sources = json.loads(manifest.read_text(encoding="utf-8-sig")).get("sources")
    except (OSError, ValueError, AttributeError):
        return []
    found = []
    for source in sources if isinstance(sources, list) else []:
        url = source.get("url") if isinstance(source, dict) else None
        if isinstance(url, str) and url.startswith("/") and paths.is_binary(url):
            piece = _piece(Path(url))
            if piece is not None:
                found.append(Piece(piece.source, piece.name, piece.size, linked=True, digest=piece.digest))
    return found


def _called(folder: Path) -> str:
    """What a folder is called; a snapshot of a hub's cache after its repository."""
    if _COMMIT.fullmatch(folder.name) and folder.parent.name == "snapshots":
        match = _HUB.fullmatch(folder.parent.parent.name)
        if match is not None:
            return match[1].rpartition("--")[2]
    return folder.name or "models"
