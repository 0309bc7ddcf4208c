"""From the `system_fingerprint` of an answer to the files, settings and engine that gave it."""

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from janfs.catalogue.catalogue import Catalogue
from janfs.engines.protocol import SpecPart
from janfs.errors import ModelNotFound, ModelNotRunnable, NotFound
from janfs.events.types import FileHashed, ModelStarted, StartedPart
from janfs.folder.filesystem import Stamp
from janfs.log.reader import LogReader
from janfs.manifest.spellings import DEFAULT_ENGINE
from janfs.past.moments import archive_hint, happenings
from janfs.pipeline.snapshot import Snapshot
from janfs.serving import resolve

_PREFIX = "fp_"
_FINGERPRINT = re.compile(r"[0-9a-f]{16}")


class Fingerprint(Struct, frozen=True):
    """What a fingerprint stands for.

    `position` is that of the last start with it, `id` the model's id now, `parts` are the files as they were,
    the first one being what the engine was given; a `sha256` may have become known later. `settings` are null
    and `parts` empty where an older janfs did not record them, and they cannot be made again.
    """

    fingerprint: str
    id: str
    uid: str
    engine: str
    position: int
    recorded_at: str
    parts: tuple[StartedPart, ...]
    settings: dict[str, Any] | None
    object: Literal["fingerprint"] = "fingerprint"


def find_fingerprint(
    log: LogReader, now: Catalogue, at: Callable[[int], Catalogue], said: str
) -> Fingerprint:
    """What a fingerprint stands for, with or without its `fp_`; `at` gives the catalogue of a position.

    Raises `NotFound` for one that no engine was ever started with.
    """
    fingerprint = said.removeprefix(_PREFIX)
    start = _last_start(log, fingerprint)
    if start is None:
        raise NotFound(
            f"No engine was ever started with the fingerprint '{said}'. An answer has one as its "
            f"system_fingerprint.{archive_hint(log)}",
            param="fingerprint",
        )
    position, uid, event = start.position, start.stream, start.event
    told = event.parts or event.engine != DEFAULT_ENGINE  # a model elsewhere has no files
    parts, settings = (event.parts, event.settings) if told else _made_again(at(position), uid, event)
    return Fingerprint(
        fingerprint=fingerprint,
        id=now.models[uid].id if uid in now.models else uid,
        uid=uid,
        engine=event.engine,
        position=position,
        recorded_at=start.recorded_at,
        parts=tuple(_with_hash(log, uid, part) for part in parts),
        settings=settings,
    )


def started_parts(parts: Iterable[SpecPart]) -> tuple[StartedPart, ...]:
    """The files of a spec as the log has them."""
    return tuple(
        StartedPart(part.path, Stamp(part.size, part.mtime_ns, part.inode), part.header_sha256, part.sha256)
        for part in parts
    )


class _Start(Struct, frozen=True):
    position: int
    stream: str
    recorded_at: str
    event: ModelStarted


def _last_start(log: LogReader, fingerprint: str) -> _Start | None:
    if not _FINGERPRINT.fullmatch(fingerprint):
        return None
    for found in happenings(log.backwards(saying=[f'"fingerprint":"{fingerprint}"'])):
        if isinstance(found.event, ModelStarted):
            return _Start(found.position, found.stream, found.recorded_at, found.event)
    return None


def _made_again(
    then: Catalogue, uid: str, event: ModelStarted
) -> tuple[tuple[StartedPart, ...], dict[str, Any] | None]:
    """What was not recorded, out of the catalogue of then; the fingerprint proves that it is the same."""
    model = then.models.get(uid)
    try:
        spec = None if model is None else resolve(Snapshot(then), Path("/"), model.id).spec
    except (ModelNotFound, ModelNotRunnable):
        spec = None
    if spec is None or spec.fingerprint != event.fingerprint:
        return (), None
    return started_parts(spec.parts), msgspec.to_builtins(spec.settings)


def _with_hash(log: LogReader, uid: str, part: StartedPart) -> StartedPart:
    """A part with the SHA-256 that became known of the very same content later."""
    if part.sha256 is not None:
        return part
    for found in happenings(log.backwards(stream=uid)):
        if isinstance(found.event, FileHashed) and found.event.stamp == part.stamp:
            return replace(part, sha256=found.event.sha256)
    return part
