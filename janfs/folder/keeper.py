"""Keeps a watcher alive: one that died is replaced, and polling takes over where nothing else works."""

import threading
from collections.abc import Callable
from pathlib import Path

import structlog

from janfs.folder import paths
from janfs.folder.watcher import EVERYTHING, OnHint, PollingWatcher, Watcher

CHECK_EVERY = 5.0  # seconds between looks at whether the watcher still lives

_log = structlog.get_logger()


class WatchKeeper:
    """Watches `models/` and `engines/` below a root with whatever `choose` gives."""

    def __init__(
        self, root: Path, choose: Callable[[], Watcher], on_hint: OnHint, check_every: float = CHECK_EVERY
    ) -> None:
        self._root = root
        self._choose = choose
        self._on_hint = on_hint
        self._check_every = check_every
        self._closing = threading.Event()
        self.watcher = self._start()
        self._said = self.watcher.problem()
        self._thread = threading.Thread(target=self._mind, name="watch-keeper", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop watching."""
        self._closing.set()
        self._thread.join()
        self.watcher.close()

    def _start(self) -> Watcher:
        watcher = self._choose()
        try:
            watcher.start(self._root, (paths.MODELS, paths.ENGINES), self._on_hint)
        except OSError as error:
            _log.warning("watching-by-polling", reason=str(error))
            watcher = PollingWatcher(reason=str(error))
            watcher.start(self._root, (paths.MODELS, paths.ENGINES), self._on_hint)
        return watcher

    def _mind(self) -> None:
        while not self._closing.wait(self._check_every):
            if not self.watcher.alive():
                _log.warning("watcher-died", watcher=self.watcher.name)
                self.watcher.close()
                self.watcher = self._start()
                self._on_hint(EVERYTHING)
            self._say_what_is_new()

    def _say_what_is_new(self) -> None:
        """Watches run out when folders come, long after the start."""
        problem = self.watcher.problem()
        if problem and not self._said:
            _log.warning("changes-seen-late", reason=problem)
        elif self._said and not problem:
            _log.warning("changes-seen-at-once-again")
        self._said = problem
