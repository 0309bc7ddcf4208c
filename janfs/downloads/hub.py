"""What `janfs pull` takes: an address, or `hf:org/repo[:file]` of Hugging Face's hub. Choosing is pure.

A repository may also be spelled `hf.co/org/repo`, or as the address of its page.
"""

import os
import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from msgspec import Struct

from janfs.downloads.sources import Wanted, is_address, wanted
from janfs.errors import InvalidInput
from janfs.folder import paths

_DEFAULT = "https://huggingface.co"
_HUB = re.compile(
    r"(?:hf:(?://)?|(?:https?://)?(?:www\.)?(?:hf\.co|huggingface\.co)/)"
    r"([\w.-]+)/([\w.-]+)(?:/tree/main)?/?(?::(.+))?"
)
_PREFERRED = ("q4_k_m", "q4_0", "q8_0")  # llama.cpp's `-hf` takes Q4_K_M where nothing is said
_MOST_LISTED = 30


class Repository(Struct, frozen=True):
    """A repository of the hub; `choice` is a file's name or a quantisation in it."""

    name: str
    choice: str | None = None


class HubFile(Struct, frozen=True):
    """A file of a repository; `sha256` where the hub keeps it as a large one."""

    path: str
    size: int
    sha256: str | None = None


def parse(text: str) -> Wanted | Repository:
    """What someone wants to pull. Raises `InvalidInput`."""
    match = _HUB.fullmatch(text)
    if match is None and is_address(text):
        return wanted(text)
    if match is None:
        raise InvalidInput(
            f"{text!r} is neither an address nor hf:org/repo or hf:org/repo:file.", param="source"
        )
    return Repository(f"{match[1]}/{match[2]}", match[3])


def address() -> str:
    """Where the hub is: as its own tools take it from the environment."""
    return (os.environ.get("HF_ENDPOINT") or _DEFAULT).rstrip("/")


def listing_url(endpoint: str, repository: Repository) -> str:
    """Where the hub lists a repository's files."""
    return f"{endpoint}/api/models/{repository.name}/tree/main?recursive=true"


def files_of(listing: Any) -> list[HubFile]:
    """The hub's list of files, as far as it makes sense."""
    found = []
    for item in listing if isinstance(listing, list) else []:
        if isinstance(item, dict) and item.get("type") == "file" and isinstance(item.get("path"), str):
            lfs, size = item.get("lfs"), item.get("size")
            said = lfs.get("oid") if isinstance(lfs, dict) else None
            digest = said if isinstance(said, str) else None
            known = size if isinstance(size, int) and not isinstance(size, bool) else 0
            found.append(HubFile(item["path"], max(0, known), digest))
    return found


def choose(endpoint: str, repository: Repository, files: Sequence[HubFile]) -> list[Wanted]:
    """The files to fetch: one model with all its shards, and its projector. Raises `InvalidInput`."""
    binaries = [file for file in files if paths.is_binary(file.path)]
    models: dict[str, list[HubFile]] = {}
    projectors = [file for file in binaries if "mmproj" in paths.name(file.path).lower()]
    for file in binaries:
        if file not in projectors:
            models.setdefault(_model_of(file.path), []).append(file)
    chosen = _pick(repository, models)
    if projectors and not (repository.choice and paths.is_binary(repository.choice)):
        chosen = [*chosen, min(projectors, key=lambda f: ("f16" not in f.path.lower(), f.path))]
    base = f"{endpoint}/{repository.name}/resolve/main/"
    return [
        wanted(base + quote(file.path), paths.name(file.path), file.sha256, file.size or None)
        for file in sorted(chosen, key=lambda f: f in projectors)
    ]


def _pick(repository: Repository, models: dict[str, list[HubFile]]) -> list[HubFile]:
    names = sorted(models)
    if not names:
        raise InvalidInput(f"{repository.name} holds no GGUF model.", param="source")
    if repository.choice is not None:
        said = repository.choice.lower()
        exact = [name for name in names if any(_is(file, said) for file in models[name])]
        like = exact or [name for name in names if _says(name, said.removesuffix(".gguf"))]
        if len(like) == 1:
            return models[like[0]]
    else:
        for quantisation in _PREFERRED:
            like = [name for name in names if _says(name, quantisation)]
            if len(like) == 1:
                return models[like[0]]
        if len(names) == 1:
            return models[names[0]]
    listed = ", ".join(names[:_MOST_LISTED]) + (", …" if len(names) > _MOST_LISTED else "")
    raise InvalidInput(
        f"Say which file of {repository.name} you want, as hf:{repository.name}:FILE. It has: {listed}.",
        param="source",
    )


def _model_of(path: str) -> str:
    """What all shards of a model share; folders often have files of the same names."""
    shard = paths.shard(path)
    return path if shard is None else path.removesuffix(paths.name(path)) + shard.stem


def _is(file: HubFile, said: str) -> bool:
    return said in (file.path.lower(), paths.name(file.path).lower())


def _says(name: str, part: str) -> bool:
    """Whether a name has this part, as a whole: Q4_K is not in Q4_K_M."""
    return re.search(rf"(?<![a-z0-9]){re.escape(part)}(?![a-z0-9_])", name.lower()) is not None
