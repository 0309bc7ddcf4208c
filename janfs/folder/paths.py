"""Paths as they stand in the log: relative to the root, `/`-separated, always valid Unicode.

A name on disk is bytes. Bytes that are not UTF-8 are written `%XX`, and a literal `%` as `%25`, so that
every name has exactly one spelling and every spelling leads back to its name.
"""

import posixpath
import re
import unicodedata

from msgspec import Struct

MODELS = "models"
ENGINES = "engines"
PRIVATE = ".janfs"
TRASH = f"{PRIVATE}/trash"
NEAR_TRASH = f"{MODELS}/.janfs-trash"  # where `models/` is a disk of its own
MANIFEST = "model.json"
TEMP_PREFIX = ".janfs-"
ARCHIVE_SUFFIX = ".janfs.tar"

_OF_OURS = re.compile(re.escape(TEMP_PREFIX) + r"[0-9a-f]{32}(?:\.tmp|-(?P<home>.+))")
_IN_A_FOLDER = f"/{MANIFEST}"

_ESCAPED = re.compile(r"%([0-9A-F]{2})")


def encode_name(raw: bytes) -> str:
    """One name as it stands on disk, in its spelling for the log."""
    try:
        return raw.decode().replace("%", "%25")
    except UnicodeDecodeError:
        escaped = raw.decode("utf-8", "surrogateescape").replace("%", "%25")
    return "".join(f"%{ord(c) - 0xDC00:02X}" if 0xDC80 <= ord(c) <= 0xDCFF else c for c in escaped)


def encode_path(shown: str) -> str:
    """A path as a person writes it, in its spelling for the log."""
    return "/".join(encode_name(part.encode(errors="surrogateescape")) for part in shown.split("/"))


def decode_path(path: str) -> bytes:
    """The bytes on disk of a path as it stands in the log."""
    if "%" not in path:
        return path.encode()
    parts = _ESCAPED.split(path)
    return b"".join(
        bytes([int(part, 16)]) if index % 2 else part.encode() for index, part in enumerate(parts)
    )


def shown_name(path: str) -> str:
    """The last part of `path` as a person would write it; bytes that are not UTF-8 as U+FFFD."""
    return decode_path(name(path)).decode(errors="replace")


def folded(file_name: str) -> str:
    """What names have in common that some disks take for one: those that differ in case or Unicode form.

    Canonical caseless matching, Unicode 15 section 3.13, D145.
    """
    if file_name.isascii():
        return file_name.lower()
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", file_name).casefold())


def join(*parts: str) -> str:
    """Parts joined by `/`."""
    return "/".join(parts)


def parent(path: str) -> str:
    """The folder that holds `path`; `""` for the root itself."""
    return path.rpartition("/")[0]


def name(path: str) -> str:
    """The last part of `path`."""
    return path.rpartition("/")[2]


def behind(path: str, link: str) -> str:
    """Where a link at `path` leads by its text; links on the way are not known."""
    return posixpath.normpath(posixpath.join(parent(path), link))


def temporary(target: str, op: str) -> str:
    """Where a new file is made before it gets its name; what a crash leaves there is swept away."""
    return join(parent(target), f"{TEMP_PREFIX}{op}.tmp")


def aside(target: str, op: str) -> str:
    """Where a file lies while another takes its place; after a crash it gets its name back."""
    return join(parent(target), f"{TEMP_PREFIX}{op}-{name(target)}")


def is_temporary(file_name: str) -> bool:
    """Whether a file is one of ours that is made, or was set aside."""
    return _OF_OURS.fullmatch(file_name) is not None


def home_of(path: str) -> str | None:
    """The name that a file had before it was set aside; None for one that was not."""
    found = _OF_OURS.fullmatch(name(path))
    return join(parent(path), found["home"]) if found is not None and found["home"] else None


def is_swapped(path: str) -> bool:
    """Whether a file of that name, in a folder of models, may be one that is set aside for another."""
    return is_manifest(path) or is_binary(path)


def place(path: str) -> str:
    """The unit that a file under `models/` belongs to: its folder, or the file itself when it lies loose."""
    folder = parent(path)
    return path if folder == MODELS else folder


def trashes(path: str) -> list[str]:
    """Where a file below `models/` may go when it is deleted, the best first: a trash on its own disk has to
    do where a disk is mounted somewhere on the way to it.
    """
    names = parent(path).split("/")
    near = name(NEAR_TRASH)
    return [TRASH, *("/".join((*names[:depth], near)) for depth in range(1, len(names) + 1))]


def is_inside(path: str, folder: str) -> bool:
    """Whether `path` is `folder` or lies below it."""
    return path == folder or path.startswith(folder + "/")


# Names that download and copy tools use until a file is whole; the file is looked at once it is renamed.
# Sources: curl, wget, rsync, browsers, aria2, huggingface_hub, rclone, Syncthing, Jan, LM Studio, editors.
_TEMPORARY_SUFFIXES = (
    ".part",
    ".partial",
    ".crdownload",
    ".download",
    ".downloading",
    ".downloadinprogress",
    ".incomplete",
    ".opdownload",
    ".tmp",
    ".temp",
    ".aria2",
    ".!qb",
    ".swp",
    ".swx",
    "~",
)


def is_ignored(file_name: str) -> bool:
    """Whether a name is private to some tool: dotfiles, editors' backups, unfinished downloads."""
    lowered = file_name.lower()
    return file_name.startswith((".", "#")) or lowered.endswith(_TEMPORARY_SUFFIXES) or file_name == "4913"


_SHARD = re.compile(r"(.+)-(\d{5})-of-(\d{5})\.gguf", re.IGNORECASE)


class Shard(Struct, frozen=True, gc=False):
    """What a shard's name says: what all of its set share, its number from 1, and how many there are."""

    stem: str
    number: int
    count: int


def shard(path: str) -> Shard | None:
    """The shard that a name such as `x-00001-of-00003.gguf` claims to be; None for other names.

    The spelling is that of llama.cpp's `llama_split_path`.
    """
    match = _SHARD.fullmatch(name(path))
    if match is None:
        return None
    number, count = int(match[2]), int(match[3])
    return Shard(match[1], number, count) if 1 <= number <= count and count > 1 else None


def is_same_set(one: str, other: str) -> bool:
    """Whether two names are those of shards of one set."""
    first, second = shard(one), shard(other)
    if first is None or second is None:
        return False
    return (first.stem, first.count) == (second.stem, second.count)


def is_binary(path: str) -> bool:
    """Whether a name claims to be a GGUF file."""
    return path[-5:].lower() == ".gguf"


def is_archive(path: str) -> bool:
    """Whether a name claims to be a model packed by `janfs export`."""
    return path.lower().endswith(ARCHIVE_SUFFIX)


def is_engine_file(path: str) -> bool:
    """Whether a path holds the settings of an engine: `engines/<engine>.json`."""
    return parent(path) == ENGINES and path.endswith(".json") and not is_ignored(name(path))


def is_manifest(path: str) -> bool:
    """Whether a path is a model folder's model.json."""
    return path.endswith(_IN_A_FOLDER) and path != f"{MODELS}/{MANIFEST}"
