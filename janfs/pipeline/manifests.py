"""What is to be written as a model.json or an engine's file: generated, and brought together with what a
person wrote.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from typing import Any

from msgspec.structs import replace

from janfs.catalogue.catalogue import Catalogue, file_at
from janfs.catalogue.entries import File
from janfs.clock import Ids
from janfs.errors import ManifestError
from janfs.events import types as e
from janfs.log.reader import LogReader
from janfs.manifest import jsonc
from janfs.manifest.edit import edit
from janfs.manifest.engine_file import read_file
from janfs.manifest.generate import encode, generate
from janfs.manifest.json_schema import MODEL, reference
from janfs.manifest.leaves import REMOVED, Pointer, from_text, to_text
from janfs.manifest.merge import Conflict, claimed, merge
from janfs.manifest.secrets import without_secrets
from janfs.organise.steps import Generate
from janfs.pipeline.former import former
from janfs.pipeline.recorder import Draft

Texts = dict[str, bytes]
"""Documents by their SHA-256, on their way into the log."""


class Manifests:
    """Texts out of the log, and those to be written; the disk is not looked at."""

    def __init__(self, log: LogReader, ids: Ids) -> None:
        self._log = log
        self._ids = ids

    def generated(self, step: Generate, catalogue: Catalogue, documents: Texts) -> list[Draft]:
        """The intent to write what is generated now, or the decision to keep what is there, and why."""
        file = catalogue.files[step.path] if step.anew else None
        if file is None:
            base = _keep(documents, encode(_ours(step, catalogue, None)))
            event = e.WritePlanned(self._ids(), step.path, base, base=base, made_from=step.made_from)
            return [Draft(step.uid, event, cause=step.cause)]
        events = self.renewed(
            file, lambda before: encode(_ours(step, catalogue, before)), step.made_from, documents
        )
        return [Draft(step.uid, event, cause=step.cause) for event in events]

    def renewed(
        self,
        file: File,
        generate_after: Callable[[dict[str, Any]], bytes],
        made_from: str,
        documents: Texts,
    ) -> list[e.Event]:
        """The intent to bring a file that was generated up to date, or the decision to keep it, and why.

        `generate_after` gives the text that is generated now, from the object that was last.
        """
        try:
            before = self.parsed(file.base)
            ours = generate_after(before)
            disk = self.recorded(file)
            found = merge(before, jsonc.parse(disk), json.loads(ours), map(from_text, file.owned))
            text = edit(disk, found.changes)
            read_file(file.path, text)
        except ManifestError as error:
            return [e.JsonKept(file.path, file.base or "", made_from, file.owned, error.detail)]
        kept = e.JsonKept(file.path, _keep(documents, ours), made_from, _texts(found.owned))
        conflicts = [_conflicted(file.path, each) for each in found.conflicts]
        return self.written(file, text, kept, conflicts, documents)

    def written(
        self,
        file: File,
        text: bytes,
        kept: e.JsonKept,
        conflicts: Sequence[e.FieldConflicted],
        documents: Texts,
    ) -> list[e.Event]:
        """The intent to put a text in the place of a file's; `kept` if it is that already."""
        digest = hashlib.sha256(text).hexdigest()
        if digest == file.document:
            return [kept, *conflicts]
        documents[digest] = text
        origin = (kept.base, kept.made_from, kept.owned)
        return [e.WritePlanned(self._ids(), file.path, digest, file.document, *origin, tuple(conflicts))]

    def told(self, catalogue: Catalogue, seen: Sequence[Draft], texts: Texts) -> list[Draft]:
        """What was seen; of an edit, with what it makes the person's: that is theirs, whatever follows. A
        text that came back as it was when it went away is ours as far as it was then.
        """
        found = []
        for draft in seen:
            event = draft.event
            if not isinstance(event, e.JsonEdited):
                found.append(draft)
                continue
            file = file_at(catalogue, event.path)
            if file is not None:
                found.append(self._claimed(draft, event, file, texts))
            else:
                found += [draft, *self._returned(catalogue, draft.stream, event)]
        return found

    def _claimed(self, draft: Draft, event: e.JsonEdited, file: File, texts: Texts) -> Draft:
        if file.base is None:
            return draft
        try:
            base = self.parsed(file.base)
        except ManifestError:
            return draft  # of a damaged log; `janfs verify` names it
        found = claimed(base, jsonc.parse(texts[event.sha256]), map(from_text, file.owned))
        return replace(draft, event=replace(event, owned=_texts(found)))

    def _returned(self, catalogue: Catalogue, uid: str, event: e.JsonEdited) -> list[Draft]:
        was = former(self._log, uid, event.path) if uid in catalogue.models else None
        if was is None or was.base is None or was.document != event.sha256:
            return []
        if self._log.document(was.base) is None:
            return []  # of a damaged log; `janfs verify` names it
        return [Draft(uid, e.JsonKept(event.path, was.base, was.made_from, was.owned))]

    def recorded(self, file: File) -> bytes:
        """What is known of a file's text, without secrets that an older janfs recorded.

        Raises `ManifestError` if it is not in the log.
        """
        return without_secrets(file.path, self.text(file.document))

    def text(self, digest: str | None) -> bytes:
        """A text that events point at. Raises `ManifestError` if it is not in the log."""
        found = None if digest is None else self._log.document(digest)
        if found is None:
            raise ManifestError(f"The text {digest} is not in the log; `janfs verify` says more.")
        return found

    def parsed(self, digest: str | None) -> dict[str, Any]:
        """The object in a text that was generated."""
        found: dict[str, Any] = json.loads(self.text(digest))
        return found


def _ours(step: Generate, catalogue: Catalogue, before: dict[str, Any] | None) -> dict[str, Any]:
    """The model.json that is generated now, `before` being the one that was last."""
    return generate(
        model_id=catalogue.models[step.uid].id,
        file_names=step.file_names,
        size=step.size,
        created=_created(step, before),
        facts=step.facts,
        mmproj=step.mmproj,
        schema=reference(step.path, MODEL),
    )


def _created(step: Generate, before: dict[str, Any] | None) -> int:
    """When the model was made, in seconds; touching its file does not make it another."""
    metadata = (before or {}).get("metadata", {})
    if before and (metadata.get("header_sha256"), metadata.get("size")) == (
        step.facts.header_sha256,
        step.size,
    ):
        return int(before["created"])
    return step.stamp.mtime_ns // 1_000_000_000


def _keep(documents: Texts, text: bytes) -> str:
    digest = hashlib.sha256(text).hexdigest()
    documents[digest] = text
    return digest


def _texts(pointers: frozenset[Pointer]) -> tuple[str, ...]:
    return tuple(sorted(map(to_text, pointers)))


def _conflicted(path: str, conflict: Conflict) -> e.FieldConflicted:
    theirs, ours = (
        None if value is REMOVED else json.dumps(value) for value in (conflict.theirs, conflict.ours)
    )
    return e.FieldConflicted(path, to_text(conflict.pointer), theirs, ours)
