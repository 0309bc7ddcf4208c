"""What an archive says of itself: its first member. Pure."""

import re
from itertools import accumulate
from typing import Any

import msgspec
from msgspec import Struct

from janfs.errors import ArchiveError
from janfs.folder import paths

FORMAT = 1
CONTENTS = "janfs.json"
HISTORY = "history.jsonl"
DOCUMENTS = "documents/"
FILES = "files/"
MOST_FILES = 10_000
MOST_CONTENTS = 16 * 1024 * 1024  # bytes of the first member
MOST_HISTORY = 1024 * 1024 * 1024  # bytes
MOST_DOCUMENT = 16 * 1024 * 1024  # bytes of one model.json
MOST_DOCUMENTS = 1024 * 1024 * 1024  # bytes of all of them, which are in memory until they are in the log
_DEEPEST = 8
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


class ArchivedFile(Struct, frozen=True):
    """One file of the model's folder, by its path below it."""

    name: str
    size: int
    sha256: str
    mtime_ns: int


class Contents(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`history` and each of `documents` are SHA-256 digests; `events` counts the history's lines.

    Where the model's log was compacted, `archived` counts the model's events before those, which are not
    here, and `archived_in` names the file that the last of them went to.
    """

    format: int
    id: str
    uid: str
    files: tuple[ArchivedFile, ...]
    events: int
    history: str
    history_size: int
    documents: dict[str, int]  # digest to size
    archived: int = 0
    archived_in: str | None = None


def encode(contents: Contents) -> bytes:
    """The first member's bytes."""
    return msgspec.json.format(msgspec.json.encode(contents), indent=1) + b"\n"


def decode(raw: bytes) -> Contents:
    """What an archive says of itself, if it makes sense. Raises `ArchiveError`."""
    try:
        head: Any = msgspec.json.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ArchiveError(f"Its {CONTENTS} is no JSON: {error}.") from error
    version = head.get("format") if isinstance(head, dict) else None
    if version != FORMAT:
        raise ArchiveError(f"Its format is {version!r}; this janfs reads {FORMAT}. A newer one may read it.")
    try:
        contents = msgspec.convert(head, Contents)
    except msgspec.MsgspecError as error:
        raise ArchiveError(f"Its {CONTENTS} makes no sense: {error}.") from error
    _check(contents)
    return contents


def check_name(name: str) -> None:
    """Whether a file's name stays in the model's folder, and can be seen there. Raises `ArchiveError`."""
    parts = name.split("/")
    bad = len(parts) > _DEEPEST or any(
        not part or part in (".", "..") or paths.is_ignored(part) or len(part.encode(errors="replace")) > 255
        for part in parts
    )
    if bad or "\\" in name or any(ord(c) < 32 or 0xD800 <= ord(c) <= 0xDFFF for c in name):
        raise ArchiveError(f"It holds a file called {name!r}, which could lead elsewhere.")


def _check(contents: Contents) -> None:
    if not _ID.fullmatch(contents.id) or contents.id.endswith("."):
        raise ArchiveError(f"Its model is called {contents.id!r}, which is no id.")
    if len(contents.files) > MOST_FILES or len(contents.documents) > MOST_FILES:
        raise ArchiveError(f"It holds more than {MOST_FILES:,} files.")
    seen: set[str] = set()
    folders: set[str] = set()
    for file in contents.files:
        check_name(file.name)
        folded = file.name.casefold()
        above = set(accumulate(folded.split("/")[:-1], "{}/{}".format))
        if folded in seen | folders or above & seen:
            raise ArchiveError(f"It holds {file.name!r} twice.")
        seen.add(folded)
        folders |= above
    digests = [contents.history, *contents.documents, *(file.sha256 for file in contents.files)]
    wrong = next((digest for digest in digests if not _DIGEST.fullmatch(digest)), None)
    if wrong is not None:
        raise ArchiveError(f"{wrong!r} is no SHA-256.")
    sizes = [contents.history_size, *contents.documents.values(), *(file.size for file in contents.files)]
    texts = contents.documents.values()
    too_much = (
        contents.history_size > MOST_HISTORY
        or max(texts, default=0) > MOST_DOCUMENT
        or sum(texts) > MOST_DOCUMENTS
    )
    if min(sizes) < 0 or too_much or min(contents.events, contents.archived) < 0:
        raise ArchiveError("It gives sizes that cannot be.")
    if any(not -(2**63) <= file.mtime_ns < 2**63 for file in contents.files):
        raise ArchiveError("It gives times that cannot be.")
