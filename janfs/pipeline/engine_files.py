"""The engines' files that are made at the first start."""

import hashlib
from collections.abc import Callable, Mapping, Sequence

from janfs.clock import Clock, Ids
from janfs.events import types as e
from janfs.folder import paths
from janfs.folder.filesystem import FileSystem
from janfs.manifest import engine_file
from janfs.pipeline.backoff import Backoff
from janfs.pipeline.recorder import Draft, Recorder

_SEEN = frozenset({"json-written", "json-edited", "json-rejected", "file-refused"})


class EngineFiles:
    """Writes each of the `wanted` files, texts by path, once for an engine that never had one."""

    def __init__(
        self, wanted: Mapping[str, bytes], fs: FileSystem, recorder: Recorder, clock: Clock, ids: Ids
    ) -> None:
        self._wanted = wanted
        self._fs = fs
        self._recorder = recorder
        self._clock = clock
        self._ids = ids
        self._backoff = Backoff()

    @property
    def next_due(self) -> float | None:
        """When a write that failed is to be tried again, in the clock's monotonic seconds."""
        return self._backoff.next_due()

    def work(self, finish_plans: Callable[[], Sequence[e.Event]]) -> None:
        """Write what is to be written; call it once everything has been looked at."""
        now = self._clock.monotonic()
        due = self._backoff.next_due()
        if not self._wanted or not self._recorder.catalogue.root.available or (due or now) > now:
            return
        self._backoff.take_due(now)
        try:
            drafts, documents = self._intents(self._present())
        except OSError:  # what is there cannot be seen now
            failed = True
        else:
            self._recorder.record(drafts, documents)
            failed = any(isinstance(event, e.WriteFailed) for event in finish_plans())
        self._backoff.note(paths.ENGINES, failed=failed, now=now, at_once=False)
        if not failed:
            self._wanted = {}

    def _present(self) -> set[str]:
        """The streams of the files that are there, whole and readable or not."""
        if self._fs.stat(paths.ENGINES) is None:
            return set()
        there = (paths.join(paths.ENGINES, name) for name in self._fs.list(paths.ENGINES))
        return {engine_file.stream_of(path) for path in there if paths.is_engine_file(path)}

    def _intents(self, present: set[str]) -> tuple[list[Draft], dict[str, bytes]]:
        """An engine with a file of any of its names needs none, nor does one whose file was removed."""
        drafts: list[Draft] = []
        documents: dict[str, bytes] = {}
        for path, text in self._wanted.items():
            stream = engine_file.stream_of(path)
            known = self._recorder.log.read(stream=stream)
            if stream in present or any(record.type in _SEEN for record in known):
                continue
            digest = hashlib.sha256(text).hexdigest()
            documents[digest] = text
            drafts.append(Draft(stream, e.WritePlanned(self._ids(), path, digest)))
        return drafts, documents
