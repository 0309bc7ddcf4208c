"""SHA-256 digests that others left beside a file: free, and as good as their word.

Hugging Face's hub names the blobs of its cache after their SHA-256, and keeps, for a file that it put into a
folder, `.cache/huggingface/download/<file>.metadata`: a line each for commit, etag and time. The etag of a
large file is its SHA-256; the library itself trusts it for a file that is no younger than the metadata.
"""

import re

from janfs.folder import paths
from janfs.folder.filesystem import FileSystem, Stat

_DIGEST = re.compile(r"[0-9a-f]{64}\Z")
_MOST = 4096  # bytes of metadata
_HOPS = 4


def claimed(fs: FileSystem, path: str, stat: Stat) -> str | None:
    """The SHA-256 that a hub says a file has, if it says one and it can be that file's still."""
    if stat.link is not None:
        return _of_link(fs, path, stat)
    if stat.stamp is None:
        return None
    metadata = paths.join(paths.parent(path), f".cache/huggingface/download/{paths.name(path)}.metadata")
    try:
        with fs.open(metadata) as file:
            lines = file.read_at(0, _MOST).decode("utf-8", "replace").split("\n")
        written = float(lines[2])
    except (OSError, IndexError, ValueError):  # no word of a hub
        return None
    if not stat.stamp.mtime_ns / 1e9 <= written + 1:
        return None
    return lines[1] if _DIGEST.match(lines[1]) else None


def _of_link(fs: FileSystem, path: str, stat: Stat) -> str | None:
    """The name of the blob that a link leads to, through links inside the root if need be."""
    for _ in range(_HOPS):
        link = stat.link
        if link is None:
            return None
        name = link.rsplit("/", 1)[-1]
        if _DIGEST.match(name) and paths.name(paths.parent(link)) == "blobs":
            return name
        if link.startswith("/"):
            return None
        parts: list[str] = paths.parent(path).split("/")
        for part in link.split("/"):
            if part == "..":
                if not parts:
                    return None
                parts.pop()
            elif part not in (".", ""):
                parts.append(part)
        path = "/".join(parts)
        try:
            found = fs.stat(path)
        except OSError:
            return None
        if found is None:
            return None
        stat = found
    return None
