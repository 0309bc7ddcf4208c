"""What a model's model.json said, and what became of it from one moment to another."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from janfs.catalogue.catalogue import Catalogue
from janfs.errors import NotFound
from janfs.folder import paths
from janfs.history import diff as by_leaf
from janfs.history.blame import Blamed, blame
from janfs.history.diff import Change
from janfs.history.versions import Version, in_force, last_change, on_disk, versions
from janfs.log import seam as seams
from janfs.log.reader import LogReader
from janfs.manifest import jsonc
from janfs.manifest.generate import Derived, from_header, stop_from_header
from janfs.manifest.leaves import Pointer, same
from janfs.manifest.secrets import as_recorded
from janfs.past.moments import check_told, happenings
from janfs.past.reasons import last_about
from janfs.pipeline.recorder import beginning
from janfs.views import stream_of


class ModelDiff(Struct, frozen=True, rename={"start": "from", "end": "to"}):
    """What is different in a model's model.json at two positions of the log.

    `changes` are those of the settings in force, leaf by leaf; `text` those of the file's lines, as `diff -u`
    has them. `before` and `after` are the versions that were in the folder then; null where there was none.
    """

    id: str
    start: int
    end: int
    before: Version | None
    after: Version | None
    changes: list[Change]
    text: str
    object: Literal["diff"] = "diff"


class ModelBlame(Struct, frozen=True):
    """Each leaf of a model's model.json, with who set it and when."""

    id: str
    leaves: list[Blamed]
    object: Literal["blame"] = "blame"


def versions_of(log: LogReader, uid: str) -> list[Version]:
    """Every version of a model's model.json, in order."""

    def foreign(path: str, before: int) -> str | None:
        found = last_about(log, path, before)
        return getattr(found.event, "sha256", None) if found is not None else None

    return versions(happenings(log.read(stream=uid)), foreign, _archived(log, uid))


def _archived(log: LogReader, uid: str) -> Version | None:
    """What the archived events of a compacted log had come to; who wrote what of it, the archive knows."""
    seam = log.seam
    if seam is None:
        return None
    files = (file for file in beginning(log).files.values() if file.uid == uid)
    known = (file for file in files if paths.is_manifest(file.path) or paths.is_engine_file(file.path))
    said = ((file.path, file.document) for file in known if file.document is not None)
    return next(
        (
            Version(seam.position, seam.recorded_at, "archive", seams.EVENT, None, path, document)
            for path, document in said
        ),
        None,
    )


def text_of(log: LogReader, version: Version | None) -> bytes:
    """The text of a version, without secrets that an older janfs recorded; nothing for none.

    Raises `NotFound` when the log does not have it.
    """
    if version is None or version.sha256 is None:
        return b""
    text = log.document(version.sha256)
    if text is None:
        raise NotFound(f"The log does not have the text of {version.path} at position {version.position}.")
    return as_recorded(version.path, text)


def diff(
    log: LogReader, catalogue: Catalogue, name: str, start: int | None = None, end: int | None = None
) -> ModelDiff:
    """What became of a model.json or an engine's file between two positions.

    Without `start`, the last change up to `end`.
    Without `end`, up to now. Raises `ModelNotFound`, or `EventsArchived` for a position before the seam.
    """
    uid = stream_of(catalogue, name)
    found = versions_of(log, uid)
    if start is None:
        begun = log.start.position
        told = [each for each in found if begun < each.position and (end is None or each.position <= end)]
        start, last = last_change(told) if told else (begun, begun)
        end = last if end is None else end
    end = catalogue.position if end is None else end
    check_told(log, min(start, end))
    before, after = on_disk(found, start), on_disk(found, end)
    return compare_texts(
        _name(catalogue, uid),
        (start, before, _settings(log, found, start), text_of(log, before)),
        (end, after, _settings(log, found, end), text_of(log, after)),
    )


Side = tuple[int, Version | None, Any, bytes]  # position, version, what it says, its text


def compare_texts(name: str, before: Side, after: Side) -> ModelDiff:
    """What is different between two sides."""
    known = after[1] or before[1]
    file = paths.MANIFEST if known is None else paths.name(known.path)
    old, new = f"{file} #{before[0]}", f"{file} #{after[0]}"
    return ModelDiff(
        id=name,
        start=before[0],
        end=after[0],
        before=before[1],
        after=after[1],
        changes=by_leaf.compare(before[2], after[2]),
        text=by_leaf.unified(before[3], after[3], old, new),
    )


def blame_of(log: LogReader, catalogue: Catalogue, name: str) -> ModelBlame:
    """Who set what a model.json or an engine's file says, or said last. Raises `ModelNotFound`."""
    uid = stream_of(catalogue, name)
    readable = [each for each in versions_of(log, uid) if each.sha256 is not None and each.problem is None]
    told = blame((version, jsonc.parse(text_of(log, version))) for version in readable)
    headers = _from_header(catalogue, uid)
    return ModelBlame(_name(catalogue, uid), [_with_header(leaf, headers) for leaf in told])


def _from_header(catalogue: Catalogue, uid: str) -> dict[Pointer, Derived]:
    """What the header of a model's file gives for its model.json."""
    model = catalogue.models.get(uid)
    file = None if model is None else catalogue.files.get(model.binary or "")
    if file is None or file.facts is None:
        return {}
    blocks = {
        "engine_parameters": from_header(file.facts),
        "model_parameters": stop_from_header(file.facts),
    }
    return {(block, name): derived for block, found in blocks.items() for name, derived in found.items()}


def _with_header(leaf: Blamed, headers: Mapping[Pointer, Derived]) -> Blamed:
    derived = headers.get(leaf.path)
    ours = leaf.type == "json-written" and leaf.actor == "janfs"
    if derived is None or not ours or not same(derived.value, leaf.value):
        return leaf
    return replace(leaf, header=derived.key)


def _name(catalogue: Catalogue, uid: str) -> str:
    """What a stream is called: a model by its id, an engine's file by the stream itself."""
    model = catalogue.models.get(uid)
    return uid if model is None else model.id


def _settings(log: LogReader, found: Sequence[Version], position: int) -> Any:
    version = in_force(found, position)
    return {} if version is None else jsonc.parse(text_of(log, version))
