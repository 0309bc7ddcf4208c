"""Models that were dropped, organised, edited, started and deleted, as a log tells of them."""

import hashlib

from janfs.events import types as e
from janfs.folder.filesystem import Stamp
from janfs.folder.gguf import GgufFacts
from janfs.log.store import EventLog
from janfs.manifest.schema import Manifest
from janfs.pipeline.recorder import Draft, Recorder


def live(log: EventLog, models: int = 3, edits: int = 2, says: str = "", first: int = 0) -> Recorder:
    """Let models numbered from `first` live; all but the first are edited, the last is deleted."""
    recorder = Recorder(log)
    for number in range(first, first + models):
        _birth(recorder, number, says)
        for edit in range(edits if number != first else 0):
            _edit(recorder, number, f"{says}{edit}")
    last = first + models - 1
    uid, home = f"uid-{last}", f"models/m{last}"
    recorder.record([Draft(uid, e.ModelStarted("llama-cpp", "0123456789abcdef", 0.5, 42))])
    cause = recorder.catalogue.position
    recorder.record(
        [Draft(uid, e.MovePlanned("op-d", home, f".janfs/trash/m{last}", "delete"), "api:x", cause)]
    )
    recorder.record(
        [
            Draft(uid, e.MoveCompleted("op-d", home, f".janfs/trash/m{last}", "delete"), cause=cause + 1),
            Draft(uid, e.ModelDeleted(f"m{last}", f".janfs/trash/m{last}"), cause=cause + 1),
            Draft("root", e.RootUnavailable("The disk is gone.")),
            Draft("root", e.RootReturned()),
            Draft(f"uid-{first}", e.MovePlanned("op-open", "models/a", "models/b", "organise")),
        ]
    )
    return recorder


def _birth(recorder: Recorder, number: int, says: str) -> None:
    uid, home = f"uid-{number}", f"models/m{number}"
    loose, target = f"models/m{number}.gguf", f"{home}/m{number}.gguf"
    stamp = Stamp(10**9 + number, number, number + 1)
    facts = GgufFacts(header_sha256=f"{number:064x}", data_end=10**9, architecture="llama", name=f"M {says}")
    recorder.record([Draft(uid, e.FileDropped(loose, stamp, None, facts), "folder")])
    seen = recorder.catalogue.position
    recorder.record(
        [
            Draft(uid, e.ModelRegistered(f"m{number}", home, loose), cause=seen),
            Draft(uid, e.MovePlanned(f"op-{number}", loose, target, "organise", stamp), cause=seen + 1),
        ]
    )
    moved = e.MoveCompleted(f"op-{number}", loose, target, "organise", stamp)
    recorder.record([Draft(uid, moved, cause=seen + 2)])
    text = f'{{"id": "m{number}"}} // {says}'.encode()
    digest = hashlib.sha256(text).hexdigest()
    recorder.record(
        [Draft(uid, e.WritePlanned(f"op-w{number}", f"{home}/model.json", digest), cause=seen + 3)],
        {digest: text},
    )
    manifest = Manifest(id=f"m{number}", name=f"Modell № {number}", engine_parameters={"ctx_len": 8192})
    written = e.JsonWritten(f"op-w{number}", f"{home}/model.json", Stamp(900, 1, number), digest, manifest)
    recorder.record([Draft(uid, written, cause=seen + 4)])


def _edit(recorder: Recorder, number: int, says: str) -> None:
    text = f'{{"id": "m{number}", "name": "{says}"}}'.encode()
    digest = hashlib.sha256(text).hexdigest()
    path, stamp = f"models/m{number}/model.json", Stamp(len(text), 5, number)
    edited = e.JsonEdited(path, stamp, digest, Manifest(id=f"m{number}", name=says))
    recorder.record([Draft(f"uid-{number}", edited, "folder")], {digest: text})
