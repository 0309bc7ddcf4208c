"""Model ids from file names: a pure function, so that the same file gets the same id everywhere."""

import re
import unicodedata
from collections.abc import Container

from janfs.folder import paths

MAX_LENGTH = 96  # characters; leaves room for suffixes within the 255 bytes of a file name
_FALLBACK = "model"
_NOT_ALLOWED = re.compile(r"[^a-z0-9._-]+")
_END = re.compile(r"(\.gguf|[._-])+$")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_SAYS_NOTHING = re.compile(r"(?:ggml-)?(?:model|unnamed|gguf|ggml)([-._](?:i?q|b?f|fp|tq|mxfp)\d\w*)?")
# Windows' device names: a folder of that name could not be copied there.
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?")


def id_from_file_name(file_name: str, folder_name: str | None = None) -> str:
    """The id for a binary: lower case, `[a-z0-9._-]`, the quantisation kept, never empty, `.` or `..`.

    `Zephyr 7B beta.Q4_K_M.gguf` gives `zephyr-7b-beta.q4_k_m`; of a shard the part before its number counts.
    A name that says nothing, such as `model.gguf`, takes that of the folder it lies in, where there is one.
    """
    shard = paths.shard(file_name)
    cleaned = _clean(shard.stem if shard is not None else file_name)
    if folder_name is not None and (match := _SAYS_NOTHING.fullmatch(cleaned)):
        return _clean(folder_name + (match[1] or ""))
    return cleaned


def id_from_folder(folder_name: str) -> str:
    """The id for a folder that holds a model: its name as it stands where that can be an id."""
    if len(folder_name) <= MAX_LENGTH and _ID.fullmatch(folder_name):
        return folder_name
    return _clean(folder_name)


def free_id(wanted: str, taken: Container[str]) -> str:
    """`wanted`, or the first of `wanted-2`, `wanted-3`, ... that is not taken."""
    if wanted not in taken:
        return wanted
    number = 2
    while f"{wanted}-{number}" in taken:
        number += 1
    return f"{wanted}-{number}"


def _clean(name: str) -> str:
    name = name.replace("%25", "%")  # how paths spell it
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    cleaned = _NOT_ALLOWED.sub("-", ascii_name.lower())
    cleaned = _END.sub("", re.sub(r"-{2,}", "-", cleaned)).lstrip("-._")
    if _RESERVED.fullmatch(cleaned):
        cleaned = f"{_FALLBACK}-{cleaned}"
    return _END.sub("", cleaned[:MAX_LENGTH]) or _FALLBACK
