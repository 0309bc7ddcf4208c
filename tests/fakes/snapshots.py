"""Snapshots made the way the pipeline makes them: by folding events."""

from collections.abc import Sequence

from janfs.catalogue.catalogue import Catalogue
from janfs.catalogue.fold import Recorded, fold
from janfs.events import types as e
from janfs.folder.filesystem import Stamp
from janfs.folder.gguf import GgufFacts
from janfs.manifest.schema import Manifest

AT = "2026-01-02T03:04:05.000000Z"
FACTS = GgufFacts(
    header_sha256="ab" * 32,
    data_end=1000,
    architecture="llama",
    name="Tiny",
    context_length=8192,
    eos_token="</s>",
    has_chat_template=True,
)
STAMP = Stamp(1000, 1_700_000_000_000_000_000, 7)


def catalogue_of(*happened: tuple[str, e.Event], base: Catalogue | None = None) -> Catalogue:
    """The catalogue after these (stream, event) pairs."""
    base = base or Catalogue()
    events = [
        Recorded(base.position + number, stream, AT, event)
        for number, (stream, event) in enumerate(happened, start=1)
    ]
    return fold(base, events)[0]


def model_events(
    id_: str = "tiny",
    manifest: Manifest | None = None,
    *,
    uid: str | None = None,
    facts: GgufFacts | None = FACTS,
    stamp: Stamp = STAMP,
) -> Sequence[tuple[str, e.Event]]:
    """What is recorded of a model that lies in a folder of its own; without model.json if there is none."""
    uid, folder = uid or f"uid-{id_}", f"models/{id_}"
    events: list[e.Event] = [
        e.ModelRegistered(id_, folder),
        e.FileDropped(f"{folder}/{id_}.gguf", stamp, None, facts),
    ]
    if manifest is not None:
        events.append(e.JsonEdited(f"{folder}/model.json", Stamp(10, 1, 8), "00" * 32, manifest))
    return [(uid, event) for event in events]
