"""Full hashes in the background: what makes duplicates and damage known, at the lowest priority."""

import heapq
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import msgspec
import structlog

from janfs.catalogue.catalogue import Catalogue
from janfs.catalogue.entries import File
from janfs.clock import Clock
from janfs.errors import Busy, FolderError, LogError, PipelineFailed
from janfs.events import types as e
from janfs.folder import paths
from janfs.folder.filesystem import FileSystem, Stamp
from janfs.folder.hashing import Progress, hash_file
from janfs.folder.whole import replace_content, unfinished
from janfs.pipeline.commands import Record
from janfs.pipeline.loop import Pipeline
from janfs.pipeline.recorder import Draft

BATCH = 64  # files between two looks at what is there
BATCH_SECONDS = 2.0  # until what was found is recorded, if there are more
QUIET = 1.0  # seconds without any event before hashing begins
SAVE_EVERY = 5.0  # seconds that a kill may cost
LONGEST_PAUSE = 60.0  # seconds between two tries to record what was found
YIELD = 0.25  # seconds between two looks at whether a model still answers
NICENESS = 15

_log = structlog.get_logger()


class Stopped(Exception):
    """Hashing is to end now."""


class Hasher:
    """Reads every GGUF file once, while nothing better is to be done."""

    def __init__(
        self,
        fs: FileSystem,
        pipeline: Pipeline,
        state: Path,
        clock: Clock,
        busy: Callable[[], bool] = lambda: False,
    ) -> None:
        """`state` is a file that may be lost; `busy` says whether the machine is wanted for something."""
        self._fs = fs
        self._pipeline = pipeline
        self._state = state
        self._clock = clock
        self._busy = busy
        self._failed: set[tuple[str, Stamp]] = set()
        self._stopping = threading.Event()
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name="hasher", daemon=True)
        self._saved_at = clock.monotonic()
        self._done_at = -1  # the position at which nothing was left to do, or our own last record

    def start(self) -> None:
        """Begin, in a thread of its own."""
        with suppress(OSError):
            unfinished(self._state).unlink()  # of a process that was killed
        self._pipeline.on_publish(lambda _: self._wake.set())
        self._thread.start()

    def close(self) -> None:
        """Stop after the step that runs; what is half done is gone on with after the next start."""
        self._stopping.set()
        self._wake.set()
        self._thread.join()

    def hash_some(self) -> list[Draft]:
        """Hash some files and say what was found; nothing where nothing is left to do."""
        begun = self._clock.monotonic()
        snapshot = self._pipeline.snapshot
        if not snapshot.catalogue.root.available:
            return []
        drafts: list[Draft] = []
        for file in worklist(snapshot.catalogue, self._failed):
            try:
                digest = hash_file(self._fs, file.path, file.stamp, self._pause, self._load())
            except Stopped:
                break
            except (
                FolderError,
                OSError,
            ) as error:  # the pipeline sees for itself what is wrong
                _log.debug("not-hashed", path=file.path, reason=str(error))
                self._failed.add((file.path, file.stamp))
                continue
            drafts.append(Draft(file.uid, found(file, digest)))
            if self._clock.monotonic() - begun >= BATCH_SECONDS:
                break
        return drafts

    def _run(self) -> None:
        with suppress(OSError, AttributeError):  # a courtesy
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
        while not self._stopping.is_set():
            self._wake.clear()
            if not self._is_quiet():
                continue
            drafts = self.hash_some()
            if drafts:
                self._record(drafts)
            else:
                self._done_at = self._position
                self._wake.wait()

    def _record(self, drafts: list[Draft]) -> None:
        """Record what was found, once that can be done: until then nothing is read in vain."""
        pause = QUIET
        while not self._stopping.is_set():
            try:
                self._done_at = self._pipeline.submit(Record(tuple(drafts))).result()
            except (Busy, LogError, PipelineFailed):
                self._stopping.wait(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
            else:
                return

    @property
    def _position(self) -> int:
        return self._pipeline.snapshot.catalogue.position

    def _is_quiet(self) -> bool:
        """Whether nothing is happening in the folder that would want the disk more."""
        at = self._position
        return at == self._done_at or (not self._stopping.wait(QUIET) and at == self._position)

    def _pause(self, progress: Progress) -> None:
        if self._stopping.is_set():
            self._save(progress)
            raise Stopped
        if self._clock.monotonic() - self._saved_at >= SAVE_EVERY:
            self._save(progress)
        while self._busy() and not self._stopping.is_set():
            self._stopping.wait(YIELD)

    def _save(self, progress: Progress) -> None:
        self._saved_at = self._clock.monotonic()
        with suppress(OSError):  # then a kill costs more
            replace_content(self._state, msgspec.json.encode(progress))

    def _load(self) -> Progress | None:
        try:
            return msgspec.json.decode(self._state.read_bytes(), type=Progress)
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            return None


def worklist(catalogue: Catalogue, failed: set[tuple[str, Stamp]], most: int = BATCH) -> list[File]:
    """The files to hash next: what may be a duplicate, then the smallest; what a hub vouches for is last."""
    lone = _without_likeness(catalogue)
    waiting = (
        file
        for file in _sound(catalogue)
        if file.hashed_by in (None, "hub") and (file.path, file.stamp) not in failed
    )

    def order(file: File) -> tuple[bool, bool, int, str]:
        return file.hashed_by is not None, file.path in lone, file.stamp.size, file.path

    return heapq.nsmallest(most, waiting, key=order)


def possible_duplicates(catalogue: Catalogue) -> list[File]:
    """The files whose size and header are those of another, and whose hash is not known."""
    lone = _without_likeness(catalogue)
    found = [file for file in _sound(catalogue) if file.sha256 is None and file.path not in lone]
    return sorted(found, key=lambda file: file.path)


def found(file: File, digest: str) -> e.FileHashed | e.FileCorrupted:
    """What a hash that was just made says of a file."""
    if file.sha256 is not None and file.sha256 != digest:
        return e.FileCorrupted(file.path, file.stamp, file.sha256, digest)
    return e.FileHashed(file.path, file.stamp, digest, "computed")


def _sound(catalogue: Catalogue) -> Iterator[File]:
    for file in catalogue.files.values():
        if paths.is_binary(file.path) and file.facts is not None and file.link is None and not file.refused:
            yield file


def _without_likeness(catalogue: Catalogue) -> set[str]:
    """The files that no other file is like."""
    alike: dict[tuple[int, str], list[str]] = {}
    for file in _sound(catalogue):
        alike.setdefault(_likeness(file), []).append(file.path)
    return {names[0] for names in alike.values() if len(names) == 1}


def _likeness(file: File) -> tuple[int, str]:
    return file.stamp.size, file.facts.header_sha256 if file.facts is not None else ""
