"""Any sequence of events about few files and few models, so that they meet."""

from typing import Any

from hypothesis import strategies as st

from janfs.catalogue.fold import Recorded
from janfs.events import types as e
from janfs.folder.filesystem import Stamp
from janfs.folder.gguf import GgufFacts
from janfs.manifest.schema import Manifest, SourceRef

UIDS = ("u1", "u2", "u3")
FOLDERS = ("models/a", "models/b")
LOOSE = ("models/x.gguf", "models/y.gguf")
PATHS = (*LOOSE, *(f"{folder}/{name}" for folder in FOLDERS for name in ("x.gguf", "y.gguf", "model.json")))
ENGINE_FILES = ("engines/llama-cpp.json", "engines/other.json")
OPS = ("op1", "op2")
NAMES = ("a", "b", "c")
STAMPS = tuple(Stamp(size, 1, inode) for size, inode in ((10, 1), (20, 2), (20, 3)))


def facts(**said: Any) -> GgufFacts:
    return GgufFacts(header_sha256="0" * 64, data_end=10, architecture="llama", **said)


_values: dict[str, st.SearchStrategy[Any]] = {
    **{name: st.sampled_from(PATHS) for name in ("path", "source", "target")},
    "of": st.sampled_from(PATHS),
    "archive": st.sampled_from(PATHS),
    "files": st.lists(st.sampled_from(PATHS), max_size=2).map(tuple),
    "sha256": st.sampled_from(["0" * 64, "1" * 64]),
    "stamp": st.sampled_from(STAMPS),
    "facts": st.sampled_from(
        [None, facts(), facts(type="mmproj"), *(facts(split_no=n, split_count=2) for n in (0, 1))]
    ),
    "link": st.sampled_from([None, "../../x"]),
    "folder": st.sampled_from(FOLDERS),
    "loose": st.sampled_from([None, *LOOSE]),
    "id": st.sampled_from(NAMES),
    "was": st.sampled_from(NAMES),
    "op": st.sampled_from(OPS),
    "reason": st.just("why"),
    "error": st.just("The disk is full."),
    "settings": st.just({}),
    "parts": st.just(()),
    "trash": st.just(".janfs/trash/1"),
    "manifest": st.sampled_from(
        [
            Manifest(),
            Manifest(engine_parameters={"llama_model_path": "y.gguf"}),
            Manifest(sources=(SourceRef("x.gguf", "https://example.org/x.gguf"),)),
            Manifest(format="api", engine="openai"),
        ]
    ),
}


def _of(kind: type[e.Event]) -> st.SearchStrategy[e.Event]:
    fields: dict[str, Any] = {name: _values.get(name, ...) for name in kind.__struct_fields__}
    if kind in (e.MovePlanned, e.MoveCompleted, e.MoveFailed):
        fields["reason"] = st.sampled_from(["organise", "delete"])
        fields["source"] = st.sampled_from([*PATHS, *FOLDERS])
    if kind in (e.MovePlanned, e.MoveCompleted):
        fields["stamp"] = st.none() | _values["stamp"]
    if kind in (e.CopyPlanned, e.CopyCompleted, e.CopyFailed):
        fields["reason"] = st.sampled_from(["organise", "dedupe"])
    if kind is e.DownloadCompleted:
        fields["seconds"] = st.just(1.5)
    if kind in (
        e.JsonEdited,
        e.JsonRejected,
        e.JsonRemoved,
        e.JsonWritten,
        e.JsonReverted,
        e.FileRefused,
        e.WritePlanned,
    ):
        fields["path"] = st.sampled_from([*PATHS, *ENGINE_FILES])
    return st.builds(kind, **fields)


events: st.SearchStrategy[e.Event] = st.one_of([_of(kind) for kind in e.EVENT_TYPES])
# Models alone, so that they meet under the same names and in the same folders.
_meetings = st.one_of([_of(k) for k in (e.ModelRegistered, e.ModelRenamed, e.ModelRemoved, e.ModelRestored)])


def recorded(said: list[tuple[str, e.Event]], start: int = 1) -> list[Recorded]:
    """Events with their streams as the log would hold them."""
    return [
        Recorded(position, uid, f"2026-01-01T00:00:{position:02}.000000Z", event)
        for position, (uid, event) in enumerate(said, start)
    ]


def _said(any_event: st.SearchStrategy[e.Event]) -> st.SearchStrategy[list[tuple[str, e.Event]]]:
    return st.lists(st.tuples(st.sampled_from(UIDS), any_event), min_size=3, max_size=25)


histories: st.SearchStrategy[list[Recorded]] = (_said(events) | _said(_meetings)).map(recorded)
