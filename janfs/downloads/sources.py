"""What is to be fetched, as a model.json says it. Pure."""

import re
from urllib.parse import unquote, urlsplit

from msgspec import Struct

from janfs.errors import InvalidInput
from janfs.folder import paths
from janfs.manifest.schema import Manifest

_DIGEST = re.compile(r"[0-9a-fA-F]{64}\Z")
_BLOB = re.compile(r"(https?://(?:www\.)?(?:hf\.co|huggingface\.co)/[^/]+/[^/]+)/blob/(.+)")
_LONGEST_NAME = 200  # bytes, of the 255 that a file name may have


class Wanted(Struct, frozen=True):
    """One file: where it is, what it will be called, and its SHA-256 and size where they are known."""

    url: str
    file_name: str
    sha256: str | None = None
    size: int | None = None


def wanted_of(manifest: Manifest) -> tuple[Wanted, ...]:
    """The files that a model.json names by an address. Raises `InvalidInput` for a name that cannot be."""
    remote = [source for source in manifest.sources if source.url and is_address(source.url)]
    digest = manifest.metadata.get("sha256")
    known = digest.lower() if isinstance(digest, str) and _DIGEST.match(digest) and len(remote) == 1 else None
    found = tuple(wanted(source.url or "", source.filename, known) for source in remote)
    names = [each.file_name for each in found]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InvalidInput(f"model.json names {twice} twice among its sources.", param="sources")
    return found


def wanted(
    url: str, file_name: str | None = None, sha256: str | None = None, size: int | None = None
) -> Wanted:
    """A file at an address; without a name it takes the last part of the address.

    Raises `InvalidInput` for an address that is none, and for a name that is none, or that would lead out of
    the folder.
    """
    direct = _BLOB.sub(r"\1/resolve/\2", url)
    try:
        name = file_name or unquote(urlsplit(direct).path.rpartition("/")[2])
    except ValueError as error:
        raise InvalidInput(f"{url} is no address: {error}.", param="sources") from error
    bad = (
        not name
        or name != name.strip()
        or any(c in "/\\" or not c.isprintable() for c in name)
        or paths.is_ignored(name)
        or name.lower() == paths.MANIFEST
        or len(name.encode()) > _LONGEST_NAME
    )
    if bad:
        raise InvalidInput(f"{name!r} cannot be the name of a downloaded file ({url}).", param="sources")
    return Wanted(direct, name, sha256, size)


def whole_set(one: Wanted) -> tuple[Wanted, ...]:
    """All shards of the set that a file is one of, in order; any other file alone."""
    shard = paths.shard(one.file_name)
    if shard is None:
        return (one,)
    numbers = [f"{number:05}-of-{shard.count:05}" for number in range(1, shard.count + 1)]
    before, own, after = one.url.rpartition(numbers[shard.number - 1])
    stem, _, ending = one.file_name.rpartition(numbers[shard.number - 1])
    return tuple(wanted(before + each + after, stem + each + ending) for each in numbers) if own else (one,)


def is_address(text: str) -> bool:
    """Whether a source is fetched from the net; anything else is a file's name."""
    return text.lower().startswith(("http://", "https://"))
