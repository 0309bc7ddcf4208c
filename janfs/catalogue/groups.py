"""Which files make one model: shards belong together, projectors and adapters are parts of models. Pure."""

from collections.abc import Iterable, Sequence
from typing import Literal

from msgspec import Struct

from janfs.catalogue.entries import File
from janfs.folder import paths
from janfs.manifest.schema import Manifest

Kind = Literal["model", "projector", "adapter", "other"]
_KINDS: dict[str, Kind] = {"mmproj": "projector", "adapter": "adapter", "imatrix": "other", "vocab": "other"}


class Group(Struct, frozen=True, gc=False):
    """The GGUF files of one model, or of one part of models; shards in the order of their numbers."""

    kind: Kind
    files: tuple[File, ...]

    @property
    def head(self) -> File:
        """The file that an engine is given; of a set of shards the first that is here."""
        return self.files[0]

    @property
    def is_part(self) -> bool:
        """Whether it is a projector or an adapter, which belong to models and are none."""
        return self.kind in ("projector", "adapter")

    @property
    def missing(self) -> tuple[str, ...]:
        """Names of the shards that are not here."""
        known = paths.shard(self.head.path)
        if known is None:
            return ()
        here = {shard.number for file in self.files if (shard := paths.shard(file.path)) is not None}
        absent = (number for number in range(1, known.count + 1) if number not in here)
        return tuple(f"{number:05d}-of-{known.count:05d}" for number in absent)


def group(files: Iterable[File]) -> list[Group]:
    """The GGUF files that can be used, as groups, by path of their heads."""
    sets: dict[tuple[str, int], list[File]] = {}
    for file in files:
        if paths.is_binary(file.path) and file.refused is None and file.facts is not None:
            shard = _shard(file)
            sets.setdefault((file.path, 1) if shard is None else (shard.stem, shard.count), []).append(file)
    groups = [_group(sorted(members, key=_order)) for members in sets.values()]
    return sorted(groups, key=lambda each: each.head.path)


def is_part(file: File) -> bool:
    """Whether a file is a projector or an adapter, which belong to models and are none."""
    return file.facts is not None and _KINDS.get(file.facts.type) in ("projector", "adapter")


def of_kind(groups: Iterable[Group], kind: Kind) -> list[Group]:
    """Those that are of one kind."""
    return [each for each in groups if each.kind == kind]


def named(manifest: Manifest | None, parameter: str) -> str | None:
    """The name of the file that a model.json gives as an engine parameter, without its folders."""
    value = manifest.engine_parameters.get(parameter) if manifest is not None else None
    return value.replace("\\", "/").rpartition("/")[2] or None if isinstance(value, str) else None


def chosen(groups: Sequence[Group], manifest: Manifest | None) -> Group | None:
    """The one of several models in a folder that its model.json means; None when that is not clear.

    The only one needs no naming, unless another is named.
    """
    wanted = named(manifest, "llama_model_path")
    if wanted is not None:
        return next((each for each in groups if _has(each, {wanted})), None)
    if len(groups) == 1:
        return groups[0]
    sources = {source.filename for source in manifest.sources} if manifest is not None else set()
    listed = [each for each in groups if _has(each, sources)]
    return listed[0] if len(listed) == 1 else None


def _has(each: Group, names: Iterable[str | None]) -> bool:
    return any(paths.shown_name(file.path) in names for file in each.files)


def _shard(file: File) -> paths.Shard | None:
    """What a file's name says of its set, unless its header says otherwise, as that of a part does that says
    nothing of shards.
    """
    shard = paths.shard(file.path)
    count = file.facts.split_count if file.facts is not None else None
    if shard is None or (count is None and is_part(file)):
        return None
    return shard if count in (None, shard.count) else None


def _order(file: File) -> tuple[int, str]:
    shard = paths.shard(file.path)
    return (0 if shard is None else shard.number, file.path)


def _group(files: Sequence[File]) -> Group:
    known = next((file.facts for file in files if file.facts is not None and file.facts.architecture), None)
    facts = known or files[0].facts
    return Group(_KINDS.get(facts.type, "model") if facts is not None else "model", tuple(files))
