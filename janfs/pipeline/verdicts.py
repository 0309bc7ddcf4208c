"""What is to be recorded of a look at a file, given what is known of it. Pure."""

from typing import assert_never

from msgspec import Struct

from janfs.catalogue.entries import CORRUPTED, File
from janfs.errors import ManifestError
from janfs.events import types as e
from janfs.folder import settle
from janfs.folder.filesystem import Stamp, Stat
from janfs.pipeline.snapshot import Arrival


class Watched(Struct):
    """A file that is being waited for: what it was when it last changed, and when to look again."""

    stat: Stat
    since: float
    due: float
    arrival: Arrival


def event_of(path: str, stat: Stat, file: File | None, verdict: settle.Verdict) -> e.Event | None:
    """What to record of a verdict; None when nothing is new."""
    match verdict:
        case settle.Settled():
            if file is not None and (_same(file, stat, verdict) or _is_corrupted(file, verdict)):
                return None
            kind = e.FileDropped if file is None else e.FileChanged
            return kind(path, verdict.stamp, stat.link, verdict.facts)
        case settle.Refused():
            if _is_refused(file, verdict.stamp, verdict.code):
                return None
            return e.FileRefused(path, verdict.stamp, verdict.code, verdict.reason, stat.link)
        case settle.JsonRead():
            if file is not None and file.document == verdict.sha256 and file.refused is None:
                return None
            return e.JsonEdited(path, verdict.stamp, verdict.sha256, verdict.manifest, verdict.notes)
        case settle.JsonWrong():
            line, column = verdict.line, verdict.column
            if _is_refused(file, verdict.stamp, ManifestError.code):
                return None
            return e.JsonRejected(path, verdict.stamp, verdict.sha256, verdict.reason, line, column)
        case settle.Waiting():
            return None
        case _:
            assert_never(verdict)


def _is_refused(file: File | None, stamp: Stamp, code: str) -> bool:
    """Whether a file is known to be refused as it is now, for this reason."""
    refused = file.refused if file is not None and file.stamp == stamp else None
    return refused is not None and refused.code == code


def _is_corrupted(file: File, verdict: settle.Settled) -> bool:
    """Whether a file is known to be damaged as it is now; its header may be sound all the same."""
    return _is_refused(file, verdict.stamp, CORRUPTED)


def _same(file: File, stat: Stat, verdict: settle.Settled) -> bool:
    return file.refused is None and file.link == stat.link and file.stamp == verdict.stamp
