"""One sentence for each type of event. Pure; the table must have them all."""

from collections.abc import Callable, Mapping
from typing import Any

from janfs.events import types as e

_ACTORS = {"folder": "someone", "cli": "someone at the command line", "api": "a caller of the API"}


def who(actor: str) -> str:
    """An actor as the subject of a sentence; what people and programs do to the files has no name."""
    kind, _, name = actor.partition(":")
    return f"{_ACTORS.get(kind, kind)} ({name})" if name else _ACTORS.get(kind, actor)


def in_words(event: e.Event, actor: str) -> str:
    """What happened, as a clause that goes on after "because"."""
    return _WORDS[type(event)](event, who(actor))


def _where(event: e.JsonRejected) -> str:
    return f" (line {event.line}, column {event.column})" if event.line else ""


def _moved(event: e.MovePlanned | e.MoveCompleted, who: str, verb: str) -> str:
    if event.reason == "delete":
        return f"{who} {verb} {event.source} to the trash, as {event.target}"
    if event.reason == "restore":
        return f"{who} {verb} {event.source} out of the trash, to {event.target}"
    return f"{who} {verb} {event.source} to {event.target}"


def _copied(event: e.CopyPlanned | e.CopyCompleted, who: str, done: bool) -> str:
    if event.reason == "dedupe":
        verb = "let" if done else "was about to let"
        return f"{who} {verb} {event.target} share its content with {event.source}"
    verb = "made" if done else "was about to make"
    what = {"copy": "a copy", "hard-link": "a second name", "symbolic-link": "a link"}[event.how]
    return f"{who} {verb} {event.target}, {what} of {event.source}"


def _start(event: e.ModelStarted, _: str) -> str:
    if not event.pid:
        return (
            f"{event.engine}, which is elsewhere, served the model, with the fingerprint {event.fingerprint}"
        )
    seconds = f"{event.load_seconds:.1f} s"
    return f"{event.engine} loaded the model in {seconds}, with the fingerprint {event.fingerprint}"


_WORDS: Mapping[type[e.Event], Callable[[Any, str], str]] = {
    e.FileDropped: lambda it, who: f"{who} put the file {it.path} there",
    e.FileChanged: lambda it, who: f"{who} gave the file {it.path} another content",
    e.FileMoved: lambda it, who: f"{who} moved {it.source} to {it.target}",
    e.FileRemoved: lambda it, who: f"{who} removed the file {it.path}",
    e.FileRefused: lambda it, _: f"the file {it.path} could not be used: {it.reason}",
    e.JsonEdited: lambda it, who: f"{who} wrote {it.path}",
    e.JsonRejected: lambda it, who: (
        f"{who} wrote {it.path} in a way that cannot be read{_where(it)}: {it.reason}"
    ),
    e.JsonRemoved: lambda it, who: f"{who} removed {it.path}",
    e.FileHashed: lambda it, _: f"the SHA-256 of {it.path} became known ({it.by}): {it.sha256}",
    e.FileCorrupted: lambda it, _: f"the content of {it.path} changed though nobody wrote it",
    e.DuplicateFound: lambda it, _: f"{it.path} was found to have the same content as {it.of}",
    e.LogDamaged: lambda it, _: (
        f"the write-ahead log was found damaged at byte {it.offset}, and {it.commits} commits from there on "
        f"are lost; what was found is kept as {' and '.join(it.kept)}"
    ),
    e.RootUnavailable: lambda it, _: f"the models folder could not be seen: {it.reason}",
    e.RootReturned: lambda _it, _: "the models folder could be seen again",
    e.ModelRegistered: lambda it, _: f"the model {it.id} was registered, with the folder {it.folder}",
    e.ModelRenamed: lambda it, _: f"the model {it.was} became {it.id}, with the folder {it.folder}",
    e.ModelSwapped: lambda it, who: (
        f"{who} let {it.left} and {it.folder} change names, and so the model {it.was} became {it.id}"
    ),
    e.ModelRemoved: lambda it, _: f"the model was taken off the list: {it.reason}",
    e.ModelRestored: lambda it, _: f"the model {it.id} was there again, with the folder {it.folder}",
    e.ModelDeleted: lambda it, who: f"{who} deleted the model {it.id}; its folder is {it.trash}",
    e.PartPaired: lambda it, who: f"{who} gave {it.path} to the model (by {it.by})",
    e.ModelExported: lambda it, who: f"{who} exported the model as {it.archive}",
    e.ModelImported: lambda it, who: f"{who} took the model out of the archive {it.archive}",
    e.LogCompacted: lambda it, who: f"{who} archived the log up to position {it.position} as {it.archive}",
    e.MovePlanned: lambda it, who: _moved(it, who, "was about to move"),
    e.MoveCompleted: lambda it, who: _moved(it, who, "moved"),
    e.MoveFailed: lambda it, who: f"{who} could not move {it.source} to {it.target}: {it.error}",
    e.WritePlanned: lambda it, who: f"{who} was about to write {it.path}",
    e.JsonWritten: lambda it, who: f"{who} wrote {it.path}",
    e.JsonReverted: lambda it, who: f"{who} brought {it.path} back to what it was at #{it.to}",
    e.JsonKept: lambda it, _: f"{it.path} stayed as it is" + (f": {it.reason}" if it.reason else ""),
    e.FieldConflicted: lambda it, _: (
        f"{it.field} in {it.path} stayed as it is ({it.theirs or 'none'}), though it would be generated as "
        f"{it.ours or 'none'}"
    ),
    e.WriteFailed: lambda it, who: f"{who} could not write {it.path}: {it.error}",
    e.CopyPlanned: lambda it, who: _copied(it, who, done=False),
    e.CopyCompleted: lambda it, who: _copied(it, who, done=True),
    e.CopyFailed: lambda it, who: f"{who} could not make {it.target} of {it.source}: {it.error}",
    e.DownloadStarted: lambda it, who: f"{who} began to fetch {', '.join(it.urls)}",
    e.FileDownloaded: lambda it, who: f"{who} fetched {it.path} from {it.url}",
    e.DownloadCompleted: lambda it, who: f"{who} had fetched {', '.join(it.urls)}",
    e.DownloadFailed: lambda it, _: f"a download failed: {it.told}",
    e.DownloadCancelled: lambda it, who: f"{who} stopped the download: {it.reason}",
    e.ModelStarted: _start,
    e.ModelStopped: lambda it, _: f"the model was unloaded: {it.reason}",
    e.StartFailed: lambda it, _: f"the model could not be loaded: {it.reason}",
    e.EngineCrashed: lambda it, _: f"the engine died, and {it.requests} requests with it",
}
