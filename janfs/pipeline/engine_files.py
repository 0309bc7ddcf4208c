"""The engines' files that janfs makes at the first start, and that later versions bring up to date."""

import hashlib
from collections.abc import Callable, Container, Mapping, Sequence

from janfs.catalogue.entries import File
from janfs.clock import Clock, Ids
from janfs.events import types as e
from janfs.folder import paths
from janfs.folder.filesystem import FileSystem
from janfs.manifest import engine_file
from janfs.pipeline.backoff import Backoff
from janfs.pipeline.manifests import Manifests
from janfs.pipeline.recorder import Draft, Recorder

_SEEN = frozenset({"json-written", "json-edited", "json-rejected", "file-refused"})


class EngineFiles:
    """Sees to the `wanted` files, texts by path.

    Each is written once for an engine that never had one. One that was written and would be another now is
    brought up to date as a model.json is: what is the person's in it stays.
    """

    def __init__(
        self, wanted: Mapping[str, bytes], fs: FileSystem, recorder: Recorder, clock: Clock, ids: Ids
    ) -> None:
        self._wanted = wanted
        self._missing = wanted
        self._fs = fs
        self._recorder = recorder
        self._clock = clock
        self._ids = ids
        self._manifests = Manifests(recorder.log, ids)
        self._backoff = Backoff()

    @property
    def next_due(self) -> float | None:
        """When a write that failed is to be tried again, in the clock's monotonic seconds."""
        return self._backoff.next_due()

    def work(self, finish: Callable[[], Sequence[e.Event]], arriving: Container[str]) -> None:
        """Write what is to be written; call it once everything has been looked at.

        What is `arriving` is being written, or cannot be read yet, and is left alone.
        """
        now = self._clock.monotonic()
        due = self._backoff.next_due()
        settled = [path for path in self._wanted if path not in arriving]
        outdated = [file for file in map(self._outdated, settled) if file is not None]
        nothing = not (self._missing or outdated)
        if nothing or not self._recorder.catalogue.root.available or (due or now) > now or self._open():
            return
        self._backoff.take_due(now)
        documents: dict[str, bytes] = {}
        try:
            drafts = self._first(self._present(), documents) if self._missing else []
        except OSError:  # what is there cannot be seen now
            failed = True
        else:
            drafts += [draft for file in outdated for draft in self._renewed(file, documents)]
            self._recorder.record(drafts, documents)
            failed = any(isinstance(event, e.WriteFailed) for event in finish()) or self._open()
        self._backoff.note(paths.ENGINES, failed=failed, now=now, at_once=False)
        if not failed:
            self._missing = {}

    def _open(self) -> bool:
        """Whether it cannot be seen yet what became of a write."""
        return any(plan.target in self._wanted for plan in self._recorder.catalogue.plans.values())

    def _present(self) -> set[str]:
        """The streams of the files that are there, whole and readable or not."""
        if self._fs.stat(paths.ENGINES) is None:
            return set()
        there = (paths.join(paths.ENGINES, name) for name in self._fs.list(paths.ENGINES))
        return {engine_file.stream_of(path) for path in there if paths.is_engine_file(path)}

    def _first(self, present: set[str], documents: dict[str, bytes]) -> list[Draft]:
        """An engine with a file of any of its names needs none, nor does one whose file was removed."""
        drafts: list[Draft] = []
        for path, text in self._missing.items():
            stream = engine_file.stream_of(path)
            known = self._recorder.log.told(stream)
            if stream in present or any(record.type in _SEEN for record in known):
                continue
            digest = hashlib.sha256(text).hexdigest()
            documents[digest] = text
            drafts.append(Draft(stream, e.WritePlanned(self._ids(), path, digest)))
        return drafts

    def _outdated(self, path: str) -> File | None:
        """The file that was made from another text than is wanted now; one that cannot be read waits."""
        catalogue = self._recorder.catalogue
        file = catalogue.engine_files.get(path)
        if file is None or file.base is None or file.refused is not None or file.uid in catalogue.parked:
            return None
        digest = hashlib.sha256(self._wanted[path]).hexdigest()
        return None if digest in (file.base, file.made_from) else file

    def _renewed(self, file: File, documents: dict[str, bytes]) -> list[Draft]:
        text = self._wanted[file.path]
        made_from = hashlib.sha256(text).hexdigest()
        events = self._manifests.renewed(file, lambda _: text, made_from, documents)
        return [Draft(file.uid, event, cause=file.position) for event in events]
